//! From what was asked for to the answer: the tools are called, what they say is put in words.
//!
//! Owns the words of every answer, one file per family of tools. Must never know how a question was understood. Start
//! reading at [`Answerer::answer`].

mod attachments;
mod files;
mod itself;
mod notes;
mod system;
mod team;

use std::path::PathBuf;

use super::super::Turn;
use super::markdown::{code, plain};
use super::phrases::{
    ADD_MODEL, ADD_MODEL_SHORT, BEYOND_ME, CHINESE, CHINESE_ADD_MODEL, COMPOSE, LEAVE_FILES,
    NO_MODEL, explained,
};
use super::request::Request;
use super::speaker::{Halt, Speaker};
use super::understand::understand;
use crate::model::limits::NAME_BYTES_MAX;
use crate::tool::{Context, ToolError};
use attachments::{GLIMPSE, Shown, TEXT};
use team::there_are;

/// What answers when no worker is meant.
const BEE: &str = "bee";
const NO_MOVE: &str = "I cannot change a directory; Workers → Edit can.";

/// One answer on its way.
pub struct Answerer<'a> {
    pub cx: Context,
    pub turn: &'a Turn,
    pub speaker: Speaker<'a>,
}

impl Answerer<'_> {
    /// Answers the turn.
    pub async fn answer(&mut self) -> Result<(), Halt> {
        let media = self.turn.media.clone();
        let request = self.request().await;
        if let Request::Show { what } = &request
            && let Some(meant) = attachments::meant(&media, what)
        {
            self.attached(vec![meant.clone()], TEXT).await?;
            return self.speaker.finish().await;
        }
        let has_media = !media.is_empty();
        if has_media {
            self.attached(media, GLIMPSE).await?;
        }
        match request {
            Request::Unknown if has_media => {
                self.say(&format!(
                    "That is all I can make of it. {NO_MODEL} {ADD_MODEL_SHORT}"
                ))
                .await?;
            }
            request => self.respond(request).await?,
        }
        self.speaker.finish().await
    }

    async fn attached(&mut self, media: Vec<PathBuf>, shown: Shown) -> Result<(), Halt> {
        for said in attachments::describe(media, shown).await {
            self.say(&said).await?;
        }
        Ok(())
    }

    /// What is asked for, whoever it was addressed to: `@Ada` is left in where the name is no worker's, or is all.
    async fn request(&self) -> Request {
        let prompt = self.turn.prompt.trim();
        let Some(name) = addressed(prompt) else {
            return understand(prompt);
        };
        let mut names = self.names().await;
        names.push(BEE.to_owned());
        let rest = names.iter().filter_map(|name| {
            let marked = prompt.get(1..)?;
            let (start, rest) = (marked.get(..name.len())?, marked.get(name.len()..)?);
            let ends = !rest.starts_with(char::is_alphanumeric);
            (ends && start.to_lowercase() == name.to_lowercase()).then_some(rest)
        });
        match rest.min_by_key(|rest| rest.len()) {
            Some(rest) => match rest.trim_start_matches([',', ':', '!', '?', '.', ' ']) {
                "" => Request::Hello,
                rest => understand(rest),
            },
            None => Request::Nobody {
                name: name.to_owned(),
            },
        }
    }

    async fn respond(&mut self, request: Request) -> Result<(), Halt> {
        match request {
            Request::Help => self.help().await,
            Request::Hello => self.hello().await,
            Request::Thanks => {
                self.say("You're welcome! Say `help` for what I can do.")
                    .await
            }
            Request::Who => self.who().await,
            Request::AddModel => self.add_model(ADD_MODEL).await,
            Request::Explain(topic) => self.say(explained(topic)).await,
            Request::WorkDir => self.work_dir().await,
            Request::ListFiles { path } => self.list_files(&path).await,
            Request::Show { what } => self.show(&what).await,
            Request::Find { text, within } => self.find(&text, within.as_deref()).await,
            Request::WriteFile {
                path,
                text,
                overwrite,
            } => self.write(&path, &text, overwrite).await,
            Request::Inexact { example } => {
                self.say(&format!(
                    "I write exactly the text I am given, and did not want to guess. To be sure, say it like this: {}",
                    code(&example)
                ))
                .await
            }
            Request::Compose => {
                self.say(&format!("{COMPOSE} {ADD_MODEL_SHORT}")).await
            }
            Request::BeyondMe => {
                self.say(&format!("{BEYOND_ME} {ADD_MODEL_SHORT}")).await
            }
            Request::LeaveFiles => self.say(LEAVE_FILES).await,
            Request::Remind { what } => self.remind(&what).await,
            Request::Ask { name, text } => self.ask(&name, &text).await,
            Request::UseEngine { engine } => self.use_engine(&engine).await,
            Request::Chinese => self.say(CHINESE).await,
            Request::ChineseAddModel => self.add_model(CHINESE_ADD_MODEL).await,
            Request::AppendFile { path, text } => self.append(&path, &text).await,
            Request::Notes => self.notes().await,
            Request::AddNote { text } => self.add_note(&text).await,
            Request::RemoveNote { which } => self.remove_note(&which).await,
            Request::Status => self.status().await,
            Request::Engines => self.engines().await,
            Request::Count { from, to, slowly } => self.count(from, to, slowly).await,
            Request::Incomplete { example } => {
                self.say(&format!(
                    "I need a little more. For example: {}",
                    code(example)
                ))
                .await
            }
            Request::Nobody { name } => {
                let names = self.names().await;
                self.nobody(&name, &names).await
            }
            Request::DeleteUnclear { what } => self.delete_unclear(&what).await,
            Request::Workers => self.workers().await,
            Request::Worker { name } => self.worker(&name).await,
            Request::WorkerStatus { name } => self.worker_status(&name).await,
            Request::CreateWorker {
                name,
                description,
                using,
                placed,
            } => {
                self.create_worker(&name, description, using).await?;
                if placed {
                    self.say(NO_MOVE).await?;
                }
                Ok(())
            }
            Request::NamelessWorker => {
                self.say("What shall it be called? For example: `create a worker named Poet that writes poems`")
                    .await
            }
            Request::MoveWorker => self.say(NO_MOVE).await,
            Request::ChangeWorker { name, field, value } => {
                self.change_worker(&name, field, &value).await
            }
            Request::DeleteWorker { name } => self.delete_worker(&name).await,
            Request::Unknown => self.unknown().await,
        }
    }

    pub async fn say(&mut self, markdown: &str) -> Result<(), Halt> {
        self.speaker.say(markdown).await
    }

    /// What a tool said against it.
    pub async fn regret(&mut self, error: &ToolError) -> Result<(), Halt> {
        let message = error.to_string();
        let mut letters = message.chars();
        let sentence = match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect::<String>(),
            None => "that did not work".to_owned(),
        };
        let lead = match error {
            ToolError::Failed(_) | ToolError::Unavailable(_) => "That did not work: ",
            _ => "",
        };
        let sentence = if lead.is_empty() { sentence } else { message };
        self.say(&format!("{lead}{}.", sentence.trim_end_matches('.')))
            .await
    }

    async fn delete_unclear(&mut self, what: &str) -> Result<(), Halt> {
        if !what.is_empty() && self.is_worker(what).await {
            let explicit = code(&format!("delete worker {what}"));
            return self
                .say(&format!(
                    "To be sure that you mean the worker, say {explicit}."
                ))
                .await;
        }
        if looks_like_name(what) {
            let there = there_are("there", &self.names().await);
            let what = plain(what);
            return self
                .say(&format!("There is no worker named {what}; {there}."))
                .await;
        }
        self.say("I delete workers (`delete worker Ada`) and notes (`forget note 2`), one at a time. Files I leave alone.")
            .await
    }
}

/// The name after an `@` at the start.
fn addressed(prompt: &str) -> Option<&str> {
    let marked = prompt.strip_prefix('@')?;
    let end = marked.find(|c: char| c.is_whitespace() || ",:;!?".contains(c));
    let name = marked[..end.unwrap_or(marked.len())].trim_end_matches('.');
    let is_name = |name: &str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || "-_'’.".contains(c))
    };
    let begins = name.starts_with(char::is_alphanumeric) && name.len() <= NAME_BYTES_MAX;
    (begins && is_name(name)).then_some(name)
}

/// Whether it may be a worker's name rather than a file or a few words: `Bob`, `Grace Hopper`.
fn looks_like_name(what: &str) -> bool {
    const OTHERS: &[&str] = &[
        "it",
        "this",
        "that",
        "them",
        "everything",
        "all",
        "file",
        "files",
        "directory",
        "folder",
        "chat",
        "chats",
        "session",
        "workers",
        "notes",
        "message",
        "messages",
    ];
    let is_one = what.split_whitespace().count() == 1;
    !what.is_empty()
        && !what.contains(['.', '/'])
        && !OTHERS.contains(&what.to_lowercase().as_str())
        && (is_one
            || what
                .split_whitespace()
                .all(|word| word.starts_with(char::is_uppercase)))
}
