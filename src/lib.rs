//! Skep.

pub mod command;
pub mod cli;
pub mod config;
pub mod engine;
pub mod execution_log;
pub mod feed;
pub mod guard;
pub mod model;
pub mod store;
pub mod auth;
pub mod http;
pub mod render;
pub mod auth;
pub mod http;
pub mod supervisor;
pub mod journal;
