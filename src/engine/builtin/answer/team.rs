//! Answers about workers.

use serde_json::json;

use super::super::markdown::{block, cell_code, code, head, plain, prose, table};
use super::super::request::Field;
use super::super::speaker::Halt;
use super::Answerer;
use crate::tool::staffing;
use crate::tool::workers::{self, AUTO, WorkerInfo, WorkerList, WorkerStatus};
use crate::tool::{EngineInfo, ToolError};

/// What is shown of a memory.
const MEMORY_SHOWN_BYTES_MAX: usize = 2 * 1024;
const MEMORY_SHOWN_LINES_MAX: usize = 20;

impl Answerer<'_> {
    /// Looks without showing it: only to choose between two meanings.
    pub async fn is_worker(&self, name: &str) -> bool {
        let args = json!({ "worker": name });
        workers::GET.call(&self.cx, args).await.is_ok()
    }

    /// The names of the workers, oldest first. Looks without showing it.
    pub async fn names(&self) -> Vec<String> {
        let Ok(found) = workers::LIST.call(&self.cx, json!({})).await else {
            return Vec::new();
        };
        let list = serde_json::from_value::<WorkerList>(found.data);
        let workers = list.map(|list| list.workers).unwrap_or_default();
        workers.into_iter().rev().map(|w| w.name).collect()
    }

    /// There is nobody of this name, but these; and a worker of this name is one sentence away.
    pub async fn nobody(&mut self, name: &str, names: &[String]) -> Result<(), Halt> {
        let create = code(&format!("create a worker named {name} that …"));
        self.say(&format!(
            "There is no worker named {}. {}; {create} makes one.",
            plain(name),
            there_are("There", names)
        ))
        .await
    }

    pub async fn workers(&mut self) -> Result<(), Halt> {
        let list = self
            .speaker
            .call(&self.cx, &workers::LIST, json!({}))
            .await?;
        let list: WorkerList = match list {
            Ok(list) => list,
            Err(error) => return self.regret(&error).await,
        };
        if list.workers.is_empty() {
            return self
                .say("There are no workers yet. `create a worker named Ada that reviews Rust code` makes one.")
                .await;
        }
        let rows = list.workers.iter().map(|worker| {
            vec![
                format!("**{}**", plain(&worker.name)),
                plain(head(&worker.description, 200, 1).0),
                cell_code(engine(worker)),
                busy(worker),
            ]
        });
        let table = table(&["Worker", "Good at", "Engine", "Now"], rows);
        self.say(&table).await?;
        if list.more {
            self.say("There are more; the workers page shows all.")
                .await?;
        }
        Ok(())
    }

    pub async fn worker(&mut self, name: &str) -> Result<(), Halt> {
        let args = json!({ "worker": name });
        match self.speaker.call(&self.cx, &workers::GET, args).await? {
            Ok(worker) => self.show_worker(&worker).await,
            Err(error) => self.no_worker(&error).await,
        }
    }

    async fn show_worker(&mut self, worker: &WorkerInfo) -> Result<(), Halt> {
        let model = match worker.model.as_str() {
            "" => "the engine's choice".to_owned(),
            model => cell_code(model),
        };
        let rows = [
            ("Name", plain(&worker.name)),
            ("Good at", plain(&worker.description)),
            ("Engine", cell_code(engine(worker))),
            ("Model", model),
            ("Now", busy(worker)),
            ("Directory", cell_code(&worker.work_dir)),
        ];
        let rows = rows.map(|(what, value)| vec![what.to_owned(), value]);
        self.say(&table(&["Setting", "Value"], rows)).await?;
        if !worker.memory.trim().is_empty() {
            let (memory, more) = head(
                &worker.memory,
                MEMORY_SHOWN_BYTES_MAX,
                MEMORY_SHOWN_LINES_MAX,
            );
            let begins = if more { "begins" } else { "says" };
            self.say(&format!("Its memory {begins}:")).await?;
            self.say(&block(memory, "text")).await?;
        }
        Ok(())
    }

    pub async fn worker_status(&mut self, name: &str) -> Result<(), Halt> {
        let args = json!({ "worker": name });
        let status = self.speaker.call(&self.cx, &workers::STATUS, args).await?;
        let status: WorkerStatus = match status {
            Ok(status) => status,
            Err(error) => return self.no_worker(&error).await,
        };
        let worker = &status.worker;
        self.say(&format!("**{}** is {}.", plain(&worker.name), busy(worker)))
            .await?;
        if status.executions.is_empty() {
            return self.say("It was not asked anything yet.").await;
        }
        let rows = status.executions.iter().map(|execution| {
            let status = match &execution.error {
                Some(error) => format!("{}: {}", execution.status, plain(error)),
                None => execution.status.clone(),
            };
            vec![plain(&execution.asked), status]
        });
        self.say(&table(&["Last asked", "How it went"], rows)).await
    }

    pub async fn create_worker(
        &mut self,
        name: &str,
        mut description: String,
        using: Option<String>,
    ) -> Result<(), Halt> {
        let mut args = json!({ "name": name });
        if let Some(using) = using {
            match self.engine_meant(&using).await {
                // `that writes services using Rust` names no engine.
                None if !description.is_empty() => {
                    description = format!("{description} using {using}");
                }
                found => args["engine"] = json!(found.unwrap_or(using)),
            }
        }
        if !description.is_empty() {
            args["description"] = json!(description);
        }
        let created = self.speaker.call(&self.cx, &staffing::CREATE, args).await?;
        let worker: WorkerInfo = match created {
            Ok(worker) => worker,
            Err(error) => return self.regret(&error).await,
        };
        let name = plain(&worker.name);
        self.say(&format!(
            "**{name}** is there. Begin a message with {} to talk to it.",
            code(&format!("@{}", worker.name))
        ))
        .await?;
        if !worker.engine.is_empty() {
            self.warn_of_engine(&worker).await?;
        }
        self.show_worker(&worker).await?;
        if worker.description.is_empty() {
            self.say(&format!(
                "Say what it is good at, so that messages find it: {}",
                code(&format!("describe {} as …", worker.name))
            ))
            .await?;
        }
        Ok(())
    }

    /// The engine that was meant by `claude`, `the claude engine` or `Claude`.
    async fn engine_meant(&self, text: &str) -> Option<String> {
        let words = text.split_whitespace().map(str::to_lowercase);
        let words: Vec<String> = words
            .filter(|word| !["the", "engine", "as", "its", "an", "a"].contains(&word.as_str()))
            .collect();
        let wanted = words.join(" ");
        if wanted == AUTO {
            return Some(wanted);
        }
        self.engine_info(&wanted).await.map(|engine| engine.name)
    }

    /// The engine of that name, in whatever case it was written.
    pub async fn engine_info(&self, name: &str) -> Option<EngineInfo> {
        let engines: Vec<EngineInfo> = (self.cx.shared.engines)().await;
        let wanted = name.to_lowercase();
        engines
            .into_iter()
            .find(|engine| engine.name.to_lowercase() == wanted)
    }

    pub async fn change_worker(
        &mut self,
        name: &str,
        field: Field,
        value: &str,
    ) -> Result<(), Halt> {
        let mut args = json!({ "worker": name });
        args[field.as_str()] = json!(value);
        match self.speaker.call(&self.cx, &staffing::UPDATE, args).await? {
            Ok(worker) => {
                let worker: WorkerInfo = worker;
                match field {
                    Field::Name => {
                        let new = plain(&worker.name);
                        self.say(&format!("{} is now called **{new}**.", plain(name)))
                            .await
                    }
                    Field::Engine if self.warn_of_engine(&worker).await? => Ok(()),
                    _ => {
                        let new = plain(&worker.name);
                        self.say(&format!("Changed the {} of **{new}**.", field.as_str()))
                            .await?;
                        self.show_worker(&worker).await
                    }
                }
            }
            Err(error) => self.no_worker(&error).await,
        }
    }

    /// Says so if the worker cannot answer with the engine that it has now; tells whether it did.
    async fn warn_of_engine(&mut self, worker: &WorkerInfo) -> Result<bool, Halt> {
        let engines: Vec<EngineInfo> = (self.cx.shared.engines)().await;
        let missing = engines
            .into_iter()
            .find(|engine| engine.name == worker.engine && !engine.ready);
        let Some(missing) = missing else {
            return Ok(false);
        };
        let name = plain(&worker.name);
        let undo = code(&format!("@bee set {}'s engine to {AUTO}", worker.name));
        self.say(&format!(
            "**{name}** now uses {}, which is not ready here, so {name} cannot answer yet: {}. {undo} undoes it.",
            code(&missing.name),
            prose(missing.detail.trim_end_matches('.'))
        ))
        .await?;
        Ok(true)
    }

    pub async fn delete_worker(&mut self, name: &str) -> Result<(), Halt> {
        let args = json!({ "worker": name });
        match self.speaker.call(&self.cx, &staffing::DELETE, args).await? {
            Ok(worker) => {
                let worker: WorkerInfo = worker;
                self.say(&format!(
                    "**{}** is gone. Its files stay in {}.",
                    plain(&worker.name),
                    code(&worker.work_dir)
                ))
                .await
            }
            Err(error @ ToolError::Refused(_)) if self.is_self(name).await => {
                self.regret(&error).await?;
                self.say(&format!(
                    "Say {}.",
                    code(&format!("@bee delete worker {name}"))
                ))
                .await
            }
            Err(error) => self.no_worker(&error).await,
        }
    }

    async fn is_self(&self, name: &str) -> bool {
        let args = json!({ "worker": name });
        let found = workers::GET.call(&self.cx, args).await;
        let id = self.cx.worker_id.map(|id| id.to_string());
        found.is_ok_and(|found| id.is_some() && found.data["id"].as_str() == id.as_deref())
    }

    async fn no_worker(&mut self, error: &ToolError) -> Result<(), Halt> {
        self.regret(error).await?;
        if matches!(error, ToolError::NotFound(_)) {
            self.say("`workers` shows who there is.").await?;
        }
        Ok(())
    }
}

/// `There are Ada and Bob`.
pub fn there_are(there: &str, names: &[String]) -> String {
    const NAMED_MAX: usize = 10;
    let mut named: Vec<String> = names.iter().take(NAMED_MAX).map(|n| plain(n)).collect();
    if names.len() > NAMED_MAX {
        named.push(format!("{} more", names.len() - NAMED_MAX));
    }
    match named.split_last() {
        None => format!("{there} are no workers yet"),
        Some((only, [])) => format!("{there} is {only}"),
        Some((last, others)) => format!("{there} are {} and {last}", others.join(", ")),
    }
}

fn engine(worker: &WorkerInfo) -> &str {
    match worker.engine.as_str() {
        "" => AUTO,
        engine => engine,
    }
}

fn busy(worker: &WorkerInfo) -> String {
    match (worker.running, worker.pending) {
        (true, 0) => "running".to_owned(),
        (true, pending) => format!("running, {pending} waiting"),
        (false, 0) => "idle".to_owned(),
        (false, pending) => format!("{pending} waiting"),
    }
}
