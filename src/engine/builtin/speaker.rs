//! Saying something: every event goes to the log first and then to the supervisor, until told to stop.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{EngineError, EngineEvent, Run, Stop};
use crate::execution_log::{LogError, Stream};
use crate::model::text::truncated;
use crate::tool::{self, Context, Decision, Permissions, ToolError};

/// The longest piece of a reply that is sent at once.
const PIECE_BYTES_MAX: usize = 1024;

/// Why an answer ends before its end.
#[derive(Debug)]
pub enum Halt {
    /// It was told to.
    Stopped,
    /// It cannot be logged.
    Failed(EngineError),
}

/// The voice of one run.
pub struct Speaker<'a> {
    run: &'a mut Run,
    permissions: Permissions,
    calls: u32,
    said_something: bool,
}

impl<'a> Speaker<'a> {
    /// The voice of `run`.
    pub fn new(run: &'a mut Run, permissions: Permissions) -> Self {
        Self {
            run,
            permissions,
            calls: 0,
            said_something: false,
        }
    }

    /// A paragraph, table or block of Markdown.
    pub async fn say(&mut self, markdown: &str) -> Result<(), Halt> {
        if self.said_something {
            self.emit_text("\n\n").await?;
        }
        let mut rest = markdown.trim_end();
        while !rest.is_empty() {
            let mut piece = truncated(rest, PIECE_BYTES_MAX);
            if piece.len() < rest.len()
                && let Some(at) = piece.rfind('\n')
            {
                piece = &piece[..=at];
            }
            self.emit_text(piece).await?;
            rest = &rest[piece.len()..];
        }
        Ok(())
    }

    /// A piece that follows the last one at once.
    pub async fn emit_text(&mut self, text: &str) -> Result<(), Halt> {
        self.said_something = true;
        let text = text.to_owned();
        self.emit(EngineEvent::Text { text }).await
    }

    /// Calls a tool where everybody can see it. The inner error is the tool's own, to be talked about.
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        cx: &Context,
        tool: &tool::Tool,
        args: Value,
    ) -> Result<Result<T, ToolError>, Halt> {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        self.emit(EngineEvent::ToolCall {
            id: id.clone(),
            name: tool.name.to_owned(),
            args: args.clone(),
        })
        .await?;
        let mut stop = self.run.stop.clone();
        // What the user says word by word needs no second yes; who may only look does not do it all the same.
        let answered = match self.permissions.decide(tool.access) {
            Decision::Deny => Err(ToolError::Denied(format!(
                "I may only look: my permissions are `{}`.",
                self.permissions.as_str()
            ))),
            Decision::Allow | Decision::Ask => tokio::select! {
                answered = tool.call(cx, args) => answered,
                () = told(&mut stop) => return Err(Halt::Stopped),
            },
        };
        let (ok, output) = match &answered {
            Ok(output) => (true, output.text.clone()),
            Err(error) => (false, error.to_string()),
        };
        self.emit(EngineEvent::ToolResult { id, ok, output })
            .await?;
        Ok(answered.and_then(|output| {
            serde_json::from_value(output.data).map_err(|error| {
                ToolError::Failed(format!("{} answered oddly: {error}", tool.name))
            })
        }))
    }

    /// Waits, unless told to stop.
    pub async fn pause(&mut self, duration: Duration) -> Result<(), Halt> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = told(&mut self.run.stop) => Err(Halt::Stopped),
        }
    }

    /// The last word.
    pub async fn finish(&mut self) -> Result<(), Halt> {
        self.emit(EngineEvent::Result { text: None }).await
    }

    async fn emit(&mut self, event: EngineEvent) -> Result<(), Halt> {
        if self.run.stop.borrow().is_some() {
            return Err(Halt::Stopped);
        }
        let mut line = serde_json::to_vec(&event).map_err(|error| {
            Halt::Failed(EngineError::new("internal", format!("an event: {error}")))
        })?;
        line.push(b'\n');
        if let Err(error) = self.run.log.line(Stream::Stdout, &line) {
            return Err(self.unlogged(&error));
        }
        tokio::select! {
            permit = self.run.events.reserve() => match permit {
                Ok(permit) => {
                    permit.send(event);
                    Ok(())
                }
                Err(_) => Err(Halt::Stopped),
            },
            () = told(&mut self.run.stop) => Err(Halt::Stopped),
        }
    }

    fn unlogged(&mut self, error: &LogError) -> Halt {
        let failure = EngineError::from(error);
        // The log may still have room for the reason; the run fails with it either way.
        let _ = self.run.log.note(&failure.to_string());
        Halt::Failed(failure)
    }
}

/// Resolves once the run has to end; a supervisor that is gone wants that too.
async fn told(stop: &mut tokio::sync::watch::Receiver<Option<Stop>>) {
    let _ = stop.wait_for(Option::is_some).await.map(drop);
}
