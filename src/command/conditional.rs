//! A change under the conditions of the request that asked for it: at most once for each idempotency key, and within the
//! tier. Both are judged where the change is made, so that no race and no crash comes between.

use serde::ser::{Serialize, Serializer};
use serde::{Deserialize, Serialize as DeriveSerialize};

use super::{Apply, Change, Command, Outcome, Refusal, Rejection, Submit};
use crate::model::Millis;
use crate::store::idempotency::{self, Kept};
use crate::store::{StoreError, Tx, accounts, codec, sessions, tasks, workers};

/// A change that is made only if its conditions hold, and whose outcome is kept if it has a key.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, Deserialize)]
pub struct Conditional {
    conditions: Conditions,
    /// The change, encoded: what is nested that way cannot nest any deeper.
    change: Vec<u8>,
}

/// What has to hold.
#[derive(Debug, Clone, Default, PartialEq, DeriveSerialize, Deserialize)]
pub struct Conditions {
    /// It was not made before.
    pub once: Option<Once>,
    /// There is room for one more.
    pub quota: Option<Quota>,
}

/// The key under which a change is made once.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, Deserialize)]
pub struct Once {
    /// SHA-256 of the user, the route and the client's key.
    pub key: [u8; 32],
    /// SHA-256 of what was asked for.
    pub fingerprint: [u8; 32],
    /// When.
    pub at: Millis,
}

/// How many there may be of something.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, Deserialize)]
pub struct Quota {
    /// The name of the tier that says so.
    pub tier: String,
    /// Of what.
    pub resource: Resource,
    /// How many.
    pub limit: u64,
}

/// What a tier may limit. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeriveSerialize, Deserialize)]
pub enum Resource {
    /// Workers.
    Workers,
    /// Chats.
    Sessions,
    /// API keys.
    Tokens,
    /// Tasks.
    Tasks,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Workers, Self::Sessions, Self::Tokens, Self::Tasks];

    /// Its name, in settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
            Self::Tasks => "tasks",
        }
    }

    /// How many there are.
    pub fn count(self, tx: &impl Tx) -> Result<u64, StoreError> {
        match self {
            Self::Workers => workers::count(tx),
            Self::Sessions => sessions::count(tx),
            Self::Tokens => accounts::count_api_keys(tx),
            Self::Tasks => tasks::count(tx),
        }
    }
}

impl Conditional {
    /// `change` under these conditions.
    pub fn new(conditions: Conditions, change: &Command) -> Result<Self, StoreError> {
        let change = codec::encode(change)?;
        Ok(Self { conditions, change })
    }
}

/// The outcome of the change that was made.
#[derive(Debug)]
pub struct Done(pub Box<Outcome>);

impl Serialize for Done {
    /// Never kept itself: what is kept is the outcome in it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl Change for Conditional {
    type Outcome = Done;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Done, Rejection> {
        let change: Command = codec::decode("journal", &self.change)?;
        if matches!(change, Command::Conditional(_)) {
            let reason = "a condition within a condition".to_owned();
            let table = "journal";
            return Err(StoreError::Corrupt { table, reason }.into());
        }
        if let Some(once) = &self.conditions.once
            && idempotency::get(cx.tx, &once.key, once.at)?.is_some()
        {
            return Err(Refusal::Repeated.into());
        }
        if let Some(quota) = &self.conditions.quota {
            let current = quota.resource.count(cx.tx)?;
            if current >= quota.limit {
                return Err(Refusal::OverQuota {
                    quota: quota.clone(),
                    current,
                }
                .into());
            }
        }
        let outcome = change.apply(cx)?;
        if let Some(once) = &self.conditions.once {
            let kept = Kept {
                at: once.at,
                fingerprint: once.fingerprint,
                outcome: outcome.encode()?,
            };
            idempotency::put(cx.tx, &once.key, &kept)?;
        }
        Ok(Done(Box::new(outcome)))
    }
}

/// The outcome of this kind of change, as it was kept.
pub fn kept_outcome<C: Submit>(bytes: &[u8]) -> Result<C::Outcome, StoreError>
where
    C::Outcome: for<'de> Deserialize<'de>,
{
    codec::decode("idempotency", bytes)
}
