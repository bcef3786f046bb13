//! What layers receive of the settings, where it takes more than a field.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Config;
use crate::engine::http::{HttpLimits, HttpParts};
use crate::outbound::Waits;
use crate::tool::Shared;

impl Config {
    /// What engines that are model servers share: where Skep itself listens, if it does, and what their tools work with;
    /// without `shared` they can only be listed.
    pub fn http_parts(&self, own: Option<SocketAddr>, shared: Option<Arc<Shared>>) -> HttpParts {
        let limits = &self.limits;
        HttpParts {
            keys: self.data.join("keys"),
            model_servers: self
                .model_servers
                .iter()
                .filter_map(|origin| origin.as_str().parse().ok())
                .collect(),
            own,
            limits: HttpLimits {
                waits: Waits {
                    connect: Duration::from_secs(limits.model_connect_timeout_s),
                    head: Duration::from_secs(limits.model_answer_timeout_s),
                    idle: Duration::from_secs(limits.model_idle_timeout_s),
                },
                retries_max: limits.model_retries_max,
                retry_wait_max: Duration::from_secs(limits.model_retry_wait_max_s),
                rounds_max: limits.model_rounds_max,
            },
            shared,
        }
    }
}
