//! Changing a part of a file, and what a change looks like to people.

use std::time::Duration;

use serde::Deserialize;
use similar::TextDiff;

use super::beneath::{Beneath, RelativePath, read_up_to};
use super::files::{FileWritten, WRITE_BYTES_MAX};
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};
use crate::model::text::truncated;

/// What is kept of a diff.
pub const DIFF_BYTES_MAX: usize = 12 * 1024;
/// How long the shortest diff is looked for; then a longer one will do.
const DIFF_TIME_MAX: Duration = Duration::from_millis(200);

/// Replaces a text in a file. Data: [`FileWritten`].
pub const EDIT: Tool = Tool {
    name: "edit_file",
    description: "Replaces a text in a file of the work directory. The old text must be there exactly once, unless `all` is set.",
    access: Access::Write,
    params: &[
        Param::required(
            "path",
            Kind::Text,
            "The file, relative to the work directory.",
        ),
        Param::required(
            "old",
            Kind::Text,
            "The text to replace, exactly as it is in the file.",
        ),
        Param::required("new", Kind::Text, "What stands there afterwards."),
        Param::optional("all", Kind::Flag, "Whether to replace every place."),
    ],
    call: |cx, args| Box::pin(edit(cx, args)),
};

#[derive(Deserialize)]
struct Edit {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    all: bool,
}

async fn edit(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Edit {
        path,
        old,
        new,
        all,
    } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    if old.is_empty() {
        return Err(ToolError::InvalidArguments(
            "the old text is empty; write_file makes a new file".to_owned(),
        ));
    }
    let work_dir = cx.work_dir.clone();
    let (places, written) = blocking(move || {
        let beneath = Beneath::open(&work_dir)?;
        let before = text_of(&beneath, &path)?;
        let places = before.matches(&old).count();
        if places == 0 {
            return Err(ToolError::NotFound(format!(
                "the old text is not in `{path}`; read the file again"
            )));
        }
        if places > 1 && !all {
            return Err(ToolError::Refused(format!(
                "the old text is in `{path}` {places} times; give more of what is around it, or set `all`"
            )));
        }
        let after = before.replace(&old, &new);
        if after.len() > WRITE_BYTES_MAX {
            return Err(ToolError::Refused(format!(
                "`{path}` would be longer than {WRITE_BYTES_MAX} bytes"
            )));
        }
        beneath.replace(&path, after.as_bytes())?;
        let written = FileWritten {
            path: path.to_string(),
            bytes: after.len() as u64,
            diff: Some(diff(&path.to_string(), &before, &after)),
        };
        Ok((places, written))
    })
    .await?;
    let text = format!(
        "changed {} in {places} places ({} bytes)",
        written.path, written.bytes
    );
    Ok(ToolOutput::new(text, &written))
}

/// The whole text of a file that can be written back without losing anything.
pub(super) fn text_of(beneath: &Beneath, path: &RelativePath) -> Result<String, ToolError> {
    let (mut file, _) = beneath.file(path)?;
    let bytes = read_up_to(&mut file, WRITE_BYTES_MAX as u64 + 1, path)?;
    if bytes.len() > WRITE_BYTES_MAX {
        return Err(ToolError::Refused(format!(
            "`{path}` is longer than the {WRITE_BYTES_MAX} bytes that can be changed at once"
        )));
    }
    String::from_utf8(bytes).map_err(|_| ToolError::Refused(format!("`{path}` is not text")))
}

/// What changed, as `diff -u` shows it.
pub(crate) fn diff(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::configure()
        .timeout(DIFF_TIME_MAX)
        .diff_lines(before, after);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(path, path)
        .to_string();
    match truncated(&text, DIFF_BYTES_MAX) {
        whole if whole.len() == text.len() => text,
        part => format!("{part}\n… {} bytes of diff in all", text.len()),
    }
}
