//! One turn: ask, read the answer, do what it calls for, ask again, until it calls for nothing.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use tokio_util::sync::CancellationToken;

use super::super::cli::{briefing, failure};
use super::super::lines::Lines;
use super::super::{EngineError, EngineEvent, Run, Turn};
use super::answer::{Answer, Fault};
use super::conversation::{Conversation, Item};
use super::key::Redactor;
use super::openai::said;
use super::reading::Reading;
use super::server::{Server, is_whole};
use super::sse::EVENT_BYTES_MAX;
use super::{HttpEngine, history, tools};
use crate::execution_log::{LogError, Stream};
use crate::model::Usage;
use crate::model::text::truncated;
use crate::outbound::{self, OutboundError};
use crate::tool::{Authority, Context, Shared};

/// Tokens that a model takes in, where settings do not say.
const CONTEXT_TOKENS: u32 = 32_768;
/// How often the window is taken for half as large because the server says that it is full.
const HALVINGS_MAX: u32 = 3;
/// What is read of an answer that is none.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// What is shown of it.
const ERROR_SHOWN_BYTES: usize = 1_000;
/// All bytes of one answer, whatever they mean.
pub(super) const RAW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The wait before the first retry; it doubles.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Why a turn ends before its end.
pub(super) enum Halt {
    /// It was told to.
    Stopped,
    /// It cannot go on.
    Failed(EngineError),
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<LogError> for Halt {
    fn from(error: LogError) -> Self {
        Self::Failed(EngineError::from(&error))
    }
}

/// A turn on its way.
pub(super) struct Talk<'a> {
    engine: &'a HttpEngine,
    turn: &'a Turn,
    pub(super) run: &'a mut Run,
    pub(super) cx: Context,
    stopping: CancellationToken,
    server: Server,
    model: String,
    reading: Reading,
    pub(super) conversation: Conversation,
    window: u32,
    usage: Usage,
    is_known: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn new(
        engine: &'a HttpEngine,
        turn: &'a Turn,
        shared: &Arc<Shared>,
        server: Server,
        model: String,
        run: &'a mut Run,
        stopping: CancellationToken,
    ) -> Self {
        let cx = Context {
            shared: Arc::clone(shared),
            authority: Authority::Agent,
            execution_id: Some(turn.execution_id),
            worker_id: turn.worker_id,
            session_id: turn.session_id,
            work_dir: turn.work_dir.clone(),
            temp_dir: turn.temp_dir.clone(),
            granted: engine.settings.granted(),
            may_fetch: engine.settings.fetch == Some(true),
            stop: stopping.clone(),
        };
        Self {
            engine,
            turn,
            run,
            cx,
            stopping,
            reading: Reading::new(server.protocol),
            server,
            model,
            conversation: Conversation::default(),
            window: engine.settings.context_tokens.unwrap_or(CONTEXT_TOKENS),
            usage: Usage::default(),
            is_known: false,
        }
    }

    pub(super) async fn talk(mut self) -> Result<(), EngineError> {
        match self.rounds().await {
            Ok(()) | Err(Halt::Stopped) => Ok(()),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    async fn rounds(&mut self) -> Result<(), Halt> {
        self.begin().await?;
        let rounds_max = self.engine.parts.limits.rounds_max;
        for _ in 0..rounds_max {
            let answer = self.ask().await?;
            if answer.calls.is_empty() {
                return self.end(&answer).await;
            }
            let calls = tools::numbered(answer.calls);
            self.conversation.push(Item::Model {
                text: answer.text,
                thoughts: answer.thoughts,
                calls: calls.clone(),
            });
            let outputs = tools::answer(self, &calls).await?;
            self.conversation.push(Item::Tools(outputs));
        }
        let message = format!(
            "the model called tools in {rounds_max} answers and did not come to an end; ask for less at once, or raise limits.model_rounds_max"
        );
        Err(EngineError::new("too_many_rounds", message).into())
    }

    async fn begin(&mut self) -> Result<(), Halt> {
        let (shared, turn) = (Arc::clone(&self.cx.shared), self.turn.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            let before = history::before(&shared.store, &turn);
            before.map(|before| (before, history::message(&turn)))
        });
        let internal = |error: String| EngineError::new("internal", error);
        let (before, (text, images)) = self
            .unless_stopped(loaded)
            .await?
            .map_err(|error| internal(error.to_string()))?
            .map_err(|error| internal(error.to_string()))?;
        self.conversation.system = briefing(self.turn);
        if self.engine.settings.tools != Some(false) {
            self.conversation.tools = tools::offered(&self.cx, self.turn.permissions);
            self.conversation.system.push_str(
                "\n\nYou answer in a chat. You have a work directory of your own: paths of files are relative to it. Use your tools for what they are for, and answer in words when you are done.",
            );
        }
        for said in before {
            self.conversation.remember(said.is_user, &said.text);
        }
        self.conversation.push(Item::User { text, images });
        Ok(())
    }

    /// The next answer, as a whole. A server that says that the window is full is asked again with less.
    async fn ask(&mut self) -> Result<Answer, Halt> {
        for _ in 0..=HALVINGS_MAX {
            match self.conversation.fit(self.window as usize) {
                Ok(None) => {}
                Ok(Some(note)) => self.run.log.note(&note)?,
                Err(tokens) => {
                    let message = format!(
                        "this message takes about {tokens} tokens, more than fits the window of {}: say less at once, attach less, or set context_tokens if the model takes more",
                        self.window
                    );
                    return Err(EngineError::new("context_full", message).into());
                }
            }
            match self.ask_patiently().await? {
                Some(answer) => return Ok(answer),
                None => {
                    self.window /= 2;
                    self.run.log.note(&format!(
                        "the model's window is full; trying with {} tokens",
                        self.window
                    ))?;
                }
            }
        }
        let message = "the server says that the model's window is full, however little is sent; set context_tokens to what it takes";
        Err(EngineError::new("context_full", message).into())
    }

    /// The next answer. A server that turns the request away for now is asked again. `None`: the window is full.
    async fn ask_patiently(&mut self) -> Result<Option<Answer>, Halt> {
        let limits = self.engine.parts.limits;
        let max_tokens = self.engine.settings.max_tokens;
        let body = self
            .server
            .body(&self.conversation, &self.model, max_tokens);
        self.run.log.note(&format!(
            "asking {} for {}: {} bytes",
            self.server.place(),
            self.model,
            body.len()
        ))?;
        let mut retries = 0;
        loop {
            let asked = self.server.ask(body.clone(), limits.waits);
            let asked = self.stopping.run_until_cancelled(asked).await;
            let mut answer = asked
                .ok_or(Halt::Stopped)?
                .map_err(|error| unavailable(self.server.place(), &error))?;
            self.run.log.note(&format!(
                "it answered {} {}",
                answer.status,
                answer.media_type()
            ))?;
            if answer.status == StatusCode::OK {
                return self.read(answer).await.map(Some);
            }
            let said = self.read_error(&mut answer).await?;
            let status = answer.status;
            if is_full(status, &said) {
                return Ok(None);
            }
            let is_passing = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            if !is_passing {
                return Err(self.refused(&answer, &said).into());
            }
            let asked_for = answer.header(RETRY_AFTER).trim().parse().ok();
            let wait = asked_for.map_or(
                RETRY_WAIT * 2_u32.saturating_pow(retries),
                Duration::from_secs,
            );
            if retries == limits.retries_max || wait > limits.retry_wait_max {
                let message = format!(
                    "{} turned the request away ({status}), {} times: {said}",
                    self.server.place(),
                    retries + 1
                );
                return Err(EngineError::new("upstream_unavailable", message).into());
            }
            retries += 1;
            self.run
                .log
                .note(&format!("trying again in {:.1} s", wait.as_secs_f32()))?;
            self.unless_stopped(tokio::time::sleep(wait)).await?;
        }
    }

    /// Reads an answer to its end: every byte to the log, then to whoever follows.
    async fn read(&mut self, mut answer: outbound::Answer) -> Result<Answer, Halt> {
        let media_type = answer.media_type();
        if media_type != "text/event-stream" {
            let said = self.read_error(&mut answer).await?;
            let message = format!(
                "{} answered {} where a stream of events was asked for: {said}",
                self.server.place(),
                if media_type.is_empty() {
                    "nothing known"
                } else {
                    &media_type
                },
            );
            return Err(EngineError::new("bad_answer", message).into());
        }
        self.reading.next();
        let mut redactor = Redactor::new(self.server.key.as_ref());
        let mut lines = Lines::new(Stream::Stdout, EVENT_BYTES_MAX);
        let (mut raw_bytes, mut line_bytes) = (0, 0);
        let mut events = Vec::new();
        let broken = loop {
            let piece = self.stopping.run_until_cancelled(answer.piece()).await;
            let (bytes, end) = match piece.ok_or(Halt::Stopped)? {
                Ok(Some(piece)) => {
                    raw_bytes += piece.len();
                    (redactor.push(&piece), None)
                }
                Ok(None) => (redactor.end(), Some(None)),
                Err(error) => (redactor.end(), Some(Some(error))),
            };
            line_bytes = match bytes.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => bytes.len() - at - 1,
                None => line_bytes + bytes.len(),
            };
            let reading = &mut self.reading;
            lines.push(&bytes, &mut self.run.log, |line| {
                reading.answer_line(line, &mut events);
            })?;
            if end.is_some() {
                lines.end(&mut self.run.log, |line| {
                    reading.answer_line(line, &mut events);
                })?;
                reading.answer_end(&mut events);
            }
            for event in events.drain(..) {
                // Not `emit`: that borrows all of this turn.
                let sent = self.run.events.send(event);
                let sent = self.stopping.run_until_cancelled(sent).await;
                sent.ok_or(Halt::Stopped)?.map_err(|_| Halt::Stopped)?;
            }
            if let Some(fault) = self.reading.answer.fault.take() {
                return Err(self.faulty(fault).into());
            }
            if raw_bytes > RAW_BYTES_MAX || line_bytes > EVENT_BYTES_MAX {
                let message = format!(
                    "the model server sends without end: more than {RAW_BYTES_MAX} bytes in one answer, or {EVENT_BYTES_MAX} in one line"
                );
                return Err(EngineError::new("bad_answer", message).into());
            }
            if let Some(broken) = end {
                break broken;
            }
            // What follows the last word means nothing, and some servers are slow to hang up.
            if self.reading.answer.is_over {
                break None;
            }
            self.tell_session().await?;
        };
        self.tell_session().await?;
        let answer = self.reading.next();
        self.count(&answer).await?;
        match broken {
            _ if is_whole(&answer) => Ok(answer),
            Some(error) => Err(unavailable(self.server.place(), &error).into()),
            None => {
                let message = format!(
                    "{} closed the connection in mid-answer",
                    self.server.place()
                );
                Err(EngineError::new("upstream_unavailable", message).into())
            }
        }
    }

    /// What a server says that gives no answer: in the log, and as a sentence.
    async fn read_error(&mut self, answer: &mut outbound::Answer) -> Result<String, Halt> {
        let read = answer.read(ERROR_BYTES_MAX);
        let read = self.stopping.run_until_cancelled(read).await;
        // A body that breaks off does not change what the status says.
        let (bytes, _) = read.ok_or(Halt::Stopped)?.unwrap_or_default();
        let mut redactor = Redactor::new(self.server.key.as_ref());
        let mut shown = redactor.push(&bytes);
        shown.extend(redactor.end());
        let mut lines = Lines::new(Stream::Stdout, EVENT_BYTES_MAX);
        lines.push(&shown, &mut self.run.log, |_| {})?;
        lines.end(&mut self.run.log, |_| {})?;
        let words = match serde_json::from_slice::<serde_json::Value>(&shown) {
            Ok(value) if !value["error"].is_null() => said(&value["error"]),
            Ok(value) => said(&value),
            Err(_) => String::from_utf8_lossy(&shown).into_owned(),
        };
        let words: Vec<&str> = words.split_whitespace().collect();
        Ok(truncated(&words.join(" "), ERROR_SHOWN_BYTES).to_owned())
    }

    fn refused(&self, answer: &outbound::Answer, said: &str) -> EngineError {
        let status = answer.status;
        let message = match status {
            _ if status.is_redirection() => format!(
                "{} answered {status}: it says that it is at {:?}; if you trust that, make it the url in skep.toml",
                self.server.place(),
                truncated(answer.header(hyper::header::LOCATION), ERROR_SHOWN_BYTES)
            ),
            _ => format!("{} answered {status}: {said}", self.server.place()),
        };
        let how = self.engine.how_to_sign_in();
        match failure(Some(status.as_u16().into()), &message, &how) {
            EngineEvent::Error { error, message } => EngineError::new(error, message),
            _ => EngineError::new("engine_error", message),
        }
    }

    fn faulty(&self, fault: Fault) -> EngineError {
        match fault {
            Fault::Server(said) => {
                let said = truncated(&said, ERROR_SHOWN_BYTES);
                let message = format!("{} says in mid-answer: {said}", self.server.place());
                EngineError::new("engine_error", message)
            }
            Fault::TooLong(message) => EngineError::new("answer_too_long", message),
        }
    }

    /// Says once which model answers.
    async fn tell_session(&mut self) -> Result<(), Halt> {
        let model = self.reading.answer.model.as_ref();
        let Some(model) = model.filter(|_| !self.is_known) else {
            return Ok(());
        };
        self.is_known = true;
        let id = self.turn.session_id.map(|id| id.to_string());
        let event = EngineEvent::Session {
            id: id.unwrap_or_else(|| self.turn.execution_id.to_string()),
            model: Some(model.clone()),
        };
        self.emit(event).await
    }

    async fn count(&mut self, answer: &Answer) -> Result<(), Halt> {
        if answer.input_tokens.is_none() && answer.output_tokens.is_none() {
            return Ok(());
        }
        let add = |sum: Option<u64>, tokens: Option<u64>| match (sum, tokens) {
            (None, None) => None,
            (sum, tokens) => Some(sum.unwrap_or(0).saturating_add(tokens.unwrap_or(0))),
        };
        let settings = &self.engine.settings;
        let usage = &mut self.usage;
        usage.input_tokens = add(usage.input_tokens, answer.input_tokens);
        usage.output_tokens = add(usage.output_tokens, answer.output_tokens);
        if settings.price_in.is_some() || settings.price_out.is_some() {
            let cost = |tokens: Option<u64>, price: Option<f64>| {
                tokens.unwrap_or(0) as f64 * price.unwrap_or(0.0) / 1e6
            };
            usage.cost_usd = Some(
                cost(usage.input_tokens, settings.price_in)
                    + cost(usage.output_tokens, settings.price_out),
            );
        }
        self.emit(EngineEvent::Usage(self.usage)).await
    }

    async fn end(&mut self, answer: &Answer) -> Result<(), Halt> {
        if answer.text.trim().is_empty() {
            let message = match answer.finish.as_deref() {
                Some("length" | "max_tokens") => {
                    "the model used up the length of its answer before it said anything; raise max_tokens"
                }
                Some("content_filter" | "refusal") => "the model refused to answer",
                _ => "the model ended without a word",
            };
            return Err(EngineError::new("no_answer", message).into());
        }
        if matches!(answer.finish.as_deref(), Some("length" | "max_tokens")) {
            self.run.log.note(
                "the answer was cut: it reached the length that the server or max_tokens allows",
            )?;
        }
        self.emit(EngineEvent::Result { text: None }).await
    }

    pub(super) async fn emit(&mut self, event: EngineEvent) -> Result<(), Halt> {
        let sent = self.run.events.send(event);
        let sent = self.stopping.run_until_cancelled(sent).await;
        sent.ok_or(Halt::Stopped)?.map_err(|_| Halt::Stopped)
    }

    pub(super) fn permissions(&self) -> crate::tool::Permissions {
        self.turn.permissions
    }

    pub(super) async fn unless_stopped<T>(
        &self,
        wanted: impl Future<Output = T>,
    ) -> Result<T, Halt> {
        self.stopping
            .run_until_cancelled(wanted)
            .await
            .ok_or(Halt::Stopped)
    }
}

fn unavailable(place: &str, error: &OutboundError) -> EngineError {
    let message = format!("{place}: {error}; is the model server running?");
    EngineError::new("upstream_unavailable", message)
}

/// Whether a server turned a request away because the model cannot take so much. They have no word in common.
fn is_full(status: StatusCode, said: &str) -> bool {
    let said = said.to_lowercase();
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
    ) && (said.contains("context") || said.contains("prompt is too long"))
        && ["exceed", "too long", "maximum", "length", "larger", "size"]
            .iter()
            .any(|word| said.contains(word))
}
