//! Who is calling: a value that only a verified token yields.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderName;
use subtle::ConstantTimeEq;
use tokio::time::sleep;

use super::submit::kept;
use crate::app::{App, sha256};
use crate::auth::token::{TokenError, TokenKind};
use crate::command::TouchApiKey;
use crate::http::idempotency::Kept;
use crate::http::{ApiError, Authenticate, ErrorCode, Request};
use crate::model::{ApiKey, ApiKeyId, ExecutionId, LoginId, Millis, Scope};
use crate::store::{StoreError, accounts};
use crate::supervisor::{AGENT_TOKEN_PREFIX, Agent};

/// What every API key begins with, so that people and scanners know one when they see it.
pub const API_KEY_PREFIX: &str = "skep_";

/// Who made the browser ask (Fetch Metadata, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Caller {
    scopes: Vec<Scope>,
    /// When its token ends; `None` for keys without an end.
    pub expires_at: Option<Millis>,
    credential: Credential,
    agent: Option<Arc<Agent>>,
}

/// What a caller was known by; it may end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credential {
    /// The key of the command line.
    Control,
    /// A sign-in.
    Login(LoginId),
    /// An API key.
    Key(ApiKeyId),
    /// The token of a running execution.
    Run(ExecutionId),
}

/// Whose limits they count against: the account's, whether by sign-in or by API key. Whoever is not the user (a running
/// execution, the command line beside the server) has a number of its own, so that it cannot lock the user out.
const ACCOUNT: u128 = 0;
const CONTROL: u128 = 1;

impl Caller {
    /// Whether it holds the control key: it can read the data directory, and so owns everything in it.
    pub fn is_control(&self) -> bool {
        self.credential == Credential::Control
    }

    /// Whose execution it is called in, if the caller is the one who answers in it.
    pub(super) fn agent(&self) -> Option<&Arc<Agent>> {
        self.agent.as_ref()
    }

    /// Ends when this caller may not be answered any longer: its token's time is over, or it was revoked.
    pub async fn over(self, app: Arc<App>) {
        let mut revoked = app.revoked.subscribe();
        let expired = async {
            match self.expires_at {
                Some(at) => sleep(Duration::from_millis(at.saturating_sub(app.now()))).await,
                None => std::future::pending().await,
            }
        };
        let ended = async {
            // Looked at once before, because it may have ended while nobody was listening yet.
            while app.is_good(self.credential).unwrap_or(true) {
                if revoked.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            () = expired => {}
            () = ended => {}
        }
    }

    /// Whether one of its scopes includes this one.
    pub(super) fn may(&self, needed: &str) -> bool {
        self.scopes.iter().any(|scope| match scope {
            Scope::Admin => true,
            Scope::Chat => needed == "chat" || needed == "read",
            Scope::Read => needed == "read",
        })
    }
}

/// The caller of a route that is not public.
pub fn require(req: &Request) -> Result<Caller, ApiError> {
    req.extension::<Caller>()
        .cloned()
        .ok_or_else(ApiError::missing_token)
}

impl Authenticate for App {
    type Caller = Caller;

    fn authenticate(&self, req: &Request, token: Option<&str>) -> Result<Caller, ApiError> {
        let caller = match token {
            Some(token) if token.starts_with(API_KEY_PREFIX) => self.caller_of_key(token)?,
            Some(token) if token.starts_with(AGENT_TOKEN_PREFIX) => {
                return self.caller_of_run(req, token);
            }
            Some(token) if bool::from(sha256(token).ct_eq(&self.control_sha256)) => Caller {
                scopes: vec![Scope::Admin],
                expires_at: None,
                credential: Credential::Control,
                agent: None,
            },
            Some(token) => self.caller_of_token(token, TokenKind::Access)?,
            None => self.caller_of_cookie(req)?,
        };
        let needed = req.policy().scope;
        if caller.may(needed) {
            return Ok(caller);
        }
        Err(
            ApiError::forbidden(format!(
                "This key lacks the scope \"{needed}\"; `skep token --scope {needed}` makes one that has it"
            ))
            .details(serde_json::json!({ "scope": needed })),
        )
    }

    fn user(&self, caller: &Caller) -> u128 {
        match caller.credential {
            Credential::Control => CONTROL,
            Credential::Login(_) | Credential::Key(_) => ACCOUNT,
            Credential::Run(id) => id.as_u128(),
        }
    }

    fn check_feature(&self, feature: &'static str) -> Result<(), ApiError> {
        let tier = &self.config.tier;
        if tier.includes(feature) {
            return Ok(());
        }
        let message = format!("Your tier does not include {feature}");
        Err(ApiError::new(ErrorCode::LicenseFeatureRequired, message)
            .details(serde_json::json!({ "feature": feature, "tier": tier.name })))
    }

    fn kept(&self, key: &[u8; 32]) -> Result<Option<Kept>, ApiError> {
        kept(self, key)
    }
}

impl App {
    fn caller_of_token(&self, token: &str, kind: TokenKind) -> Result<Caller, ApiError> {
        let now_s = self.now() / 1000;
        let claims = self
            .key
            .verify(token, &self.issuer(), kind, now_s)
            .map_err(refused)?;
        let login: LoginId = claims
            .family
            .parse()
            .map_err(|_| ApiError::invalid_token())?;
        let credential = Credential::Login(login);
        if !self.is_good(credential)? {
            return Err(ApiError::invalid_token());
        }
        Ok(Caller {
            scopes: vec![Scope::Admin],
            expires_at: Some(claims.exp * 1000),
            credential,
            agent: None,
        })
    }

    /// Whether it was not revoked.
    fn is_good(&self, credential: Credential) -> Result<bool, StoreError> {
        self.store.read(|tx| match credential {
            Credential::Control => Ok(true),
            Credential::Run(id) => Ok(self.supervisor.log_length(id).is_some()),
            Credential::Login(id) => {
                let account = accounts::get(tx)?;
                let login = accounts::get_login(tx, id)?;
                Ok(matches!((account, login), (Some(account), Some(login))
                    if !login.revoked && login.epoch == account.epoch))
            }
            Credential::Key(id) => Ok(accounts::get_api_key(tx, id)?.is_some()),
        })
    }

    /// Images and downloads are fetched by the browser itself, which cannot add a header: a cookie does, for GET alone
    /// and only when our own page or the user asks.
    fn caller_of_cookie(&self, req: &Request) -> Result<Caller, ApiError> {
        let is_read = matches!(*req.method(), Method::GET | Method::HEAD);
        let is_ours = matches!(req.header(SEC_FETCH_SITE), Some("same-origin" | "none"));
        match req.cookie(&self.cookies.name("media")) {
            Some(token) if req.policy().cookie && is_read && is_ours => {
                let caller = self.caller_of_token(token, TokenKind::Media)?;
                Ok(Caller {
                    scopes: vec![Scope::Read],
                    ..caller
                })
            }
            _ => Err(ApiError::missing_token()),
        }
    }

    /// An agent has its tools, and nothing else of the API.
    fn caller_of_run(&self, req: &Request, token: &str) -> Result<Caller, ApiError> {
        let agent = self.supervisor.agent(token);
        let agent = agent.filter(|_| req.policy().agents);
        let agent = agent.ok_or_else(ApiError::invalid_token)?;
        Ok(Caller {
            scopes: Vec::new(),
            expires_at: None,
            credential: Credential::Run(agent.execution_id),
            agent: Some(agent),
        })
    }

    fn caller_of_key(&self, token: &str) -> Result<Caller, ApiError> {
        let now = self.now();
        let hash = sha256(token);
        let found: Option<ApiKey> = self
            .store
            .read(|tx| accounts::find_api_key_by_hash(tx, &hash))?;
        let key = found.ok_or_else(ApiError::invalid_token)?;
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(ApiError::expired_token());
        }
        if self.last_use.is_due(key.id, key.last_used_at, now) {
            let journal = self.journal.clone();
            // Nobody waits for this, and a use that is not noted is no loss.
            tokio::spawn(async move {
                let _ = journal
                    .submit(TouchApiKey {
                        id: key.id,
                        at: now,
                    })
                    .await;
            });
        }
        Ok(Caller {
            scopes: key.scopes,
            expires_at: key.expires_at,
            credential: Credential::Key(key.id),
            agent: None,
        })
    }
}

/// Why a token is refused, as an answer.
pub fn refused(error: TokenError) -> ApiError {
    match error {
        TokenError::Invalid => ApiError::invalid_token(),
        TokenError::Expired => ApiError::expired_token(),
    }
}
