//! Texts as terms: words of scripts that part them, pairs of characters of scripts that do not.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::text::{folded, is_unspaced};

/// Characters of a word that count: what is longer (base64, a minified line) is found by its beginning.
const TERM_CHARS_MAX: usize = 32;

/// A stretch of letters and digits of one kind of script.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Where it begins in its text, bytes.
    pub start: usize,
    /// Its letters.
    pub text: &'a str,
    /// Whether its script writes words without spaces.
    pub is_unspaced: bool,
}

/// A term where it stands in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its bytes.
    pub range: Range<usize>,
    /// The bytes of its first character.
    pub first: Range<usize>,
    /// As it is compared.
    pub term: String,
    /// Whether its script writes words without spaces.
    pub is_unspaced: bool,
}

/// Accents that are written as characters of their own belong to the letter before, and are not compared.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || is_accent(character)
}

/// The runs of a text, in order.
pub fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphanumeric)?;
        let rest = &text[start..];
        let is_unspaced_run = rest.chars().next().is_some_and(is_unspaced);
        let goes_on = |character| is_word(character) && is_unspaced(character) == is_unspaced_run;
        let length = rest
            .find(|character| !goes_on(character))
            .unwrap_or(rest.len());
        at = start + length;
        Some(Run {
            start,
            text: &rest[..length],
            is_unspaced: is_unspaced_run,
        })
    })
}

impl Run<'_> {
    /// As it is compared, however long it is.
    pub fn folded(&self) -> impl Iterator<Item = char> {
        let letters = self.text.chars().filter(|&character| !is_accent(character));
        letters.flat_map(folded)
    }

    /// Calls `each` with its terms: the word; or each character with the one that follows, and the last one alone, so that
    /// any single character is the beginning of a term.
    pub fn each_token(&self, mut each: impl FnMut(Token)) {
        let token = |range: Range<usize>, first: Range<usize>, letters: &str| Token {
            range: self.start + range.start..self.start + range.end,
            first: self.start + first.start..self.start + first.end,
            term: letters
                .chars()
                .filter(|&character| !is_accent(character))
                .flat_map(folded)
                .take(TERM_CHARS_MAX)
                .collect(),
            is_unspaced: self.is_unspaced,
        };
        if !self.is_unspaced {
            each(token(0..self.text.len(), 0..self.text.len(), self.text));
            return;
        }
        let mut characters = self.text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let first = at..at + character.len_utf8();
            let end = characters
                .peek()
                .map_or(first.end, |(next, following)| next + following.len_utf8());
            each(token(at..end, first, &self.text[at..end]));
        }
    }
}

/// How often each term stands in a text, and how many there are.
pub fn count(text: &str) -> (BTreeMap<String, u32>, u32) {
    let mut terms = BTreeMap::new();
    let mut length = 0u32;
    for run in runs(text) {
        run.each_token(|token| {
            *terms.entry(token.term).or_default() += 1;
            length = length.saturating_add(1);
        });
    }
    (terms, length)
}

/// A text as phrases are looked for in it: its folded runs with a space around each.
pub fn flattened(text: &str) -> String {
    let mut flat = String::with_capacity(text.len() + 2);
    for run in runs(text) {
        flat.push(' ');
        flat.extend(run.folded());
    }
    flat.push(' ');
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        runs(text).for_each(|run| run.each_token(|token| found.push(token.term)));
        found
    }

    #[test]
    fn words_are_folded_and_parted_by_anything_else() {
        assert_eq!(
            terms("Hello, WORLD-wide src/main.rs x2"),
            ["hello", "world", "wide", "src", "main", "rs", "x2"]
        );
        assert_eq!(terms("Straße ΟΔΟΣ"), ["strasse", "οδοσ"]);
        assert_eq!(terms("cafe\u{301} ok"), ["cafe", "ok"]);
        assert_eq!(terms(" \n …"), [""; 0]);
        assert_eq!(terms(&"a".repeat(100)), ["a".repeat(TERM_CHARS_MAX)]);
    }

    #[test]
    fn scripts_without_spaces_are_taken_in_pairs() {
        assert_eq!(terms("机器学习v2"), ["机器", "器学", "学习", "习", "v2"]);
        assert_eq!(terms("山"), ["山"]);
    }

    #[test]
    fn a_token_knows_its_place() {
        let text = "é, 机器";
        let mut found = Vec::new();
        runs(text).for_each(|run| run.each_token(|token| found.push(text[token.range].to_owned())));
        assert_eq!(found, ["é", "机器", "器"]);
    }

    #[test]
    fn a_flat_text_has_a_space_around_each_run() {
        assert_eq!(flattened("To be, or\nnot 机器x"), " to be or not 机器 x ");
    }
}
