//! Files of a chat: what they may be called, and how one gets its place among the others.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::model::Media;
use crate::model::text::{is_direction, truncated};

/// The longest name a file keeps, bytes: what file systems take, less room for a suffix.
const FILE_NAME_BYTES_MAX: usize = 200;
/// How many files of one name there may be in a chat.
pub const SAME_NAME_MAX: u32 = 1000;
/// What an upload is called until it is complete.
pub const PARTIAL_PREFIX: &str = ".upload-";

/// A file as it is told of: its type is what its name says.
pub fn media(name: String, size: u64) -> Media {
    let content_type = mime_guess::from_path(&name).first_or_octet_stream();
    Media {
        content_type: content_type.to_string(),
        name,
        size,
    }
}

/// Gives a complete upload its name, or the next free one like it.
pub fn place(
    partial: &Path,
    dir: &Path,
    name: &str,
    is_free: impl Fn(&str) -> bool,
) -> io::Result<String> {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    for number in 1..=SAME_NAME_MAX {
        let candidate = match number {
            1 => name.to_owned(),
            number => format!("{stem}-{number}{extension}"),
        };
        if !is_free(&candidate) {
            continue;
        }
        match renameat_with(
            CWD,
            partial,
            CWD,
            dir.join(&candidate),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => return Ok(candidate),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("there are too many files of this name"))
}

/// A name that is nothing but a name: no directory, no control character, no dot in front.
pub fn safe_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_bad = |c: char| c.is_control() || is_direction(c) || "<>:\"|?*".contains(c);
    let name: String = name
        .chars()
        .map(|c| if is_bad(c) { '_' } else { c })
        .collect();
    let name = name
        .trim_start_matches(|c: char| c.is_whitespace() || c == '.' || c == '-')
        .trim_end_matches(|c: char| c.is_whitespace() || c == '.');
    let reserved = ["con", "prn", "aux", "nul"];
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    let name = match name {
        "" => "file".to_owned(),
        name if reserved.contains(&stem.as_str()) => format!("file-{name}"),
        name => name.to_owned(),
    };
    if name.len() <= FILE_NAME_BYTES_MAX {
        return name;
    }
    // What is cut is the middle: the ending says what the file is.
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension)
        .filter(|text| text.len() <= 16);
    match extension {
        Some(extension) => {
            format!(
                "{}.{extension}",
                truncated(&name, FILE_NAME_BYTES_MAX - extension.len() - 1)
            )
        }
        None => truncated(&name, FILE_NAME_BYTES_MAX).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn names_are_names_and_nothing_else() {
        for (given, kept) in [
            ("photo.png", "photo.png"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/", "file"),
            ("..", "file"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\nb\0c.txt", "a_b_c.txt"),
            ("CON", "file-CON"),
            ("nul.txt", "file-nul.txt"),
            ("résumé 日本.pdf", "résumé 日本.pdf"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(given), kept, "{given:?}");
        }
        let long = format!("{}.png", "x".repeat(500));
        assert_eq!(safe_name(&long).len(), FILE_NAME_BYTES_MAX);
        assert!(safe_name(&long).ends_with(".png"));
    }

    #[test]
    fn a_name_that_exists_gets_a_suffix() {
        let dir = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for content in ["one", "two", "three"] {
            let partial = dir.path().join(".upload-x");
            fs::write(&partial, content).unwrap();
            names.push(place(&partial, dir.path(), "a.tar.gz", |_| true).unwrap());
        }
        assert_eq!(names, ["a.tar.gz", "a.tar-2.gz", "a.tar-3.gz"]);
        assert_eq!(
            fs::read_to_string(dir.path().join("a.tar.gz")).unwrap(),
            "one"
        );
    }
}
