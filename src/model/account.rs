//! The account, its sign-ins and its API keys. Secrets are here only as hashes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiKeyId, LoginId, Millis};

/// The one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name, `admin`.
    pub username: String,
    /// argon2id, PHC string format.
    pub password_hash: String,
    /// Whether the password is still the one made at first start.
    pub password_generated: bool,
    /// Raised by every change of password; sign-ins of an older epoch are refused.
    pub epoch: u32,
    /// When it was created.
    pub created_at: Millis,
}

/// A sign-in. Its refresh tokens carry its id, and revoking it ends them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Its id.
    pub id: LoginId,
    /// The account's epoch when it was made.
    pub epoch: u32,
    /// For good.
    pub revoked: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When the last of its refresh tokens ends.
    pub expires_at: Millis,
}

/// Which of the console's cookies of a sign-in is good: each is exchanged for another one when it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginCookie {
    /// The name (`jti`) of the one that was given out last.
    pub current: u128,
    /// The one it was given out for.
    pub previous: u128,
    /// When.
    pub rotated_at: Millis,
}

impl LoginCookie {
    /// How long the one before is still taken: its answer may have been lost on the way, and tabs may ask at once.
    pub const GRACE_MS: Millis = 30_000;

    /// Whether the one before is still taken.
    pub fn forgives(&self, presented: u128, now: Millis) -> bool {
        presented == self.previous && now <= self.rotated_at.saturating_add(Self::GRACE_MS)
    }
}

/// An API key. The key itself is shown once and kept as its SHA-256 (it is random, so a slow hash adds nothing).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What the user calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Millis>,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every GET but the backup.
    Read,
    /// Reading, messages, media, cancel.
    Chat,
    /// Everything.
    Admin,
}
