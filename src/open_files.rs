//! How many files this process may have open: ten thousand streams are ten thousand of them, and what a shell gives is
//! often 1,024. Engines get what Skep was given: a program that waits with `select` fails above 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one. Returns what it was, if that was less.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return None;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::debug!(from = ?current, to = ?maximum, "raised the limit of open files");
            current
        }
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            None
        }
    }
}
