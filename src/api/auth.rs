//! Signing in, staying signed in, signing out; the account itself.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::caller::{refused, require};
use crate::app::{App, SIGN_IN_MS, random_secret};
use crate::auth::password::PasswordError;
use crate::auth::token::{Claims, TokenKind};
use crate::command::{ChangePassword, CreateLogin, RevokeLogin, RotateCookie, Rotation};
use crate::http::{ApiError, ErrorCode, Request, Response};
use crate::journal::SubmitError;
use crate::model::{Account, Login, LoginId, Millis};
use crate::store::accounts;

/// Where the refresh cookie is sent, and nowhere else.
const REFRESH_PATH: &str = "/api/auth";
/// Where the cookie for images and downloads is sent.
const MEDIA_PATH: &str = "/api";

/// Name and password.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

/// A sign-in.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tokens {
    #[schemars(example = &"eyJhbG...")]
    access_token: String,
    #[schemars(example = &"eyJhbG...")]
    refresh_token: String,
    /// How long the access token is good for, seconds.
    #[schemars(example = 3600)]
    expires_in: u64,
}

/// A new access token.
#[derive(Serialize, JsonSchema)]
pub(super) struct AccessToken {
    #[schemars(example = &"eyJhbG...")]
    access_token: String,
    /// How long it is good for, seconds.
    #[schemars(example = 3600)]
    expires_in: u64,
}

/// `POST /api/auth/login` -- name and password for tokens.
pub async fn log_in(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let Credentials { username, password } = req.json().await?;
    let account = account(&app)?;
    let hash = (username == account.username).then(|| account.password_hash.clone());
    check_password(&app, &req, username, password, hash).await?;
    sign_in(&app, &account).await
}

/// A sign-in link's code.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Code {
    /// What stands after `#code=` in the link.
    code: String,
}

/// `POST /api/auth/redeem` -- the code of the printed link for tokens, once.
pub async fn redeem(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    const WHO: &str = "sign-in link";
    let Code { code } = req.json().await?;
    let (peer, now) = (req.peer(), app.now());
    app.throttle
        .check(peer, WHO, now)
        .map_err(too_many_failures)?;
    if !app.sign_in.redeem(&code, now) {
        app.throttle.failed(peer, WHO, now);
        return Err(ApiError::new(
            ErrorCode::InvalidCredentials,
            "This sign-in link was used, is too old, or was replaced by a newer one; sign in with the password, or say `skep login-link` where Skep runs",
        ));
    }
    sign_in(&app, &account(&app)?).await
}

/// A refresh token; the console's comes in a cookie instead.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RefreshToken {
    refresh_token: Option<String>,
}

/// `POST /api/auth/refresh` -- a refresh token, from the body or the console's cookie, for a new access token.
pub async fn refresh(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let (token, kind) = refresh_token(&app, &mut req).await?;
    let (claims, login) = verify_refresh(&app, &token, kind)?;
    let account = account(&app)?;
    let left_s = claims.exp.saturating_sub(app.now() / 1000);
    let cookies = match kind {
        TokenKind::Cookie => {
            let next = rotate(&app, &claims, login).await?;
            let cookie = app.key.issue(&Claims {
                jti: next.to_string(),
                ..claims.clone()
            });
            let media = issue(&app, &account, TokenKind::Media, &claims.family, left_s);
            vec![
                app.cookies.set("refresh", &cookie, REFRESH_PATH, left_s),
                app.cookies.set("media", &media, MEDIA_PATH, left_s),
            ]
        }
        _ => Vec::new(),
    };
    let seconds = app.config.access_token_s;
    let access = issue(&app, &account, TokenKind::Access, &claims.family, seconds);
    let answer = Response::ok(&AccessToken {
        access_token: access,
        expires_in: seconds,
    });
    Ok(cookies.into_iter().fold(answer, Response::with_cookie))
}

/// Exchanges the console's cookie for another one. One that was exchanged before is in two hands: that ends the sign-in.
async fn rotate(app: &App, claims: &Claims, login: LoginId) -> Result<Uuid, ApiError> {
    let presented: Uuid = claims.jti.parse().map_err(|_| ApiError::invalid_token())?;
    let rotate = RotateCookie {
        id: login,
        presented: presented.as_u128(),
        next: Uuid::now_v7().as_u128(),
        at: app.now(),
    };
    match app.journal.submit(rotate).await {
        Ok(Rotation::Next(next)) => Ok(Uuid::from_u128(next)),
        Ok(Rotation::Reused) => {
            tracing::warn!(login.id = %login, "a cookie was used that had been exchanged before; its sign-in is over");
            app.revoked.send_replace(());
            Err(ApiError::invalid_token())
        }
        // Reading goes on where nothing can be written: the cookie stays the one it is.
        Err(SubmitError::StorageFull | SubmitError::ReadOnly(_)) => {
            let known = app.store.read(|tx| accounts::get_cookie(tx, login))?;
            match known {
                None => Ok(presented),
                Some(cookie)
                    if cookie.current == presented.as_u128()
                        || cookie.forgives(presented.as_u128(), app.now()) =>
                {
                    Ok(Uuid::from_u128(cookie.current))
                }
                Some(_) => Err(ApiError::invalid_token()),
            }
        }
        Err(SubmitError::Refused(_)) => Err(ApiError::invalid_token()),
        Err(error) => Err(error.into()),
    }
}

/// A link that signs in, once.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignInLink {
    #[schemars(example = &"http://127.0.0.1:8080/#code=0123456789abcdef")]
    url: String,
    /// When it ends, unless it was used before.
    expires_at: Millis,
}

/// `POST /api/auth/sign-in-link` -- a new sign-in link; the one before it is void.
pub async fn create_link(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let code = random_secret().map_err(|error| ApiError::internal(error.to_string()))?;
    let expires_at = app.now() + SIGN_IN_MS;
    app.sign_in.renew(&code, expires_at);
    let url = format!("{}/#code={code}", app.public_url);
    Ok(Response::ok(&SignInLink { url, expires_at }))
}

/// `POST /api/auth/logout` -- ends a sign-in for good.
pub async fn log_out(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let (token, kind) = refresh_token(&app, &mut req).await?;
    let (_, login) = verify_refresh(&app, &token, kind)?;
    app.journal.submit(RevokeLogin { id: login }).await?;
    app.revoked.send_replace(());
    Ok(Response::ok(&json!({ "status": "logged_out" }))
        .with_cookie(app.cookies.clear("refresh", REFRESH_PATH))
        .with_cookie(app.cookies.clear("media", MEDIA_PATH)))
}

/// The account, and what the console needs to know of the server.
#[derive(Serialize, JsonSchema)]
pub(super) struct Me {
    #[schemars(example = &"admin")]
    username: String,
    /// Whether it is still the password that was made at first start.
    password_generated: bool,
    created_at: Millis,
    /// Tells this hive from every other.
    instance_id: String,
    #[schemars(example = &"0.1.0")]
    version: &'static str,
    /// Whether this is a copy that waits for its confirmation.
    held: bool,
}

/// `GET /api/me` -- the account.
pub async fn get_me(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let account = account(&app)?;
    Ok(Response::ok(&Me {
        username: account.username,
        password_generated: account.password_generated,
        created_at: account.created_at,
        instance_id: app.issuer(),
        version: env!("CARGO_PKG_VERSION"),
        held: app.is_held(),
    }))
}

/// A new password.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewPassword {
    /// Not needed while the password is the generated one.
    old_password: Option<String>,
    new_password: String,
}

/// `POST /api/me/password` -- a new password. Every sign-in made before is over; the answer holds a new one. The command
/// line needs neither the old password nor a sign-in.
pub async fn change_password(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let body: NewPassword = req.json().await?;
    let account = account(&app)?;
    if !account.password_generated && !caller.is_control() {
        let old = body.old_password;
        let old = old.ok_or_else(|| ApiError::bad_request("old_password: is missing"))?;
        let hash = Some(account.password_hash.clone());
        check_password(&app, &req, account.username.clone(), old, hash).await?;
    }
    let hashed = app.passwords.hash(body.new_password).await;
    let password_hash = hashed.map_err(|error| match error {
        PasswordError::NotHashed => ApiError::internal(error),
        error => ApiError::validation([("new_password", error.to_string())]),
    })?;
    let change = ChangePassword {
        password_hash,
        replaces_hash: Some(account.password_hash),
    };
    let account = app.journal.submit(change).await?;
    app.revoked.send_replace(());
    if caller.is_control() {
        return Ok(Response::ok(&json!({ "status": "changed" })));
    }
    sign_in(&app, &account).await
}

fn account(app: &App) -> Result<Account, ApiError> {
    let account = app.store.read(accounts::get)?;
    account.ok_or_else(|| ApiError::internal("there is no account"))
}

async fn check_password(
    app: &App,
    req: &Request,
    username: String,
    password: String,
    hash: Option<String>,
) -> Result<(), ApiError> {
    let (passwords, throttle) = (&app.passwords, &app.throttle);
    match passwords
        .log_in(throttle, req.peer(), username, password, hash, app.clock)
        .await
    {
        Ok(true) => Ok(()),
        Ok(false) => Err(ApiError::invalid_credentials()),
        Err(seconds) => Err(too_many_failures(seconds)),
    }
}

/// A new sign-in: its tokens, in the body and as the console's cookies.
async fn sign_in(app: &App, account: &Account) -> Result<Response, ApiError> {
    let now = app.now();
    let refresh_s = app.config.refresh_token_s;
    let login = Login {
        id: app.ids.next(),
        epoch: account.epoch,
        revoked: false,
        created_at: now,
        expires_at: now + refresh_s * 1000,
    };
    let family = login.id.to_string();
    app.journal.submit(CreateLogin { login }).await?;
    let token = |kind, seconds| issue(app, account, kind, &family, seconds);
    let refresh = token(TokenKind::Refresh, refresh_s);
    let cookie = token(TokenKind::Cookie, refresh_s);
    let media = token(TokenKind::Media, refresh_s);
    let body = Tokens {
        access_token: token(TokenKind::Access, app.config.access_token_s),
        refresh_token: refresh.clone(),
        expires_in: app.config.access_token_s,
    };
    Ok(Response::ok(&body)
        .with_cookie(app.cookies.set("refresh", &cookie, REFRESH_PATH, refresh_s))
        .with_cookie(app.cookies.set("media", &media, MEDIA_PATH, refresh_s)))
}

fn issue(app: &App, account: &Account, kind: TokenKind, family: &str, seconds: u64) -> String {
    let now_s = app.now() / 1000;
    app.key.issue(&Claims {
        iss: app.issuer(),
        sub: account.username.clone(),
        kind,
        jti: Uuid::now_v7().to_string(),
        family: family.to_owned(),
        scopes: None,
        iat: now_s,
        exp: now_s + seconds,
    })
}

/// The refresh token of the body, else of the cookie; a cookie counts only when our own page sent it, which the
/// pipeline has checked wherever there is an `Origin`.
async fn refresh_token(app: &App, req: &mut Request) -> Result<(String, TokenKind), ApiError> {
    let body: Option<RefreshToken> = req.json_optional().await?;
    if let Some(token) = body.and_then(|body| body.refresh_token) {
        return Ok((token, TokenKind::Refresh));
    }
    let is_ours = req.is_own_origin();
    match req.cookie(&app.cookies.name("refresh")) {
        Some(cookie) if is_ours => Ok((cookie.to_owned(), TokenKind::Cookie)),
        _ => Err(ApiError::missing_token()),
    }
}

fn verify_refresh(app: &App, token: &str, kind: TokenKind) -> Result<(Claims, LoginId), ApiError> {
    let now_s = app.now() / 1000;
    let claims = app
        .key
        .verify(token, &app.issuer(), kind, now_s)
        .map_err(refused)?;
    let id: LoginId = claims
        .family
        .parse()
        .map_err(|_| ApiError::invalid_token())?;
    let epoch = account(app)?.epoch;
    match app.store.read(|tx| accounts::get_login(tx, id))? {
        Some(login) if !login.revoked && login.epoch == epoch => Ok((claims, id)),
        _ => Err(ApiError::invalid_token()),
    }
}

fn too_many_failures(seconds: u64) -> ApiError {
    ApiError::rate_limited(
        "Too many failed attempts; wait before the next one",
        seconds,
    )
    .details(json!({ "family": "login", "limit": 5, "windowSeconds": 60 }))
}
