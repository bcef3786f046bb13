//! Why the settings were refused.

use std::fmt;
use std::path::PathBuf;

/// A value that was refused: where it stands and what is wrong with it. Messages may quote the value: no setting is a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where it stands.
    pub place: Place,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigError {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
        }
    }
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nobody set it: the default does not fit the rest.
    Default(&'static str),
    /// In the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The key with its tables; `None` for what is no key.
        key: Option<String>,
        /// The line, from 1; `None` for the file as a whole.
        line: Option<usize>,
    },
    /// In this variable.
    Environment(String),
    /// Given with this flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(key) => write!(f, "{key}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::File { path, key, line } => {
                write!(f, "{}", path.display())?;
                if let Some(line) = line {
                    write!(f, " line {line}")?;
                }
                if let Some(key) = key {
                    write!(f, ": {key}")?;
                }
                Ok(())
            }
        }
    }
}
