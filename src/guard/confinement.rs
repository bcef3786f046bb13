//! What the kernel holds an engine to: two lists of paths, taken by the guard just before it starts the engine.
//!
//! Landlock is a matter of a thread and of what that thread starts, so the guard takes it in a thread that does nothing
//! else: the guard itself stays free to find and kill.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde::{Deserialize, Serialize};

use super::StartError;

/// What every program expects to be able to write, although they are no files.
pub const DEVICES: [&str; 7] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
];

/// Where an engine's processes may go, and nowhere else. A path stands for all that is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// What may be read and run. A path that is not there is none.
    pub read: Vec<PathBuf>,
    /// What may also be written.
    pub write: Vec<PathBuf>,
}

/// What this kernel offers: the version of its Landlock; `None`: it has none.
#[cfg(target_os = "linux")]
pub fn landlock_abi() -> Option<i32> {
    use landlock::{LandlockStatus, RestrictSelf};
    // Asks without restricting anything.
    let asked = RestrictSelf::default().no_new_privs(false).apply().ok()?;
    match asked.landlock {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => Some(kernel_abi.unwrap_or(effective_abi as i32)),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    }
}

/// See the other one.
#[cfg(not(target_os = "linux"))]
pub fn landlock_abi() -> Option<i32> {
    None
}

/// In words, for people.
pub fn statement(is_confined: bool) -> String {
    match landlock_abi() {
        _ if !is_confined => "not confined: switched off in skep.toml".to_owned(),
        Some(abi @ ..=2) => format!(
            "confined by Landlock ABI {abi} (this kernel cannot keep it from truncating files elsewhere)"
        ),
        Some(abi @ ..=5) => format!(
            "confined by Landlock ABI {abi} (this kernel cannot keep it from signalling other processes)"
        ),
        Some(abi) => format!("confined by Landlock ABI {abi}"),
        None => "not confined: this kernel has no Landlock".to_owned(),
    }
}

impl Confinement {
    /// Starts the command inside, from a thread that does nothing else.
    pub(super) fn spawn(
        &self,
        command: &mut Command,
        starter: Starter,
    ) -> Result<Child, StartError> {
        let program = command.get_program().display().to_string();
        starter
            .enforce(self)
            .map_err(|why| StartError::new(format!("{program} cannot be confined: {why}")))?;
        command.spawn().map_err(|error| {
            StartError::new(format!(
                "{program} cannot be started: {error}{}",
                self.hint(&error, &program)
            ))
        })
    }

    fn hint(&self, error: &std::io::Error, program: &str) -> String {
        if error.kind() != std::io::ErrorKind::PermissionDenied {
            return String::new();
        }
        let denied = self.denied(&format!("{program}: Permission denied"));
        denied.map(|hint| format!("; {hint}")).unwrap_or_default()
    }

    /// What to do about it, where an error names a path that is outside.
    pub fn denied(&self, said: &str) -> Option<String> {
        let line = said.lines().rev().find(|line| {
            ["Permission denied", "permission denied", "EACCES", "EPERM"]
                .iter()
                .any(|word| line.contains(word))
        })?;
        let path = line
            .split(|c: char| c.is_whitespace() || "'\"`,;()[]‘’“”".contains(c))
            .map(|word| word.trim_end_matches([':', '.']))
            .find(|word| word.starts_with('/') && word.len() > 1)?;
        let is_below =
            |list: &[PathBuf]| list.iter().any(|below| Path::new(path).starts_with(below));
        // No setting opens another process.
        if is_below(&self.write) || path.starts_with("/proc/") {
            return None;
        }
        let list = if is_below(&self.read) {
            "write"
        } else {
            "read or write"
        };
        Some(format!(
            "{path} is outside of what this engine may use; a directory in the {list} list of its [engines.<name>] \
             table, or of [confinement], in skep.toml grants it"
        ))
    }
}

/// A thread of a guard that will start an engine, and what of its confinement does not depend on which: a guard that
/// waits for its engine has that behind it.
pub(super) struct Starter {
    #[cfg(target_os = "linux")]
    rules: Result<landlock::RulesetCreated, String>,
}

impl Starter {
    /// What the kernel does not know is left out, and [`statement`] says so.
    #[cfg(target_os = "linux")]
    pub(super) fn prepare() -> Self {
        use landlock::{
            ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
            path_beneath_rules,
        };
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V7))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V7)))
            .and_then(|ruleset| ruleset.create())
            .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, device)))
            .map_err(|error| error.to_string());
        Self { rules }
    }

    /// There is nothing to prepare.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn prepare() -> Self {
        Self {}
    }

    /// From here on this thread, and what it starts, is held to the lists.
    #[cfg(target_os = "linux")]
    fn enforce(self, lists: &Confinement) -> Result<(), String> {
        use landlock::{ABI, Access, AccessFs, RulesetCreatedAttr, path_beneath_rules};
        drop_capabilities();
        let all = AccessFs::from_all(ABI::V7);
        // With a device of one's own making one reads any disk.
        let write = all & !(AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
        let read = AccessFs::from_read(ABI::V7);
        self.rules?
            .add_rules(path_beneath_rules(&lists.read, read))
            .and_then(|rules| rules.add_rules(path_beneath_rules(&lists.write, write)))
            .and_then(|rules| rules.restrict_self())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// There is nothing to be held to.
    #[cfg(not(target_os = "linux"))]
    fn enforce(self, _lists: &Confinement) -> Result<(), String> {
        Ok(())
    }
}

/// By each of these root may read the server's environment, past Landlock and past the server's own refusal.
#[cfg(target_os = "linux")]
fn drop_capabilities() {
    use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
    for capability in [
        CapabilitySet::SYS_PTRACE,
        CapabilitySet::PERFMON,
        CapabilitySet::SYS_ADMIN,
    ] {
        let _ = remove_capability_from_bounding_set(capability);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_that_names_a_path_outside_says_which_setting_grants_it() {
        let lists = Confinement {
            read: vec!["/usr".into()],
            write: vec!["/work dir".into(), "/w".into()],
        };
        for (said, hint) in [
            (
                "sh: 1: cannot create /home/x: Permission denied",
                Some("/home/x is outside"),
            ),
            (
                "Error: EACCES: permission denied, open '/home/y.txt'",
                Some("/home/y.txt is outside"),
            ),
            (
                "touch: cannot touch '/usr/z': Permission denied",
                Some("in the write list"),
            ),
            ("cat: /w/secret: Permission denied", None),
            ("cat: /proc/7/environ: Permission denied", None),
            ("cat: secret: Permission denied", None),
            ("cat: /home/x: No such file or directory", None),
            ("", None),
        ] {
            let denied = lists.denied(said);
            assert_eq!(denied.is_some(), hint.is_some(), "{said}: {denied:?}");
            assert!(
                denied
                    .unwrap_or_default()
                    .contains(hint.unwrap_or_default()),
                "{said}"
            );
        }
    }
}
