//! What can be asked of the built-in assistant.

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What can be said.
    Help,
    /// A greeting.
    Hello,
    /// Thanks.
    Thanks,
    /// Who answers, and whether it is a model.
    Who,
    /// How to get a model.
    AddModel,
    /// What something is, or how it is done.
    Explain(Topic),
    /// Where the files are, and which.
    WorkDir,
    /// What is in a directory.
    ListFiles {
        /// The directory; empty is the work directory.
        path: String,
    },
    /// A file's text; or, if there is no such file, the directory or the worker of that name.
    Show {
        /// The name.
        what: String,
    },
    /// Lines that hold a text.
    Find {
        /// The text.
        text: String,
        /// What may be the directory to look in, or the end of the text.
        within: Option<String>,
    },
    /// A new file.
    WriteFile {
        /// The file.
        path: String,
        /// Its content.
        text: String,
        /// Whether the message said that a file may be replaced.
        overwrite: bool,
    },
    /// A text for a file that is not marked as one; `write x.txt with a poem` may be a wish.
    Inexact {
        /// What the command looks like when nothing of it is a guess.
        example: String,
    },
    /// Something to be written that is not given.
    Compose,
    /// What needs a model, or a worker that has one.
    BeyondMe,
    /// Files moved, copied, renamed, deleted, or directories made.
    LeaveFiles,
    /// Something to be told of later.
    Remind {
        /// What.
        what: String,
    },
    /// Something for a worker that is not begun with its name.
    Ask {
        /// Its name.
        name: String,
        /// What it is to be told.
        text: String,
    },
    /// Another engine, for whom is not said.
    UseEngine {
        /// The engine.
        engine: String,
    },
    /// Chinese words that are no request below.
    Chinese,
    /// How to get a model, asked in Chinese.
    ChineseAddModel,
    /// More of a file.
    AppendFile {
        /// The file.
        path: String,
        /// What is added.
        text: String,
    },
    /// All notes.
    Notes,
    /// One more note.
    AddNote {
        /// The note.
        text: String,
    },
    /// One note less.
    RemoveNote {
        /// Its number, or its text or a part of it.
        which: String,
    },
    /// All workers.
    Workers,
    /// One worker.
    Worker {
        /// Its name.
        name: String,
    },
    /// What a worker does.
    WorkerStatus {
        /// Its name.
        name: String,
    },
    /// A new worker.
    CreateWorker {
        /// Its name.
        name: String,
        /// What it is good at.
        description: String,
        /// What may be its engine, or the end of the description after `using`.
        using: Option<String>,
        /// Whether the message says where it should work.
        placed: bool,
    },
    /// A new worker that was not given a name.
    NamelessWorker,
    /// A worker is to work elsewhere.
    MoveWorker,
    /// One thing of a worker becomes another.
    ChangeWorker {
        /// Its name.
        name: String,
        /// What changes.
        field: Field,
        /// What it becomes.
        value: String,
    },
    /// A worker less.
    DeleteWorker {
        /// Its name.
        name: String,
    },
    /// A message to somebody who is not there.
    Nobody {
        /// The name.
        name: String,
    },
    /// A deletion that does not say of what.
    DeleteUnclear {
        /// What it does say.
        what: String,
    },
    /// How things are.
    Status,
    /// Which engines there are.
    Engines,
    /// The numbers up to one.
    Count {
        /// The first number.
        from: u64,
        /// The last number.
        to: u64,
        /// Whether to take time.
        slowly: bool,
    },
    /// A command that is known, without what it needs.
    Incomplete {
        /// What the whole command looks like.
        example: &'static str,
    },
    /// Nothing that is known.
    Unknown,
}

/// What can be explained in a sentence or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// What Skep is.
    Skep,
    /// What a worker is.
    Worker,
    /// How to make one.
    MakeWorker,
    /// How to set a password.
    Password,
    /// How something is done at a time.
    Task,
    /// How to stop a reply.
    Stop,
}

/// What can change of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its name.
    Name,
    /// Its description.
    Description,
    /// Its engine.
    Engine,
    /// Its model.
    Model,
    /// Its memory.
    Memory,
}

impl Field {
    /// The name of the tool's argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Engine => "engine",
            Self::Model => "model",
            Self::Memory => "memory",
        }
    }

    /// The field that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_lowercase().as_str() {
            "name" => Self::Name,
            "description" | "job" | "role" | "task" => Self::Description,
            "engine" => Self::Engine,
            "model" => Self::Model,
            "memory" | "instructions" | "prompt" => Self::Memory,
            _ => return None,
        })
    }
}
