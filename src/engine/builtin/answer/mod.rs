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

use super::super::Turn;
use super::markdown::code;
use super::phrases::{ADD_MODEL_SHORT, NO_MODEL, explained};
use super::request::Request;
use super::speaker::{Halt, Speaker};
use super::understand::understand;
use crate::tool::{Context, ToolError};

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
        let prompt = self.turn.prompt.trim();
        if !self.turn.media.is_empty() {
            for said in attachments::describe(self.turn.media.clone()).await {
                self.say(&said).await?;
            }
        }
        match understand(prompt) {
            Request::Unknown if !self.turn.media.is_empty() => {
                self.say(&format!(
                    "That is all I can make of it. {NO_MODEL} {ADD_MODEL_SHORT}"
                ))
                .await?;
            }
            request => self.respond(request).await?,
        }
        self.speaker.finish().await
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
            Request::AddModel => self.add_model().await,
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
            Request::AppendFile { path, text } => self.append(&path, &text).await,
            Request::Notes => self.notes().await,
            Request::AddNote { text } => self.add_note(&text).await,
            Request::RemoveNote { which } => self.remove_note(&which).await,
            Request::Status => self.status().await,
            Request::Engines => self.engines().await,
            Request::Count { to, slowly } => self.count(to, slowly).await,
            Request::Incomplete { example } => {
                self.say(&format!(
                    "I need a little more. For example: {}",
                    code(example)
                ))
                .await
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
        self.say("I delete workers (`delete worker Ada`) and notes (`forget note 2`). Files I leave alone.")
            .await
    }
}
