//! From what people write to what they ask for: plain rules, tried in order. What the whole message is comes first
//! ([`sentence`]), then what its first word says ([`command`]).
//!
//! Owns the rules, one file per family of requests. Must never know tools or answers. Start reading at [`understand`].

mod files;
mod notes;
mod sentence;
mod team;

use super::request::Request;
use super::words::{Words, split_at_word, strip_suffix};
use files::{append, create, find, list, looks_like_file, show, write};
use notes::{note, remove_note};
use sentence::sentence;
use team::{change, describe, engine_of, is_busy, named_worker, rename, status, use_engine};

/// What a message asks for.
pub fn understand(message: &str) -> Request {
    let all = Words::new(message);
    let words = without_courtesy(all);
    sentence(all)
        .or_else(|| sentence(words))
        .or_else(|| command(words))
        .unwrap_or(Request::Unknown)
}

/// What may come before a request and changes nothing of it.
const COURTESY: &[&str] = &[
    "please",
    "can you",
    "could you",
    "would you",
    "will you",
    "i want you to",
    "i want to",
    "i would like to",
    "i would like you to",
    "i'd like to",
    "i'd like you to",
    "i need to",
    "let us",
    "let's",
    "ok",
    "okay",
    "so",
    "just",
    "now",
    "hey",
    "hi",
    "hello",
    "skep",
    "bee",
    "can i",
    "could i",
    "may i",
    "and",
    "then",
    "quickly",
    "go ahead and",
];

fn without_courtesy(mut words: Words<'_>) -> Words<'_> {
    loop {
        let mut ahead = words;
        let found = COURTESY.iter().any(|phrase| ahead.eat_phrase(phrase));
        // A greeting alone is the whole message.
        if !found || ahead.is_empty() {
            return words;
        }
        words = ahead;
    }
}

/// Messages that begin with a word that says what they are.
fn command(words: Words<'_>) -> Option<Request> {
    if let Some(request) = noun(words) {
        return Some(request);
    }
    let mut rest = words;
    let verb = rest.next().replace('’', "'").to_lowercase();
    match verb.as_str() {
        "list" | "ls" | "dir" => Some(list(rest)),
        "show" | "display" | "view" | "see" | "print" | "cat" | "read" | "open" | "head"
        | "type" | "give" => Some(show(rest)),
        "find" | "search" | "grep" | "look" | "locate" => Some(find(rest)),
        "where" => (rest.eat(&["is", "are"])).then(|| find(rest)),
        "create" | "make" | "new" | "hire" | "build" => create(rest),
        "add" => create(rest).or_else(|| match append(rest) {
            Request::AppendFile { path, text } if looks_like_file(&path) => {
                Some(Request::AppendFile { path, text })
            }
            _ => None,
        }),
        "write" | "save" | "put" => Some(write(rest, false)),
        "overwrite" | "replace" => Some(write(rest, true)),
        "append" => Some(append(rest)),
        "note" | "remember" | "memo" | "memorize" | "jot" => Some(note(rest)),
        "take" => {
            rest.skip_fillers();
            rest.eat(&["note", "notes"]).then(|| note(rest))
        }
        "forget" => Some(remove_note(rest)),
        "delete" | "remove" | "erase" | "fire" | "rm" | "drop" => Some(delete(rest)),
        "rename" => Some(rename(rest)),
        "set" | "change" | "update" | "edit" => Some(change(rest)),
        "describe" => Some(describe(rest)),
        "use" => use_engine(rest),
        "let" => {
            let (name, engine) = split_at_word(rest.rest(), &["use"], false)?;
            Some(engine_of(name, engine))
        }
        "status" => Some(status(rest)),
        "worker" | "agent" => Some(named_worker(rest, |name| Request::Worker { name })),
        "is" => is_busy(rest),
        "what" | "what's" | "which" | "how" | "who" | "tell" | "do" | "are" | "count" => {
            question(&verb, rest)
        }
        _ => None,
    }
}

/// `files`, `the workers`, `my notes`, `which engines are there`.
fn noun(mut words: Words<'_>) -> Option<Request> {
    words.skip_fillers();
    let mut text = words.subject();
    for tail in [
        "on this machine",
        "on this computer",
        "did you find",
        "have you found",
        "are installed",
        "are ready",
        "are there",
        "do you have",
        "do i have",
        "do we have",
        "exist",
        "are here",
        "is there",
        "are available",
        "can i use",
        "have i got",
        "are you keeping",
        "there are",
        "you have",
        "i have",
    ] {
        if let Some(shorter) = strip_suffix(text, tail) {
            text = shorter.trim();
        }
    }
    Some(match text.to_lowercase().as_str() {
        "files" | "file" | "directory" | "folder" | "folders" | "directories"
        | "work directory" | "working directory" | "files and folders" | "content" | "contents" => {
            Request::ListFiles {
                path: String::new(),
            }
        }
        "workers" | "agents" | "team" | "bees" | "worker" | "agent" | "list of workers" => {
            Request::Workers
        }
        "notes" | "memory" | "memories" | "memos" | "todos" | "notes.md file" => Request::Notes,
        "status" | "overview" | "system" | "system overview" | "system status" | "state"
        | "stats" | "health" | "version" | "system state" => Request::Status,
        "engines" | "engine" | "models" | "model" => Request::Engines,
        "help" | "commands" => Request::Help,
        _ => return None,
    })
}

fn delete(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    if words.eat(&["worker", "agent"]) {
        return named_worker(words, |name| Request::DeleteWorker { name });
    }
    if words.eat(&["note", "memo"]) {
        return remove_note(words);
    }
    Request::DeleteUnclear {
        what: words.subject().to_owned(),
    }
}

fn question(verb: &str, mut words: Words<'_>) -> Option<Request> {
    match verb {
        "count" => return Some(count(words)),
        "how" if words.eat(&["many"]) => return noun(words),
        "how" | "what" | "what's" => {
            let is = verb == "what's" || words.eat(&["is", "are"]);
            for tail in ["doing", "working on", "up to"] {
                if is
                    && let Some(name) = strip_suffix(words.subject(), tail)
                    && !name.trim().is_empty()
                {
                    return Some(status(Words::new(name)));
                }
            }
            if is && words.eat(&["in", "inside"]) {
                return Some(show(words));
            }
        }
        "who" if words.eat(&["is"]) => {
            return Some(named_worker(words, |name| Request::Worker { name }));
        }
        "tell" => {
            words.eat(&["me"]);
            if words.eat(&["about"]) {
                return noun(words)
                    .or_else(|| Some(named_worker(words, |name| Request::Worker { name })));
            }
        }
        "do" | "are" => while words.eat(&["you", "there", "have"]) {},
        _ => {}
    }
    noun(words)
}

fn count(mut words: Words<'_>) -> Request {
    let slowly = words
        .rest()
        .split_whitespace()
        .any(|word| Words::new(word).peek() == "slowly");
    words.eat(&["slowly"]);
    if words.eat(&["from"]) {
        words.next();
    }
    while words.eat(&["up", "to", "slowly"]) {}
    match words.next().parse() {
        Ok(to) => Request::Count { to, slowly },
        Err(_) => Request::Incomplete {
            example: "count to 100 slowly",
        },
    }
}
