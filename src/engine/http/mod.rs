//! `http`: a model server is an engine, with Skep's own tools.
//!
//! Owns how a chat becomes requests to a model (chat completions as OpenAI has them, or Anthropic's Messages), how its
//! answers are read, and the loop of tool calls between them. Every byte of an answer is in the log before it means
//! anything; a key is in neither. Must never know how a tool does its work, or clients. Start reading at [`HttpEngine`],
//! then `turn.rs`.
//!
//! Why no crate speaks the protocols here: `genai` 0.7, the best kept one, hands out events it has decoded, not the bytes
//! that the log is promised; it collects a line, and the body of an error, without a limit, so that a hostile server
//! fills the memory; and through reqwest it brings some hundred more crates with a second provider of cryptography
//! (aws-lc). Two protocols that end in `data:` lines are a small price.

mod answer;
mod anthropic;
mod conversation;
mod history;
pub(super) mod key;
mod openai;
mod reading;
mod server;
mod sse;
mod tools;
mod turn;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use answer::{ANSWER_BYTES_MAX, ARGUMENT_BYTES_MAX, CALLS_MAX};
pub use server::MODELS_MAX;

use super::detect::EngineStatus;
use super::process::Parser;
use super::settings::{EngineKind, EngineSettings};
use super::{Engine, EngineError, Run, Turn};
use crate::outbound::Waits;
use crate::tool::Shared;
use reading::Reading;
use server::{Server, Trouble};
use turn::Talk;

/// How long it is believed that a model server answers on this machine, or that none does.
const FOUND_FRESH: Duration = Duration::from_secs(5);
/// How long a stopped turn may take to end its programs.
const WIND_DOWN: Duration = Duration::from_secs(20);

/// The bounds of a turn.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// How long a model server is waited for.
    pub waits: Waits,
    /// How often a request is tried again that was turned away for now.
    pub retries_max: u32,
    /// The longest wait before that.
    pub retry_wait_max: Duration,
    /// Requests in one turn.
    pub rounds_max: u32,
}

/// What all engines of this kind share.
#[derive(Clone)]
pub struct HttpParts {
    /// Where keys are, by name.
    pub keys: PathBuf,
    /// Where `local` looks.
    pub model_servers: Vec<Url>,
    /// Where Skep itself listens, if it does: the usual port of llama.cpp is its usual port, too, and it is no model
    /// server to itself.
    pub own: Option<SocketAddr>,
    /// The bounds of a turn.
    pub limits: HttpLimits,
    /// What its tools work with; `None` where engines are only listed.
    pub shared: Option<Arc<Shared>>,
}

/// An engine that is a model server.
pub struct HttpEngine {
    settings: EngineSettings,
    parts: HttpParts,
    found: Mutex<Option<(Instant, Option<Found>)>>,
}

/// A model server that answers.
#[derive(Debug, Clone)]
struct Found {
    url: Url,
    models: Vec<String>,
}

impl HttpEngine {
    /// The engine that `settings` describe; `None` if they describe no model server.
    pub fn new(settings: EngineSettings, parts: HttpParts) -> Option<Self> {
        (settings.kind == Some(EngineKind::Http)).then(|| Self {
            settings,
            parts,
            found: Mutex::default(),
        })
    }

    /// Whether a turn given to it has a chance. A server that settings name is taken at their word; others have to answer.
    pub async fn is_there(&self) -> bool {
        self.settings.url.is_some() || self.find().await.is_some()
    }

    /// What is known of it, asked of the server itself.
    pub async fn status(&self) -> EngineStatus {
        let mut status = super::detect::status(&self.settings);
        let Some(url) = self.settings.url.clone() else {
            match self.find().await {
                Some(found) => {
                    status.url = Some(found.url.to_string());
                    status.models = found.models;
                }
                None => {
                    status.found = false;
                    status.why_not = Some(self.nobody_answers());
                    status.fix = Some(
                        "start one: run `ollama serve`, or `llama-server -m MODEL --jinja`"
                            .to_owned(),
                    );
                }
            }
            return status;
        };
        status.url = Some(url.to_string());
        let server = match Server::new(&self.settings, &url, &self.parts.keys) {
            Ok(server) => server,
            Err(error) => {
                status.signed_in = Some(false);
                status.why_not = Some(error.message);
                return status;
            }
        };
        match server.models().await {
            Ok(models) => status.models = models,
            Err(Trouble::NoList(_)) => {}
            Err(Trouble::NotSignedIn(why)) => {
                status.signed_in = Some(false);
                status.why_not = Some(why);
                status.fix = Some(self.how_to_sign_in());
            }
            Err(Trouble::Down(why)) => {
                status.found = false;
                status.why_not = Some(why);
                status.fix =
                    Some("start the model server, or correct its url in skep.toml".to_owned());
            }
        }
        status
    }

    fn how_to_sign_in(&self) -> String {
        match &self.settings.key {
            Some(name) => format!(
                "put the key into {} or the variable {name}",
                self.parts.keys.join(name).display()
            ),
            None => format!(
                "name a key: `key = \"NAME\"` in [engines.{}]",
                self.settings.name
            ),
        }
    }

    fn nobody_answers(&self) -> String {
        let places = self.parts.model_servers.iter();
        let (own, others): (Vec<&Url>, Vec<&Url>) = places.partition(|url| self.is_own(url));
        let others: Vec<&str> = others.into_iter().map(Url::as_str).collect();
        let said = match others.as_slice() {
            [] => "model_servers names no place to look for one".to_owned(),
            places => format!("no model server answers at {}", places.join(", ")),
        };
        match own.first() {
            Some(own) => format!("{said} ({own} is Skep itself)"),
            None => said,
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        self.parts.own.is_some_and(|own| is_at(url, own))
    }

    /// The first model server on this machine that has a model.
    async fn find(&self) -> Option<Found> {
        let known = self
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, found)) = known
            && at.elapsed() < FOUND_FRESH
        {
            return found;
        }
        let places = self.parts.model_servers.iter();
        let places = places.filter(|url| !self.is_own(url));
        let asked = places.map(|url| async move {
            let server = Server::new(&self.settings, url, &self.parts.keys).ok()?;
            let models = server.models().await.ok()?;
            (!models.is_empty()).then(|| Found {
                url: url.clone(),
                models,
            })
        });
        let found = join_all(asked).await.into_iter().flatten().next();
        let mut known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), found.clone()));
        found
    }

    /// The server of a turn, and the model that it shall use.
    async fn choose(&self, turn: &Turn) -> Result<(Server, String), EngineError> {
        let named = turn.model.clone().or_else(|| self.settings.model.clone());
        let (url, models) = match &self.settings.url {
            Some(url) => (url.clone(), None),
            None => match self.find().await {
                Some(found) => (found.url, Some(found.models)),
                None => {
                    let message =
                        format!("{}; start one, e.g. `ollama serve`", self.nobody_answers());
                    return Err(EngineError::new("upstream_unavailable", message));
                }
            },
        };
        let server = Server::new(&self.settings, &url, &self.parts.keys)?;
        let model = match (named, models) {
            (Some(model), _) => Some(model),
            (None, Some(models)) => models.into_iter().next(),
            (None, None) => match server.models().await {
                Ok(models) => models.into_iter().next(),
                Err(Trouble::Down(why)) => {
                    return Err(EngineError::new("upstream_unavailable", why));
                }
                Err(Trouble::NotSignedIn(why)) => {
                    let message = format!("{why}; {}", self.how_to_sign_in());
                    return Err(EngineError::new("not_signed_in", message));
                }
                Err(Trouble::NoList(_)) => None,
            },
        };
        let name = &self.settings.name;
        match model {
            Some(model) => Ok((server, model)),
            None => Err(EngineError::new(
                "model_missing",
                format!(
                    "{} does not say which models it has; name one: model = \"…\" in [engines.{name}], or at the worker",
                    server.place()
                ),
            )),
        }
    }
}

/// Whether who listens at `address` is asked by `url`.
fn is_at(url: &Url, address: SocketAddr) -> bool {
    let ip = match url.host() {
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(url::Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return false,
    };
    let same_machine = address.ip() == ip
        || ip.is_loopback() && (address.ip().is_unspecified() || address.ip().is_loopback());
    same_machine && url.port_or_known_default() == Some(address.port())
}

impl Engine for HttpEngine {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run<'a>(
        &'a self,
        turn: &'a Turn,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let Some(shared) = &self.parts.shared else {
                return Err(EngineError::new(
                    "engine_missing",
                    "engines are only listed here",
                ));
            };
            let mut stop = run.stop.clone();
            let stopping = CancellationToken::new();
            let talk = async {
                let chosen = stopping.run_until_cancelled(self.choose(turn)).await;
                let Some(chosen) = chosen else { return Ok(()) };
                let (server, model) = chosen?;
                Talk::new(self, turn, shared, server, model, run, stopping.clone())
                    .talk()
                    .await
            };
            let stopped = async { stop.wait_for(Option::is_some).await.map(drop) };
            tokio::pin!(talk);
            tokio::select! {
                biased;
                ended = &mut talk => ended,
                _ = stopped => {
                    // Everything but a program that has to be ended lets go at once.
                    stopping.cancel();
                    let _ = tokio::time::timeout(WIND_DOWN, talk).await;
                    Ok(())
                }
            }
        })
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::new(Reading::new(self.settings.protocol.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::settings::LOCAL;

    /// Skep's usual port is llama.cpp's, too: what listens there is then Skep itself, which is not asked.
    #[tokio::test]
    async fn local_does_not_take_skep_for_a_model_server() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap();
        let parts = HttpParts {
            model_servers: vec![format!("http://{own}").parse().unwrap()],
            ..crate::config::Config::default().http_parts(Some(own), None)
        };
        let local = EngineSettings::default().named(LOCAL).unwrap();
        let status = HttpEngine::new(local, parts).unwrap().status().await;
        assert!(!status.found);
        assert_eq!(
            status.why_not.unwrap(),
            format!("model_servers names no place to look for one (http://{own}/ is Skep itself)")
        );
        let nobody_came = listener.accept().unwrap_err().kind();
        assert_eq!(nobody_came, std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_address_is_known_by_all_its_names() {
        for (url, address, is_it) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://localhost:8080", "127.0.0.1:8080", true),
            ("http://127.0.0.1:8080", "0.0.0.0:8080", true),
            ("http://[::1]:8080", "[::]:8080", true),
            ("http://192.0.2.1:80", "192.0.2.1:80", true),
            ("http://127.0.0.1:8081", "127.0.0.1:8080", false),
            ("http://192.0.2.1:8080", "127.0.0.1:8080", false),
            ("http://example.org:8080", "127.0.0.1:8080", false),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(
                is_at(&url, address.parse().unwrap()),
                is_it,
                "{url} {address}"
            );
        }
    }
}
