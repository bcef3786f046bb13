//! The journal: every change Skep ever made, in order, on disk before anyone hears of it.
//!
//! Owns: the bytes of `journal/` and `snapshots/`, and every sync they need. Must never know: commands, tables,
//! nouns, HTTP; a payload is bytes with a version. Start reading at [`log`], then `segment.rs`, which judges what a crash left.

mod active;
mod blocks;
pub mod disk;
pub mod error;
pub mod faulty_disk;

pub mod format;
pub mod log;
pub mod reader;
mod repair;
pub mod retention;

mod segment;
pub mod snapshot;

mod survey;

pub use disk::Disk;
pub use error::JournalError;
pub use format::{Frame, Record};
pub use log::{Appended, Log, Options, Position, Recovery, Reserve, TornTail};

#[cfg(test)]
mod tests;
