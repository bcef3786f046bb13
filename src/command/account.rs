//! Changes of the account, its sign-ins and its API keys.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Refusal, Rejection};
use crate::model::{Account, ApiKey, ApiKeyId, Login, LoginCookie, LoginId, Millis};
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

/// The console's cookie is exchanged for another one. One that was exchanged before is in two hands, and nobody knows in
/// whose: the whole sign-in is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RotateCookie {
    /// The sign-in.
    pub id: LoginId,
    /// The cookie that was sent.
    pub presented: u128,
    /// The one it is exchanged for.
    pub next: u128,
    /// When.
    pub at: Millis,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rotation {
    /// This cookie is good now.
    Next(u128),
    /// It was used before; the sign-in is over.
    Reused,
}

impl Change for RotateCookie {
    type Outcome = Rotation;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Rotation, Rejection> {
        let login = accounts::get_login(cx.tx, self.id)?
            .filter(|login| !login.revoked)
            .ok_or(Refusal::NotFound("sign-in"))?;
        match accounts::get_cookie(cx.tx, self.id)? {
            Some(cookie) if cookie.forgives(self.presented, self.at) => {
                return Ok(Rotation::Next(cookie.current));
            }
            Some(cookie) if cookie.current != self.presented => {
                let revoked = Login {
                    revoked: true,
                    ..login
                };
                accounts::put_login(cx.tx, &revoked)?;
                return Ok(Rotation::Reused);
            }
            _ => {}
        }
        let cookie = LoginCookie {
            current: self.next,
            previous: self.presented,
            rotated_at: self.at,
        };
        accounts::put_cookie(cx.tx, self.id, &cookie)?;
        Ok(Rotation::Next(self.next))
    }
}

/// A new API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateApiKey {
    /// The key, hashed.
    pub key: ApiKey,
}

impl Change for CreateApiKey {
    type Outcome = ApiKey;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<ApiKey, Rejection> {
        if accounts::list_api_keys(cx.tx)?.len() >= API_KEYS_MAX {
            return Err(Refusal::WrongState(
                "there are as many API keys as there may be; delete one first",
            )
            .into());
        }
        accounts::put_api_key(cx.tx, &self.key)?;
        Ok(self.key.clone())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Ids;
    use crate::store::Store;

    #[test]
    fn a_cookie_that_was_exchanged_ends_the_sign_in_once_its_grace_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("hive.redb"), 1 << 20).unwrap();
        let apply = |change: &RotateCookie| {
            let tx = store.begin_write(false).unwrap();
            let rotation = change.apply(&mut Apply::new(&tx));
            tx.commit().unwrap();
            rotation
        };
        let sign_in = || {
            let tx = store.begin_write(false).unwrap();
            let login = Login {
                id: Ids.next(),
                epoch: 0,
                revoked: false,
                created_at: 0,
                expires_at: 1_000_000,
            };
            accounts::put_login(&tx, &login).unwrap();
            tx.commit().unwrap();
            login.id
        };
        let is_over = |id| {
            let login = store.read(|tx| accounts::get_login(tx, id)).unwrap();
            login.unwrap().revoked
        };
        let last = LoginCookie::GRACE_MS;
        let id = sign_in();
        let rotate = |id, presented, next, at| {
            apply(&RotateCookie {
                id,
                presented,
                next,
                at,
            })
        };
        assert_eq!(rotate(id, 1, 2, 0).unwrap(), Rotation::Next(2));
        // Its answer was lost, or two tabs asked at once: the same one again, until the grace is over.
        assert_eq!(rotate(id, 1, 3, last).unwrap(), Rotation::Next(2));
        assert_eq!(rotate(id, 2, 4, last).unwrap(), Rotation::Next(4));
        assert!(!is_over(id));
        assert_eq!(rotate(id, 2, 5, 2 * last + 1).unwrap(), Rotation::Reused);
        assert!(is_over(id));
        assert!(rotate(id, 4, 6, 2 * last + 1).is_err());
        // One from long ago is never forgiven, and neither is one that was never given out.
        for stranger in [1, 99] {
            let id = sign_in();
            for n in 1..3 {
                assert_eq!(rotate(id, n, n + 1, 0).unwrap(), Rotation::Next(n + 1));
            }
            assert_eq!(rotate(id, stranger, 9, 0).unwrap(), Rotation::Reused);
            assert!(is_over(id));
        }
    }
}
