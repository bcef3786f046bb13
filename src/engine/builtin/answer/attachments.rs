//! What was attached to a message: named, measured, and shown if it is text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::super::markdown::{block, cell_code, code, head, language, plain, size, table};
use crate::tool::files::is_binary;

/// Attachments that are looked at.
const LOOKED_AT_MAX: usize = 20;
/// What is shown of each.
const SHOWN_BYTES_MAX: usize = 2 * 1024;
const SHOWN_LINES_MAX: usize = 12;

/// An attachment as it is described.
struct Attachment {
    name: String,
    content_type: String,
    /// Its size and its start, if it is text; or why it cannot be read.
    found: Result<(u64, Option<String>), String>,
}

/// The paragraphs that describe what was attached.
pub async fn describe(media: Vec<PathBuf>) -> Vec<String> {
    let count = media.len();
    let look = move || -> Vec<Attachment> {
        media
            .iter()
            .take(LOOKED_AT_MAX)
            .map(|path| look_at(path))
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
        let (shown, more) = head(text, SHOWN_BYTES_MAX, SHOWN_LINES_MAX);
        let begins = if more { "begins" } else { "says" };
        said.push(format!("{} {begins}:", code(&attachment.name)));
        said.push(block(shown, language(&attachment.name)));
    }
    said
}

fn look_at(path: &Path) -> Attachment {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Attachment {
        content_type: mime_guess::from_path(path)
            .first_or_octet_stream()
            .essence_str()
            .to_owned(),
        found: read_start(path).map_err(|error| format!("cannot be read: {error}")),
        name,
    }
}

fn read_start(path: &Path) -> std::io::Result<(u64, Option<String>)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(std::io::Error::other("not a file"));
    }
    let mut start = Vec::new();
    File::from(file)
        .take(SHOWN_BYTES_MAX as u64 * 2)
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
