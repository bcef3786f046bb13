//! What a call would change, for whoever has to allow it. Nothing is done, and nothing is promised: the file may be
//! another one by the time it is allowed.

use serde::Deserialize;
use serde_json::Value;

use super::beneath::{Beneath, RelativePath};
use super::{Context, ToolError, blocking, edit, params};

/// The fields of the tools that change text.
#[derive(Deserialize)]
struct Change {
    path: String,
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    overwrite: bool,
}

/// The unified diff of a call that changes a text file; `None` where there is nothing to show, or the call would fail.
pub async fn preview(cx: &Context, tool: &'static super::Tool, args: &Value) -> Option<String> {
    let args = params::checked(tool.params, args.clone()).ok()?;
    let change: Change = serde_json::from_value(args).ok()?;
    let work_dir = cx.work_dir.clone();
    let found = blocking(move || {
        let path = RelativePath::parse(&change.path)?;
        let before = match edit::text_of(&Beneath::open(&work_dir)?, &path) {
            Err(ToolError::NotFound(_)) => None,
            before => Some(before?),
        };
        let after = match (tool.name, &before) {
            ("write_file", None) => change.text,
            ("write_file", Some(_)) if change.overwrite => change.text,
            ("append_file", _) => before.clone().unwrap_or_default() + &change.text,
            ("edit_file", Some(before)) if before.contains(&change.old) => {
                before.replace(&change.old, &change.new)
            }
            _ => return Ok(None),
        };
        let before = before.unwrap_or_default();
        Ok(Some(edit::diff(&path.to_string(), &before, &after)))
    });
    found.await.ok().flatten()
}
