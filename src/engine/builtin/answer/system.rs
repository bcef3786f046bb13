//! Answers about the system.

use std::time::Duration;

use serde_json::json;

use super::super::NAME;
use super::super::markdown::{cell_code, code, plain, prose, size, table};
use super::super::phrases::ADD_MODEL_SHORT;
use super::super::speaker::Halt;
use super::Answerer;
use crate::tool::EngineInfo;
use crate::tool::system::{self, Overview};

/// How far it counts.
const COUNT_MAX: u64 = 1_000;
/// Between two numbers when it counts slowly.
const COUNT_PAUSE: Duration = Duration::from_millis(100);

impl Answerer<'_> {
    pub async fn status(&mut self) -> Result<(), Halt> {
        let overview = self
            .speaker
            .call(&self.cx, &system::OVERVIEW, json!({}))
            .await?;
        let overview: Overview = match overview {
            Ok(overview) => overview,
            Err(error) => return self.regret(&error).await,
        };
        let engines: Vec<String> = overview.engines.iter().map(|name| code(name)).collect();
        let running: Vec<String> = overview
            .running
            .iter()
            .map(|running| plain(&running.worker))
            .collect();
        let at_least = if overview.data_bytes_at_least {
            "at least "
        } else {
            ""
        };
        let rows = [
            ("Version", overview.version),
            ("Workers", overview.workers.to_string()),
            ("Chats", overview.sessions.to_string()),
            (
                "Running",
                format!("{} ({})", overview.running.len(), running.join(", ")),
            ),
            ("Waiting", overview.waiting.to_string()),
            ("Engines ready", engines.join(", ")),
            ("Data directory", cell_code(&overview.data_dir)),
            (
                "Its size",
                format!("{at_least}{}", size(overview.data_bytes)),
            ),
        ];
        let rows = rows.map(|(what, value)| vec![what.to_owned(), value.replace(" ()", "")]);
        self.say(&table(&["", "Now"], rows)).await
    }

    pub async fn engines(&mut self) -> Result<(), Halt> {
        if let Some(models) = self.show_engines(|_| true).await?
            && models == 0
        {
            self.say(ADD_MODEL_SHORT).await?;
        }
        Ok(())
    }

    /// What is here comes first, so that what to do is not scrolled away by it.
    pub async fn add_model(&mut self, how: &str) -> Result<(), Halt> {
        let is_usual = |engine: &EngineInfo| engine.ready || !engine.name.ends_with("-acp");
        self.show_engines(is_usual).await?;
        self.say(how).await
    }

    /// The table of engines; answers how many are ready beside this one.
    async fn show_engines(
        &mut self,
        is_shown: impl Fn(&EngineInfo) -> bool,
    ) -> Result<Option<usize>, Halt> {
        let engines = self
            .speaker
            .call(&self.cx, &system::ENGINES, json!({}))
            .await?;
        let engines: Vec<EngineInfo> = match engines {
            Ok(engines) => engines,
            Err(error) => {
                self.regret(&error).await?;
                return Ok(None);
            }
        };
        let shown = engines.iter().filter(|engine| is_shown(engine));
        let rows = shown.map(|engine| {
            let ready = if engine.ready { "yes" } else { "no" };
            vec![
                cell_code(&engine.name),
                ready.to_owned(),
                prose(&engine.detail),
            ]
        });
        self.say(&table(&["Engine", "Ready", "About"], rows))
            .await?;
        let others = engines
            .iter()
            .filter(|engine| engine.ready && engine.name != NAME);
        Ok(Some(others.count()))
    }

    pub async fn count(&mut self, from: u64, to: u64, slowly: bool) -> Result<(), Halt> {
        let last = to.min(from.saturating_add(COUNT_MAX - 1));
        for number in from..=last {
            let space = if number == from { "" } else { " " };
            self.speaker.emit_text(&format!("{space}{number}")).await?;
            if slowly && number < last {
                self.speaker.pause(COUNT_PAUSE).await?;
            }
        }
        if to > last {
            self.say(&format!("I stop at {last}.")).await?;
        }
        if to < from {
            self.say("That was quick: there is nothing to count.")
                .await?;
        }
        Ok(())
    }
}
