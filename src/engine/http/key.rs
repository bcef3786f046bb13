//! Keys of model servers: found by name, sent, and never shown.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use hyper::header::HeaderValue;
use memchr::memmem;

use super::super::EngineError;

/// The longest key.
const KEY_BYTES_MAX: u64 = 4 * 1024;
/// A shorter one is a placeholder for a server that wants none; blotting it out would spoil the text around it.
const SECRET_BYTES_MIN: usize = 8;
/// What stands where a key was.
const BLOT: &[u8] = b"[key]";

/// A key. It has no `Debug` and no `Display`.
#[derive(Clone)]
pub(in crate::engine) struct Key(String);

impl Key {
    /// The key of that name: the file in `keys`, else the variable. `Err` is a sentence on what to do.
    pub(in crate::engine) fn find(name: &str, keys: &Path) -> Result<Self, EngineError> {
        let missing = |why: String| EngineError::new("not_signed_in", why);
        let path = keys.join(name);
        let text = match File::open(&path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(KEY_BYTES_MAX + 1)
                    .read_to_string(&mut text)
                    .map_err(|error| missing(format!("{} cannot be read: {error}", path.display())))?;
                text
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::env::var(name).map_err(|_| {
                    missing(format!(
                        "there is no key {name}: put it into the file {} (mode 0600), or into the variable {name} of Skep's environment",
                        path.display()
                    ))
                })?
            }
            Err(error) => return Err(missing(format!("{} cannot be read: {error}", path.display()))),
        };
        let key = text.trim();
        let is_fit = (1..=KEY_BYTES_MAX as usize).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_fit {
            return Err(missing(format!(
                "the key {name} must be 1 to {KEY_BYTES_MAX} visible characters on one line"
            )));
        }
        Ok(Self(key.to_owned()))
    }

    /// The key itself, for the environment of a program.
    pub(in crate::engine) fn into_text(self) -> String {
        self.0
    }

    /// As the value of a header, behind `scheme`. It does not show itself either.
    pub(super) fn header(&self, scheme: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{scheme}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Takes a key out of what a server says, wherever it is cut: some repeat the key that they refuse.
pub(super) struct Redactor {
    key: Vec<u8>,
    /// What may be the beginning of the key.
    held: Vec<u8>,
}

impl Redactor {
    pub(super) fn new(key: Option<&Key>) -> Self {
        let key = key.map(|key| key.0.clone().into_bytes());
        Self {
            key: key
                .filter(|key| key.len() >= SECRET_BYTES_MIN)
                .unwrap_or_default(),
            held: Vec::new(),
        }
    }

    /// What may be shown by now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.key.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(self.held.len());
        let mut rest = self.held.as_slice();
        while let Some(at) = memmem::find(rest, &self.key) {
            shown.extend_from_slice(&rest[..at]);
            shown.extend_from_slice(BLOT);
            rest = &rest[at + self.key.len()..];
        }
        let longest = rest.len().min(self.key.len() - 1);
        let begun = (1..=longest)
            .rev()
            .find(|&count| rest.ends_with(&self.key[..count]))
            .unwrap_or(0);
        let (certain, begun) = rest.split_at(rest.len() - begun);
        shown.extend_from_slice(certain);
        self.held = begun.to_vec();
        shown
    }

    /// What was held back and is no key after all.
    pub(super) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_taken_out_wherever_it_is_cut() {
        let key = Key("sk-secret-sk-s".to_owned());
        let said = b"bad key: sk-secret-sk-s, sk-secret-sk-secret-sk-s! sk-secret";
        let shown = "bad key: [key], [key]ecret-sk-s! sk-secret";
        for size in 1..=said.len() {
            let mut redactor = Redactor::new(Some(&key));
            let mut all = Vec::new();
            for chunk in said.chunks(size) {
                all.extend(redactor.push(chunk));
            }
            all.extend(redactor.end());
            assert_eq!(String::from_utf8(all).unwrap(), shown, "{size} at a time");
        }
        let mut redactor = Redactor::new(Some(&Key("x".to_owned())));
        assert_eq!(redactor.push(b"xyz"), b"xyz");
    }

    #[test]
    fn a_key_is_a_file_or_a_variable() {
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("provider"), "sk-1\n").unwrap();
        let key = Key::find("provider", keys.path()).unwrap();
        let header = key.header("Bearer ").unwrap();
        assert_eq!(header, "Bearer sk-1");
        assert!(!format!("{header:?}").contains("sk-1"));
        let error = Key::find("NO_SUCH_KEY", keys.path()).err().unwrap();
        assert!(error.code == "not_signed_in" && error.message.contains("mode 0600"));
        for bad in ["", "a b", "a\nb", "é"] {
            std::fs::write(keys.path().join("bad"), bad).unwrap();
            assert!(Key::find("bad", keys.path()).is_err(), "{bad:?}");
        }
    }
}
