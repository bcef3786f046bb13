//! Skep.

pub mod engine;
pub mod execution_log;
pub mod model;
