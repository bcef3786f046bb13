//! Other workers: one is asked, and its answer waited for.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::runner::Runner;
use super::workers::{WORKER, find};
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, parse};
use crate::command::AskWorker;
use crate::model::limits::TRIGGER_BYTES_MAX;
use crate::model::text::free_text;
use crate::model::{ExecutionId, ExecutionStatus, Ids, Routing};

/// How many may wait one for the other: who asks, whom that one asks, and so on.
pub const DEPTH_MAX: usize = 3;
/// How many one execution may wait for at a time.
pub const ASKED_AT_ONCE_MAX: usize = 8;
/// How long an answer is waited for, the time in the queue included.
pub const WAIT_MAX: Duration = Duration::from_secs(30 * 60);

/// An answer. It needs no more permission than a note: what the other one does is a matter of its own permissions. Data:
/// [`Answered`].
pub const ASK: Tool = Tool {
    name: "ask_worker",
    description: "Asks another worker and waits for its answer. It sees the question alone, not this chat: say all that it needs.",
    access: Access::Write,
    params: &[
        WORKER,
        Param::required("question", Kind::Text, "What it is asked, or told to do."),
    ],
    call: |cx, args| Box::pin(ask(cx, args)),
};

/// What a worker answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The worker's name.
    pub worker: String,
    /// Its answer.
    pub answer: String,
    /// The execution that it was.
    pub execution_id: String,
}

#[derive(Deserialize)]
struct Ask {
    worker: String,
    question: String,
}

/// A question that is waited for. Dropped before its answer it is taken back, and with it what was asked because of it.
struct Asked {
    runner: Arc<dyn Runner>,
    id: ExecutionId,
    is_over: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.runner.end_waiting(self.id);
        if !self.is_over {
            self.runner.stop(self.id);
        }
    }
}

async fn ask(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Ask { worker, question } = parse(args)?;
    let question = free_text("question", &question, TRIGGER_BYTES_MAX)?;
    if question.trim().is_empty() {
        return Err(ToolError::InvalidArguments(
            "the question is empty".to_owned(),
        ));
    }
    let worker = cx.shared.store.read(|tx| find(tx, &worker))?;
    let runner = cx.shared.runner()?;
    let id: ExecutionId = Ids.next();
    runner.begin_waiting(cx.execution_id, id, worker.id)?;
    let mut asked = Asked {
        runner: runner.clone(),
        id,
        is_over: false,
    };
    let ask = AskWorker {
        execution_id: id,
        reply_id: Ids.next(),
        worker_id: Some(worker.id),
        question,
        routing: Routing::Consulted,
        at: (cx.shared.clock)(),
    };
    cx.shared.journal.submit(ask).await?;
    let ended = tokio::select! {
        ended = runner.ended(id) => ended?,
        () = cx.stop.cancelled() => {
            return Err(ToolError::Refused("it was stopped".to_owned()));
        }
        () = tokio::time::sleep(WAIT_MAX) => {
            return Err(ToolError::Unavailable(format!(
                "{} did not answer within {} minutes",
                worker.name,
                WAIT_MAX.as_secs() / 60
            )));
        }
    };
    asked.is_over = true;
    let answer = ended.result.unwrap_or_default();
    if ended.status != ExecutionStatus::Completed {
        let why = ended.error.unwrap_or_else(|| match ended.status {
            ExecutionStatus::Cancelled => "it was stopped".to_owned(),
            _ => "it failed".to_owned(),
        });
        return Err(ToolError::Failed(format!(
            "{} did not answer: {why}",
            worker.name
        )));
    }
    let answered = Answered {
        worker: worker.name,
        answer,
        execution_id: id.to_string(),
    };
    Ok(ToolOutput::new(answered.answer.clone(), &answered))
}
