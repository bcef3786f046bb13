//! The Model Context Protocol over HTTP: the tools of the registry for whoever holds a token.
//!
//! A handler of our own and not `rmcp`: that crate's server wants the connection (its Streamable HTTP is a tower service
//! with sessions and streams of its own), where here each request passes our pipeline with its tokens, origins, limits
//! and log. What is needed of the protocol is a request and its answer: nothing is ever sent unasked, so there is no
//! stream (GET is 405, as the protocol allows) and no session, and a restart breaks no client.
//!
//! Two ways of beginning are spoken: the handshake (`initialize`, revisions up to 2025-11-25) and the one without
//! (`server/discover`, 2026-07-28).
//!
//! A running agent calls in its own name: it sees what its worker's permissions allow, and acts on its own worker and chat.
//!
//! Owns the words of the protocol. Must never know what a tool does. Start reading at [`call`].

mod prompt;
mod tools;

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::{Caller, require};
use crate::app::App;
use crate::engine::mcp::PERMISSION_TOOL;
use crate::http::{ApiError, CancellationToken, Request, Response};

/// The newest revision that begins with a handshake, and the older ones that differ in nothing that is used here.
const HANDSHAKE_REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision without a handshake.
const REVISION: &str = "2026-07-28";

const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const INVALID_REQUEST: i64 = -32_600;

/// A request, or a notification, which has no `id`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RpcRequest {
    /// Always `2.0`.
    #[serde(default)]
    jsonrpc: String,
    /// A number or a text; absent in a notification.
    #[serde(default)]
    id: Value,
    /// `initialize`, `server/discover`, `ping`, `tools/list`, `tools/call`; absent in what is an answer to us.
    #[serde(default)]
    method: String,
    #[serde(default)]
    params: Value,
}

/// The answer to a request.
#[derive(Serialize, JsonSchema)]
pub(super) struct RpcAnswer {
    /// Always `2.0`.
    jsonrpc: &'static str,
    /// The request's.
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

/// Why there is no result.
#[derive(Serialize, JsonSchema)]
struct RpcError {
    code: i64,
    message: String,
}

/// `POST /mcp` -- the Model Context Protocol (Streamable HTTP): list the tools, call one.
///
/// A key's scope says which tools it may call: `read` what only looks, `chat` also what speaks in a chat, `admin` all.
pub async fn call(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    if let Some(revision) = req.header(MCP_PROTOCOL_VERSION)
        && revision != REVISION
        && !HANDSHAKE_REVISIONS.contains(&revision)
    {
        return Err(ApiError::bad_request(
            "This revision of the protocol is not spoken here",
        ));
    }
    let lists_prompt = req.query::<bool>("ask")?.unwrap_or(false);
    let asked: RpcRequest = req.json().await?;
    if asked.id.is_null() || asked.method.is_empty() {
        return Ok(Response::new(StatusCode::ACCEPTED));
    }
    let outcome = answer(&app, &caller, &asked, lists_prompt, req.closing()).await;
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    Ok(Response::ok(&RpcAnswer {
        jsonrpc: "2.0",
        id: asked.id,
        result,
        error,
    }))
}

async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    asked: &RpcRequest,
    lists_prompt: bool,
    closing: &CancellationToken,
) -> Result<Value, RpcError> {
    let refuse = |code, message: String| Err(RpcError { code, message });
    if asked.jsonrpc != "2.0" || !(asked.id.is_string() || asked.id.is_number()) {
        return refuse(
            INVALID_REQUEST,
            "this is no JSON-RPC 2.0 request".to_owned(),
        );
    }
    let about = || json!({ "name": "skep", "title": "Skep", "version": env!("CARGO_PKG_VERSION") });
    let capabilities = || json!({ "tools": {} });
    match asked.method.as_str() {
        "initialize" => {
            let wanted = asked.params["protocolVersion"].as_str();
            let known = HANDSHAKE_REVISIONS
                .into_iter()
                .find(|it| Some(*it) == wanted);
            Ok(json!({
                "protocolVersion": known.unwrap_or(HANDSHAKE_REVISIONS[0]),
                "capabilities": capabilities(),
                "serverInfo": about(),
                "instructions": instructions(caller),
            }))
        }
        "server/discover" => {
            let mut revisions = vec![REVISION];
            revisions.extend(HANDSHAKE_REVISIONS);
            Ok(complete(json!({
                "supportedVersions": revisions,
                "capabilities": capabilities(),
                "serverInfo": about(),
                "instructions": instructions(caller),
                "ttlMs": 0,
                "cacheScope": "private",
            })))
        }
        "ping" => Ok(json!({})),
        "tools/list" => {
            let mut tools = tools::listed(caller);
            if lists_prompt && caller.agent().is_some() {
                tools.push(prompt::listed());
            }
            Ok(complete(json!({
                "tools": tools,
                "ttlMs": 0,
                "cacheScope": "private",
            })))
        }
        "tools/call" => {
            let Some(name) = asked.params["name"].as_str() else {
                return refuse(INVALID_PARAMS, "\"name\" is missing".to_owned());
            };
            if let Some(agent) = caller.agent().filter(|_| name == PERMISSION_TOOL) {
                let arguments = asked.params["arguments"].clone();
                return Ok(complete(prompt::call(app, agent, arguments).await));
            }
            let Some(tool) = tools::find(caller, name) else {
                return refuse(INVALID_PARAMS, format!("there is no tool {name:?}"));
            };
            let arguments = asked.params["arguments"].clone();
            let called = match caller.agent() {
                Some(agent) => tools::call_of_agent(app, agent, tool, arguments).await,
                None => tools::call(app, closing, tool, arguments).await,
            };
            Ok(complete(called))
        }
        other => refuse(METHOD_NOT_FOUND, format!("there is no method {other:?}")),
    }
}

fn instructions(caller: &Caller) -> &'static str {
    match caller.agent() {
        None => {
            "Skep runs AI workers and their chats on this machine. Workers are meant by name or id."
        }
        Some(_) => {
            "You work in Skep, which runs AI workers and their chats on this machine. With these tools you speak in your chat before your reply, keep things in mind, plan tasks and see other workers. Workers are meant by name or id; without an id your own chat is meant."
        }
    }
}

/// What the revision without a handshake asks of every result; older clients pass it over.
fn complete(mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    result
}
