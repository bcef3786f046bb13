//! The tool by which an engine that speaks this protocol asks whether it may do something, as Claude Code's
//! `--permission-prompt-tool` does.
//!
//! It is for the engine, not for its model, so it is listed only where the address says `?ask=true`; a model that calls
//! it all the same only asks the user a question.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::engine::mcp::PERMISSION_TOOL;
use crate::engine::permission::{Ask, Verdict};
use crate::model::{DecidedBy, Effect};
use crate::supervisor::Agent;
use crate::tool::Access;
use crate::tool::inside::is_inside;

/// The tool as it is listed.
pub(super) fn listed() -> Value {
    json!({
        "name": PERMISSION_TOOL,
        "description": "For the engine itself: asks the user whether a tool may be used.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "tool_name": { "type": "string" },
                "input": { "type": "object" },
                "tool_use_id": { "type": "string" },
            },
            "required": ["tool_name", "input"],
        },
        "annotations": { "readOnlyHint": true },
    })
}

/// What an engine asks.
#[derive(Deserialize)]
struct Asked {
    tool_name: String,
    input: Value,
    tool_use_id: Option<String>,
}

/// Asks, and answers in the words that Claude Code knows.
pub(super) async fn call(app: &App, agent: &Agent, arguments: Value) -> Value {
    let (text, is_error) = match serde_json::from_value::<Asked>(arguments) {
        Ok(asked) => (decide(app, agent, asked).await.to_string(), false),
        Err(error) => (error.to_string(), true),
    };
    json!({ "content": [{ "type": "text", "text": text }], "isError": is_error })
}

async fn decide(app: &App, agent: &Agent, asked: Asked) -> Value {
    let (tool, input, work_dir) = (
        asked.tool_name.clone(),
        asked.input.clone(),
        agent.work_dir.clone(),
    );
    let judging = tokio::task::spawn_blocking(move || judged(&tool, &input, &work_dir));
    let (access, effect) = judging.await.unwrap_or((Access::Run, Effect::Run));
    let mut ask = Ask::new(asked.tool_name, access, asked.input.clone());
    ask.effect = effect;
    ask.call_id = asked.tool_use_id;
    let verdict = match app.supervisor.asker(agent.execution_id) {
        Some(asker) => agent.over.run_until_cancelled(asker.ask(ask)).await,
        None => None,
    };
    let verdict = verdict.unwrap_or(Verdict::Denied(DecidedBy::Ended));
    match verdict.is_allowed() {
        true => json!({ "behavior": "allow", "updatedInput": asked.input }),
        false => json!({ "behavior": "deny", "message": verdict.sentence() }),
    }
}

/// How a tool is judged, and what the user is told that it does. An engine asks about what its own mode does not let
/// through: a file outside its work directory is no mere edit, and nothing is a mere look.
fn judged(tool: &str, input: &Value, work_dir: &Path) -> (Access, Effect) {
    let mut paths = ["file_path", "notebook_path", "path"]
        .iter()
        .filter_map(|key| input[key].as_str())
        .peekable();
    // It may have gone to another directory: a relative path could be anywhere.
    let is_inside = paths.peek().is_some()
        && paths.all(|path| path.starts_with('/') && is_inside(work_dir, Path::new(path)));
    match tool {
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" if is_inside => {
            (Access::Write, Effect::Write)
        }
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => (Access::Run, Effect::Write),
        "WebFetch" | "WebSearch" => (Access::Send, Effect::Send),
        "Read" | "Glob" | "Grep" | "LS" => (Access::Run, Effect::Read),
        _ => (Access::Run, Effect::Run),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_files_of_the_work_directory_are_edited_without_asking() {
        let directory = tempfile::tempdir().unwrap();
        let work_dir = &directory.path().join("work");
        std::fs::create_dir(work_dir).unwrap();
        std::os::unix::fs::symlink("/etc", work_dir.join("link")).unwrap();
        for (input, access) in [
            (
                json!({ "file_path": work_dir.join("a.txt") }),
                Access::Write,
            ),
            (
                json!({ "file_path": work_dir.join("../a.txt") }),
                Access::Run,
            ),
            (
                json!({ "file_path": work_dir.join("link/a.txt") }),
                Access::Run,
            ),
            (
                json!({ "file_path": directory.path().join("works/a.txt") }),
                Access::Run,
            ),
            (json!({ "file_path": "/etc/passwd" }), Access::Run),
            (
                json!({ "file_path": work_dir.join("a.txt"), "path": "/etc/passwd" }),
                Access::Run,
            ),
            (json!({ "file_path": "a.txt" }), Access::Run),
            (json!({}), Access::Run),
        ] {
            let judged = judged("Write", &input, work_dir);
            assert_eq!(judged, (access, Effect::Write), "{input}");
        }
        let inside = json!({ "file_path": work_dir.join("a.txt") });
        let read = judged("Read", &inside, work_dir);
        assert_eq!(read, (Access::Run, Effect::Read));
        assert_eq!(
            judged("Bash", &Value::Null, work_dir),
            (Access::Run, Effect::Run)
        );
    }
}
