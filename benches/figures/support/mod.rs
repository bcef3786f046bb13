//! What every question stands on: how much is done, where, and beside which other server.
//!
//! Owns the options and the other servers. Must never know a question. Start reading at [`Figures`].

pub mod files;
pub mod peer;
pub mod ticker;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skep::cli::bench::{Effort, Lab};
use tempfile::TempDir;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Scale {
    /// Each question once, briefly: does it work?
    Smoke,
    /// What one waits for.
    Normal,
    /// Also what takes long.
    Full,
}

/// What was said on the command line.
#[derive(Debug)]
pub struct Options {
    pub scale: Scale,
    /// The disk in question.
    pub dir: Option<PathBuf>,
    /// The Skep that is measured, if not the one that was built with this.
    skep: Option<PathBuf>,
    /// PocketBase's binary; its rows are measured when it is given.
    pub pocketbase: Option<PathBuf>,
    names: Vec<String>,
}

impl Options {
    pub fn read(words: &[String], names: &[&str]) -> io::Result<Self> {
        let mut options = Self {
            scale: Scale::Normal,
            dir: None,
            skep: None,
            pocketbase: None,
            names: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--smoke" => options.scale = Scale::Smoke,
                "--full" => options.scale = Scale::Full,
                // cargo says this.
                "--bench" => {}
                "--dir" => options.dir = words.next().map(PathBuf::from),
                "--skep" => options.skep = words.next().map(PathBuf::from),
                "--pocketbase" => options.pocketbase = words.next().map(PathBuf::from),
                name if names.contains(&name) => options.names.push(name.to_owned()),
                other => {
                    let names = names.join(", ");
                    let message = format!("{other:?} is no option and none of {names}");
                    return Err(io::Error::other(message));
                }
            }
        }
        Ok(options)
    }

    /// Whether this question is asked: all are, when none is named.
    pub fn asks(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|asked| asked == name)
    }
}

/// The measurement.
pub struct Figures {
    pub options: Options,
    pub lab: Lab,
    /// What the table cannot say.
    pub notes: RefCell<Vec<String>>,
    descriptors: usize,
    _dir: TempDir,
}

impl Figures {
    pub fn new(options: Options, descriptors: usize) -> io::Result<Self> {
        let dir = match &options.dir {
            Some(place) => TempDir::new_in(place)?,
            None => tempfile::tempdir()?,
        };
        let effort = match options.scale {
            Scale::Smoke => Effort {
                time: Duration::ZERO,
                rounds_min: 1,
                samples: 64,
            },
            Scale::Normal | Scale::Full => Effort {
                time: Duration::from_secs(5),
                rounds_min: 5,
                samples: 800,
            },
        };
        let lab = Lab {
            binary: match &options.skep {
                Some(binary) => std::path::absolute(binary)?,
                None => PathBuf::from(env!("CARGO_BIN_EXE_skep")),
            },
            dir: dir.path().to_owned(),
            effort,
        };
        Ok(Self {
            options,
            lab,
            notes: RefCell::default(),
            descriptors,
            _dir: dir,
        })
    }

    pub fn dir(&self) -> &Path {
        &self.lab.dir
    }

    /// One value for each scale.
    pub fn scaled<T>(&self, smoke: T, normal: T, full: T) -> T {
        match self.options.scale {
            Scale::Smoke => smoke,
            Scale::Normal => normal,
            Scale::Full => full,
        }
    }

    /// As many streams as were asked for, or as the system lets a process hold; it is said when that is less.
    pub fn streams(&self, asked: usize) -> usize {
        // Some files are open besides.
        let most = self.descriptors.saturating_sub(200);
        if most < asked {
            self.note(format!(
                "{asked} streams could not be held here: a process may have {} files open (`ulimit -Hn`); it was {most}",
                self.descriptors
            ));
        }
        asked.min(most)
    }

    pub fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }
}
