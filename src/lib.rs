//! Skep: a beehive in one piece for AI workers. One binary serves a REST API, live streams and a web console, and lets
//! workers answer in chats by running engines on this machine.
//!
//! # The map
//!
//! ```text
//! HTTP handler / supervisor
//!    └─ Command ─> journal's writer ──> apply      one redb transaction, deterministic
//!                     │  batch          └─ Outcome | Refusal
//!                     ├─> journal: append, one fdatasync
//!                     ├─> redb commit
//!                     ├─> answer the callers
//!                     └─> wake the streams
//! ```
//!
//! - [`model`] names the nouns; no I/O. [`command`] holds every change and what it does to the tables.
//! - [`journal`] is the truth: what is in it survives. [`store`] is its materialisation in redb, and can be deleted.
//!   [`disk`] is the one way to their files, which tests replace by one that fails and forgets.
//! - [`feed`] shows stored events and running replies to streams, without a buffer for any reader.
//! - [`supervisor`] alone runs executions: [`engine`]s, each process under a [`guard`], printing into an
//!   [`execution_log`].
//! - [`http`] is the protocol and knows no nouns; [`api`] holds the endpoints, all on one page; [`openapi`] describes
//!   them to clients; [`auth`] tokens and passwords; [`render`] makes replies safe to show.
//! - [`attachment`] says what files of a chat may be called, and gives them their place.
//! - [`outbound`] is the one way to ask a server elsewhere: a model's, or a page that a tool fetches.
//! - [`metrics`] counts for whoever watches; it is below everything. [`usage`] says what uses the disk.
//! - [`search`] finds chats, messages and executions by a disposable index of its own, which follows the feed.
//! - [`retention`] removes what is old or too much, where the settings say so.
//! - [`backup`] makes one archive of the files of a hive, and a hive of an archive.
//! - [`config`] reads the settings once, [`data_dir`] knows where everything is, [`cli`] is the command line.
//!
//! Dependencies point one way: cli → run → api → supervisor → engine → tool; api, supervisor and tool write through the
//! journal and read from the store; journal → command → store → model. Start reading at [`run`].

pub mod api;
pub mod app;
pub mod attachment;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod command;
pub mod config;
pub mod data_dir;
pub mod disk;
pub mod engine;
pub mod execution_log;
pub mod feed;
pub mod guard;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod model;
mod open_files;
pub mod openapi;
pub mod outbound;
pub mod render;
pub mod retention;
mod run;
pub mod search;
pub mod store;
pub mod supervisor;
pub mod tool;
pub mod usage;

pub use run::{Announcement, RunError, run};
