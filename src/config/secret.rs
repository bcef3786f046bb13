//! Settings that are secrets. A message about one never quotes it: see `quoting`.

use std::fmt;
use std::str::FromStr;

use super::value::Text;

/// A secret of at least 16 visible characters; it does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(word.to_owned())),
            false => Err("must be at least 16 characters without spaces".to_owned()),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Text for Secret {}
