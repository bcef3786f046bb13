//! Secrets that are random enough to need no password's slow hash.

use sha2::{Digest, Sha256};

/// A random secret in letters and digits, 256 bits.
pub fn random_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// SHA-256, for secrets that are random enough to need nothing slower.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
