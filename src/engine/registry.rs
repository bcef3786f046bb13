//! The engines there are, by name, and which one `auto` means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cli::CommandLine;
use super::detect::{EngineStatus, Versions, status};
use super::http::{HttpEngine, HttpParts};
use super::process::Patience;
use super::settings::{EngineKind, EngineSettings, LOCAL};
use super::{Engine, EngineError, acp, recover};
use crate::guard::{Guards, statement};

/// The word for "whichever is there and signed in".
pub const AUTO: &str = "auto";
/// What `auto` tries, after the engine that the settings prefer.
const AUTO_ORDER: [&str; 5] = ["claude", "codex", "opencode", "gemini", LOCAL];

/// Every engine that a worker can name.
pub struct Engines {
    entries: BTreeMap<String, Entry>,
    default_engine: String,
    guards: Arc<Guards>,
    versions: Versions,
}

struct Entry {
    settings: EngineSettings,
    engine: Arc<dyn Engine>,
    /// The same, where it is a model server.
    model: Option<Arc<HttpEngine>>,
}

impl Entry {
    async fn is_ready(&self) -> bool {
        match &self.model {
            Some(model) => model.is_there().await,
            None => status(&self.settings).is_ready(),
        }
    }
}

impl Engines {
    /// The known command lines, `builtin`, and what `[engines.*]` adds or changes. `settings` went through
    /// [`EngineSettings::named`].
    pub fn new(
        settings: impl IntoIterator<Item = EngineSettings>,
        default_engine: impl Into<String>,
        builtin: Arc<dyn Engine>,
        guards: Arc<Guards>,
        patience: Patience,
        http: HttpParts,
    ) -> Self {
        let agents = acp::PRESETS.map(|(name, _)| name);
        let mut all: BTreeMap<String, EngineSettings> = AUTO_ORDER
            .into_iter()
            .chain(agents)
            .filter_map(|name| EngineSettings::default().named(name).ok())
            .chain(settings)
            .map(|settings| (settings.name.clone(), settings))
            .collect();
        all.entry("builtin".to_owned())
            .or_insert_with(|| EngineSettings {
                name: "builtin".to_owned(),
                kind: Some(EngineKind::Builtin),
                ..EngineSettings::default()
            });
        let entries = all
            .into_iter()
            .map(|(name, settings)| {
                let model = HttpEngine::new(settings.clone(), http.clone()).map(Arc::new);
                let command = CommandLine::new(settings.clone(), Arc::clone(&guards), patience);
                let engine: Arc<dyn Engine> = match (&model, command) {
                    (Some(engine), _) => engine.clone(),
                    (None, Some(engine)) => Arc::new(engine),
                    (None, None) => Arc::clone(&builtin),
                };
                let entry = Entry {
                    settings,
                    engine,
                    model,
                };
                (name, entry)
            })
            .collect();
        Self {
            entries,
            default_engine: default_engine.into(),
            guards,
            versions: Versions::default(),
        }
    }

    /// The engine of that name; `auto` (or nothing) is the first that is there and signed in.
    pub async fn resolve(&self, name: &str) -> Result<Arc<dyn Engine>, EngineError> {
        if name.is_empty() || name == AUTO {
            return self.resolve_auto().await;
        }
        let entry = self.entries.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().map(String::as_str).collect();
            EngineError::new(
                "engine_missing",
                format!(
                    "there is no engine {name:?}; there are {}",
                    known.join(", ")
                ),
            )
        })?;
        let status = status(&entry.settings);
        if status.found {
            return Ok(Arc::clone(&entry.engine));
        }
        let why = status.why_not.unwrap_or_default();
        let fix = status
            .fix
            .map(|fix| format!(" ({fix})"))
            .unwrap_or_default();
        Err(EngineError::new("engine_missing", format!("{why}{fix}")))
    }

    /// A work directory as it is now, without links. `Err` is why it cannot be one any more: a link may have taken its
    /// place since it was given to a worker.
    pub fn work_dir(&self, directory: &Path) -> Result<PathBuf, String> {
        match self.guards.policy() {
            Some(policy) => policy.work_dir(directory),
            None => std::fs::canonicalize(directory).map_err(|error| error.to_string()),
        }
    }

    /// Whether that is the name of an engine.
    pub fn knows(&self, name: &str) -> bool {
        name == AUTO || self.entries.contains_key(name)
    }

    /// The names of all engines, `auto` first.
    pub fn names(&self) -> Vec<&str> {
        let names = self.entries.keys().map(String::as_str);
        std::iter::once(AUTO).chain(names).collect()
    }

    /// The reply as far as a log has it, for a run that a crash interrupted. A log of an engine that is no more, or that
    /// cannot be read, gives none: the log itself stays.
    pub fn recovered_text(&self, name: &str, log: &Path) -> String {
        let Some(entry) = self.entries.get(name) else {
            return String::new();
        };
        recover::text(log, entry.engine.parser().as_mut()).unwrap_or_default()
    }

    async fn resolve_auto(&self) -> Result<Arc<dyn Engine>, EngineError> {
        match self.auto().await {
            Some((_, entry)) => Ok(Arc::clone(&entry.engine)),
            None => {
                let message = "there is no engine to run";
                Err(EngineError::new("engine_missing", message))
            }
        }
    }

    /// What `auto` tries, in order.
    pub fn auto_order(&self) -> Vec<&str> {
        let preferred = Some(self.default_engine.as_str()).filter(|name| *name != AUTO);
        let mut order: Vec<&str> = preferred.into_iter().collect();
        let usual = AUTO_ORDER.into_iter().chain(["builtin"]);
        order.extend(usual.filter(|name| preferred != Some(*name)));
        order
    }

    async fn auto(&self) -> Option<(&str, &Entry)> {
        for name in self.auto_order() {
            if let Some(entry) = self.entries.get(name)
                && entry.is_ready().await
            {
                return Some((name, entry));
            }
        }
        None
    }

    /// All of them with what is known of each, by name.
    pub async fn list(&self) -> Vec<EngineStatus> {
        self.look(true).await
    }

    /// The same without starting a program: versions that nobody has asked for yet are left out.
    pub async fn list_known(&self) -> Vec<EngineStatus> {
        self.look(false).await
    }

    async fn look(&self, asks_versions: bool) -> Vec<EngineStatus> {
        let statuses = self.entries.values().map(|entry| async {
            let is_confined =
                self.guards.policy().is_some() && entry.settings.confine.unwrap_or(true);
            let confinement = Some(statement(is_confined));
            if let Some(model) = &entry.model {
                let mut status = model.status().await;
                status.confinement = confinement;
                return status;
            }
            let mut status = status(&entry.settings);
            status.confinement = confinement;
            // A program of the user's own need not know `--version`, and might do anything.
            let is_known = match entry.settings.kind {
                Some(EngineKind::Command) => false,
                Some(EngineKind::Acp) => acp::says_its_version(&entry.settings),
                _ => true,
            };
            if is_known && let Some(path) = &status.path {
                status.version = match asks_versions {
                    true => self.versions.of(&entry.settings, path, &self.guards).await,
                    false => self.versions.known(path),
                };
            }
            status
        });
        let mut statuses = futures_util::future::join_all(statuses).await;
        let auto = self.auto().await.map(|(name, _)| name);
        for status in &mut statuses {
            status.auto = auto == Some(status.name.as_str());
        }
        statuses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::future::BoxFuture;

    use super::super::{Run, Turn};
    use super::*;

    struct Nothing;

    impl Engine for Nothing {
        fn name(&self) -> &str {
            "builtin"
        }

        fn run<'a>(
            &'a self,
            _turn: &'a Turn,
            _run: &'a mut Run,
        ) -> BoxFuture<'a, Result<(), EngineError>> {
            Box::pin(async { Ok(()) })
        }
    }

    /// Engines on a machine whose PATH and home are empty but for what `settings` say.
    fn engines(default_engine: &str, settings: &[(&str, &[&str], &str)]) -> Engines {
        let home = BTreeMap::from([
            ("PATH".to_owned(), "/nonexistent".to_owned()),
            ("HOME".to_owned(), "/nonexistent".to_owned()),
        ]);
        let known = ["claude", "codex", "gemini", "opencode"].map(|name| (name, &[][..], ""));
        let settings = known.iter().chain(settings).map(|(name, argv, key)| {
            let mut env = home.clone();
            for name in [
                "ANTHROPIC_API_KEY",
                "OPENAI_API_KEY",
                "CODEX_API_KEY",
                "GEMINI_API_KEY",
            ] {
                env.insert(name.to_owned(), (*key).to_owned());
            }
            EngineSettings {
                kind: (!["claude", "codex", "gemini", "opencode"].contains(name))
                    .then_some(EngineKind::Command),
                argv: argv.iter().map(|word| (*word).to_owned()).collect(),
                env,
                ..EngineSettings::default()
            }
            .named(name)
            .unwrap()
        });
        let guards = Arc::new(Guards::running("/nonexistent".into()));
        Engines::new(
            settings,
            default_engine,
            Arc::new(Nothing),
            guards,
            Patience::default(),
            HttpParts {
                model_servers: Vec::new(),
                ..crate::config::Config::default().http_parts(None, None)
            },
        )
    }

    async fn auto(default_engine: &str, settings: &[(&str, &[&str], &str)]) -> String {
        engines(default_engine, settings)
            .resolve(AUTO)
            .await
            .unwrap()
            .name()
            .to_owned()
    }

    #[tokio::test]
    async fn auto_is_the_first_that_is_there_and_signed_in() {
        let sh = &["/bin/sh"][..];
        assert_eq!(auto("auto", &[]).await, "builtin");
        assert_eq!(auto("auto", &[("claude", sh, "")]).await, "builtin");
        assert_eq!(
            auto("auto", &[("claude", sh, ""), ("codex", sh, "key")]).await,
            "codex"
        );
        assert_eq!(
            auto("auto", &[("claude", sh, "key"), ("codex", sh, "key")]).await,
            "claude"
        );
        assert_eq!(
            auto("mine", &[("claude", sh, "key"), ("mine", sh, "")]).await,
            "mine"
        );
        assert_eq!(
            auto(
                "mine",
                &[("claude", sh, "key"), ("mine", &["/nonexistent/x"], "")]
            )
            .await,
            "claude"
        );
        assert_eq!(auto("no-such", &[("claude", sh, "key")]).await, "claude");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_says_what_to_do() {
        let engines = engines("auto", &[]);
        let error = engines.resolve("claude").await.err().unwrap();
        assert_eq!(error.code, "engine_missing");
        assert!(error.message.contains("npm install"), "{error}");
        let error = engines.resolve("gpt").await.err().unwrap();
        assert!(
            error
                .message
                .contains("builtin, claude, claude-code-acp, codex, codex-acp"),
            "{error}"
        );
        assert!(engines.knows("auto") && engines.knows("codex") && !engines.knows("gpt"));
    }
}
