//! The guard: Skep's own binary, re-executed as the parent of one engine.
//!
//! Owns the promise that no process an engine started outlives its execution, or the server. Must never know what the
//! engine prints (its pipes go straight to the server), sessions, or why it is told to stop. Start reading at
//! [`protocol`], then [`process`] (what runs in the guard) and [`server`] (what starts it).
//!
//! How the promise is kept, on Linux: the guard is a *subreaper*, so whatever loses its parent below it becomes its own
//! child, and `wait` answers `ECHILD` only when nothing at all is left; until then it freezes and kills what it finds in
//! `/proc`. It does so when the engine ends, when it is told to, and when its socket to the server closes, which is what
//! happens when the server dies, however it dies. The server in turn is a subreaper too and sweeps up what was below a
//! guard that died without its report. Elsewhere there are no subreapers: the engine's process group is killed, and a
//! process that left the group is not found.

mod confinement;
mod limits;
mod policy;
mod process;
mod protocol;
mod server;
mod tree;

pub use confinement::{Confinement, DEVICES, landlock_abi, statement};
pub use limits::Limits;
pub use policy::{Granted, HOME, Needs, Policy, SYSTEM};
pub use process::main;
pub use protocol::{Ended, Spec, StartError};
pub use server::{Control, Guarded, Guards};

/// The hidden subcommand: `skep __guard`.
pub const SUBCOMMAND: &str = "__guard";

/// A variable that marks a process which the server started for its user, such as a browser, and what that starts: a
/// sweep leaves it alone.
pub const NOT_AN_ENGINE: &str = "SKEP_NOT_AN_ENGINE";
