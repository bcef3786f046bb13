//! What goes because it is old or there is too much of it. The files are removed after the command is durable.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Rejection};
use crate::model::{ExecutionId, Millis, SessionId};
use crate::store::{events, executions, permissions, pruned, sessions, tasks};

/// Removes executions with what they did; the messages of their chats stay. Those that are not final stay, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneExecutions {
    /// Which.
    pub ids: Vec<ExecutionId>,
}

impl Change for PruneExecutions {
    /// How many went.
    type Outcome = u64;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<u64, Rejection> {
        let mut count = 0;
        for &id in &self.ids {
            let Some(execution) = executions::get(cx.tx, id)? else {
                continue;
            };
            if execution.status.is_final() {
                executions::delete(cx.tx, &execution)?;
                events::delete_steps(cx.tx, id)?;
                pruned::delete_log(cx.tx, id)?;
                tasks::delete_of_execution(cx.tx, id)?;
                permissions::delete_all(cx.tx, id)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Removes the logs of final executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneLogs {
    /// Whose.
    pub ids: Vec<ExecutionId>,
    /// When.
    pub at: Millis,
}

impl Change for PruneLogs {
    /// How many went.
    type Outcome = u64;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<u64, Rejection> {
        let mut count = 0;
        for &id in &self.ids {
            let execution = executions::get(cx.tx, id)?;
            let is_final = execution.is_some_and(|execution| execution.status.is_final());
            if is_final && pruned::log(cx.tx, id)?.is_none() {
                pruned::insert_log(cx.tx, id, self.at)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Removes uploads, but not of chats in which something waits or runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneUploads {
    /// Which: the chat and the name.
    pub files: Vec<(SessionId, String)>,
    /// When.
    pub at: Millis,
}

impl Change for PruneUploads {
    /// How many went.
    type Outcome = u64;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<u64, Rejection> {
        let busy = executions::busy_sessions(cx.tx)?;
        let mut count = 0;
        for (session, name) in &self.files {
            if !busy.contains(session)
                && sessions::get(cx.tx, *session)?.is_some()
                && pruned::upload(cx.tx, *session, name)?.is_none()
            {
                pruned::insert_upload(cx.tx, *session, name, self.at)?;
                count += 1;
            }
        }
        Ok(count)
    }
}
