//! The journal: every change Skep ever made, in order, on disk before anyone hears of it.
//!
//! Owns: the bytes of `journal/` and `snapshots/`, every sync they need, and the one writer through which changes go. Must
//! never know: nouns, HTTP. Below [`log`] and [`snapshot`] a payload is bytes with a version; `writer.rs` and
//! [`materialise`] alone know that it is a command and that there are tables. Start reading at [`Journal`], then
//! `queue.rs`, `writer.rs`, then [`log`].

mod active;
mod blocks;
pub mod error;

pub mod format;
mod handle;
pub mod log;
pub mod materialise;
mod queue;
pub mod reader;
pub mod rebuild;
mod repair;
pub mod retention;
mod rotation;

mod segment;
pub mod snapshot;

mod survey;
mod writer;

pub use error::JournalError;
pub use format::{Frame, Record};
pub use handle::{Health, Journal, SubmitError};
pub use log::{Appended, Log, Options, Position, Recovery, Reserve, TornTail};
pub use materialise::Opened;
pub use writer::{FREE_BYTES_MIN, Observer, SYNC_INLINE_MAX, WriterLimits};

#[cfg(test)]
mod purge_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer_tests;
