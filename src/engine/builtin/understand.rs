//! From what people write to what they ask for: plain rules, tried in order.

use super::request::{Field, Request};
use super::words::{Words, split_at_word, strip_suffix, unquoted};

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

/// The longest message that can be one of the fixed sentences.
const SENTENCE_BYTES_MAX: usize = 120;

/// Messages that are known as a whole.
fn sentence(words: Words<'_>) -> Option<Request> {
    let text = words.rest();
    if text.len() > SENTENCE_BYTES_MAX {
        return None;
    }
    let plain: Vec<String> = text
        .split_whitespace()
        .map(|word| {
            word.trim_matches(|c: char| ",.:;!?".contains(c))
                .replace('’', "'")
                .to_lowercase()
        })
        .filter(|word| !word.is_empty())
        .collect();
    let plain = plain.join(" ");
    Some(match plain.as_str() {
        "" if text.contains('?') => Request::Help,
        "help"
        | "/help"
        | "help me"
        | "commands"
        | "usage"
        | "what can you do"
        | "what can you do for me"
        | "what can i do"
        | "what can i say"
        | "what can i ask"
        | "what do you do"
        | "how does this work"
        | "how do you work"
        | "what now"
        | "show help"
        | "menu"
        | "start"
        | "/start"
        | "examples"
        | "how can you help"
        | "how can you help me"
        | "what are you able to do" => Request::Help,
        "hello" | "hi" | "hey" | "hello there" | "hi there" | "good morning" | "good evening"
        | "good afternoon" | "good day" | "howdy" | "greetings" | "how are you" | "ping"
        | "hello skep" | "hi skep" | "hello bee" | "hi bee" | "test" | "yo" | "hello world" => {
            Request::Hello
        }
        "thanks"
        | "thank you"
        | "thx"
        | "thanks a lot"
        | "thank you very much"
        | "cool"
        | "great"
        | "nice"
        | "perfect"
        | "ok"
        | "okay"
        | "bye"
        | "goodbye" => Request::Thanks,
        "who are you"
        | "what are you"
        | "who is this"
        | "who am i talking to"
        | "your name"
        | "what is your name"
        | "what's your name"
        | "are you a model"
        | "are you an ai"
        | "are you ai"
        | "are you a bot"
        | "are you human"
        | "are you a human"
        | "are you an llm"
        | "are you a language model"
        | "are you chatgpt"
        | "are you claude"
        | "are you real"
        | "what is skep"
        | "what's skep"
        | "what is this"
        | "which model are you"
        | "what model are you"
        | "introduce yourself" => Request::Who,
        "what do you remember" | "what do you know" | "what did you note" => Request::Notes,
        "who works here" | "who is here" | "who is there" | "who else is here" => Request::Workers,
        "what is running" | "what's running" | "who is running" | "who is busy"
        | "who is working" | "what is going on" | "what's going on" | "how are things"
        | "what is happening" | "is everything ok" => Request::Status,
        "pwd" | "where are you" | "what is here" | "what's here" => Request::ListFiles {
            path: String::new(),
        },
        plain if asks_for_model(plain) => Request::AddModel,
        _ => return None,
    })
}

/// `how do I add a model?`, `install claude`, `connect an LLM`, `use gpt`.
fn asks_for_model(plain: &str) -> bool {
    let has = |words: &[&str]| plain.split(' ').any(|word| words.contains(&word));
    let about_model = has(&[
        "model", "models", "llm", "llms", "ai", "gpt", "chatgpt", "ollama",
    ]);
    let about_engine = has(&["claude", "codex", "opencode", "gemini", "engine", "engines"]);
    let is_verb = [
        "add",
        "get",
        "install",
        "connect",
        "configure",
        "enable",
        "setup",
        "set up",
    ];
    let starts = is_verb.iter().any(|verb| {
        plain
            .strip_prefix(verb)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    let asks_how = plain.starts_with("how ")
        && has(&[
            "add",
            "get",
            "install",
            "connect",
            "use",
            "configure",
            "enable",
            "set",
        ]);
    let names_worker = has(&["worker", "note", "file", "of", "named"]) || plain.contains("'s ");
    !names_worker && (about_model || about_engine) && (starts || asks_how)
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
        "create" | "make" | "new" | "add" | "hire" | "build" => create(rest),
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

fn list(mut words: Words<'_>) -> Request {
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
    Request::ListFiles {
        path: words.subject().to_owned(),
    }
}

fn show(mut words: Words<'_>) -> Request {
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

fn find(mut words: Words<'_>) -> Request {
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

fn create(mut words: Words<'_>) -> Option<Request> {
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
    let looks_like_file = name.contains('.') || name.contains('/');
    (is_file || colon || looks_like_file).then(|| write(words, false))
}

/// `[a file] [named] PATH: TEXT`, `PATH with TEXT`, `TEXT to PATH`.
fn write(mut words: Words<'_>, overwrite: bool) -> Request {
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
    let on_next_line = all[path.len()..]
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

fn append(mut words: Words<'_>) -> Request {
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

fn file_name(text: &str) -> String {
    let mut words = Words::new(text);
    while words.eat(&["the", "file", "a"]) {}
    words.subject().to_owned()
}

/// The text of a file: what is in quotes or in a code block, or all of it.
fn content(text: &str) -> String {
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
fn line(text: &str) -> String {
    let text = content(text);
    if text.ends_with('\n') {
        text
    } else {
        format!("{text}\n")
    }
}

fn note(mut words: Words<'_>) -> Request {
    while words.eat(&["down", "that", "to", "this", "a", "note", "of"]) {}
    match words.rest().trim_start_matches([':', '-', ' ']) {
        "" => Request::Incomplete {
            example: "note: buy milk",
        },
        text => Request::AddNote {
            text: unquoted(text).to_owned(),
        },
    }
}

fn remove_note(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    while words.eat(&["note", "memo", "number", "about", "that"]) {}
    match words.subject().trim_start_matches('#') {
        "" => Request::Incomplete {
            example: "forget note 2",
        },
        which => Request::RemoveNote {
            which: which.to_owned(),
        },
    }
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

fn named_worker(mut words: Words<'_>, request: impl FnOnce(String) -> Request) -> Request {
    while words.eat(&["named", "called"]) {}
    match words.subject() {
        "" => Request::Incomplete {
            example: "show worker Ada",
        },
        name => request(name.to_owned()),
    }
}

/// `[named] NAME [that DESCRIPTION] [using ENGINE]`.
fn create_worker(mut words: Words<'_>) -> Request {
    while words.eat(&["named", "called"]) {}
    let (all, using) = match split_at_word(words.rest(), &["using"], true) {
        Some((all, engine)) => (all, Some(engine)),
        None => (words.rest(), None),
    };
    let begins = ["that", "who", "which", "to", "for", "with"];
    let (name, description) = match all.split_once(':') {
        Some((name, description)) if split_at_word(name, &begins, false).is_none() => {
            (name, description)
        }
        _ => split_at_word(all, &begins, false)
            .unwrap_or_else(|| all.split_once([',', '\n']).unwrap_or((all, ""))),
    };
    let name = Words::new(name.trim_end_matches([',', ' '])).subject();
    if name.is_empty() || ["that", "who", "which"].contains(&name.to_lowercase().as_str()) {
        return Request::Incomplete {
            example: "create a worker named Ada that reviews Rust code",
        };
    }
    let mut description = Words::new(description);
    while description.eat(&["that", "who", "which"]) {}
    Request::CreateWorker {
        name: name.to_owned(),
        description: description.subject().to_owned(),
        using: using.map(|engine| Words::new(engine).subject().to_owned()),
    }
}

fn rename(mut words: Words<'_>) -> Request {
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
fn change(mut words: Words<'_>) -> Request {
    let incomplete = Request::Incomplete {
        example: "set Ada's description to reviews Rust code",
    };
    words.skip_fillers();
    words.eat(&["worker", "agent"]);
    let all = words.rest();
    let (what, value) =
        match split_at_word(all, &["to", "="], false).or_else(|| all.split_once(':')) {
            Some(parts) => parts,
            None => return incomplete,
        };
    let value = Words::new(value).subject().to_owned();
    let (field, name) = match split_at_word(what, &["of", "for"], false) {
        Some((field, name)) => (field, name),
        None => match what.trim().rsplit_once(char::is_whitespace) {
            Some((owner, field)) => (field, owner),
            None => return incomplete,
        },
    };
    let name = name.trim().replace('’', "'");
    let name = name
        .strip_suffix("'s")
        .or(name.strip_suffix('\''))
        .unwrap_or(&name);
    let mut name = Words::new(name);
    name.eat(&["worker", "agent"]);
    match Field::parse(field.trim()) {
        Some(field) if !name.is_empty() => Request::ChangeWorker {
            name: name.subject().to_owned(),
            field,
            value,
        },
        _ => incomplete,
    }
}

fn describe(mut words: Words<'_>) -> Request {
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
fn use_engine(words: Words<'_>) -> Option<Request> {
    let (engine, name) = split_at_word(words.rest(), &["for", "with"], false)?;
    Some(engine_of(name, engine))
}

fn engine_of(name: &str, engine: &str) -> Request {
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

fn status(mut words: Words<'_>) -> Request {
    while words.eat(&["of", "for", "worker", "agent", "the"]) {}
    match words.subject() {
        "" | "system" | "skep" | "hive" | "everything" => Request::Status,
        name => Request::WorkerStatus {
            name: name.to_owned(),
        },
    }
}

/// `Ada busy?`
fn is_busy(words: Words<'_>) -> Option<Request> {
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
