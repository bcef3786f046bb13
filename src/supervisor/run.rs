//! One execution, from the queue to its reply.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use super::permission::Waits;
use super::{REFUSED_PAUSE, RETRY_INTERVAL, Supervisor, remembered, routing};
use crate::command::{Ending, FinishExecution, RecordContext, RecordEvent, StartExecution};
use crate::data_dir::make_dir;
use crate::engine::extra::Extra;
use crate::engine::{Engine, EngineError, EngineEvent, Run, Stop, Turn};
use crate::execution_log::LogWriter;
use crate::feed::LiveReply;
use crate::journal::SubmitError;
use crate::model::limits::{
    ENGINE_WORD_BYTES_MAX, ERROR_BYTES_MAX, NAME_BYTES_MAX, REPLY_BYTES_MAX, TOOL_DETAIL_BYTES_MAX,
};
use crate::model::tally::{day_of, usd};
use crate::model::text::truncated;
use crate::model::{EventBody, Execution, ExecutionId, Media, Usage, WorkDir, Worker};
use crate::store::events::Scope;
use crate::store::{
    StoreError, contexts, engine_options, executions, messages, profiles, usage, workers,
};
use crate::tool::Permissions;

/// Events of an engine that may wait for the supervisor.
const EVENTS_WAITING_MAX: usize = 256;

/// What a run has brought so far.
struct Progress {
    live: Arc<LiveReply>,
    result: Option<String>,
    error: Option<String>,
    usage: Usage,
}

/// How a run ended.
struct End {
    ending: Ending,
    error: Option<String>,
    log_bytes: u64,
}

impl Supervisor {
    /// Runs one execution to its end. Everything that goes wrong after its start is its result, told in the chat.
    pub(super) async fn run(
        self: &Arc<Self>,
        id: ExecutionId,
        stop: watch::Receiver<Option<Stop>>,
    ) {
        let resolved = match self.resolve(id).await {
            Ok(resolved) => resolved,
            Err(error) => {
                tracing::error!(execution.id = %id, %error, "an execution could not be read");
                self.pause(RETRY_INTERVAL).await;
                return;
            }
        };
        let engine = resolved
            .as_ref()
            .map_or_else(|(name, _)| name.clone(), |engine| engine.name().to_owned());
        let started = self
            .parts
            .journal
            .submit(StartExecution {
                id,
                engine,
                at: self.now(),
            })
            .await;
        let execution = match started {
            Ok(execution) => execution,
            // It was cancelled since it was taken from the queue.
            Err(SubmitError::Refused(_)) => return tokio::time::sleep(REFUSED_PAUSE).await,
            Err(error) => {
                tracing::warn!(execution.id = %id, %error, "an execution could not be started; it waits");
                self.pause(RETRY_INTERVAL).await;
                return;
            }
        };
        let live = self.parts.feed.begin_reply(id, execution.session_id);
        let mut progress = Progress {
            live,
            result: None,
            error: None,
            usage: Usage::default(),
        };
        let end = match resolved {
            Ok(engine) => {
                self.run_engine(&execution, engine.as_ref(), stop, &mut progress)
                    .await
            }
            Err((_, error)) => End {
                ending: Ending::Failed,
                error: Some(error.to_string()),
                log_bytes: 0,
            },
        };
        let text = match end.ending {
            Ending::Completed => progress.result.unwrap_or_else(|| progress.live.text()),
            _ => progress.live.text(),
        };
        // From here on the reply is what will be stored; a delta that followed it would be a ghost.
        self.parts.feed.end_reply(id);
        let finish = FinishExecution {
            id,
            ending: end.ending,
            text: cut(text, REPLY_BYTES_MAX),
            error: end.error.map(|error| cut(error, ERROR_BYTES_MAX)),
            usage: progress.usage,
            log_bytes: end.log_bytes,
            at: self.now(),
        };
        self.finish(finish).await;
    }

    /// Ends an execution whose run panicked: its worker and its chat go on.
    pub(super) async fn fail(&self, id: ExecutionId) {
        tracing::error!(execution.id = %id, "a run panicked");
        let live = self.parts.feed.live(Scope::Execution(id)).pop();
        self.parts.feed.end_reply(id);
        let _ = fs::remove_dir_all(self.temp_dir(id));
        let error = "internal: Skep itself failed; its log says more";
        let execution = self.parts.store.read(|tx| executions::get(tx, id));
        let finish = FinishExecution {
            id,
            ending: Ending::Failed,
            text: live.map(|live| live.text()).unwrap_or_default(),
            error: Some(error.to_owned()),
            usage: Usage::default(),
            log_bytes: match execution {
                Ok(Some(execution)) => self.seal_log(&execution, error),
                _ => 0,
            },
            at: self.now(),
        };
        self.finish(finish).await;
        // One that panics before it starts is taken from the queue again.
        self.pause(RETRY_INTERVAL).await;
    }

    /// Submits the end of an execution until it is on disk: a full disk is waited for, nothing is dropped. A server that
    /// stops does not wait: the next start settles what is marked as running.
    pub(super) async fn finish(&self, finish: FinishExecution) {
        loop {
            match self.parts.journal.submit(finish.clone()).await {
                Ok(_) => return,
                Err(error @ (SubmitError::StorageFull | SubmitError::Overloaded)) => {
                    if !self.pause(RETRY_INTERVAL).await {
                        tracing::warn!(execution.id = %finish.id, %error, "the end of an execution is left to the next start");
                        return;
                    }
                }
                Err(error) => {
                    // The next start settles it from its log.
                    tracing::error!(execution.id = %finish.id, %error, "the end of an execution could not be stored");
                    return;
                }
            }
        }
    }

    /// The engine of an execution, or the name that was asked for and why it cannot be had.
    #[allow(clippy::type_complexity)]
    async fn resolve(
        &self,
        id: ExecutionId,
    ) -> Result<Result<Arc<dyn Engine>, (String, EngineError)>, StoreError> {
        let execution = self.parts.store.read(|tx| executions::get(tx, id))?;
        let name = execution
            .map(|execution| execution.engine)
            .unwrap_or_default();
        Ok(self
            .parts
            .engines
            .resolve(&name)
            .await
            .map_err(|error| (name, error)))
    }

    async fn run_engine(
        self: &Arc<Self>,
        execution: &Execution,
        engine: &dyn Engine,
        stop: watch::Receiver<Option<Stop>>,
        progress: &mut Progress,
    ) -> End {
        let failed = |error: EngineError, log_bytes| End {
            ending: Ending::Failed,
            error: Some(error.to_string()),
            log_bytes,
        };
        let log_path = self.parts.data.root().join(execution.log_path());
        let log = match LogWriter::create(&log_path, self.parts.limits.log_bytes_max) {
            Ok(log) => log,
            Err(error) => {
                let message = format!("its log could not be created: {error}");
                return failed(EngineError::new("log_failed", message), 0);
            }
        };
        let (mut turn, timeout) = match self.turn(execution, engine.name()) {
            Ok(prepared) => prepared,
            Err(error) => {
                let mut log = log;
                let _ = log.note(&error.to_string());
                return failed(error, log.seal().unwrap_or(0));
            }
        };
        let (events, mut incoming) = mpsc::channel(EVENTS_WAITING_MAX);
        let (pid, pid_seen) = watch::channel(None);
        let waits = Arc::new(Waits::default());
        let permission = self.desk(execution, stop.clone(), waits.clone());
        if let Some(entry) = self.running().get_mut(&execution.id) {
            entry.log = Some(log.length());
            entry.pid = Some(pid_seen);
            entry.asker = Some(permission.clone());
        }
        // Whoever waits for the log to follow it can have it now.
        self.parts.feed.touch(&progress.live);
        let mut run = Run {
            log,
            events,
            stop: stop.clone(),
            pid,
            permission,
        };
        let admitted = self.admit(&mut turn);
        let mut deadline = Instant::now() + timeout;
        let mut waited = Duration::ZERO;
        let result = {
            let mut running = engine.run(&turn, &mut run);
            let mut timed_out = false;
            loop {
                tokio::select! {
                    biased;
                    Some(event) = incoming.recv() => self.take(execution.id, event, progress).await,
                    result = &mut running => break result,
                    () = tokio::time::sleep_until(deadline), if !timed_out => {
                        // What its user took to answer is not its own.
                        let so_far = waits.so_far();
                        deadline += so_far - waited;
                        waited = so_far;
                        if Instant::now() < deadline {
                            continue;
                        }
                        timed_out = true;
                        self.stop(execution.id, Stop::TimedOut);
                    }
                }
            }
        };
        drop(admitted);
        while let Ok(event) = incoming.try_recv() {
            self.take(execution.id, event, progress).await;
        }
        let Run { mut log, .. } = run;
        let reason = *stop.borrow();
        let (ending, error) = match (reason, result, progress.error.take()) {
            // What was complete before the stop arrived is complete.
            (_, Ok(()), None) if progress.result.is_some() => (Ending::Completed, None),
            (Some(Stop::Cancelled), ..) => (Ending::Cancelled, None),
            (Some(Stop::TimedOut), ..) => (
                Ending::Failed,
                Some(format!(
                    "timeout: it ran for {} s, which is its limit",
                    timeout.as_secs()
                )),
            ),
            (Some(Stop::Shutdown), ..) => (Ending::Interrupted, Some("interrupted".to_owned())),
            (None, Err(error), _) => (Ending::Failed, Some(error.to_string())),
            (None, Ok(()), Some(error)) => (Ending::Failed, Some(error)),
            (None, Ok(()), None) => (Ending::Completed, None),
        };
        if let Some(error) = &error {
            let _ = log.note(error);
        }
        let log_bytes = log.seal().unwrap_or_else(|error| {
            tracing::error!(execution.id = %execution.id, %error, "a log could not be sealed");
            0
        });
        let _ = fs::remove_dir_all(&turn.temp_dir);
        End {
            ending,
            error,
            log_bytes,
        }
    }

    /// A worker that has cost what it may cost a day begins nothing more.
    fn check_spending(&self, worker: Option<&Worker>) -> Result<(), EngineError> {
        let Some(worker) = worker else { return Ok(()) };
        let today = day_of(self.now());
        let (max, spent) = self
            .parts
            .store
            .read(|tx| {
                let max = profiles::get(tx, worker.id)?.daily_cost_nanos_max;
                let spent = usage::sum_of_worker(tx, Some(worker.id), today..=today)?;
                Ok::<_, StoreError>((max, spent))
            })
            .map_err(|error| EngineError::new("internal", error.to_string()))?;
        let Some(max) = max.filter(|max| spent.cost_nanos >= *max) else {
            return Ok(());
        };
        let message = format!(
            "{} has cost {:.2} US dollars today and may cost {:.2} a day; raise its daily_cost_max, or try again after \
             midnight (UTC)",
            worker.name,
            spent.cost_usd(),
            usd(max),
        );
        Err(EngineError::new("daily_cost_max", message))
    }

    /// Everything an engine may know of its turn, and how long it may take.
    fn turn(&self, execution: &Execution, engine: &str) -> Result<(Turn, Duration), EngineError> {
        let (worker, message, bee, context, entries, is_news) = self
            .parts
            .store
            .read(|tx| {
                let worker = execution
                    .worker_id
                    .map_or(Ok(None), |id| workers::get(tx, id))?;
                let message = execution
                    .message_id
                    .map_or(Ok(None), |id| messages::find_by_id(tx, id))?;
                let context = execution.session_id.map_or(Ok(None), |session| {
                    contexts::get(tx, session, execution.worker_id)
                })?;
                let context = context.filter(|context| context.engine == engine);
                let bee = workers::bee(tx)?;
                let entries = remembered::entries(tx, execution.worker_id, execution.session_id)?;
                let own_changed_at = worker.as_ref().map_or(bee.updated_at, |it| it.updated_at);
                let is_news = context.as_ref().map_or(Ok(false), |context| {
                    let id = &context.engine_session_id;
                    remembered::is_news(tx, execution, id, &entries, own_changed_at)
                })?;
                Ok::<_, StoreError>((worker, message, bee, context, entries, is_news))
            })
            .map_err(|error| EngineError::new("internal", error.to_string()))?;
        self.check_spending(worker.as_ref())?;
        if execution.worker_id.is_some() && worker.is_none() {
            return Err(EngineError::new("worker_deleted", "its worker was deleted"));
        }
        let content = message
            .as_ref()
            .map_or(execution.trigger_input.as_str(), |message| {
                message.content.as_str()
            });
        let media = message.as_ref().map_or(&[][..], |message| &message.media);
        let bee = worker.is_none().then_some(bee);
        let work_dir = self.work_dir(worker.as_ref())?;
        let temp_dir = self.temp_dir(execution.id);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&temp_dir)
            .map_err(|error| {
                EngineError::new(
                    "temp_dir",
                    format!("{} could not be created: {error}", temp_dir.display()),
                )
            })?;
        let memory = worker
            .as_ref()
            .map(|worker| worker.memory.clone())
            .or(bee.map(|bee| bee.memory));
        let timeout = worker.as_ref().and_then(|worker| worker.timeout_s);
        let permissions = worker.as_ref().map_or("", |worker| &worker.permissions);
        let permissions = Permissions::parse(permissions);
        let options = execution.worker_id.map_or(Ok(Default::default()), |id| {
            self.parts.store.read(|tx| engine_options::get(tx, id))
        });
        let options = options.map_err(|error| EngineError::new("internal", error.to_string()))?;
        let extra = Extra::of(options, &self.parts.data.root().join("keys"))?;
        let turn = Turn {
            execution_id: execution.id,
            worker_id: execution.worker_id,
            worker_name: execution.worker_name.clone(),
            description: worker.map(|worker| worker.description).unwrap_or_default(),
            memory: remembered::told(&memory.unwrap_or_default(), &entries),
            is_news,
            session_id: execution.session_id,
            prompt: routing::without_mention(content, &execution.worker_name).to_owned(),
            media: self.media_paths(execution, media),
            model: (!execution.model.is_empty()).then(|| execution.model.clone()),
            work_dir,
            permissions,
            temp_dir,
            resume: context.map(|context| context.engine_session_id),
            mcp: None,
            extra,
        };
        let timeout = timeout.map_or(self.parts.limits.timeout, |seconds| {
            Duration::from_secs(seconds.into())
        });
        Ok((turn, timeout))
    }

    fn work_dir(&self, worker: Option<&Worker>) -> Result<PathBuf, EngineError> {
        let (path, is_own) = match worker {
            None => (self.parts.data.bee_dir(), true),
            Some(worker) => (
                self.parts.data.work_dir(worker.id, &worker.work_dir),
                worker.work_dir == WorkDir::Own,
            ),
        };
        if is_own {
            make_dir(&path).map_err(|error| EngineError::new("work_dir", error.to_string()))?;
        } else if !path.is_dir() {
            let message = format!(
                "the work directory {} is not there; create it, or choose another one for the worker",
                path.display()
            );
            return Err(EngineError::new("work_dir", message));
        }
        // What tools open later is this very place: one that becomes a link meanwhile is not followed.
        let refused = |why: String| EngineError::new("work_dir", why);
        let real = self.parts.engines.work_dir(&path).map_err(refused)?;
        if is_own && real != path {
            let path = path.display();
            return Err(refused(format!(
                "somebody put a link in the place of {path}, which Skep made; remove it"
            )));
        }
        Ok(real)
    }

    fn media_paths(&self, execution: &Execution, media: &[Media]) -> Vec<PathBuf> {
        let Some(session) = execution.session_id else {
            return Vec::new();
        };
        let uploads = self.parts.data.uploads(session);
        media
            .iter()
            .map(|media| uploads.join(&media.name))
            .collect()
    }

    /// Takes in what an engine said.
    async fn take(&self, id: ExecutionId, event: EngineEvent, progress: &mut Progress) {
        let body = match event {
            EngineEvent::Text { text } => {
                progress.live.push_text(&text);
                return self.parts.feed.touch(&progress.live);
            }
            EngineEvent::Thinking { text } => {
                progress.live.push_thinking(&text);
                return self.parts.feed.touch(&progress.live);
            }
            EngineEvent::Result { text } => {
                progress.result = Some(text.unwrap_or_else(|| progress.live.text()));
                return;
            }
            EngineEvent::Session {
                id: engine_session_id,
                model,
            } => {
                // One that is cut would be another one's id.
                if engine_session_id.len() > ENGINE_WORD_BYTES_MAX {
                    tracing::warn!(execution.id = %id, bytes = engine_session_id.len(), "an engine's session id is too long to be kept");
                    return;
                }
                let model = model.map(|model| cut(model, NAME_BYTES_MAX));
                let context = RecordContext {
                    id,
                    engine_session_id,
                    model,
                };
                return self.record(id, self.parts.journal.submit(context).await);
            }
            EngineEvent::ToolCall {
                id: call,
                name,
                args,
            } => EventBody::ToolCall {
                id: cut(call, ENGINE_WORD_BYTES_MAX),
                name: cut(name, ENGINE_WORD_BYTES_MAX),
                args: cut(args.to_string(), TOOL_DETAIL_BYTES_MAX),
                offset: progress.live.text_len() as u64,
            },
            EngineEvent::ToolResult {
                id: call,
                ok,
                output,
            } => EventBody::ToolResult {
                id: cut(call, ENGINE_WORD_BYTES_MAX),
                ok,
                output: cut(output, TOOL_DETAIL_BYTES_MAX),
            },
            EngineEvent::Usage(usage) => {
                progress.usage = usage;
                EventBody::Usage(usage)
            }
            EngineEvent::Error { error, message } => {
                let error = cut(error, ENGINE_WORD_BYTES_MAX);
                let message = cut(message, ERROR_BYTES_MAX);
                progress.error = Some(format!("{error}: {message}"));
                EventBody::Error { error, message }
            }
        };
        let event = RecordEvent {
            id,
            body,
            at: self.now(),
        };
        self.record(id, self.parts.journal.submit(event).await);
    }

    /// An event that could not be stored is in the log all the same, so the run goes on.
    fn record(&self, id: ExecutionId, result: Result<(), SubmitError>) {
        if let Err(error) = result {
            tracing::warn!(execution.id = %id, %error, "an event could not be stored");
        }
    }
}

/// What a record keeps of a text from an engine.
pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(truncated(&text, bytes_max).len());
    text
}
