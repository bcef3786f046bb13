//! What stands behind the fence of a block of code: its language, and the file that it is or belongs to.
//!
//! CommonMark says only that the first word is usually the language. What people and models write there is more:
//! `rust,ignore`, `rust:src/main.rs`, `js {1,3}`, `ts title="a.ts"`, `{.rust .numberLines}`. Start reading at [`Fence::of`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};

use comrak::adapters::SyntaxHighlighterAdapter;
use comrak::html::{escape, write_opening_tag};

/// Longer ones are no language that anybody knows.
pub(super) const LANGUAGE_BYTES_MAX: usize = 32;
/// What a heading above a block has room for.
pub(super) const FILE_BYTES_MAX: usize = 128;

/// The keys under which a file is named.
const FILE_KEYS: [&str; 4] = ["title", "filename", "file", "name"];

/// An info string, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fence<'i> {
    /// Empty when there is none.
    pub(super) language: &'i str,
    pub(super) file: Option<&'i str>,
}

impl Fence<'_> {
    pub(super) fn of(info: &str) -> Fence<'_> {
        let info = info.trim();
        let (word, rest) = match info.strip_prefix('{') {
            // Attributes as Pandoc has them name the language as a class, R Markdown as the first word.
            Some(attributes) => {
                let class = attributes
                    .split([' ', '\t', ',', '}'])
                    .find_map(|it| it.strip_prefix('.'));
                (class.unwrap_or(attributes.trim_start()), attributes)
            }
            None => (info, info),
        };
        let end = word.find(|c| !is_of_language(c)).unwrap_or(word.len());
        let (language, after) = word.split_at(end);
        let behind_colon = after.strip_prefix(':').map(|after| {
            after
                .split([' ', '\t', ',', '{'])
                .next()
                .unwrap_or_default()
        });
        Fence {
            language: if end <= LANGUAGE_BYTES_MAX {
                language
            } else {
                ""
            },
            file: behind_colon
                .or_else(|| named(rest))
                .filter(|file| is_shown(file)),
        }
    }
}

/// Writes a block's attributes in one order, so that the same text is the same bytes.
pub(super) struct InOrder;

impl SyntaxHighlighterAdapter for InOrder {
    fn write_highlighted(&self, out: &mut dyn Write, _: Option<&str>, code: &str) -> fmt::Result {
        escape(out, code)
    }

    fn write_pre_tag(
        &self,
        out: &mut dyn Write,
        attributes: HashMap<&'static str, Cow<'_, str>>,
    ) -> fmt::Result {
        write_opening_tag(out, "pre", BTreeMap::from_iter(attributes))
    }

    fn write_code_tag(
        &self,
        out: &mut dyn Write,
        attributes: HashMap<&'static str, Cow<'_, str>>,
    ) -> fmt::Result {
        write_opening_tag(out, "code", BTreeMap::from_iter(attributes))
    }
}

/// Whether a character may stand in a language's name.
pub(super) fn is_of_language(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-_.#".contains(c)
}

/// Whether it fits above a block, and is what it looks like.
pub(super) fn is_shown(file: &str) -> bool {
    (1..=FILE_BYTES_MAX).contains(&file.len()) && !file.chars().any(char::is_control)
}

/// The value of the first key that names a file: in quotes, or up to a space.
fn named(attributes: &str) -> Option<&str> {
    FILE_KEYS.iter().find_map(|key| {
        attributes.match_indices(key).find_map(|(at, _)| {
            let is_word = attributes[..at].ends_with([' ', '\t', ',', '{']);
            let value = attributes[at + key.len()..].strip_prefix('=')?;
            let value = match value.chars().next()? {
                quote @ ('"' | '\'') => value[1..].split_once(quote)?.0,
                _ => value.split([' ', '\t', ',', '}']).next()?,
            };
            is_word.then_some(value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_found_in_every_form_that_is_written() {
        for (info, language, file) in [
            ("rust", "rust", None),
            ("  Rust\t", "Rust", None),
            ("rust,ignore", "rust", None),
            ("rust, no_run, should_panic", "rust", None),
            ("rust:src/main.rs", "rust", Some("src/main.rs")),
            ("rust:src/main.rs {3}", "rust", Some("src/main.rs")),
            ("js {1,3}", "js", None),
            ("js{1,3}", "js", None),
            ("ts title=\"a b.ts\" {1}", "ts", Some("a b.ts")),
            ("ts title='a.ts'", "ts", Some("a.ts")),
            ("py filename=a.py lines", "py", Some("a.py")),
            ("ts subtitle=\"x\"", "ts", None),
            ("ts title=\"open", "ts", None),
            ("ts title=\"\"", "ts", None),
            ("{.rust}", "rust", None),
            ("{ .rust .numberLines }", "rust", None),
            ("{#id .haskell title=\"A.hs\"}", "haskell", Some("A.hs")),
            ("{r, echo=FALSE}", "r", None),
            ("{python}", "python", None),
            ("c++", "c++", None),
            ("c#", "c#", None),
            ("asp.net", "asp.net", None),
            ("\" onmouseover=alert(1)", "", None),
            ("<script>", "", None),
            ("{", "", None),
            ("{.}", "", None),
            (":", "", None),
            ("日本:語", "", None),
            ("", "", None),
        ] {
            assert_eq!(Fence::of(info), Fence { language, file }, "{info:?}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_shown_is_not() {
        let fits = "a".repeat(LANGUAGE_BYTES_MAX);
        assert_eq!(Fence::of(&fits).language, fits);
        assert_eq!(Fence::of(&format!("{fits}a")).language, "");
        let fits = format!("c:{}", "a".repeat(FILE_BYTES_MAX));
        assert!(Fence::of(&fits).file.is_some());
        assert_eq!(Fence::of(&format!("{fits}a")).file, None);
        assert_eq!(Fence::of("c:a\u{7}b").file, None);
    }
}
