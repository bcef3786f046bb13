//! What is said about files.

use super::super::request::Request;
use super::super::words::{Words, split_at_word, strip_suffix, unquoted};
use super::notes::note;
use super::noun;
use super::team::{create_worker, named_worker, status};

pub fn list(mut words: Words<'_>) -> Request {
    if let Some(request) = noun(words) {
        return request;
    }
    words.skip_fillers();
    while words.eat(&[
        "files",
        "file",
        "directory",
        "folder",
        "content",
        "contents",
        "everything",
        "-l",
        "-la",
        "-a",
        "-al",
    ]) {}
    while words.eat(&[
        "in",
        "of",
        "from",
        "under",
        "at",
        "the",
        "directory",
        "folder",
    ]) {}
    let path = words.subject();
    let path = [" directory", " folder"]
        .iter()
        .find_map(|noun| strip_suffix(path, noun))
        .unwrap_or(path);
    Request::ListFiles {
        path: path.to_owned(),
    }
}

pub fn show(mut words: Words<'_>) -> Request {
    if let Some(request) = noun(words) {
        return request;
    }
    words.skip_fillers();
    if words.eat(&["worker", "agent"]) {
        return named_worker(words, |name| Request::Worker { name });
    }
    if words.eat(&["files"]) && words.eat(&["in", "of", "from", "under"]) {
        return list(words);
    }
    if let Some(request) = noun(words) {
        return request;
    }
    if words.eat(&["status"]) {
        return status(words);
    }
    while words.eat(&[
        "file", "content", "contents", "of", "text", "the", "in", "from",
    ]) {}
    match words.subject() {
        "" => Request::Incomplete {
            example: "show README.md",
        },
        what => Request::Show {
            what: what.to_owned(),
        },
    }
}

pub fn find(mut words: Words<'_>) -> Request {
    while words.eat(&[
        "for",
        "all",
        "every",
        "lines",
        "files",
        "text",
        "the",
        "with",
        "containing",
        "me",
        "up",
    ]) {}
    let text = words.subject();
    if text.is_empty() {
        return Request::Incomplete {
            example: "find TODO in src",
        };
    }
    match split_at_word(words.rest(), &["in", "inside", "under", "within"], true) {
        Some((before, after)) => Request::Find {
            text: unquoted(before).to_owned(),
            within: Some(Words::new(after).subject().to_owned()),
        },
        None => Request::Find {
            text: text.to_owned(),
            within: None,
        },
    }
}

pub fn create(mut words: Words<'_>) -> Option<Request> {
    words.skip_fillers();
    if words.eat(&["worker", "agent", "bot", "colleague", "teammate"]) {
        return Some(create_worker(words));
    }
    if words.eat(&["note", "memo"]) {
        return Some(note(words));
    }
    if words.eat(&["to", "line"]) {
        return Some(append(words));
    }
    let mut ahead = words;
    if ahead.eat(&["folder", "directory", "subfolder"]) {
        return Some(Request::LeaveFiles);
    }
    const WORKS: &[&str] = &[
        "poem", "story", "script", "program", "website", "page", "plan", "email", "letter",
        "report", "app", "game", "summary", "list", "function", "test", "tests", "python", "todo",
    ];
    if ahead.eat(WORKS) {
        return Some(Request::Compose);
    }
    while ahead.eat(&["empty", "blank", "text"]) {}
    let is_file = ahead.eat(&["file"]);
    let (name, _) = ahead.take_name()?;
    (is_file || looks_like_file(name)).then(|| write(words, false))
}

pub fn looks_like_file(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.contains(['.', '/']) && name.chars().any(char::is_alphanumeric)
}

/// `[a file] [named] PATH: TEXT`, `PATH with "TEXT"`, `"TEXT" to PATH`. Nothing is written on a guess: the name has to be
/// one of a file, and the text has to be marked as such; where it only may be, the answer says how.
pub fn write(mut words: Words<'_>, overwrite: bool) -> Request {
    let mut is_named = false;
    let mut is_empty = false;
    words.skip_fillers();
    while words.eat(&["to", "into", "the"]) {}
    loop {
        if words.eat(&["file", "named", "called"]) {
            is_named = true;
        } else if words.eat(&["empty", "blank"]) {
            is_empty = true;
        } else if !words.eat(&["the", "text"]) {
            break;
        }
    }
    let all = words.rest();
    let is_quoted = all.starts_with(['"', '`', '\'', '“', '«']);
    let Some((path, colon)) = words.take_name() else {
        return incomplete(overwrite);
    };
    let path = Words::new(path).subject();
    let is_file = looks_like_file(path) || (is_named && !path.is_empty());
    // A quoted name has no file's look, and a quoted text no file's name.
    let is_path = is_file || is_quoted && (colon || begins_text(words));
    if !is_path {
        return to_file(all, overwrite);
    }
    // The name may stand in quotes, which are no part of it.
    let after = all.split_once(path).map_or("", |(_, after)| after);
    let on_next_line = after
        .trim_start_matches([' ', '\t', '\r', '"', '`', '\''])
        .starts_with('\n');
    let write = |text: &str| Request::WriteFile {
        path: path.to_owned(),
        text: content(text),
        overwrite,
    };
    if colon || on_next_line {
        return write(words.rest());
    }
    if words.subject().is_empty() {
        return match is_empty {
            true => write(""),
            false => Request::Inexact {
                example: format!("{}{path}: the text", verb(overwrite)),
            },
        };
    }
    match literal(words) {
        Some(text) => write(text),
        None if begins_text(words) => {
            words.next();
            Request::Inexact {
                example: format!("{}{path}: {}", verb(overwrite), words.rest()),
            }
        }
        None => Request::Compose,
    }
}

fn verb(overwrite: bool) -> &'static str {
    if overwrite { "overwrite " } else { "write " }
}

fn incomplete(overwrite: bool) -> Request {
    Request::Incomplete {
        example: if overwrite {
            "overwrite hello.txt: the new text"
        } else {
            "write hello.txt: the text"
        },
    }
}

/// Whether the next word leads from a file's name to its text.
fn begins_text(mut words: Words<'_>) -> bool {
    words.eat(&["with", "containing", "saying", "by", "that", "which"])
}

/// The text after `saying`, `with the words` and the like, or in quotes: what is meant as it stands. `with a poem` may
/// as well be a wish.
fn literal(mut words: Words<'_>) -> Option<&str> {
    if words.eat(&["that", "which"]) && !words.eat(&["says", "reads"]) {
        return None;
    }
    if words.eat(&["saying"]) {
        words.eat(&["that"]);
        return Some(words.rest());
    }
    words.eat(&["with", "containing", "by"]);
    let mut ahead = words;
    ahead.eat(&["the", "this"]);
    if ahead.eat(&["text", "word", "words", "line", "content", "contents"]) {
        return Some(ahead.rest());
    }
    is_marked(words.rest()).then_some(words.rest())
}

/// Whether all of a text is in quotes or in a code block.
fn is_marked(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    unquoted(text) != text || text.starts_with("```")
}

/// `"TEXT" to PATH`.
fn to_file(all: &str, overwrite: bool) -> Request {
    match split_at_word(all, &["to", "into", "in", "as"], true) {
        Some((text, path)) if is_marked(text) && is_file_name(path) => Request::WriteFile {
            path: file_name(path),
            text: content(text),
            overwrite,
        },
        Some((_, path)) if is_file_name(path) => Request::Inexact {
            example: format!("{}{}: the text", verb(overwrite), file_name(path)),
        },
        _ if overwrite => incomplete(true),
        _ => Request::Compose,
    }
}

fn is_file_name(text: &str) -> bool {
    let path = file_name(text);
    looks_like_file(&path) && !path.contains(char::is_whitespace)
}

/// `PATH: TEXT`, `"TEXT" to PATH`, `a line to PATH saying TEXT`.
pub fn append(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    words.eat(&["line"]);
    while words.eat(&["to", "file", "the"]) {}
    let all = words.rest();
    let append = |path: &str, text: &str| Request::AppendFile {
        path: path.to_owned(),
        text: line(text),
    };
    if let Some((path, colon)) = words.take_name()
        && (colon || looks_like_file(path))
        && !words.is_empty()
    {
        return match literal(words) {
            _ if colon => append(path, words.rest()),
            Some(text) => append(path, text),
            None => Request::Inexact {
                example: format!("append to {path}: the text"),
            },
        };
    }
    match split_at_word(all, &["to"], true) {
        Some((text, path)) if is_marked(text) => append(&file_name(path), text),
        Some((_, path)) if is_file_name(path) => Request::Inexact {
            example: format!("append to {}: the text", file_name(path)),
        },
        _ => Request::Incomplete {
            example: "append to log.txt: one more line",
        },
    }
}

pub fn file_name(text: &str) -> String {
    let mut words = Words::new(text);
    while words.eat(&["the", "file", "a"]) {}
    words.subject().to_owned()
}

/// The text of a file: what is in quotes or in a code block, or all of it.
pub fn content(text: &str) -> String {
    let text = text.trim_end();
    let fenced = text.trim_start().strip_prefix("```").and_then(|block| {
        let (_language, block) = block.split_once('\n')?;
        block.strip_suffix("```")
    });
    if let Some(fenced) = fenced {
        return fenced.to_owned();
    }
    let text = unquoted(text.trim_start_matches(['\r', '\n']));
    if text.contains('\n') {
        format!("{text}\n")
    } else {
        text.to_owned()
    }
}

/// As [`content`], with a line break at its end: what is appended next is a line of its own.
pub fn line(text: &str) -> String {
    let text = content(text);
    if text.ends_with('\n') {
        text
    } else {
        format!("{text}\n")
    }
}
