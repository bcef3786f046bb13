//! Execution logs: one append-only file per execution.
//!
//! Owns the bytes an engine printed, in order, and the index of their lines. Must never know what a line means.
//! Start reading at [`LogWriter`].

/// The open log of a running execution.
pub struct LogWriter;
