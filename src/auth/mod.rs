//! Who may ask: tokens, passwords, cookies, and the throttle before a password is looked at.
//!
//! - **Owns** the signing key, the form of tokens and hashes, and the limits on guessing.
//! - **Must never know** routes, tables or who the account is: it is given claims and hashes, and the time.
//! - **Start reading at** [`token`].

pub mod cookies;
pub mod last_use;
pub mod password;
pub mod secret;
pub mod throttle;
pub mod token;
