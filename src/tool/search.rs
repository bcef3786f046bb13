//! Searching the files of the work directory.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::beneath::{Beneath, DEPTH_MAX, RelativePath, printable, read_up_to};
use super::files::is_binary;
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};
use crate::model::text::truncated;

/// Lines that a search answers.
pub const MATCHES_MAX: usize = 100;
/// What is shown of a line that a search found.
pub const MATCH_BYTES_MAX: usize = 240;
/// Files and directories that a search looks at.
pub const SEARCH_ENTRIES_MAX: usize = 20_000;
/// What a search reads of one file.
pub const SEARCH_FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// What a search reads in all.
pub const SEARCH_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How long a search may take.
pub const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Directories that hold nothing anybody wrote.
const NOT_SEARCHED: &[&str] = &[".git", "node_modules", "target", "__pycache__"];

/// Finds lines. Data: [`Found`].
pub const SEARCH: Tool = Tool {
    name: "search_files",
    description: "Finds the lines that hold a text, ignoring case, in all text files of the work directory.",
    access: Access::Read,
    params: &[
        Param::required("text", Kind::Text, "What to look for; not a pattern."),
        Param::optional("path", Kind::Text, "The directory or file to look in."),
    ],
    call: |cx, args| Box::pin(search(cx, args)),
};

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The lines.
    pub matches: Vec<Match>,
    /// Files that were read.
    pub files: usize,
    /// Whether it stopped at a limit.
    pub more: bool,
}

/// A line that a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Its file.
    pub path: String,
    /// Its number, from 1.
    pub line: usize,
    /// What it says, or the part around the match.
    pub text: String,
}

#[derive(Deserialize)]
struct Search {
    text: String,
    #[serde(default)]
    path: String,
}

async fn search(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Search { text, path } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    if text.trim().is_empty() {
        return Err(ToolError::InvalidArguments(
            "there is nothing to look for".to_owned(),
        ));
    }
    let work_dir = cx.work_dir.clone();
    let found = blocking(move || {
        let mut walk = Walk {
            beneath: Beneath::open(&work_dir)?,
            wanted: text.to_lowercase(),
            found: Found {
                matches: Vec::new(),
                files: 0,
                more: false,
            },
            entries: 0,
            bytes: 0,
            deadline: Instant::now() + SEARCH_TIME_MAX,
        };
        match walk.beneath.entries(&path, 0) {
            Ok(_) => walk.directory(&path, 0),
            // A file, or nothing; opening it says which.
            Err(ToolError::Refused(_)) => {
                walk.beneath.file(&path)?;
                walk.file(&path);
            }
            Err(error) => return Err(error),
        }
        Ok(walk.found)
    })
    .await?;
    let mut lines: Vec<String> = found
        .matches
        .iter()
        .map(|found| format!("{}:{}: {}", found.path, found.line, found.text))
        .collect();
    lines.push(format!(
        "{} lines in {} files{}",
        found.matches.len(),
        found.files,
        if found.more { ", and more" } else { "" }
    ));
    Ok(ToolOutput::new(lines.join("\n"), &found))
}

/// A search on its way. What cannot be read is passed over.
struct Walk {
    beneath: Beneath,
    wanted: String,
    found: Found,
    entries: usize,
    bytes: u64,
    deadline: Instant,
}

impl Walk {
    fn is_over(&mut self) -> bool {
        self.found.more |= self.found.matches.len() >= MATCHES_MAX
            || self.entries > SEARCH_ENTRIES_MAX
            || self.bytes > SEARCH_BYTES_MAX
            || Instant::now() > self.deadline;
        self.found.more
    }

    fn directory(&mut self, path: &RelativePath, depth: usize) {
        let room = SEARCH_ENTRIES_MAX.saturating_sub(self.entries);
        let Ok((mut entries, more)) = self.beneath.entries(path, room) else {
            return;
        };
        self.entries += entries.len();
        self.found.more |= more;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            if self.found.matches.len() >= MATCHES_MAX || self.is_over() {
                self.found.more = true;
                return;
            }
            let below = path.join(&entry.name);
            match entry.kind {
                FileType::RegularFile => self.file(&below),
                FileType::Directory if depth < DEPTH_MAX && is_searched(&entry.name) => {
                    self.directory(&below, depth + 1);
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &RelativePath) {
        let read = self
            .beneath
            .file(path)
            .and_then(|(mut file, _)| read_up_to(&mut file, SEARCH_FILE_BYTES_MAX, path));
        let Ok(bytes) = read else {
            return;
        };
        self.bytes += bytes.len() as u64;
        self.found.files += 1;
        if is_binary(&bytes) {
            return;
        }
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let Some(found) = line.to_lowercase().find(&self.wanted) else {
                continue;
            };
            if self.found.matches.len() == MATCHES_MAX {
                self.found.more = true;
                return;
            }
            self.found.matches.push(Match {
                path: path.to_string(),
                line: at + 1,
                text: around(line, found),
            });
        }
    }
}

fn is_searched(name: &Path) -> bool {
    !NOT_SEARCHED
        .iter()
        .any(|skipped| Path::new(skipped) == name)
}

/// The part of a long line around byte `at`, which lower case may have moved a little.
fn around(line: &str, at: usize) -> String {
    let start = match at.saturating_sub(MATCH_BYTES_MAX / 2) {
        start if line.len() > MATCH_BYTES_MAX => line.floor_char_boundary(start),
        _ => 0,
    };
    let part = truncated(&line[start..], MATCH_BYTES_MAX);
    let before = if start > 0 { "…" } else { "" };
    let after = if start + part.len() < line.len() {
        "…"
    } else {
        ""
    };
    format!("{before}{}{after}", printable(part.trim()))
}
