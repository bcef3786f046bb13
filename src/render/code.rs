//! The colours of code: marks around what a language reads as a keyword, a string, a comment.
//!
//! Owns what is put into a block of code. Runs behind the sanitiser, on text that holds no tag, and adds nothing but
//! `<span class="c-…">` of a closed set: whoever takes these out again has what the sanitiser let through, byte for
//! byte. Start reading at [`coloured`].
//!
//! Own code, because what there is was measured and is too heavy for a server that idles in 15 MB. syntect with its
//! default set and regular expressions in Rust adds 1.9 MB to the binary and has no TypeScript and no TOML; with the set
//! of `two-face` it adds 2.5 MB. A first block of 15 KB takes 60 to 260 ms (TypeScript 1 s) and leaves 10 MB resident
//! for each language (TypeScript 100 MB), every later one takes 5 to 150 ms, its backtracking has no bound that a
//! caller may set, and it needs a bincode that nobody maintains. The grammars of tree-sitter are C, and as large for
//! each language. This adds 36 KB, keeps nothing, and colours 15 KB in half a millisecond: [`super::lexer`] reads a text
//! once from its beginning to its end, so its time is that of the text, and the text is at most
//! [`super::MARKDOWN_BYTES_MAX`].

use std::borrow::Cow;

use super::languages;
use super::lexer::{Kind, Lexer};

/// Marks of one document: each is a node of the page that shows it. What follows the last one is not coloured.
pub(super) const SPANS_MAX: usize = 20_000;
/// How the sanitiser writes the beginning of a block that names its language. Text and attributes cannot hold it: they
/// have no bare `<` or no bare `"`.
const OPENING: &str = "<pre><code class=\"language-";
const CLOSING: &str = "</span>";

/// Sanitised HTML with its blocks of code coloured, as far as their language is known.
pub(super) fn coloured(html: &str) -> Cow<'_, str> {
    if !html.contains(OPENING) {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len() * 2);
    let mut spans_left = SPANS_MAX;
    let mut rest = html;
    while let Some((before, block)) = rest.split_once(OPENING) {
        let (attributes, body) = block.split_once("\">").unwrap_or((block, ""));
        let name = attributes.split('"').next().unwrap_or_default();
        let (text, after) = body.split_at(body.find('<').unwrap_or(body.len()));
        out.extend([before, OPENING, attributes, "\">"]);
        match languages::find(name) {
            Some(language) => {
                let code = unescaped(text);
                mark(
                    &mut out,
                    &code,
                    Lexer::new(language, &code),
                    &mut spans_left,
                );
            }
            None => out.push_str(text),
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn mark(out: &mut String, code: &str, lexer: Lexer<'_>, spans_left: &mut usize) {
    let mut shown = 0;
    for (kind, range) in lexer.take(*spans_left) {
        *spans_left -= 1;
        escape(out, &code[shown..range.start]);
        out.push_str(opening(kind));
        shown = range.end;
        escape(out, &code[range]);
        out.push_str(CLOSING);
    }
    escape(out, &code[shown..]);
}

fn opening(kind: Kind) -> &'static str {
    match kind {
        Kind::Keyword => "<span class=\"c-keyword\">",
        Kind::String => "<span class=\"c-string\">",
        Kind::Comment => "<span class=\"c-comment\">",
        Kind::Number => "<span class=\"c-number\">",
        Kind::Function => "<span class=\"c-function\">",
        Kind::Type => "<span class=\"c-type\">",
        Kind::Property => "<span class=\"c-property\">",
        Kind::Meta => "<span class=\"c-meta\">",
        Kind::Added => "<span class=\"c-added\">",
        Kind::Removed => "<span class=\"c-removed\">",
    }
}

/// The four that the sanitiser writes in a text, the one that makes the others last.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    Cow::Owned(text.replace("&nbsp;", "\u{a0}").replace("&amp;", "&"))
}

/// Writes a text as the sanitiser does.
fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '\u{a0}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut characters = from.chars();
        out.push_str(match characters.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            _ => "&nbsp;",
        });
        rest = characters.as_str();
    }
    out.push_str(rest);
}
