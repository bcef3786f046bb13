//! Files of the work directory: list, read, write, append.

use std::io::{Seek, SeekFrom, Write};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::beneath::{Beneath, RelativePath, io_failed, printable, read_up_to};
use super::edit;
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};

/// Entries of a directory that are looked at.
pub const ENTRIES_MAX: usize = 2_000;
/// What one call reads of a file.
pub const READ_BYTES_MAX: u64 = 256 * 1024;
/// What one call writes.
pub const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// How long a file may get by appending.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A file with a NUL among its first bytes is not text.
const BINARY_LOOK_BYTES: usize = 8 * 1024;

const PATH: Param = Param::required(
    "path",
    Kind::Text,
    "The file, relative to the work directory.",
);

/// What a directory holds. Data: [`FileList`].
pub const LIST: Tool = Tool {
    name: "list_files",
    description: "Lists the files and directories in a directory of the work directory.",
    access: Access::Read,
    params: &[Param::optional(
        "path",
        Kind::Text,
        "The directory, relative to the work directory; without it the work directory itself.",
    )],
    call: |cx, args| Box::pin(list(cx, args)),
};

/// The text of a file. Data: [`FileText`].
pub const READ: Tool = Tool {
    name: "read_file",
    description: "Reads a text file of the work directory, at most 256 KiB at once.",
    access: Access::Read,
    params: &[
        PATH,
        Param::optional(
            "offset",
            Kind::Number,
            "The byte to start at; 0 without it.",
        ),
    ],
    call: |cx, args| Box::pin(read(cx, args)),
};

/// Writes a file. Data: [`FileWritten`].
pub const WRITE: Tool = Tool {
    name: "write_file",
    description: "Writes a text file in the work directory, with the directories it needs. A file that exists is only replaced with `overwrite`.",
    access: Access::Write,
    params: &[
        PATH,
        Param::required("text", Kind::Text, "The whole content."),
        Param::optional(
            "overwrite",
            Kind::Flag,
            "Whether to replace a file that exists.",
        ),
    ],
    call: |cx, args| Box::pin(write(cx, args)),
};

/// Adds to a file. Data: [`FileWritten`].
pub const APPEND: Tool = Tool {
    name: "append_file",
    description: "Adds text at the end of a file of the work directory; makes it if it is not there.",
    access: Access::Write,
    params: &[PATH, Param::required("text", Kind::Text, "What is added.")],
    call: |cx, args| Box::pin(append(cx, args)),
};

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileList {
    /// The directory.
    pub path: String,
    /// Directories first, then by name.
    pub entries: Vec<FileEntry>,
    /// Whether there are more than are listed.
    pub more: bool,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name, as one line of text.
    pub name: String,
    /// `file`, `directory`, `link` or `other`.
    pub kind: String,
    /// Bytes of a file.
    pub bytes: Option<u64>,
}

/// A file's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileText {
    /// The file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The text from `offset` on.
    pub text: String,
    /// Where to go on reading; `None` at the end.
    pub next_offset: Option<u64>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileWritten {
    /// The file.
    pub path: String,
    /// Its size now.
    pub bytes: u64,
    /// What changed, as `diff -u` shows it, where there was text before or is now.
    #[serde(default)]
    pub diff: Option<String>,
}

#[derive(Deserialize)]
struct Directory {
    #[serde(default)]
    path: String,
}

async fn list(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Directory { path } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    let work_dir = cx.work_dir.clone();
    let list = blocking(move || {
        let beneath = Beneath::open(&work_dir)?;
        let (entries, more) = beneath.entries(&path, ENTRIES_MAX)?;
        let mut entries: Vec<FileEntry> = entries
            .into_iter()
            .map(|entry| FileEntry {
                name: printable(&entry.name.to_string_lossy()),
                kind: kind_word(entry.kind).to_owned(),
                bytes: match entry.kind {
                    FileType::RegularFile => beneath
                        .look(&path.join(&entry.name))
                        .ok()
                        .and_then(|stat| u64::try_from(stat.st_size).ok()),
                    _ => None,
                },
            })
            .collect();
        entries.sort_by(|a, b| {
            let key = |entry: &FileEntry| entry.kind != "directory";
            (key(a), a.name.to_lowercase(), &a.name).cmp(&(key(b), b.name.to_lowercase(), &b.name))
        });
        Ok(FileList {
            path: path.to_string(),
            entries,
            more,
        })
    })
    .await?;
    let mut text = String::new();
    for entry in &list.entries {
        text.push_str(&entry.name);
        match (entry.kind.as_str(), entry.bytes) {
            ("directory", _) => text.push('/'),
            (_, Some(bytes)) => text.push_str(&format!(" ({bytes} bytes)")),
            (kind, None) => text.push_str(&format!(" ({kind})")),
        }
        text.push('\n');
    }
    if list.entries.is_empty() {
        text.push_str("nothing\n");
    }
    if list.more {
        text.push_str("… and more\n");
    }
    Ok(ToolOutput::new(text, &list))
}

fn kind_word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        _ => "other",
    }
}

#[derive(Deserialize)]
struct Read {
    path: String,
    #[serde(default)]
    offset: u64,
}

async fn read(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Read { path, offset } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    let work_dir = cx.work_dir.clone();
    let file_text = blocking(move || {
        let (mut file, stat) = Beneath::open(&work_dir)?.file(&path)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        file.seek(SeekFrom::Start(offset.min(size)))
            .map_err(|error| io_failed(&path, &error))?;
        let mut bytes = read_up_to(&mut file, READ_BYTES_MAX, &path)?;
        if is_binary(&bytes) {
            return Err(ToolError::Refused(format!(
                "`{path}` is not text ({size} bytes of binary data)"
            )));
        }
        let mut end = offset.min(size) + bytes.len() as u64;
        if end < size {
            // A character must not be torn between two calls; one that is broken anyway is not waited for.
            let whole = bytes.len() - torn_bytes(&bytes);
            end -= (bytes.len() - whole) as u64;
            bytes.truncate(whole);
        }
        Ok(FileText {
            path: path.to_string(),
            bytes: size,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            next_offset: (end < size && !bytes.is_empty()).then_some(end),
        })
    })
    .await?;
    let mut text = file_text.text.clone();
    if let Some(offset) = file_text.next_offset {
        text.push_str(&format!(
            "\n… {} bytes in all; go on at offset {offset}",
            file_text.bytes
        ));
    }
    Ok(ToolOutput::new(text, &file_text))
}

/// Whether what a file begins with is not text.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_LOOK_BYTES)].contains(&0)
}

/// How many bytes at the end begin a character that goes on behind them.
fn torn_bytes(bytes: &[u8]) -> usize {
    let starts = |&byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    match bytes.iter().rev().take(4).position(starts) {
        Some(after) => {
            let tail = &bytes[bytes.len() - 1 - after..];
            match std::str::from_utf8(tail) {
                Err(error) if error.error_len().is_none() => tail.len(),
                _ => 0,
            }
        }
        None => 0,
    }
}

#[derive(Deserialize)]
struct NewText {
    path: String,
    text: String,
    #[serde(default)]
    overwrite: bool,
}

async fn write(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let NewText {
        path,
        text,
        overwrite,
    } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    check_length(&text)?;
    let work_dir = cx.work_dir.clone();
    let written = blocking(move || {
        let beneath = Beneath::open(&work_dir)?;
        let before = if overwrite {
            let before = edit::text_of(&beneath, &path);
            beneath.replace(&path, text.as_bytes())?;
            match before {
                Err(ToolError::NotFound(_)) => Some(String::new()),
                before => before.ok(),
            }
        } else {
            beneath.create(&path, text.as_bytes())?;
            Some(String::new())
        };
        let path = path.to_string();
        Ok(FileWritten {
            diff: before.map(|before| edit::diff(&path, &before, &text)),
            bytes: text.len() as u64,
            path,
        })
    })
    .await?;
    let text = format!("wrote {} ({} bytes)", written.path, written.bytes);
    Ok(ToolOutput::new(text, &written))
}

#[derive(Deserialize)]
struct Append {
    path: String,
    text: String,
}

async fn append(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Append { path, text } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    check_length(&text)?;
    let work_dir = cx.work_dir.clone();
    let written = blocking(move || {
        let (mut file, stat) = Beneath::open(&work_dir)?.file_to_append(&path)?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0) + text.len() as u64;
        if bytes > FILE_BYTES_MAX {
            return Err(ToolError::Refused(format!(
                "`{path}` would be longer than {FILE_BYTES_MAX} bytes"
            )));
        }
        file.write_all(text.as_bytes())
            .map_err(|error| io_failed(&path, &error))?;
        Ok(FileWritten {
            path: path.to_string(),
            bytes,
            diff: None,
        })
    })
    .await?;
    let text = format!("{} has {} bytes now", written.path, written.bytes);
    Ok(ToolOutput::new(text, &written))
}

fn check_length(text: &str) -> Result<(), ToolError> {
    if text.len() > WRITE_BYTES_MAX {
        return Err(ToolError::InvalidArguments(format!(
            "a file is written with at most {WRITE_BYTES_MAX} bytes at once"
        )));
    }
    Ok(())
}
