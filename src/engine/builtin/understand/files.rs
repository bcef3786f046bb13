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
    if words.eat(&["to"]) {
        return Some(append(words));
    }
    let mut ahead = words;
    let is_file = ahead.eat(&["file"]);
    let (name, colon) = ahead.take_name()?;
    (is_file || colon || looks_like_file(name)).then(|| write(words, false))
}

pub fn looks_like_file(name: &str) -> bool {
    name.contains('.') || name.contains('/')
}

/// `[a file] [named] PATH: TEXT`, `PATH with TEXT`, `TEXT to PATH`.
pub fn write(mut words: Words<'_>, overwrite: bool) -> Request {
    let incomplete = Request::Incomplete {
        example: if overwrite {
            "overwrite hello.txt: the new text"
        } else {
            "write hello.txt: the text"
        },
    };
    words.skip_fillers();
    while words.eat(&["file", "to", "into", "named", "called", "the"]) {}
    let all = words.rest();
    let Some((path, colon)) = words.take_name() else {
        return incomplete;
    };
    let connected = words.eat(&["with", "containing", "saying", "by"]);
    if connected {
        while words.eat(&["the", "text", "content", "contents"]) {}
    }
    // The name may stand in quotes, which are no part of it.
    let after = all.split_once(path).map_or("", |(_, after)| after);
    let on_next_line = after
        .trim_start_matches([' ', '\t', '\r', '"', '`', '\''])
        .starts_with('\n');
    if colon || connected || on_next_line {
        return Request::WriteFile {
            path: path.to_owned(),
            text: content(words.rest()),
            overwrite,
        };
    }
    match split_at_word(all, &["to", "into", "in"], true) {
        Some((text, path)) => Request::WriteFile {
            path: file_name(path),
            text: content(text),
            overwrite,
        },
        None => incomplete,
    }
}

pub fn append(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    while words.eat(&["to", "file", "the"]) {}
    let all = words.rest();
    if let Some((path, true)) = words.take_name()
        && !words.is_empty()
    {
        return Request::AppendFile {
            path: path.to_owned(),
            text: line(words.rest()),
        };
    }
    match split_at_word(all, &["to"], true) {
        Some((text, path)) => Request::AppendFile {
            path: file_name(path),
            text: line(text),
        },
        None => Request::Incomplete {
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
