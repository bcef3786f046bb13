//! `[confinement]`: what confined programs may do beyond the two lists.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Config;
use super::path::GrantedPath;
use super::setting::settings;
use super::value::Text;
use crate::guard::{Limits, Policy};

settings! {
    /// How the processes of engines and tools are confined.
    pub struct Confinement in "confinement.", "SKEP_CONFINEMENT_", |config| &mut config.confinement => {
        /// `"on"`: engines and tools write nowhere but their work directory and what they are granted, as far as the kernel can hold them to it; or `"off"`.
        mode: Mode = Mode::On;
        /// What all of them may read and run as well, absolute or `~/…`.
        read: Vec<GrantedPath> = Vec::new();
        /// What all of them may write as well.
        write: Vec<GrantedPath> = Vec::new();
        /// How much is taken from the priority of all of them, confined or not.
        nice: u32 = limits().nice, in 0..=19;
        /// Files that one of their processes may have open.
        open_files_max: u64 = limits().open_files_max, in 64..=1 << 20;
        /// Processes and threads that one run may add to those of the machine; 0 is no limit. Root is not held to it.
        processes_max: u64 = limits().processes_max, in 0..=1 << 22;
        /// Memory that one of their processes may write to; 0 is no limit: when it runs out, the kernel ends them before Skep. Claude Code and OpenCode reserve more than they use and may not start with a limit.
        memory_bytes_max: u64 = 0, in 0..=1 << 46;
    }
}

fn limits() -> Limits {
    Limits::default()
}

/// Whether there is any confinement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// There is.
    On,
    /// There is none.
    Off,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("must be \"on\" or \"off\"".to_owned()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl Text for Mode {}

impl Config {
    /// How the processes of engines and tools are confined; `None`: not at all.
    pub fn policy(&self) -> Option<Policy> {
        let home = std::env::var_os("HOME").filter(|home| Path::new(home).is_absolute());
        let paths = |granted: &[GrantedPath]| -> Vec<PathBuf> {
            granted
                .iter()
                .map(|path| path.as_path().to_owned())
                .collect()
        };
        let Confinement {
            mode, read, write, ..
        } = &self.confinement;
        (*mode == Mode::On).then(|| {
            Policy::new(
                &self.data,
                home.as_deref().map(Path::new),
                &paths(read),
                &paths(write),
            )
        })
    }

    /// What the processes of engines and tools may use; `open_files` is the soft limit that Skep itself was given.
    pub fn process_limits(&self, open_files: Option<u64>) -> Limits {
        let Confinement {
            nice,
            open_files_max,
            processes_max,
            memory_bytes_max,
            ..
        } = self.confinement;
        Limits {
            open_files,
            open_files_max,
            processes_max,
            memory_bytes_max,
            nice,
        }
    }
}
