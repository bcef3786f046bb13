//! A model server: where it is, what it is sent, which models it has.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::super::EngineError;
use super::super::cli::text_at;
use super::super::settings::{EngineSettings, Protocol};
use super::answer::Answer;
use super::conversation::Conversation;
use super::key::Key;
use super::{anthropic, openai};
use crate::model::limits::NAME_BYTES_MAX;
use crate::outbound::{self, OutboundError, Outgoing, Reach, Waits};

/// Models of a server that are listed.
pub const MODELS_MAX: usize = 200;
/// A list of models.
const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Asking which models there are is not worth a longer wait.
const LIST_WAITS: Waits = Waits {
    connect: Duration::from_secs(2),
    head: Duration::from_secs(3),
    idle: Duration::from_secs(3),
};

/// A model server.
pub(super) struct Server {
    base: Url,
    pub(super) protocol: Protocol,
    pub(super) key: Option<Key>,
}

/// Why a server does not say which models it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, or not as a model server would.
    Down(String),
    /// It wants a key, or another one.
    NotSignedIn(String),
    /// It answers, and keeps its models to itself; one may be named all the same.
    NoList(String),
}

impl Server {
    /// The server that settings mean, at `url`.
    pub(super) fn new(
        settings: &EngineSettings,
        url: &Url,
        keys: &Path,
    ) -> Result<Self, EngineError> {
        let mut base = url.clone();
        if base.path() == "/" {
            base.set_path("/v1");
        }
        let key = settings.key.as_deref();
        Ok(Self {
            base,
            protocol: settings.protocol.unwrap_or_default(),
            key: key.map(|name| Key::find(name, keys)).transpose()?,
        })
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> &str {
        self.base.as_str()
    }

    /// What one asks for the next answer of a conversation.
    pub(super) fn body(
        &self,
        conversation: &Conversation,
        model: &str,
        max_tokens: Option<u32>,
    ) -> Bytes {
        let body = match self.protocol {
            Protocol::Openai => openai::body(conversation, model, max_tokens),
            Protocol::Anthropic => anthropic::body(conversation, model, max_tokens),
        };
        body.to_string().into()
    }

    /// Asks for an answer; the head of it is there when this returns.
    pub(super) async fn ask(
        &self,
        body: Bytes,
        waits: Waits,
    ) -> Result<outbound::Answer, OutboundError> {
        let path = match self.protocol {
            Protocol::Openai => openai::PATH,
            Protocol::Anthropic => anthropic::PATH,
        };
        let mut headers = self.headers();
        headers.extend([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
        ]);
        let outgoing = Outgoing {
            method: Method::POST,
            url: self.at(path)?,
            headers,
            body,
        };
        outbound::send(outgoing, Reach::Anywhere, waits).await
    }

    /// The models that it has.
    pub(super) async fn models(&self) -> Result<Vec<String>, Trouble> {
        let down = |error: OutboundError| Trouble::Down(error.to_string());
        let outgoing = Outgoing {
            method: Method::GET,
            url: self.at("models").map_err(down)?,
            headers: self.headers(),
            body: Bytes::new(),
        };
        let mut answer = outbound::send(outgoing, Reach::Anywhere, LIST_WAITS)
            .await
            .map_err(down)?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let said = "it refuses the key, or wants one";
                return Err(Trouble::NotSignedIn(said.to_owned()));
            }
            status => return Err(Trouble::NoList(format!("it answered {status}"))),
        }
        let (bytes, _) = answer.read(LIST_BYTES_MAX).await.map_err(down)?;
        let list: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let Some(models) = list["data"].as_array() else {
            let said = "what answers there is no model server";
            return Err(Trouble::Down(said.to_owned()));
        };
        let ids = models.iter().map(|model| text_at(model, "/id"));
        Ok(ids
            .filter(|id| (1..=NAME_BYTES_MAX).contains(&id.len()))
            .filter(|id| !id.chars().any(char::is_control))
            .take(MODELS_MAX)
            .map(str::to_owned)
            .collect())
    }

    fn at(&self, path: &str) -> Result<Url, OutboundError> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|error| OutboundError::Invalid(error.to_string()))
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let (name, scheme) = match self.protocol {
            Protocol::Openai => (AUTHORIZATION, "Bearer "),
            Protocol::Anthropic => (HeaderName::from_static("x-api-key"), ""),
        };
        let key = self.key.as_ref().and_then(|key| key.header(scheme));
        let mut headers: Vec<_> = key.map(|value| (name, value)).into_iter().collect();
        if self.protocol == Protocol::Anthropic {
            headers.push((
                HeaderName::from_static("anthropic-version"),
                HeaderValue::from_static(anthropic::VERSION),
            ));
        }
        headers
    }
}

/// Whether an answer came to its end: a server that only closes the connection may have died.
pub(super) fn is_whole(answer: &Answer) -> bool {
    answer.is_over || answer.finish.is_some()
}
