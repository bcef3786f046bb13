//! How each layer's error becomes an answer; the only such place.

use super::submit::over_quota;
use super::tokens::NewApiKeyError;
use crate::command::Refusal;
use crate::data_dir::DataDirError;
use crate::http::idempotency::in_progress;
use crate::http::{ApiError, ErrorCode};
use crate::journal::SubmitError;
use crate::model::Invalid;
use crate::store::StoreError;

/// When a client should try again what the disk or a queue refused, seconds.
const RETRY_AFTER_S: u64 = 5;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Encode { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Io(_)
            | StoreError::Redb(_) => Self::internal(error),
            StoreError::Closed => shutting_down(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::StorageFull => Self::new(
                ErrorCode::StorageFull,
                "The disk is full; nothing was lost. Delete chats, or make room on the disk, and it goes on by itself",
            )
            .retry_after(RETRY_AFTER_S),
            SubmitError::ReadOnly(_) => Self::new(
                ErrorCode::ReadOnly,
                "The disk failed to keep a change, so no more are taken; check it and start again",
            )
            .retry_after(RETRY_AFTER_S)
            .cause(error),
            SubmitError::Overloaded => Self::new(
                ErrorCode::Overloaded,
                "Too much is waiting to be written; try again shortly",
            )
            .retry_after(1),
            SubmitError::Closed => shutting_down(),
            SubmitError::Internal(_) => Self::internal(error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let sentence = capitalised(&refusal.to_string());
        match refusal {
            Refusal::NotFound(noun) => Self::not_found(noun),
            Refusal::NamesNothing { field, noun } => {
                Self::validation([(field, format!("there is no such {noun}"))])
            }
            Refusal::NameTaken { .. } | Refusal::WrongState(_) => Self::conflict(sentence),
            Refusal::Full(_) => {
                Self::new(ErrorCode::Overloaded, sentence).retry_after(RETRY_AFTER_S)
            }
            // Its outcome is there for whoever asks again.
            Refusal::Repeated => in_progress(),
            Refusal::OverQuota { quota, current } => over_quota(&quota, current),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::validation([(invalid.field, invalid.message)])
    }
}

impl From<NewApiKeyError> for ApiError {
    fn from(error: NewApiKeyError) -> Self {
        match error {
            NewApiKeyError::Invalid(invalid) => invalid.into(),
            NewApiKeyError::NotRandom(_) => Self::internal(error),
        }
    }
}

impl From<DataDirError> for ApiError {
    fn from(error: DataDirError) -> Self {
        match error {
            DataDirError::InUse { .. }
            | DataDirError::NotADirectory(_)
            | DataDirError::Io { .. }
            | DataDirError::Instance { .. } => Self::internal(error),
        }
    }
}

/// 409: this is a copy that waits for its confirmation.
pub(super) fn held() -> ApiError {
    ApiError::new(
        ErrorCode::Held,
        "This is a copy of another hive and runs nothing until you let it; confirm it first",
    )
}

/// 503: this process ends.
pub(super) fn shutting_down() -> ApiError {
    ApiError::new(ErrorCode::ShuttingDown, "The server is shutting down").retry_after(RETRY_AFTER_S)
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next();
    first.map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The disk and the queue are brought there by the tests of the journal; here is what a client is told of it.
    #[test]
    fn what_the_journal_refuses_has_its_code() {
        for (error, code) in [
            (SubmitError::StorageFull, "storage_full"),
            (SubmitError::ReadOnly("EIO".to_owned()), "read_only"),
            (SubmitError::Overloaded, "overloaded"),
            (SubmitError::Closed, "shutting_down"),
            (Refusal::Full("later").into(), "overloaded"),
            (Refusal::Repeated.into(), "idempotency_in_progress"),
            (SubmitError::Internal("a fault".to_owned()), "internal"),
        ] {
            assert_eq!(ApiError::from(error).code().as_str(), code);
        }
    }
}
