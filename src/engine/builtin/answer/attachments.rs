//! What was attached to a message: named, measured, and shown if it is text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::super::markdown::{block, cell_code, code, head, language, plain, size, table};
use crate::tool::files::is_binary;

/// Attachments that are looked at.
const LOOKED_AT_MAX: usize = 20;

/// How much is shown of each.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    bytes_max: usize,
    lines_max: usize,
}

/// Enough to know which file it is.
pub const GLIMPSE: Shown = Shown {
    bytes_max: 2 * 1024,
    lines_max: 12,
};
/// As much as of a file of the work directory.
pub const TEXT: Shown = Shown {
    bytes_max: super::files::SHOWN_BYTES_MAX,
    lines_max: super::files::SHOWN_LINES_MAX,
};

/// An attachment as it is described.
struct Attachment {
    name: String,
    content_type: String,
    /// Its size and its start, if it is text; or why it cannot be read.
    found: Result<(u64, Option<String>), String>,
}

/// The paragraphs that describe what was attached.
pub async fn describe(media: Vec<PathBuf>, shown: Shown) -> Vec<String> {
    let count = media.len();
    let look = move || -> Vec<Attachment> {
        media
            .iter()
            .take(LOOKED_AT_MAX)
            .map(|path| look_at(path, shown))
            .collect()
    };
    let attachments = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    let mut said = vec![match count {
        1 => "You attached a file:".to_owned(),
        _ => format!("You attached {count} files:"),
    }];
    said.push(table(
        &["Name", "Size", "Type"],
        attachments.iter().map(|attachment| {
            vec![
                cell_code(&attachment.name),
                match &attachment.found {
                    Ok((bytes, _)) => size(*bytes),
                    Err(reason) => plain(reason),
                },
                plain(&attachment.content_type),
            ]
        }),
    ));
    if count > attachments.len() {
        said.push(format!("I looked at the first {}.", attachments.len()));
    }
    for attachment in &attachments {
        let Ok((_, Some(text))) = &attachment.found else {
            continue;
        };
        let (shown, more) = head(text, shown.bytes_max, shown.lines_max);
        let begins = if more { "begins" } else { "says" };
        said.push(format!("{} {begins}:", code(&attachment.name)));
        said.push(block(shown, language(&attachment.name)));
    }
    said
}

/// The attachment that `show NAME` means; `show it` means the only one.
pub fn meant<'a>(media: &'a [PathBuf], what: &str) -> Option<&'a PathBuf> {
    const ONE: &[&str] = &[
        "it",
        "this",
        "that",
        "attachment",
        "attached",
        "attached file",
        "upload",
    ];
    let named = |path: &&PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.to_lowercase() == what.to_lowercase())
    };
    match media {
        [only] if ONE.contains(&what.to_lowercase().as_str()) => Some(only),
        media => media.iter().find(named),
    }
}

fn look_at(path: &Path, shown: Shown) -> Attachment {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Attachment {
        content_type: mime_guess::from_path(path)
            .first_or_octet_stream()
            .essence_str()
            .to_owned(),
        found: read_start(path, shown).map_err(|error| format!("cannot be read: {error}")),
        name,
    }
}

fn read_start(path: &Path, shown: Shown) -> std::io::Result<(u64, Option<String>)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(std::io::Error::other("not a file"));
    }
    let mut start = Vec::new();
    File::from(file)
        .take(shown.bytes_max as u64 * 2)
        .read_to_end(&mut start)?;
    // Media that is no text seldom lacks both a NUL and a byte that no UTF-8 has.
    let is_text = !start.is_empty()
        && !is_binary(&start)
        && match std::str::from_utf8(&start) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
    let text = is_text.then(|| String::from_utf8_lossy(&start).into_owned());
    Ok((u64::try_from(stat.st_size).unwrap_or(0), text))
}
