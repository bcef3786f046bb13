//! Reads code by what most languages share: comments, strings, numbers, words and what stands beside them.
//!
//! Owns where a mark begins and ends. Must never know HTML. It reads on and never back, so a text takes the time of its
//! length, and what is added at its end changes nothing before its last mark. Start reading at [`Lexer`]'s `next`.

use std::ops::Range;

use super::languages::{Language, Quote, Shape};

/// What a piece of code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Keyword,
    String,
    Comment,
    Number,
    Function,
    Type,
    /// What has a value: a key, an attribute, a variable of a shell.
    Property,
    /// What speaks of the code: a decorator, a directive, the head of a patch.
    Meta,
    Added,
    Removed,
}

/// What every language calls true, false and nothing.
const CONSTANTS: &str = "true false null True False None nil undefined NaN nullptr NULL";
/// A character in quotes is at most this long, with its escape, bytes.
const CHARACTER_BYTES_MAX: usize = 14;

/// The marks of a text, in order and beside each other.
pub(super) struct Lexer<'a> {
    language: &'static Language,
    code: &'a str,
    at: usize,
    is_in_tag: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(language: &'static Language, code: &'a str) -> Lexer<'a> {
        Lexer {
            language,
            code,
            at: 0,
            is_in_tag: false,
        }
    }

    fn rest(&self) -> &'a str {
        &self.code[self.at..]
    }

    /// Goes on behind `end`, or to the end of the text where there is none.
    fn pass(&mut self, skipped: usize, end: &str) {
        let body = &self.rest()[skipped..];
        let length = body.find(end).map(|found| found + end.len());
        self.at += skipped + length.unwrap_or(body.len());
    }

    /// One step, of at least a character.
    fn code_step(&mut self) -> Option<Kind> {
        let (rest, language) = (self.rest(), self.language);
        for (open, close) in language.block_comments {
            if rest.starts_with(open) {
                self.pass(open.len(), close);
                return Some(Kind::Comment);
            }
        }
        for mark in language.line_comments {
            if rest.starts_with(mark) && (*mark != "#" || self.is_after_space()) {
                self.at += line_bytes(rest);
                return Some(Kind::Comment);
            }
        }
        let mut quotes = language.quotes.iter();
        if let Some(bytes) = quotes.find_map(|quote| quoted_bytes(quote, rest)) {
            self.at += bytes;
            let is_key = self.is_key(true);
            return Some(if is_key { Kind::Property } else { Kind::String });
        }
        let first = rest.chars().next()?;
        if first.is_ascii_digit() {
            self.at += self.number_bytes(rest);
            return Some(Kind::Number);
        }
        let word = &rest[..self.word_bytes(rest)];
        if !word.is_empty() {
            self.at += word.len();
            return self.kind_of(word);
        }
        self.at += first.len_utf8();
        let (_, kind) = language.sigils.iter().find(|(sigil, _)| *sigil == first)?;
        let bytes = self.word_bytes(self.rest());
        self.at += bytes;
        (bytes > 0).then_some(*kind)
    }

    fn is_after_space(&self) -> bool {
        let before = self.code[..self.at].chars().next_back();
        before.is_none_or(char::is_whitespace)
    }

    fn is_of_word(&self, character: char) -> bool {
        character.is_alphanumeric()
            || character == '_'
            || self.language.of_words.contains(character)
    }

    fn word_bytes(&self, text: &str) -> usize {
        text.find(|c| !self.is_of_word(c)).unwrap_or(text.len())
    }

    /// Dates and versions are one number; what only joins words ends it.
    fn number_bytes(&self, text: &str) -> usize {
        let joins = |c, at| (c == '.' || self.is_of_word(c)) && is_digit_at(text, at + 1);
        let end = text
            .char_indices()
            .find(|(at, c)| !c.is_alphanumeric() && *c != '_' && !joins(*c, *at));
        end.map_or(text.len(), |(at, _)| at)
    }

    fn kind_of(&self, word: &str) -> Option<Kind> {
        let language = self.language;
        let is_one_of = |words: &str| {
            // Bytes: every word of the code is looked for, and parting text by characters takes thrice as long.
            let mut known = words.as_bytes().split(|byte| *byte == b' ');
            match language.is_caseless {
                true => known.any(|known| known.eq_ignore_ascii_case(word.as_bytes())),
                false => known.any(|known| known == word.as_bytes()),
            }
        };
        if self.is_key(false) {
            Some(Kind::Property)
        } else if is_one_of(language.keywords) {
            Some(Kind::Keyword)
        } else if is_one_of(CONSTANTS) {
            Some(Kind::Number)
        } else if is_one_of(language.types) {
            Some(Kind::Type)
        } else if ["(", "!(", "!["]
            .iter()
            .any(|open| self.rest().starts_with(open))
        {
            Some(Kind::Function)
        } else if language.has_capital_types && word.starts_with(char::is_uppercase) {
            Some(Kind::Type)
        } else {
            None
        }
    }

    /// Whether what ended here is followed by what a key is followed by. A colon behind a bare word may be another one.
    fn is_key(&self, is_quoted: bool) -> bool {
        let rest = self.rest().trim_start_matches([' ', '\t']);
        let Some(after) = self
            .language
            .key_mark
            .and_then(|mark| rest.strip_prefix(mark))
        else {
            return false;
        };
        is_quoted
            || self.language.key_mark != Some(':')
            || !after.starts_with(|c: char| !c.is_whitespace())
    }

    /// Tags, their attributes and comments; the text between is left as it is.
    fn markup_step(&mut self) -> Option<Kind> {
        let rest = self.rest();
        if rest.starts_with("<!--") {
            self.pass(4, "-->");
            return Some(Kind::Comment);
        }
        if let Some(tag) = rest.strip_prefix('<') {
            let name = tag.trim_start_matches(['/', '!', '?']);
            let bytes = self.word_bytes(name);
            self.is_in_tag = bytes > 0;
            self.at = self.code.len() - name.len() + bytes;
            return self.is_in_tag.then_some(Kind::Keyword);
        }
        if !self.is_in_tag {
            self.at += rest.find('<').unwrap_or(rest.len());
            return None;
        }
        if let Some(quote) = ["\"", "'"]
            .into_iter()
            .find(|quote| rest.starts_with(quote))
        {
            self.pass(1, quote);
            return Some(Kind::String);
        }
        let bytes = self.word_bytes(rest);
        let passed = rest.chars().next().map_or(1, char::len_utf8);
        self.is_in_tag = !rest.starts_with('>');
        self.at += bytes.max(passed);
        (bytes > 0).then_some(Kind::Property)
    }

    /// A line of a patch without its end, or an end of a line.
    fn patch_step(&mut self) -> Option<Kind> {
        let rest = self.rest();
        self.at += line_bytes(rest).max(1);
        let begins = |marks: &[&str]| marks.iter().any(|mark| rest.starts_with(mark));
        if begins(&["@@", "diff ", "index ", "--- ", "+++ ", "*** "]) {
            Some(Kind::Meta)
        } else if begins(&["+", ">"]) {
            Some(Kind::Added)
        } else if begins(&["-", "<"]) {
            Some(Kind::Removed)
        } else {
            None
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = (Kind, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.code.len() {
            let start = self.at;
            let kind = match self.language.shape {
                Shape::Code => self.code_step(),
                Shape::Markup => self.markup_step(),
                Shape::Patch => self.patch_step(),
            };
            if let Some(kind) = kind {
                return Some((kind, start..self.at));
            }
        }
        None
    }
}

fn line_bytes(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

fn is_digit_at(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

/// How long the string at the beginning of `text` is, with its quotes: to the end of its line or of the text where it
/// is not closed, so that what is still being written looks as it will.
fn quoted_bytes(quote: &Quote, text: &str) -> Option<usize> {
    let body = text.strip_prefix(quote.open)?;
    let mut is_escaped = false;
    for (at, character) in body.char_indices() {
        if quote.is_character && at > CHARACTER_BYTES_MAX {
            return None;
        }
        if character == '\n' && !quote.has_lines {
            return (!quote.is_character).then_some(quote.open.len() + at);
        }
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' && quote.has_escapes {
            is_escaped = true;
        } else if body[at..].starts_with(quote.close) {
            // Two characters between single quotes are none: these are two lifetimes.
            let is_one = || body[..at].starts_with('\\') || body[..at].chars().count() == 1;
            let is_string = !quote.is_character || is_one();
            return is_string.then_some(quote.open.len() + at + quote.close.len());
        }
    }
    (!quote.is_character).then_some(text.len())
}
