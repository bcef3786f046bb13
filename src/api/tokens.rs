//! API keys for scripts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::caller::{API_KEY_PREFIX, require};
use super::page::ROWS_MAX;
use crate::app::{App, random_secret, sha256};
use crate::command::{CreateApiKey, DeleteApiKey};
use crate::http::{ApiError, Request, Response};
use crate::model::text::single_line;
use crate::model::{ApiKey, ApiKeyId, Invalid, Millis, Scope};
use crate::store::accounts;

/// The longest name of a key, characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(Serialize)]
struct TokenView {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    /// Shown once, when it is made.
    token: Option<String>,
    created_at: Millis,
    expires_at: Option<Millis>,
    last_used_at: Option<Millis>,
}

fn view(key: ApiKey, token: Option<String>) -> TokenView {
    TokenView {
        id: key.id.to_string(),
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

#[derive(Deserialize)]
struct NewToken {
    name: String,
    scopes: Vec<Scope>,
    expires_at: Option<Millis>,
}

/// `POST /api/tokens` -- a new key, shown once.
pub async fn create_token(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let mut body: NewToken = req.json().await?;
    let name = single_line("name", &body.name, NAME_CHARS_MAX)?;
    let now = app.now();
    if body.scopes.is_empty() {
        return Err(Invalid::new("scopes", "must name at least one of: read, chat, admin").into());
    }
    if body.expires_at.is_some_and(|at| at <= now) {
        return Err(Invalid::new("expires_at", "must be in the future").into());
    }
    body.scopes.dedup();
    let secret = random_secret().map_err(|error| ApiError::internal(error.to_string()))?;
    let token = format!("{API_KEY_PREFIX}{secret}");
    let key = ApiKey {
        id: app.ids.next(),
        name,
        scopes: body.scopes,
        sha256: sha256(&token),
        created_at: now,
        expires_at: body.expires_at,
        last_used_at: None,
    };
    app.journal
        .submit(CreateApiKey { key: key.clone() })
        .await?;
    let location = format!("/api/tokens/{}", key.id);
    Ok(Response::created(&location, &view(key, Some(token))))
}

/// `DELETE /api/tokens/{token_id}` -- the key is refused from now on.
pub async fn delete_token(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: ApiKeyId = req.path("token_id")?;
    app.journal.submit(DeleteApiKey { id }).await?;
    Ok(Response::deleted())
}
