//! What an engine's processes may use of the machine.
//!
//! The guard takes the limits on itself before it knows its engine, which inherits them: they cost a message no time. The
//! priority is lowered once the engine runs, so that a busy machine does not delay its start.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// When memory runs out an engine goes before the server, and before most of what else its user runs.
#[cfg(target_os = "linux")]
const OOM_SCORE_ADJUSTMENT: &str = "500";
/// The lowest priority there is.
const NICE_MAX: i32 = 19;

/// The limits of every engine and every program that a tool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The soft limit of open files; `None`: the server's own. A program that waits with `select` fails above 1,024.
    pub open_files: Option<u64>,
    /// Files that a process may have open.
    pub open_files_max: u64,
    /// Processes and threads that may be added to those of the machine; 0: no limit. The kernel counts all that the user
    /// has, so it is those there are when the guard starts and these; it does not hold root to it.
    pub processes_max: u64,
    /// Memory that a process may write to; 0: no limit. What is only reserved does not count, but some runtimes reserve
    /// by the terabyte what they could write to.
    pub memory_bytes_max: u64,
    /// How much is taken from their priority.
    pub nice: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_files: None,
            open_files_max: 65_536,
            processes_max: 4_096,
            memory_bytes_max: 0,
            nice: 5,
        }
    }
}

impl Limits {
    /// From here on this process, and what it starts, is held to them, but for the priority. What the system does not
    /// know is left out.
    pub(super) fn take(&self) {
        cap(Resource::Core, 0, None);
        cap(Resource::Nofile, self.open_files_max, self.open_files);
        if self.memory_bytes_max > 0 {
            cap(Resource::Data, self.memory_bytes_max, None);
        }
        if self.processes_max > 0
            && let Some(now) = threads()
        {
            cap(
                Resource::Nproc,
                now.saturating_add(self.processes_max),
                None,
            );
        }
        #[cfg(target_os = "linux")]
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
    }

    /// Lowers the priority of an engine that has just been started, and of what it has started since.
    pub(super) fn lower_priority(&self, engine: Pid) {
        use rustix::process::{getpriority_process, setpriority_pgrp};
        let nice = i32::try_from(self.nice).unwrap_or(NICE_MAX);
        if nice > 0
            && let Ok(own) = getpriority_process(None)
        {
            let _ = setpriority_pgrp(Some(engine), own.saturating_add(nice).min(NICE_MAX));
        }
    }
}

/// Lowers a limit, never raises it; `soft` is lower still.
fn cap(resource: Resource, most: u64, soft: Option<u64>) {
    let now = getrlimit(resource);
    let capped = |value: Option<u64>, most: u64| Some(value.map_or(most, |value| value.min(most)));
    let limits = Rlimit {
        current: capped(now.current, soft.map_or(most, |soft| soft.min(most))),
        maximum: capped(now.maximum, most),
    };
    let _ = setrlimit(resource, limits);
}

/// How many threads this machine runs.
#[cfg(target_os = "linux")]
fn threads() -> Option<u64> {
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    let (_, all) = load.split(' ').nth(3)?.split_once('/')?;
    all.parse().ok()
}

/// It is not told in a portable way.
#[cfg(not(target_os = "linux"))]
fn threads() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_how_many_threads_it_runs() {
        assert!(threads().is_some_and(|threads| threads >= 1));
    }
}
