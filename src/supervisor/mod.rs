//! The supervisor: owns every running execution.
//!
//! Owns who answers a message, the queue, start, stop and settlement of executions. Must never know HTTP. Start reading
//! at [`routing::route`].

mod matching;
pub mod routing;
