//! JSON Web Tokens signed by this instance, and the key that signs them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// HS256 signs with 256 bits; a longer key gains nothing.
const KEY_BYTES: usize = 32;
/// No token of ours is longer; a longer one is not looked at.
const TOKEN_BYTES_MAX: usize = 4096;

/// What a token is good for. One kind never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Calls the API.
    Access,
    /// Gets new access tokens, and nothing else.
    Refresh,
    /// The console's refresh token, taken from its cookie alone and exchanged for another one each time.
    Cookie,
    /// Fetches images and downloads by cookie.
    Media,
}

/// What a token says. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The instance that issued it; no other accepts it.
    pub iss: String,
    /// Who it is about.
    pub sub: String,
    /// What it is good for.
    pub kind: TokenKind,
    /// Its own name, for revoking it.
    pub jti: String,
    /// All tokens that come from one login.
    pub family: String,
    /// What it allows; absent means everything its kind does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// When it was issued.
    pub iat: u64,
    /// From when on it is refused.
    pub exp: u64,
}

/// Why a token is refused. The first kind of fault is told from expiry, so that a client knows to refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, forged, of another algorithm, of another instance or of another kind.
    #[error("the token is not valid")]
    Invalid,
    /// Ours, and its time is over.
    #[error("the token has expired")]
    Expired,
}

/// The key that signs and verifies this instance's tokens.
pub struct Key {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    /// A key of these bytes.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Key {
        Key {
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }

    /// The key of this instance: `signing.key` in `directory`, made there the first time. A file others could read is
    /// made private again; a file of another size is refused, not replaced, because all tokens hang on it.
    pub fn load_or_create(directory: &Path) -> io::Result<Key> {
        let path = directory.join("signing.key");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return create(&path),
            Err(error) => return Err(error),
        };
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                mode = format!("{mode:o}"),
                "the signing key was readable by others and is private again"
            );
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        let bytes: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| {
            let text = format!("{} does not hold {KEY_BYTES} bytes", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(Key::from_bytes(bytes))
    }

    /// The signed token that says these claims.
    pub fn issue(&self, claims: &Claims) -> String {
        // Claims are plain fields and the key is of the algorithm's kind; nothing here depends on input.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims can be signed")
    }

    /// The claims of a token, if this instance signed it for this use and it is still good at `now_s`.
    pub fn verify(
        &self,
        token: &str,
        issuer: &str,
        kind: TokenKind,
        now_s: u64,
    ) -> Result<Claims, TokenError> {
        let claims = self.verify_any(token, issuer, now_s)?;
        match claims.kind == kind {
            true => Ok(claims),
            false => Err(TokenError::Invalid),
        }
    }

    /// Like [`Key::verify`], for a place that takes several kinds and looks at `kind` itself.
    pub fn verify_any(&self, token: &str, issuer: &str, now_s: u64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The time is judged here, by the clock we are given.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| {
                if let ErrorKind::Provider(cause) = error.kind() {
                    tracing::error!(cause, "tokens cannot be verified");
                }
                TokenError::Invalid
            })?
            .claims;
        match now_s < claims.exp {
            true => Ok(claims),
            false => Err(TokenError::Expired),
        }
    }
}

/// Makes the key file so that a crash leaves a whole one or none.
fn create(path: &Path) -> io::Result<Key> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let temporary: PathBuf = path.with_extension("key.tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()?;
    Ok(Key::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn claims() -> Claims {
        Claims {
            iss: "hive-1".to_owned(),
            sub: "admin".to_owned(),
            kind: TokenKind::Access,
            jti: "1".to_owned(),
            family: "2".to_owned(),
            scopes: None,
            iat: 1000,
            exp: 2000,
        }
    }

    fn key(byte: u8) -> Key {
        Key::from_bytes(&[byte; KEY_BYTES])
    }

    fn verify(token: &str, now_s: u64) -> Result<Claims, TokenError> {
        key(1).verify(token, "hive-1", TokenKind::Access, now_s)
    }

    #[test]
    fn a_token_says_what_was_put_in_until_the_second_it_expires() {
        let token = key(1).issue(&claims());
        assert_eq!(verify(&token, 1000), Ok(claims()));
        assert_eq!(verify(&token, 1999), Ok(claims()));
        assert_eq!(verify(&token, 2000), Err(TokenError::Expired));
    }

    #[test]
    fn only_our_own_tokens_of_the_right_kind_pass() {
        let ours = key(1).issue(&claims());
        let with = |change: fn(&mut Claims)| {
            let mut claims = claims();
            change(&mut claims);
            key(1).issue(&claims)
        };
        let (head, body) = ours.rsplit_once('.').unwrap().0.split_once('.').unwrap();
        let signature = ours.rsplit_once('.').unwrap().1;
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let none = encode(r#"{"typ":"JWT","alg":"none"}"#);
        let hs384 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS384),
            &claims(),
            &EncodingKey::from_secret(&[1; KEY_BYTES]),
        )
        .unwrap();
        let admin = encode(
            r#"{"iss":"hive-1","sub":"root","kind":"access","jti":"1","family":"2","iat":1,"exp":9999}"#,
        );
        for forged in [
            key(2).issue(&claims()),
            with(|claims| claims.iss = "hive-2".to_owned()),
            with(|claims| claims.kind = TokenKind::Refresh),
            with(|claims| claims.kind = TokenKind::Media),
            with(|claims| claims.kind = TokenKind::Cookie),
            hs384,
            format!("{none}.{body}."),
            format!("{none}.{body}.{signature}"),
            format!("{head}.{admin}.{signature}"),
            format!("{head}.{body}."),
            format!("{head}.{body}"),
            format!("{ours}x"),
            format!("{ours}.x"),
            String::new(),
            "...".to_owned(),
            "\u{0}\u{ffff}".to_owned(),
            "a".repeat(TOKEN_BYTES_MAX + 1),
        ] {
            assert_eq!(verify(&forged, 1500), Err(TokenError::Invalid), "{forged}");
        }
    }

    /// A forged token is called forged even when it is also old: a refresh would not help.
    #[test]
    fn only_a_genuine_token_is_called_expired() {
        assert_eq!(
            verify(&key(2).issue(&claims()), 9999),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn the_key_is_made_once_private_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let token = Key::load_or_create(&keys).unwrap().issue(&claims());
        let path = keys.join("signing.key");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let again = Key::load_or_create(&keys).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(
            again
                .verify(&token, "hive-1", TokenKind::Access, 1500)
                .is_ok()
        );
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1);
        fs::write(&path, b"short").unwrap();
        let error = Key::load_or_create(&keys).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
