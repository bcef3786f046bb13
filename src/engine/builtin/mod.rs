//! `builtin`: the assistant that needs nothing.
//!
//! Owns what people may say to it and how it answers. It is no model and says so: plain rules, the same answer to the
//! same words, over the tools that every agent has. Must never know how a tool does its work, or clients. Start reading
//! at [`Builtin`], then `understand.rs`, then `answer.rs`.

mod answer;
mod markdown;
mod phrases;
pub mod request;
mod speaker;
pub mod understand;
mod words;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::command::EventsParser;
use super::process::Parser;
use super::{Engine, EngineError, Run, Turn};
use crate::tool::{Authority, Context, Shared};
use answer::Answerer;
use speaker::{Halt, Speaker};

/// What it is called.
pub const NAME: &str = "builtin";

/// What it is, for a list of engines.
pub const ABOUT: &str = "part of Skep: plain commands, no language model";

/// The built-in assistant.
pub struct Builtin {
    shared: Arc<Shared>,
}

impl Builtin {
    /// The assistant over these tools' parts.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Engine for Builtin {
    fn name(&self) -> &str {
        NAME
    }

    fn run<'a>(
        &'a self,
        turn: &'a Turn,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let cx = Context {
                shared: Arc::clone(&self.shared),
                // It does what the message says, word by word, and has no ideas of its own.
                authority: Authority::Account,
                execution_id: Some(turn.execution_id),
                worker_id: turn.worker_id,
                session_id: turn.session_id,
                work_dir: turn.work_dir.clone(),
                temp_dir: turn.temp_dir.clone(),
                granted: Default::default(),
                may_fetch: false,
                stop: Default::default(),
            };
            let mut answerer = Answerer {
                cx,
                turn,
                speaker: Speaker::new(run, turn.permissions),
            };
            match answerer.answer().await {
                Ok(()) | Err(Halt::Stopped) => Ok(()),
                Err(Halt::Failed(error)) => Err(error),
            }
        })
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::<EventsParser>::default()
    }
}

#[cfg(test)]
mod tests;
