//! What a crash left: executions that were running when the server died.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::Supervisor;
use crate::command::{CountUsage, Ending, FinishExecution};
use crate::execution_log::LogWriter;
use crate::model::{Execution, ExecutionId};
use crate::store::{executions, permissions, usage};

impl Supervisor {
    /// A hive whose executions were never summed up begins with it. Where nothing can be written, the next start does.
    pub(super) async fn count_usage(&self) {
        if matches!(self.parts.store.read(usage::is_counted), Ok(false))
            && let Err(error) = self.parts.journal.submit(CountUsage).await
        {
            tracing::warn!(%error, "usage could not be summed up; the next start tries again");
        }
    }

    /// Ends what is marked as running: nothing runs at a start. The reply keeps the text that the log had.
    pub(super) async fn settle(&self) {
        let left = self
            .parts
            .store
            .read(executions::list_running)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "interrupted executions could not be read");
                Vec::new()
            });
        for execution in left {
            tracing::warn!(execution.id = %execution.id, "an execution was interrupted");
            let _ = fs::remove_dir_all(self.temp_dir(execution.id));
            let text = self.recovered_text(&execution);
            let error = match self.asked_in_vain(&execution) {
                Some(tool) => format!(
                    "interrupted: the server ended while this waited for permission to use {tool}; that is denied, and a retry asks again"
                ),
                None => "interrupted".to_owned(),
            };
            let note = match error.as_str() {
                "interrupted" => "interrupted: the server ended while this ran",
                error => error,
            };
            let finish = FinishExecution {
                id: execution.id,
                ending: Ending::Interrupted,
                text,
                log_bytes: self.seal_log(&execution, note),
                error: Some(error),
                usage: execution.usage,
                at: self.now(),
            };
            self.finish(finish).await;
        }
    }

    /// Removes what runs of this hive left among the temporary files when a server was killed. None runs yet, and a copy
    /// that has not been confirmed has no runs of its own.
    pub(super) fn sweep_temp_dirs(&self) {
        if self.is_held() {
            return;
        }
        let instance = self.parts.data.instance().id.simple();
        let prefix = format!("skep-{instance}-");
        let ours = rustix::process::geteuid().as_raw();
        let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
        let left: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| name.strip_prefix(&prefix));
                id.is_some_and(|id| id.parse::<ExecutionId>().is_ok())
            })
            // Anybody may make names there.
            .filter(|entry| {
                let metadata = entry.metadata();
                metadata.is_ok_and(|it| it.is_dir() && it.uid() == ours)
            })
            .map(|entry| entry.path())
            .collect();
        // However much there is, nobody waits for it.
        drop(tokio::task::spawn_blocking(move || {
            for directory in left {
                if let Err(error) = fs::remove_dir_all(&directory) {
                    tracing::debug!(directory = %directory.display(), %error, "a temporary directory stays");
                }
            }
        }));
    }

    /// The tool that an execution asked for and was not answered about.
    fn asked_in_vain(&self, execution: &Execution) -> Option<String> {
        let found = self.parts.store.read(|tx| {
            let waiting = permissions::waiting(tx, execution.id)?.pop();
            waiting.map_or(Ok(None), |id| permissions::get(tx, execution.id, id))
        });
        found.ok().flatten().map(|request| request.tool)
    }

    fn recovered_text(&self, execution: &Execution) -> String {
        let path = self.parts.data.root().join(execution.log_path());
        let recover = || self.parts.engines.recovered_text(&execution.engine, &path);
        // Whatever a log holds, it must not keep the queue from starting.
        catch_unwind(AssertUnwindSafe(recover)).unwrap_or_default()
    }

    /// Ends the log of a run that could not do so itself; its length.
    pub(super) fn seal_log(&self, execution: &Execution, note: &str) -> u64 {
        let path = self.parts.data.root().join(execution.log_path());
        // It was sealed before the end could be stored: nothing is missing.
        let metadata = fs::metadata(&path);
        if let Some(sealed) = metadata.ok().filter(|file| file.permissions().readonly()) {
            return sealed.len();
        }
        let sealed =
            LogWriter::reopen(&path, self.parts.limits.log_bytes_max).and_then(|mut log| {
                let _ = log.note(note);
                log.seal()
            });
        sealed.unwrap_or_else(|error| {
            tracing::warn!(execution.id = %execution.id, %error, "the log of an execution that broke off is not there");
            0
        })
    }
}
