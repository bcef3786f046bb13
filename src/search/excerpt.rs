//! The part of a text that shows why it was found, in pieces of plain text.

use std::ops::Range;

use super::query::Query;
use super::words::runs;

/// Characters of an excerpt.
const CHARS_MAX: usize = 200;
/// Characters before the first place that is marked.
const CHARS_BEFORE: usize = 40;
/// Places that are looked at; a word that stands everywhere needs no more.
const PLACES_MAX: usize = 64;

/// A piece of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Plain text in one line.
    pub text: String,
    /// Whether it is what was looked for.
    pub is_match: bool,
}

/// The part of `text` that holds most of what was looked for.
pub fn excerpt(text: &str, query: &Query) -> Vec<Piece> {
    let places = places(text, query);
    let begin = best(text, &places).map_or(0, |place| back(text, place, CHARS_BEFORE));
    let end = forth(text, begin, CHARS_MAX);
    let mut pieces = Vec::new();
    let mut at = begin;
    let mut push = |range: Range<usize>, is_match: bool| {
        let mut line = one_line(&text[range.clone()]);
        if !is_match && range.start == begin && begin > 0 {
            line = format!("… {}", line.trim_start());
        }
        if !is_match && range.end == end && end < text.len() {
            line = format!("{}…", line.trim_end());
        }
        if !line.is_empty() {
            pieces.push(Piece {
                text: line,
                is_match,
            });
        }
    };
    for (place, _) in places.iter().filter(|(place, _)| place.end <= end) {
        // Pairs of characters overlap.
        let start = place.start.max(at);
        if place.start < begin || start >= place.end {
            continue;
        }
        if at < start {
            push(at..start, false);
        }
        push(start..place.end, true);
        at = place.end;
    }
    if at < end || end < text.len() {
        push(at..end, false);
    }
    merged(pieces)
}

type Place = (Range<usize>, usize);

/// Where the units of the query stand.
fn places(text: &str, query: &Query) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for run in runs(text) {
        if places.len() >= PLACES_MAX {
            break;
        }
        run.each_token(|token| {
            if places.len() >= PLACES_MAX {
                return;
            }
            if let Some(unit) = query.unit_of(&token) {
                let is_exact = query.units[unit].text() == token.term;
                let range = match token.is_unspaced && !is_exact {
                    true => token.first,
                    false => token.range,
                };
                places.push((range, unit));
            }
        });
    }
    places
}

/// The place from which on most units stand within an excerpt.
fn best(text: &str, places: &[Place]) -> Option<usize> {
    let value = |from: usize| {
        let start = places[from].0.start;
        let end = forth(text, start, CHARS_MAX - CHARS_BEFORE);
        let mut units: Vec<usize> = Vec::new();
        let near = places[from..]
            .iter()
            .take_while(|(place, _)| place.end <= end);
        let count = near.inspect(|(_, unit)| units.push(*unit)).count();
        units.sort_unstable();
        units.dedup();
        (units.len(), count)
    };
    let ranked = (0..places.len()).map(|from| (value(from), std::cmp::Reverse(from)));
    ranked.max().map(|(_, from)| places[from.0].0.start)
}

/// At most so many characters before `at`, after a space where there is one.
fn back(text: &str, at: usize, chars: usize) -> usize {
    let before = &text[..at];
    let Some((start, _)) = before.char_indices().rev().nth(chars) else {
        return 0;
    };
    let space = before[start..].find(char::is_whitespace);
    space.map_or(start, |space| start + space)
}

/// At most so many characters after `at`, up to a space where there is one near.
fn forth(text: &str, at: usize, chars: usize) -> usize {
    let after = &text[at..];
    let Some((end, _)) = after.char_indices().nth(chars) else {
        return text.len();
    };
    let space = after[..end].rfind(char::is_whitespace);
    at + space.filter(|space| *space > end / 2).unwrap_or(end)
}

/// Without line ends and what else could move text about.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        let is_space = character.is_whitespace() || character.is_control();
        match is_space {
            true if line.ends_with(' ') => {}
            true => line.push(' '),
            false => line.push(character),
        }
    }
    line
}

fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.is_match == piece.is_match => last.text.push_str(&piece.text),
            _ => merged.push(piece),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, query: &str) -> String {
        let mark = |piece: Piece| match piece.is_match {
            true => format!("[{}]", piece.text),
            false => piece.text,
        };
        excerpt(text, &Query::parse(query))
            .into_iter()
            .map(mark)
            .collect()
    }

    #[test]
    fn what_was_looked_for_is_marked() {
        assert_eq!(
            shown("Say hello to the World", "world hel"),
            "Say [hello] to the [World]"
        );
        assert_eq!(shown("<b>Hi</b>\n\nthere", "hi"), "<b>[Hi]</b> there");
        assert_eq!(shown("用机器学习", "机器学"), "用[机器学]习");
        assert_eq!(shown("大学", "学"), "大[学]");
        assert_eq!(shown("nothing", "else"), "nothing");
        assert_eq!(shown("", "x"), "");
    }

    #[test]
    fn a_long_text_is_shown_where_most_of_it_is() {
        let text = format!(
            "{} needle {} needle thread {}",
            "a ".repeat(500),
            "b ".repeat(500),
            "c ".repeat(500)
        );
        let shown = shown(&text, "thread needle");
        assert!(shown.contains("[needle] [thread]"), "{shown}");
        assert!(shown.starts_with("… ") && shown.ends_with('…'), "{shown}");
        assert!(shown.chars().count() < CHARS_MAX + 20, "{shown}");
    }

    #[test]
    fn any_text_has_an_excerpt() {
        for text in [
            "\u{301}\u{301}",
            &"é".repeat(5000),
            &"机".repeat(5000),
            &"x y".repeat(5000),
            "\0\r\n\u{2028}",
        ] {
            for query in ["é", "机", "机机", "x", "y"] {
                let length = shown(text, query).chars().count();
                assert!(length < 2 * CHARS_MAX, "{length}");
            }
        }
    }
}
