//! From what people write to what they ask for: plain rules, tried in order. What the whole message is comes first
//! ([`sentence`]), then what its first word says ([`command`]).
//!
//! Owns the rules, one file per family of requests. Must never know tools or answers. Start reading at [`understand`].

mod chinese;
mod files;
mod notes;
mod sentence;
mod team;

use super::request::Request;
use super::words::{Words, split_at_word, strip_suffix};
use chinese::chinese;
use files::{append, create, find, list, looks_like_file, show, write};
use notes::{note, remove_note};
use sentence::sentence;
use team::{
    change, create_worker, describe, engine_of, is_busy, named_worker, rename, status, told,
    use_engine,
};

/// What a message asks for.
pub fn understand(message: &str) -> Request {
    let all = Words::new(message);
    let words = without_courtesy(all);
    sentence(all)
        .or_else(|| sentence(words))
        .or_else(|| command(words))
        .or_else(|| chinese(all))
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
    "i want",
    "i need",
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
    let mut article = words;
    if article.eat(&["a", "an"]) && article.eat(&["worker", "agent"]) {
        return Some(create_worker(article));
    }
    let mut rest = words;
    let verb = rest.next().replace('’', "'").to_lowercase();
    match verb.as_str() {
        "list" | "ls" | "dir" => Some(list(rest)),
        "give"
            if split_at_word(rest.rest(), &["engine"], true).is_none()
                && strip_suffix(rest.subject(), " engine").is_some() =>
        {
            let (name, engine) = split_at_word(rest.rest(), &["the"], false)?;
            Some(engine_of(name, engine))
        }
        "show" | "display" | "view" | "see" | "print" | "cat" | "read" | "open" | "head"
        | "type" | "give" => Some(show(rest)),
        "search" if asks_web(rest) => Some(Request::BeyondMe),
        "look" if !["for", "up"].contains(&rest.peek().as_str()) => None,
        "find" | "search" | "grep" | "look" | "locate" => Some(find(rest)),
        "where" => (rest.eat(&["is", "are"])).then(|| find(rest)),
        "create" | "make" | "new" | "hire" | "build" => {
            create(rest).or_else(|| told(rest).filter(|_| verb == "make"))
        }
        "add" => create(rest).or_else(|| match append(rest) {
            Request::AppendFile { path, .. } if !looks_like_file(&path) => None,
            Request::Incomplete { .. } => None,
            request => Some(request),
        }),
        "write" | "save" | "put" if is_note(rest) => {
            rest.skip_fillers();
            rest.eat(&["down", "note", "memo"]);
            Some(note(rest))
        }
        "write" | "save" | "put" => Some(write(rest, false)),
        "overwrite" | "replace" => Some(write(rest, true)),
        "touch" if looks_like_file(rest.subject()) => Some(Request::WriteFile {
            path: rest.subject().to_owned(),
            text: String::new(),
            overwrite: false,
        }),
        "move" | "mv" | "copy" | "cp" | "mkdir" => Some(Request::LeaveFiles),
        "remind" => {
            rest.skip_fillers();
            while rest.eat(&["to", "that", "about", "of"]) {}
            Some(Request::Remind {
                what: rest.subject().to_owned(),
            })
        }
        "append" => Some(append(rest)),
        "note" | "remember" | "memo" | "memorize" | "jot" => Some(note(rest)),
        "take" => {
            rest.skip_fillers();
            rest.eat(&["note", "notes"]).then(|| note(rest))
        }
        "forget" => Some(remove_note(rest)),
        "delete" | "remove" | "erase" | "fire" | "rm" | "drop" => Some(delete(rest)),
        "rename" if names_file(rest) => Some(Request::LeaveFiles),
        "rename" => Some(rename(rest)),
        "update" | "edit" | "change" if names_file(rest) => Some(Request::Incomplete {
            example: "overwrite hello.txt: the new text",
        }),
        "set" | "change" | "update" | "edit" => change(rest),
        "describe" => Some(describe(rest)),
        "use" | "switch" => use_engine(rest),
        "ask" | "have" | "get" => told(rest),
        "let" => {
            let Some((name, engine)) = split_at_word(rest.rest(), &["use"], false) else {
                return told(rest);
            };
            Some(engine_of(name, engine))
        }
        "status" => Some(status(rest)),
        "worker" | "agent" => Some(named_worker(rest, |name| Request::Worker { name })),
        "is" => is_busy(rest),
        "what" | "what's" | "which" | "how" | "who" | "tell" | "do" | "are" | "count" => {
            question(&verb, rest)
        }
        "run" | "execute" | "install" | "download" | "fetch" | "google" | "browse"
        | "translate" | "summarize" | "summarise" | "explain" | "draft" | "compose"
        | "generate" | "calculate" | "compute" | "fix" | "debug" | "refactor" | "review"
        | "improve" | "rewrite" | "analyze" | "analyse" | "compare" | "plan" | "solve" | "send"
        | "email" | "draw" | "design" | "code" | "implement" => Some(Request::BeyondMe),
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

/// `a note saying …`, `down that …`
fn is_note(mut words: Words<'_>) -> bool {
    words.skip_fillers();
    words.eat(&["down", "note", "memo"])
}

/// `the file hello.txt …`
fn names_file(mut words: Words<'_>) -> bool {
    words.skip_fillers();
    words.eat(&["file", "folder", "directory"]) || looks_like_file(words.next())
}

/// `the web for news`, `online for news`.
fn asks_web(mut words: Words<'_>) -> bool {
    words.skip_fillers();
    while words.eat(&["the", "on", "for"]) {}
    words.eat(&["web", "internet", "online", "google", "net"])
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
        "count" => return count(words),
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
            let does = !is && words.eat(&["does"]);
            if does && let Some(name) = strip_suffix(words.subject(), " do") {
                return Some(named_worker(Words::new(name), |name| Request::Worker {
                    name,
                }));
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
            return told(words);
        }
        "do" | "are" => while words.eat(&["you", "there", "have"]) {},
        _ => {}
    }
    noun(words)
}

fn count(mut words: Words<'_>) -> Option<Request> {
    let slowly = words
        .rest()
        .split_whitespace()
        .any(|word| Words::new(word).peek() == "slowly");
    words.eat(&["slowly"]);
    let from = match words.eat(&["from"]) {
        true => words.next().parse(),
        false => Ok(1),
    };
    while words.eat(&["up", "to", "slowly"]) {}
    match (from, words.next().parse()) {
        (Ok(from), Ok(to)) => Some(Request::Count { from, to, slowly }),
        _ if words.is_empty() => Some(Request::Incomplete {
            example: "count to 100 slowly",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
