//! One test binary for everything that needs the real one.
#![allow(clippy::unwrap_used)]

mod auth;
mod cli;
mod executions;
mod guard;
mod logs;
mod media;
mod messages;
mod process;
mod readme;
mod real;
mod sessions;
mod streams;
mod supervisor;
mod support;
mod transcripts;
mod workers;
