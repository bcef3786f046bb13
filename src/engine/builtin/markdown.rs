//! Markdown from text that nobody vouches for.

use crate::model::text::truncated;
use crate::tool::beneath::printable;

/// `text` as one line that means only itself.
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(&text.replace(['\n', '\r', '\t'], " ")).chars() {
        if "\\`*_[]<>#|&~!$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// `text` as code within a line.
pub fn code(text: &str) -> String {
    let text = printable(text);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

/// As [`code`], in a cell of a table.
pub fn cell_code(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// `text` as one line that means only itself, but for its code between backticks.
pub fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return plain(text);
    }
    let is_code = |at: usize| at % 2 == 1;
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| match is_code(at) {
            true => cell_code(&piece.replace(['\n', '\r', '\t'], " ")),
            false => plain(piece),
        })
        .collect()
}

/// A file's text as it is; what would steer a terminal becomes a mark.
pub fn block(text: &str, language: &str) -> String {
    let fence = "`".repeat((longest_run(text) + 1).max(3));
    let mut body = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => body.push(character),
            '\r' => {}
            character if character.is_control() => body.push('\u{fffd}'),
            character => body.push(character),
        }
    }
    let end = if body.ends_with('\n') || body.is_empty() {
        ""
    } else {
        "\n"
    };
    format!("{fence}{language}\n{body}{end}{fence}")
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|character| character != '`');
    runs.map(str::len).max().unwrap_or(0)
}

/// The language of a file by its name, for colours.
pub fn language(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "rs" => "rust",
        "py" => "python",
        "js" | "mjs" => "javascript",
        "ts" => "typescript",
        "sh" => "sh",
        "toml" => "toml",
        "json" => "json",
        "html" => "html",
        "css" => "css",
        "md" => "markdown",
        "yml" | "yaml" => "yaml",
        "c" | "h" => "c",
        "go" => "go",
        _ => "text",
    }
}

/// A table; the cells are Markdown already.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut lines = vec![
        format!("| {} |", head.join(" | ")),
        format!("|{}", " --- |".repeat(head.len())),
    ];
    lines.extend(
        rows.into_iter()
            .map(|cells| format!("| {} |", cells.join(" | "))),
    );
    lines.join("\n")
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return match bytes {
            1 => "1 byte".to_owned(),
            _ => format!("{bytes} bytes"),
        };
    }
    let mut value = bytes as f64;
    let mut unit = "";
    for next in UNITS {
        // What would be shown as 1000 is one of the next unit.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `1 note`, `2 notes`.
pub fn counted(count: u64, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// The start of a text, and whether that is not all of it: so many bytes and lines at most.
pub fn head(text: &str, bytes_max: usize, lines_max: usize) -> (&str, bool) {
    let start = truncated(text, bytes_max);
    let end = start
        .match_indices('\n')
        .nth(lines_max.saturating_sub(1))
        .map_or(start.len(), |(at, _)| at + 1);
    (&start[..end], end < text.len())
}
