//! A hive for tests: a real store and a real journal in a temporary directory.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Authority, Context, EngineInfo, Shared, Tool, ToolError, ToolOutput};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::guard::Guards;
use crate::journal::{Journal, WriterLimits, materialise};

/// Removed when dropped.
pub(crate) struct Hive {
    pub(crate) cx: Context,
    _directory: tempfile::TempDir,
}

impl Hive {
    pub(crate) fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = Arc::new(DataDir::open(&directory.path().join("hive")).unwrap());
        let disk = Disk::real();
        let opened = materialise::open(&disk, &data, 1 << 20, 1).unwrap();
        let store = Arc::clone(&opened.store);
        let limits = WriterLimits {
            batch_commands_max: 16,
            commands_waiting_max: 16,
            segment_bytes_min: 1 << 20,
            segment_age_max: Duration::from_secs(3600),
            checkpoint_dirty_bytes: 1 << 20,
            sync_inline_max: crate::journal::SYNC_INLINE_MAX,
        };
        let journal = Journal::start(opened, disk, &data, limits, || 1, Arc::new(|_| ())).unwrap();
        let work_dir = data.bee_dir();
        std::fs::create_dir(&work_dir).unwrap();
        let engine = |name: &str, ready, detail: &str| EngineInfo {
            name: name.to_owned(),
            ready,
            detail: detail.to_owned(),
        };
        let engines = vec![
            engine(
                "claude",
                false,
                "not on PATH: npm install -g @anthropic-ai/claude-code",
            ),
            engine("mine", true, "a command of skep.toml"),
            engine("builtin", true, "always there; no model"),
        ];
        let shared = Shared {
            quotas: Vec::new(),
            store,
            journal,
            data,
            clock: || 1_795_305_600_000,
            engines: Box::new(move || std::future::ready(engines.clone()).boxed()),
            guards: Arc::new(Guards::running("/nonexistent".into())),
            environment: Default::default(),
            command_timeout: Duration::from_secs(10),
            upload_bytes_max: 1 << 20,
            runner: Default::default(),
        };
        Self {
            cx: Context {
                shared: Arc::new(shared),
                authority: Authority::Account,
                execution_id: None,
                worker_id: None,
                session_id: None,
                temp_dir: work_dir.clone(),
                work_dir,
                granted: Default::default(),
                may_fetch: false,
                stop: Default::default(),
            },
            _directory: directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.cx.work_dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) async fn call(
        &self,
        tool: &Tool,
        args: serde_json::Value,
    ) -> Result<ToolOutput, ToolError> {
        tool.call(&self.cx, args).await
    }
}
