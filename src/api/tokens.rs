//! API keys: what a script signs in with.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{API_KEY_PREFIX, require};
use super::page::ROWS_MAX;
use super::submit::submit;
use crate::app::{App, random_secret, sha256};
use crate::command::{CreateApiKey, DeleteApiKey};
use crate::http::{ApiError, Request, Response};
use crate::model::text::single_line;
use crate::model::{ApiKey, ApiKeyId, Ids, Invalid, Millis, Scope};
use crate::store::accounts;

/// The longest name of a key, characters.
const NAME_CHARS_MAX: usize = 100;

/// An API key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(super) struct TokenView {
    id: ApiKeyId,
    #[schemars(example = &"backup script")]
    name: String,
    scopes: Vec<Scope>,
    /// Shown once, when it is made.
    token: Option<String>,
    created_at: Millis,
    expires_at: Option<Millis>,
    /// When it was last used, to the minute.
    last_used_at: Option<Millis>,
}

fn view(key: ApiKey, token: Option<String>) -> TokenView {
    TokenView {
        id: key.id,
        name: key.name,
        scopes: key.scopes,
        token,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
    }
}

/// `GET /api/tokens` -- newest first, without the keys themselves.
pub async fn list_tokens(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let keys = app.store.read(accounts::list_api_keys)?;
    let views: Vec<TokenView> = keys
        .into_iter()
        .take(ROWS_MAX)
        .map(|key| view(key, None))
        .collect();
    Ok(Response::ok(&views))
}

/// Why an API key was not made.
#[derive(Debug, thiserror::Error)]
pub enum NewApiKeyError {
    /// What was asked for cannot be.
    #[error("{}: {}", .0.field, .0.message)]
    Invalid(Invalid),
    /// The system gives out no randomness.
    #[error("the key could not be made: {0}")]
    NotRandom(#[from] getrandom::Error),
}

impl From<Invalid> for NewApiKeyError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// A new key as it is stored, and as the client is shown it once.
pub fn new_api_key(
    name: &str,
    mut scopes: Vec<Scope>,
    expires_at: Option<Millis>,
    ids: &Ids,
    now: Millis,
) -> Result<(ApiKey, String), NewApiKeyError> {
    let name = single_line("name", name, NAME_CHARS_MAX)?;
    if scopes.is_empty() {
        return Err(Invalid::new("scopes", "must name at least one of: read, chat, admin").into());
    }
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Invalid::new("expires_at", "must be in the future").into());
    }
    scopes.dedup();
    let token = format!("{API_KEY_PREFIX}{}", random_secret()?);
    let key = ApiKey {
        id: ids.next(),
        name,
        scopes,
        sha256: sha256(&token),
        created_at: now,
        expires_at,
        last_used_at: None,
    };
    Ok((key, token))
}

/// A new API key.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewToken {
    name: String,
    /// At least one.
    scopes: Vec<Scope>,
    /// When it ends; without, it does not.
    expires_at: Option<Millis>,
}

/// `POST /api/tokens` -- a new key, shown once.
pub async fn create_token(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: NewToken = req.json().await?;
    let now = app.now();
    let (key, token) = new_api_key(&body.name, body.scopes, body.expires_at, &app.ids, now)?;
    let key = submit(&app, &req, CreateApiKey { key }).await?;
    Ok(shown(key, Some(token)))
}

/// The key itself is shown once; whoever asks again learns that it was made.
pub(super) fn created(_app: &App, key: ApiKey) -> Result<Response, ApiError> {
    Ok(shown(key, None))
}

fn shown(key: ApiKey, token: Option<String>) -> Response {
    Response::created(&format!("/api/tokens/{}", key.id), &view(key, token))
}

/// `DELETE /api/tokens/{token_id}` -- the key is refused from now on.
pub async fn delete_token(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: ApiKeyId = req.path("token_id")?;
    app.journal.submit(DeleteApiKey { id }).await?;
    app.revoked.send_replace(());
    Ok(Response::deleted())
}
