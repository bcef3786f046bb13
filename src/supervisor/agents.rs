//! Tokens of running executions: how an engine's calls are told from everybody else's.
//!
//! A token is made when its engine is started and dies when that has ended. It is nowhere but in this process, as a
//! hash, and in the environment of the engine.

use std::path::PathBuf;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use super::Supervisor;
use crate::auth::secret::{random_secret, sha256};
use crate::engine::Turn;
use crate::engine::mcp::McpAccess;
use crate::model::{ExecutionId, SessionId, WorkerId};
use crate::tool::Permissions;

/// What every token of an execution begins with, so that it is told from other tokens; its execution's id follows.
pub const AGENT_TOKEN_PREFIX: &str = "skeprun_";

/// Whoever answers in a running execution, as it is known by its token.
#[derive(Debug, Clone)]
pub struct Agent {
    /// What runs.
    pub execution_id: ExecutionId,
    /// The worker; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// The chat.
    pub session_id: Option<SessionId>,
    /// What its tools may do without being asked about.
    pub permissions: Permissions,
    /// Where it works.
    pub work_dir: PathBuf,
    /// Cancelled when the engine has ended or has to: nothing is done for it any more.
    pub over: CancellationToken,
}

/// A token that is good.
pub(super) struct Known {
    token_sha256: [u8; 32],
    agent: Arc<Agent>,
}

impl Known {
    /// Nothing more is done for whoever holds it: what it waits for is given up.
    pub(super) fn end(&self) {
        self.agent.over.cancel();
    }
}

/// Keeps a token good until it is dropped.
pub(super) struct Issued<'a> {
    supervisor: &'a Supervisor,
    agent: Arc<Agent>,
}

impl Drop for Issued<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.supervisor.running().get_mut(&self.agent.execution_id) {
            entry.known = None;
        }
        self.agent.over.cancel();
    }
}

impl Supervisor {
    /// Lets the engine of a turn use Skep's tools until the answer is dropped.
    pub(super) fn admit(&self, turn: &mut Turn) -> Option<Issued<'_>> {
        let url = self.parts.mcp_url.as_deref()?;
        let secret = random_secret()
            .inspect_err(|error| tracing::error!(%error, "an engine gets no token for its tools"))
            .ok()?;
        let id = turn.execution_id.as_u128();
        let token = format!("{AGENT_TOKEN_PREFIX}{id:032x}_{secret}");
        let agent = Arc::new(Agent {
            execution_id: turn.execution_id,
            worker_id: turn.worker_id,
            session_id: turn.session_id,
            permissions: turn.permissions,
            work_dir: turn.work_dir.clone(),
            over: CancellationToken::new(),
        });
        let known = Known {
            token_sha256: sha256(&token),
            agent: agent.clone(),
        };
        self.running().get_mut(&turn.execution_id)?.known = Some(known);
        turn.mcp = Some(McpAccess::new(url, &token));
        Some(Issued {
            supervisor: self,
            agent,
        })
    }

    /// Whose token this is, if it is good.
    pub fn agent(&self, token: &str) -> Option<Arc<Agent>> {
        let (id, _) = token.strip_prefix(AGENT_TOKEN_PREFIX)?.split_once('_')?;
        let id = u128::from_str_radix(id, 16).ok()?;
        let running = self.running();
        let known = running.get(&ExecutionId::from_u128(id))?.known.as_ref()?;
        let is_right = bool::from(known.token_sha256.ct_eq(&sha256(token)));
        is_right.then(|| known.agent.clone())
    }
}
