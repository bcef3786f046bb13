//! The account, sign-ins and API keys.

use redb::{ReadableTable, ReadableTableMetadata};

use super::tables::{API_KEYS, API_KEYS_BY_HASH, LOGIN_COOKIES, LOGINS};
use super::{StoreError, Tx, WriteTx, codec, meta};
use crate::model::{Account, ApiKey, ApiKeyId, Login, LoginCookie, LoginId};

/// The account; `None` before the first start is over.
pub fn get(tx: &impl Tx) -> Result<Option<Account>, StoreError> {
    meta::get(tx, meta::ACCOUNT)
}

/// Sets the account.
pub fn set(tx: &WriteTx, account: &Account) -> Result<(), StoreError> {
    meta::set(tx, meta::ACCOUNT, account)
}

/// A sign-in.
pub fn get_login(tx: &impl Tx, id: LoginId) -> Result<Option<Login>, StoreError> {
    tx.table(LOGINS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("logins", row.value()))
        .transpose()
}

/// Adds or changes a sign-in.
pub fn put_login(tx: &WriteTx, login: &Login) -> Result<(), StoreError> {
    tx.table(LOGINS)?
        .insert(login.id.as_u128(), codec::encode(login)?.as_slice())?;
    Ok(())
}

/// Forgets at most `rows_max` sign-ins that ended before `now`, oldest first.
pub fn delete_expired_logins(tx: &WriteTx, now: u64, rows_max: usize) -> Result<(), StoreError> {
    let mut table = tx.table(LOGINS)?;
    let mut expired = Vec::new();
    for row in table.iter()?.take(rows_max) {
        let (id, value) = row?;
        if codec::decode::<Login>("logins", value.value())?.expires_at < now {
            expired.push(id.value());
        }
    }
    let mut cookies = tx.table(LOGIN_COOKIES)?;
    for id in expired {
        table.remove(id)?;
        cookies.remove(id)?;
    }
    Ok(())
}

/// Which of the console's cookies of a sign-in is good; `None` while it is the first one.
pub fn get_cookie(tx: &impl Tx, id: LoginId) -> Result<Option<LoginCookie>, StoreError> {
    tx.table(LOGIN_COOKIES)?
        .get(id.as_u128())?
        .map(|row| codec::decode("login_cookies", row.value()))
        .transpose()
}

/// Sets which of the console's cookies of a sign-in is good.
pub fn put_cookie(tx: &WriteTx, id: LoginId, cookie: &LoginCookie) -> Result<(), StoreError> {
    tx.table(LOGIN_COOKIES)?
        .insert(id.as_u128(), codec::encode(cookie)?.as_slice())?;
    Ok(())
}

/// All API keys, newest first. There are at most `API_KEYS_MAX`.
pub fn list_api_keys(tx: &impl Tx) -> Result<Vec<ApiKey>, StoreError> {
    tx.table(API_KEYS)?
        .iter()?
        .rev()
        .map(|row| codec::decode("api_keys", row?.1.value()))
        .collect()
}

/// How many API keys there are.
pub fn count_api_keys(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(tx.table(API_KEYS)?.len()?)
}

/// An API key by its id.
pub fn get_api_key(tx: &impl Tx, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    tx.table(API_KEYS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("api_keys", row.value()))
        .transpose()
}

/// An API key by the hash of what the client sent.
pub fn find_api_key_by_hash(tx: &impl Tx, sha256: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    let id = tx
        .table(API_KEYS_BY_HASH)?
        .get(sha256)?
        .map(|row| row.value());
    id.map_or(Ok(None), |id| get_api_key(tx, ApiKeyId::from_u128(id)))
}

/// Adds or changes an API key.
pub fn put_api_key(tx: &WriteTx, key: &ApiKey) -> Result<(), StoreError> {
    tx.table(API_KEYS)?
        .insert(key.id.as_u128(), codec::encode(key)?.as_slice())?;
    tx.table(API_KEYS_BY_HASH)?
        .insert(&key.sha256, key.id.as_u128())?;
    Ok(())
}

/// Removes an API key.
pub fn delete_api_key(tx: &WriteTx, key: &ApiKey) -> Result<(), StoreError> {
    tx.table(API_KEYS)?.remove(key.id.as_u128())?;
    tx.table(API_KEYS_BY_HASH)?.remove(&key.sha256)?;
    Ok(())
}
