//! Changes of the account, its sign-ins and its API keys.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Refusal, Rejection};
use crate::model::{Account, ApiKey, ApiKeyId, Login, LoginId, Millis};
use crate::store::accounts;

/// How many API keys there may be.
pub const API_KEYS_MAX: usize = 100;

/// How many ended sign-ins one new sign-in clears away.
const EXPIRED_LOGINS_CLEARED: usize = 16;

/// The account of the first start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// The account.
    pub account: Account,
}

impl Change for CreateAccount {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        if accounts::get(cx.tx)?.is_some() {
            return Err(Refusal::WrongState("there is an account already").into());
        }
        Ok(accounts::set(cx.tx, &self.account)?)
    }
}

/// A new password. Every sign-in made before is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangePassword {
    /// argon2id, PHC string format.
    pub password_hash: String,
    /// The hash it replaces; another one means that somebody else changed it meanwhile.
    pub replaces_hash: Option<String>,
}

impl Change for ChangePassword {
    type Outcome = Account;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Account, Rejection> {
        let account = accounts::get(cx.tx)?.ok_or(Refusal::NotFound("account"))?;
        if self
            .replaces_hash
            .as_ref()
            .is_some_and(|hash| *hash != account.password_hash)
        {
            return Err(Refusal::WrongState("the password was changed meanwhile").into());
        }
        let account = Account {
            password_hash: self.password_hash.clone(),
            password_generated: false,
            epoch: account.epoch + 1,
            ..account
        };
        accounts::set(cx.tx, &account)?;
        Ok(account)
    }
}

/// A sign-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateLogin {
    /// The sign-in; its epoch must be the account's.
    pub login: Login,
}

impl Change for CreateLogin {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let account = accounts::get(cx.tx)?.ok_or(Refusal::NotFound("account"))?;
        if account.epoch != self.login.epoch {
            return Err(Refusal::WrongState("the password was changed meanwhile").into());
        }
        accounts::delete_expired_logins(cx.tx, self.login.created_at, EXPIRED_LOGINS_CLEARED)?;
        Ok(accounts::put_login(cx.tx, &self.login)?)
    }
}

/// The end of a sign-in, for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevokeLogin {
    /// The sign-in.
    pub id: LoginId,
}

impl Change for RevokeLogin {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let login = accounts::get_login(cx.tx, self.id)?.ok_or(Refusal::NotFound("sign-in"))?;
        Ok(accounts::put_login(
            cx.tx,
            &Login {
                revoked: true,
                ..login
            },
        )?)
    }
}

/// A new API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateApiKey {
    /// The key, hashed.
    pub key: ApiKey,
}

impl Change for CreateApiKey {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        if accounts::list_api_keys(cx.tx)?.len() >= API_KEYS_MAX {
            return Err(Refusal::WrongState(
                "there are as many API keys as there may be; delete one first",
            )
            .into());
        }
        Ok(accounts::put_api_key(cx.tx, &self.key)?)
    }
}

/// The end of an API key, at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteApiKey {
    /// The key.
    pub id: ApiKeyId,
}

impl Change for DeleteApiKey {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let key = accounts::get_api_key(cx.tx, self.id)?.ok_or(Refusal::NotFound("API key"))?;
        Ok(accounts::delete_api_key(cx.tx, &key)?)
    }
}

/// An API key was used; told at most once a minute for each key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TouchApiKey {
    /// The key.
    pub id: ApiKeyId,
    /// When.
    pub at: Millis,
}

impl Change for TouchApiKey {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let key = accounts::get_api_key(cx.tx, self.id)?.ok_or(Refusal::NotFound("API key"))?;
        Ok(accounts::put_api_key(
            cx.tx,
            &ApiKey {
                last_used_at: Some(self.at),
                ..key
            },
        )?)
    }
}
