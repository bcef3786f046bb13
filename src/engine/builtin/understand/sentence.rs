//! Messages that are known as a whole.

use super::super::request::{Request, Topic};
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
        | "what can you do here"
        | "what can i do here"
        | "what can i do with this"
        | "what can i ask you"
        | "what should i do"
        | "what should i say"
        | "how do i use this"
        | "how do i use you"
        | "how do i use it"
        | "how do i use skep"
        | "how can i use this"
        | "how to use this"
        | "how do i start"
        | "how do i begin"
        | "how do i get started"
        | "get started"
        | "what are you able to do"
        | "show me what you can do"
        | "tell me what you can do"
        | "what else can you do" => Request::Help,
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
        | "which model do you use"
        | "what model do you use"
        | "which model is this"
        | "which model are you"
        | "what model are you"
        | "introduce yourself" => Request::Who,
        "where is my data"
        | "where is my data stored"
        | "where is the data"
        | "where is everything stored"
        | "where do you store data"
        | "where does skep store data"
        | "where is the data directory" => Request::Status,
        "what do you remember" | "what do you know" | "what did you note" => Request::Notes,
        "who works here"
        | "who are the workers"
        | "who are you all"
        | "who is here"
        | "who is there"
        | "who else is here" => Request::Workers,
        "what is running"
        | "what's running"
        | "who is running"
        | "who is busy"
        | "who is working"
        | "what is going on"
        | "what's going on"
        | "how are things"
        | "is anything running"
        | "what version are you"
        | "which version are you"
        | "which version is this"
        | "what is happening"
        | "is everything ok" => Request::Status,
        "what is here" | "what's here" => Request::ListFiles {
            path: String::new(),
        },
        "pwd"
        | "where are you"
        | "where do you work"
        | "where are my files"
        | "where are the files"
        | "where are your files"
        | "where is the work directory"
        | "where is your work directory"
        | "what is the work directory"
        | "what is your work directory"
        | "which directory is this" => Request::WorkDir,
        "what is skep" | "what's skep" | "what is this" | "what's this" | "what is this for"
        | "what is skep for" | "tell me about skep" => Request::Explain(Topic::Skep),
        "what is a worker"
        | "what's a worker"
        | "what are workers"
        | "what does a worker do"
        | "what do workers do"
        | "what is a worker for"
        | "what are workers for" => Request::Explain(Topic::Worker),
        "password"
        | "set password"
        | "set a password"
        | "set my password"
        | "change password"
        | "change my password"
        | "change the password" => Request::Explain(Topic::Password),
        "task" | "tasks" | "show tasks" | "show my tasks" | "list tasks" | "my tasks"
        | "create a task" | "make a task" | "add a task" | "new task" | "schedule a task"
        | "what is a task" | "what are tasks" => Request::Explain(Topic::Task),
        "stop everything" | "stop all" | "cancel everything" | "stop" | "stop it" | "stop that"
        | "stop the reply" | "stop this" | "cancel" | "abort" | "halt" => {
            Request::Explain(Topic::Stop)
        }
        plain if let Some(topic) = asked_how(plain) => Request::Explain(topic),
        plain if asks_for_model(plain) => Request::AddModel,
        _ => return None,
    })
}

/// `how do I make a worker?`, `how can I stop a reply?`, `how do I set a password?`.
fn asked_how(plain: &str) -> Option<Topic> {
    let plain = plain
        .strip_prefix("show me ")
        .or_else(|| plain.strip_prefix("tell me "))
        .unwrap_or(plain);
    const HOW: [&str; 7] = [
        "how do i ",
        "how can i ",
        "how do you ",
        "how to ",
        "how do we ",
        "how would i ",
        "where do i ",
    ];
    let what = HOW.iter().find_map(|how| plain.strip_prefix(how))?;
    let has = |words: &[&str]| what.split(' ').any(|word| words.contains(&word));
    let begins = |words: &[&str]| words.contains(&what.split(' ').next().unwrap_or_default());
    if has(&["password"]) {
        Some(Topic::Password)
    } else if begins(&["stop", "cancel", "abort", "interrupt"]) {
        Some(Topic::Stop)
    } else if begins(&["make", "create", "add", "hire", "get", "build"])
        && has(&["worker", "workers", "agent", "agents"])
    {
        Some(Topic::MakeWorker)
    } else {
        None
    }
}

/// `how do I add a model?`, `install claude`, `connect an LLM`, `use gpt`.
fn asks_for_model(plain: &str) -> bool {
    let has = |words: &[&str]| plain.split(' ').any(|word| words.contains(&word));
    let about_model = has(&[
        "model",
        "models",
        "llm",
        "llms",
        "ai",
        "gpt",
        "chatgpt",
        "ollama",
        "openai",
        "llama-server",
        "llama.cpp",
        "studio",
        "anthropic",
        "key",
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
    let asks_how = (plain.starts_with("how ") || plain.contains(" how "))
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
