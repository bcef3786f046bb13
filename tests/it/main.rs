//! One test binary for everything that needs the real one.
#![allow(clippy::unwrap_used)]

mod attacks;
mod auth;
mod cli;
mod copies;
mod crash;
mod executions;
mod full_disk;
mod fuzz;
mod golden;
mod guard;
mod history;
mod hostile;
mod http;
mod http2;
mod ledger;
mod live_copies;
mod logs;
mod media;
mod memory;
mod messages;
mod panics;
mod process;
mod rate_limits;
mod readme;
mod real;
mod sessions;
mod startup;
mod streams;
mod supervisor;
mod support;
mod tidy;
mod tls;
mod transcripts;
mod workers;
