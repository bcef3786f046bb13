//! Skep.

pub mod auth;
pub mod cli;
pub mod command;
pub mod config;
pub mod data_dir;
pub mod engine;
pub mod execution_log;
pub mod feed;
pub mod guard;
pub mod http;
pub mod journal;
pub mod model;
pub mod render;
pub mod store;
pub mod supervisor;
