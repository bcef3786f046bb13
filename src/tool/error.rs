//! Why a tool did not do as asked.

use crate::command::Refusal;
use crate::journal::SubmitError;
use crate::store::StoreError;

/// Why a tool did not do as asked; each holds a sentence for people and models. Callers branch on the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The arguments are not what the tool takes.
    #[error("{0}")]
    InvalidArguments(String),
    /// What it is about is not there.
    #[error("{0}")]
    NotFound(String),
    /// It is there already, and the call did not say that it may be replaced.
    #[error("{0}")]
    Exists(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(String),
    /// By the rules, not now.
    #[error("{0}")]
    Refused(String),
    /// Later it may work: the disk is full, too much is waiting, the server stops.
    #[error("{0}")]
    Unavailable(String),
    /// It should have worked.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for ToolError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SubmitError> for ToolError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Refused(Refusal::NotFound(_) | Refusal::NamesNothing { .. }) => {
                Self::NotFound(message)
            }
            SubmitError::Refused(Refusal::NameTaken { .. }) => Self::Exists(message),
            SubmitError::Refused(
                Refusal::WrongState(_)
                | Refusal::Full(_)
                | Refusal::Repeated
                | Refusal::OverQuota { .. },
            ) => Self::Refused(message),
            SubmitError::StorageFull
            | SubmitError::ReadOnly(_)
            | SubmitError::Overloaded
            | SubmitError::Closed => Self::Unavailable(message),
            SubmitError::Internal(_) => Self::Failed(message),
        }
    }
}
