//! The agents' own door: the tools, on loopback and without TLS, for engines that Skep started.
//!
//! It is not the one that users come through: what engines do here (open connections, ask without end) takes nothing
//! from them, no certificate or public name is needed, and nothing but the tools is behind it. It stays open until the
//! last engine has ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::bounds::{rate_limits, server_limits};
use crate::app::App;
use crate::config::Config;
use crate::http::{CancellationToken, Origins, Route, Server, server};

/// A door that is not served yet; who knocks waits.
pub(super) struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A door that is served.
pub(super) struct Serving {
    closing: CancellationToken,
    task: JoinHandle<bool>,
}

impl Door {
    /// On a free port. Without one engines run, but have no tools of Skep's.
    pub(super) async fn open() -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = server::bind(address).await;
        let opened = listener.and_then(|listener| {
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        opened
            .inspect_err(|error| tracing::warn!(%error, "engines get none of Skep's tools: there is no port on loopback"))
            .ok()
    }

    /// Where the tools are.
    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Serves these routes.
    pub(super) fn serve(self, app: Arc<App>, routes: Vec<Route<App>>, config: &Config) -> Serving {
        let origins = Origins {
            loopback_only: true,
            ..Origins::default()
        };
        let server = Server::new(app, routes)
            .origins(origins)
            .rate_limits(rate_limits(config))
            .limits(server_limits(config));
        let closing = CancellationToken::new();
        let task = tokio::spawn(server.serve(self.listener, closing.clone()));
        Serving { closing, task }
    }
}

impl Serving {
    /// Ends it; nobody is behind it any more.
    pub(super) async fn close(self) {
        self.closing.cancel();
        let _ = self.task.await;
    }
}
