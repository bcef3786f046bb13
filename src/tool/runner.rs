//! What tools need of whoever runs executions.

use futures_util::future::BoxFuture;

use super::ToolError;
use crate::model::{Execution, ExecutionId, WorkerId};

/// Whoever runs executions.
pub trait Runner: Send + Sync {
    /// Takes an execution out of the queue, or tells it to stop. Nobody waits for that.
    fn stop(&self, id: ExecutionId);

    /// The execution, once it is final.
    fn ended(&self, id: ExecutionId) -> BoxFuture<'static, Result<Execution, ToolError>>;

    /// Notes that `asked` will be waited for: by the execution `asker`, or by somebody outside. Refused where that could
    /// never end.
    fn begin_waiting(
        &self,
        asker: Option<ExecutionId>,
        asked: ExecutionId,
        worker: WorkerId,
    ) -> Result<(), ToolError>;

    /// Nobody waits for it any more.
    fn end_waiting(&self, asked: ExecutionId);
}
