//! Settings that are paths: of files here, and of addresses.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::value::Text;
use crate::engine::settings::check_grant;

/// The path of a file, absolute, or from where Skep was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.is_empty() || word.chars().any(char::is_control) {
            true => Err("must be the path of a file".to_owned()),
            false => Ok(Self(PathBuf::from(word))),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Text for FilePath {}

/// A path that confined programs are granted: absolute, or `~/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedPath(PathBuf);

impl GrantedPath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for GrantedPath {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        check_grant(Path::new(word)).map(|()| Self(PathBuf::from(word)))
    }
}

impl fmt::Display for GrantedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Text for GrantedPath {}

/// A path below which everything is: `/skep`, without a slash at its end; empty when everything is at the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// The path, to be put before another one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BasePath {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let path = word.strip_suffix('/').unwrap_or(word);
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
        let is_path = path.is_empty()
            || segments.is_some_and(|mut segments| segments.all(is_segment) && path.len() <= 256);
        let taken = ["/api", "/v1", "/mcp", "/js", "/css"].iter().find(|taken| {
            path.strip_prefix(**taken)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match taken {
            Some(taken) => Err(format!(
                "{taken} is a path of Skep's own; use another one, e.g. \"/skep\""
            )),
            None if is_path => Ok(Self(path.to_owned())),
            None => Err(format!(
                "{word:?} is not a path, e.g. \"/skep\" (letters, digits, - . _ ~)"
            )),
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for BasePath {}
