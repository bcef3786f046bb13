//! One test binary for everything that needs the real one.

mod guard;
mod process;
mod readme;
mod real;
mod transcripts;
