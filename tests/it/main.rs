//! One test binary for everything that needs the real one.

mod guard;
mod process;
mod real;
mod transcripts;
