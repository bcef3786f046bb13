//! Messages that are known as a whole.

use super::super::request::Request;
use super::super::words::Words;

/// The longest message that can be one of the fixed sentences.
const SENTENCE_BYTES_MAX: usize = 120;

/// Messages that are known as a whole.
pub fn sentence(words: Words<'_>) -> Option<Request> {
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
