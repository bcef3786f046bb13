//! The system: what there is, what runs, what can answer.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Access, Context, EngineInfo, Tool, ToolError, ToolOutput, blocking};
use crate::store::{executions, sessions, workers};

/// Files of the data directory that are measured; with more, its size is given as "at least".
pub const MEASURED_FILES_MAX: usize = 20_000;
/// Chats that are counted.
pub const COUNTED_MAX: usize = 1_000;

/// How things are. Data: [`Overview`].
pub const OVERVIEW: Tool = Tool {
    name: "get_system_overview",
    description: "Tells how many workers and chats there are, what runs and waits, which engines are ready, and how big the data directory is.",
    access: Access::Read,
    params: &[],
    call: |cx, _| Box::pin(overview(cx)),
};

/// What can answer. Data: a list of [`EngineInfo`].
pub const ENGINES: Tool = Tool {
    name: "list_engines",
    description: "Lists the engines that a worker can use, and what is missing where one is not ready.",
    access: Access::Read,
    params: &[],
    call: |cx, _| Box::pin(engines(cx)),
};

/// How things are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Skep's version.
    pub version: String,
    /// How many workers there are.
    pub workers: u64,
    /// How many chats, up to [`COUNTED_MAX`].
    pub sessions: usize,
    /// Whose executions run: the worker's name and what was asked.
    pub running: Vec<Running>,
    /// How many executions wait.
    pub waiting: u64,
    /// The names of the engines that are ready.
    pub engines: Vec<String>,
    /// Where everything is.
    pub data_dir: String,
    /// How big that is.
    pub data_bytes: u64,
    /// Whether there are more files than were measured.
    pub data_bytes_at_least: bool,
}

/// An execution that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Whose it is.
    pub worker: String,
    /// Its id.
    pub execution_id: String,
    /// Since when, milliseconds since 1970.
    pub since: Option<u64>,
}

async fn overview(cx: &Context) -> Result<ToolOutput, ToolError> {
    let engines = (cx.shared.engines)().await;
    let cx = cx.clone();
    let overview = blocking(move || {
        let data = &cx.shared.data;
        let (data_bytes, data_bytes_at_least) = measure(data.root());
        cx.shared.store.read(|tx| {
            let running = executions::list_running(tx)?;
            Ok::<_, ToolError>(Overview {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                workers: workers::count(tx)?,
                sessions: sessions::list(tx, None, COUNTED_MAX)?.rows.len(),
                running: running
                    .into_iter()
                    .map(|execution| Running {
                        worker: execution.worker_name,
                        execution_id: execution.id.to_string(),
                        since: execution.started_at,
                    })
                    .collect(),
                waiting: executions::queue_length(tx)?,
                engines: engines
                    .into_iter()
                    .filter(|engine| engine.ready)
                    .map(|engine| engine.name)
                    .collect(),
                data_dir: super::beneath::printable(&data.root().to_string_lossy()),
                data_bytes,
                data_bytes_at_least,
            })
        })
    })
    .await?;
    let text = format!(
        "skep {}: {} workers, {} chats, {} running, {} waiting; engines ready: {}; data directory {} ({} bytes)",
        overview.version,
        overview.workers,
        overview.sessions,
        overview.running.len(),
        overview.waiting,
        overview.engines.join(", "),
        overview.data_dir,
        overview.data_bytes,
    );
    Ok(ToolOutput::new(text, &overview))
}

/// Bytes of all files below `root`, and whether there were too many to look at. Links are not followed.
fn measure(root: &Path) -> (u64, bool) {
    let mut bytes = 0;
    let mut seen = 0;
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        // What vanishes meanwhile, or may not be read, counts for nothing.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MEASURED_FILES_MAX {
                return (bytes, true);
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
                _ => {}
            }
        }
    }
    (bytes, false)
}

async fn engines(cx: &Context) -> Result<ToolOutput, ToolError> {
    let engines: Vec<EngineInfo> = (cx.shared.engines)().await;
    let lines: Vec<String> = engines
        .iter()
        .map(|engine| {
            let ready = if engine.ready { "ready" } else { "not ready" };
            format!("{} ({ready}): {}", engine.name, engine.detail)
        })
        .collect();
    Ok(ToolOutput::new(lines.join("\n"), &engines))
}
