//! What is fuzzed: every parser of bytes that somebody else wrote, each with what must hold whatever they are.
//!
//! Owns the bodies of the targets. libFuzzer runs them (`run.sh`), and so do the ordinary tests, with the seeds, every
//! input that ever broke one, and mutations of both. A body returns when all is well and panics when it is not. Must
//! never depend on time, on randomness or on what ran before. Start reading at [`ALL`].

mod archive;
mod auth;
mod engine;
mod http;
mod journal;
mod logs;
mod record;
mod settings;
mod snapshot;
pub mod text;

/// A parser and what must hold of it.
pub struct Target {
    /// Its name, and that of its folders in `corpus` and `crashes`.
    pub name: &'static str,
    /// Runs it on these bytes.
    pub run: fn(&[u8]),
    /// How many mutations of each seed the ordinary tests try: fewer where a run touches sockets or files.
    #[allow(dead_code)]
    pub mutations: usize,
}

/// Every target.
pub const ALL: &[Target] = &[
    target("archive", archive::read, 300),
    target("auth", auth::tokens, 1_000),
    target("codec", record::decode, 4_000),
    target("engine", engine::lines, 2_000),
    target("http", http::requests, 250),
    target("journal", journal::segment, 400),
    target("logs", logs::index, 400),
    target("markdown", text::markdown, 400),
    target("message", text::message, 1_000),
    target("multipart", http::multipart, 250),
    target("query", http::query, 250),
    target("settings", settings::load, 400),
    target("snapshot", snapshot::read, 1_000),
];

const fn target(name: &'static str, run: fn(&[u8]), mutations: usize) -> Target {
    Target {
        name,
        run,
        mutations,
    }
}

/// The first byte, by which a target chooses what to do, and the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) => (*first, rest),
        None => (0, bytes),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
