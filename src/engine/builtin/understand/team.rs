//! What is said about workers.

use super::super::request::{Field, Request};
use super::super::words::{Words, split_at_word, strip_suffix, unquoted};

pub fn named_worker(mut words: Words<'_>, request: impl FnOnce(String) -> Request) -> Request {
    while words.eat(&["named", "called"]) {}
    match words.subject() {
        "" => Request::Incomplete {
            example: "show worker Ada",
        },
        name => request(name.to_owned()),
    }
}

/// `[named] NAME [that DESCRIPTION] [using ENGINE]`.
pub fn create_worker(mut words: Words<'_>) -> Request {
    while words.eat(&["named", "called"]) {}
    let (all, using) = match split_at_word(words.rest(), &["using"], true) {
        Some((all, engine)) => (all, Some(engine)),
        None => (words.rest(), None),
    };
    // `a worker that writes poems` is a wish, and no name.
    const NO_NAME: &[&str] = &[
        "that", "who", "which", "whose", "to", "for", "with", "and", "or", "but", "using", "in",
        "on", "as", "from", "when", "where", "so",
    ];
    let begins = ["that", "who", "which", "to", "for", "with"];
    let (name, description) = match all.split_once(':') {
        Some((name, description)) if split_at_word(name, &begins, false).is_none() => {
            (name, description)
        }
        _ => split_at_word(all, &begins, false)
            .unwrap_or_else(|| all.split_once([',', '\n']).unwrap_or((all, ""))),
    };
    let (name, named_place) = match split_at_word(name, &["in", "at"], false) {
        Some((name, place)) if is_place(place) => (name, true),
        _ => (name, false),
    };
    if NO_NAME.contains(&Words::new(name).peek().as_str()) {
        return Request::NamelessWorker;
    }
    let name = Words::new(name.trim_end_matches([',', ' '])).subject();
    // `Ada review my code please` is more than a name.
    const NAME_WORDS_MAX: usize = 3;
    let is_quoted = all.trim_start().starts_with(['"', '`', '\'', '“', '«']);
    if !is_quoted && name.split_whitespace().count() > NAME_WORDS_MAX {
        return Request::NamelessWorker;
    }
    if name.is_empty() || name.eq_ignore_ascii_case("please") {
        return Request::Incomplete {
            example: "create a worker named Ada that reviews Rust code",
        };
    }
    let placed = named_place
        || split_at_word(description, &["in", "at"], true)
            .is_some_and(|(_, place)| is_place(place));
    let mut description = Words::new(description);
    while description.eat(&["that", "who", "which"]) {}
    Request::CreateWorker {
        name: name.to_owned(),
        description: description.subject().to_owned(),
        using: using.map(|engine| Words::new(engine).subject().to_owned()),
        placed,
    }
}

/// `/srv/site`, `the directory ~/site`.
fn is_place(text: &str) -> bool {
    let mut words = Words::new(text);
    while words.eat(&["the", "directory", "folder"]) {}
    let path = words.subject();
    path.starts_with(['/', '~']) && !path.contains(char::is_whitespace)
}

pub fn rename(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    words.eat(&["worker", "agent"]);
    match split_at_word(words.subject(), &["to", "as", "into"], true) {
        Some((name, value)) => Request::ChangeWorker {
            name: unquoted(name).to_owned(),
            field: Field::Name,
            value: unquoted(value).to_owned(),
        },
        None => Request::Incomplete {
            example: "rename Ada to Grace",
        },
    }
}

/// `Ada's engine to claude`, `the engine of Ada to claude`.
pub fn change(words: Words<'_>) -> Option<Request> {
    // `change the theme to dark` is about no worker.
    let about_worker = words
        .rest()
        .split_whitespace()
        .any(|word| Field::parse(Words::new(word).next()).is_some());
    let incomplete = || {
        (about_worker || words.is_empty()).then_some(Request::Incomplete {
            example: "set Ada's description to reviews Rust code",
        })
    };
    let mut words = words;
    words.skip_fillers();
    words.eat(&["worker", "agent"]);
    let all = words.rest();
    let (what, value) =
        match split_at_word(all, &["to", "="], false).or_else(|| all.split_once(':')) {
            Some(parts) => parts,
            None => return incomplete(),
        };
    let value = Words::new(value).subject().to_owned();
    let (field, name) = match split_at_word(what, &["of", "for"], false) {
        Some((field, name)) => (field, name),
        None => match what.trim().rsplit_once(char::is_whitespace) {
            Some((owner, field)) => (field, owner),
            None => return incomplete(),
        },
    };
    let name = name.trim().replace('’', "'");
    let name = name
        .strip_suffix("'s")
        .or(name.strip_suffix('\''))
        .unwrap_or(&name);
    let mut name = Words::new(name);
    name.eat(&["worker", "agent"]);
    let last = field.split_whitespace().next_back().unwrap_or_default();
    if ["directory", "folder", "dir", "path"].contains(&last.to_lowercase().as_str()) {
        return Some(Request::MoveWorker);
    }
    match Field::parse(field.trim()) {
        Some(field) if !name.is_empty() => Some(Request::ChangeWorker {
            name: name.subject().to_owned(),
            field,
            value,
        }),
        _ => incomplete(),
    }
}

pub fn describe(mut words: Words<'_>) -> Request {
    words.eat(&["worker", "agent"]);
    match split_at_word(words.rest(), &["as"], false) {
        Some((name, description)) => Request::ChangeWorker {
            name: unquoted(name).to_owned(),
            field: Field::Description,
            value: Words::new(description).subject().to_owned(),
        },
        None => named_worker(words, |name| Request::Worker { name }),
    }
}

/// `use claude for Ada`.
pub fn use_engine(mut words: Words<'_>) -> Option<Request> {
    words.eat(&["to"]);
    if let Some((engine, name)) = split_at_word(words.rest(), &["for", "with"], false) {
        return Some(engine_of(name, engine));
    }
    words.skip_fillers();
    words.eat(&["engine"]);
    let engine = words.subject();
    let engine = strip_suffix(engine, " engine").unwrap_or(engine);
    let is_one = !engine.is_empty() && !engine.contains(char::is_whitespace);
    is_one.then(|| Request::UseEngine {
        engine: engine.to_owned(),
    })
}

/// `Ada to write a test`, `Ada review my code`: what she is to be told. Whether there is an Ada is for the answer.
pub fn told(mut words: Words<'_>) -> Option<Request> {
    words.eat(&["worker", "agent"]);
    let (name, _) = words.take_name()?;
    while words.eat(&["to", "that"]) {}
    let text = words.subject();
    let is_name = name.starts_with(char::is_alphabetic) && !text.is_empty();
    is_name.then(|| Request::Ask {
        name: name.trim_end_matches(',').to_owned(),
        text: text.to_owned(),
    })
}

pub fn engine_of(name: &str, engine: &str) -> Request {
    let word = |text| {
        let mut words = Words::new(text);
        while words.eat(&["the", "engine", "worker", "agent"]) {}
        let text = words.subject();
        strip_suffix(text, " engine").unwrap_or(text).to_owned()
    };
    Request::ChangeWorker {
        name: word(name),
        field: Field::Engine,
        value: word(engine),
    }
}

pub fn status(mut words: Words<'_>) -> Request {
    while words.eat(&["of", "for", "worker", "agent", "the"]) {}
    match words.subject() {
        "" | "system" | "skep" | "hive" | "everything" => Request::Status,
        name => Request::WorkerStatus {
            name: name.to_owned(),
        },
    }
}

/// `Ada busy?`
pub fn is_busy(words: Words<'_>) -> Option<Request> {
    let (name, state) = words.subject().rsplit_once(char::is_whitespace)?;
    let states = [
        "busy", "idle", "running", "working", "free", "ready", "done",
    ];
    states
        .contains(&state.to_lowercase().as_str())
        .then(|| Request::WorkerStatus {
            name: unquoted(name).to_owned(),
        })
}
