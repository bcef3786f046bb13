//! Running an engine that is a process: under a guard, every byte to the log first, then to its parser.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::launch::Launch;
use super::lines::{LINE_BYTES_MAX, Lines};
use super::{EngineError, EngineEvent, Run};
use crate::execution_log::{LogError, Stream};
use crate::guard::{Confinement, Control, Ended, Guarded, Guards, Spec, landlock_abi, statement};

/// What one read of a pipe takes: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// What may wait to be read by an engine that is talked with.
pub const INPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What to do about an engine that failed in its own way.
const SEE_THE_LOG: &str = "open the log of this execution for all that it printed";

/// How long a process is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From SIGTERM to SIGKILL.
    pub grace_period: Duration,
    /// From its final result to SIGTERM; some command lines never exit on their own.
    pub exit_after_result: Duration,
    /// From SIGKILL to giving up on the guard, or on pipes that nothing of ours can close.
    pub after_kill: Duration,
    /// What an engine that is talked with has to end by itself before SIGTERM, once its input ended; half of that once it
    /// was told that its turn is cancelled.
    pub after_talk: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace_period: Duration::from_secs(5),
            exit_after_result: Duration::from_secs(10),
            after_kill: Duration::from_secs(10),
            after_talk: Duration::from_secs(1),
        }
    }
}

/// What an engine prints, and what it means.
pub trait Parser: Send {
    /// Whether standard output is taken as it comes ([`Parser::bytes`]) and not line by line.
    fn takes_bytes(&self) -> bool {
        false
    }

    /// The next bytes of standard output.
    fn bytes(&mut self, _bytes: &[u8], _events: &mut Vec<EngineEvent>) {}

    /// The next line, without its newline. One that means nothing is no error: it is in the log.
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>);

    /// The output is over and the engine exited well: what it may still mean. To add a [`EngineEvent::Result`] here
    /// says that the run is complete without one of its own.
    fn end(&mut self, events: &mut Vec<EngineEvent>);

    /// Whether the engine did not know the session it was to go on with.
    fn resume_failed(&self) -> bool {
        false
    }

    /// A line was too long to be read; it is in the log.
    fn line_too_long(&mut self, _events: &mut Vec<EngineEvent>) {}

    /// The other side of an engine that is talked with; `None`: it reads one message and answers.
    fn talk(&mut self) -> Option<&mut dyn Talk> {
        None
    }
}

/// The side of Skep in a talk with an engine that is a server: what it is told depends on what it says, and it ends when
/// its input does.
pub trait Talk: Send {
    /// Takes what it is to be told now.
    fn take_input(&mut self) -> Vec<u8>;

    /// Takes what people should read in the log beside what the engine prints.
    fn take_notes(&mut self) -> Vec<String>;

    /// Resolves when there is more to tell or to show because something that it asked for is done. It may be dropped and
    /// called again.
    fn work<'a>(&'a mut self, events: &'a mut Vec<EngineEvent>) -> BoxFuture<'a, ()>;

    /// The run has to end; there is a moment left to say so in the engine's own language.
    fn cancel(&mut self);
}

/// How a run that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// With its result.
    Completed,
    /// It was told to stop.
    Stopped,
    /// The session to go on with is gone; nothing was answered.
    ResumeFailed,
}

/// Runs a process to its end: when this returns, nothing of it is left. Dropping the future kills it.
pub async fn run_process(
    guards: &Arc<Guards>,
    launch: Launch,
    confinement: Option<Confinement>,
    parser: &mut dyn Parser,
    run: &mut Run,
    patience: Patience,
) -> Result<Completion, EngineError> {
    if run.stop.borrow().is_some() {
        return Ok(Completion::Stopped);
    }
    let launch = launch.checked()?;
    let spec = Spec {
        argv: launch.argv,
        env: launch.env,
        cwd: launch.cwd,
        grace_period_ms: u64::try_from(patience.grace_period.as_millis()).unwrap_or(u64::MAX),
        confinement,
    };
    let Guarded {
        pid,
        stdin,
        mut stdout,
        mut stderr,
        control,
    } = guards
        .start(&spec)
        .await
        .map_err(|error| EngineError::new("spawn_failed", error.message))?;
    run.pid.send_replace(Some(pid));

    let is_talk = parser.talk().is_some();
    let mut process = Process {
        is_talk,
        parser,
        run,
        control,
        patience,
        out: Lines::new(Stream::Stdout, LINE_BYTES_MAX),
        err: Lines::new(Stream::Stderr, LINE_BYTES_MAX),
        events: Vec::new(),
        input: BytesMut::from(Bytes::from(launch.stdin)),
        has_ended: false,
        has_result: false,
        failure: None,
        confinement: spec.confinement.filter(|_| landlock_abi().is_some()),
        stopping: false,
        told_to_stop: false,
        deadline: None,
    };
    let mut stdin = Some(stdin);
    process.converse().await;
    let mut out_buffer = vec![0; READ_BYTES];
    let mut err_buffer = vec![0; READ_BYTES];
    let (mut out_open, mut err_open) = (true, true);
    let mut ended = None;

    while out_open || err_open || ended.is_none() {
        let deadline = process.deadline;
        tokio::select! {
            read = stdout.read(&mut out_buffer), if out_open => match read {
                Ok(count @ 1..) => process.take(Stream::Stdout, &out_buffer[..count]).await,
                _ => { out_open = false; process.take_last(Stream::Stdout).await; }
            },
            read = stderr.read(&mut err_buffer), if err_open => match read {
                Ok(count @ 1..) => process.take(Stream::Stderr, &err_buffer[..count]).await,
                _ => { err_open = false; process.take_last(Stream::Stderr).await; }
            },
            written = write_some(&mut stdin, &process.input), if stdin.is_some() && process.has_input() => {
                process.input.advance(written);
                // All written, or the engine does not read: either way its input is over.
                if written == 0 || (process.input.is_empty() && !process.listens()) {
                    stdin = None;
                    process.expect_exit();
                }
            }
            () = work(&mut *process.parser, &mut process.events), if is_talk => process.settle(Ok(())).await,
            how = process.control.ended(), if ended.is_none() => {
                ended = Some(how);
                process.has_ended = true;
                process.deadline = Some(Instant::now() + patience.after_kill);
            }
            () = told(&mut process.run.stop), if !process.told_to_stop => process.tell_to_stop().await,
            () = at(deadline), if deadline.is_some() => {
                if ended.is_some() {
                    break;
                }
                process.lose_patience().await;
            }
        }
    }
    // Now, and not while an engine starts: that would slow it down.
    guards.replenish();
    process.conclude(ended.unwrap_or_default()).await
}

async fn write_some(stdin: &mut Option<tokio::net::unix::pipe::Sender>, input: &[u8]) -> usize {
    match stdin {
        Some(stdin) if !input.is_empty() => stdin.write(input).await.unwrap_or(0),
        _ => 0,
    }
}

/// Resolves once the run has to end; a supervisor that is gone wants that too.
async fn told(stop: &mut tokio::sync::watch::Receiver<Option<super::Stop>>) {
    let _ = stop.wait_for(Option::is_some).await.map(drop);
}

async fn work(parser: &mut dyn Parser, events: &mut Vec<EngineEvent>) {
    match parser.talk() {
        Some(talk) => talk.work(events).await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A running process and what is known of it.
struct Process<'a> {
    /// The parser is one side of a talk.
    is_talk: bool,
    parser: &'a mut dyn Parser,
    run: &'a mut Run,
    control: Control,
    patience: Patience,
    out: Lines,
    err: Lines,
    events: Vec<EngineEvent>,
    /// What it has yet to read.
    input: BytesMut,
    /// It is gone; what is left is in its pipes.
    has_ended: bool,
    has_result: bool,
    failure: Option<EngineError>,
    /// What the kernel holds it to.
    confinement: Option<Confinement>,
    /// The guard was told to end it, for whatever reason.
    stopping: bool,
    /// The supervisor wants its end.
    told_to_stop: bool,
    deadline: Option<Instant>,
}

impl Process<'_> {
    async fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if self.log_failed() {
            return;
        }
        let Self {
            parser,
            events,
            out,
            err,
            run,
            ..
        } = self;
        let as_bytes = stream == Stream::Stdout && parser.takes_bytes();
        let logged = if as_bytes {
            out.push_bytes(bytes, &mut run.log)
        } else {
            let lines = if stream == Stream::Stdout { out } else { err };
            let unread = lines.too_long();
            let logged = lines.push(bytes, &mut run.log, |line| {
                parser.line(stream, line, events)
            });
            if stream == Stream::Stdout && lines.too_long() != unread {
                parser.line_too_long(events);
            }
            logged
        };
        if as_bytes && logged.is_ok() {
            parser.bytes(bytes, events);
        }
        self.settle(logged).await;
    }

    async fn take_last(&mut self, stream: Stream) {
        if self.log_failed() {
            return;
        }
        let Self {
            parser,
            events,
            out,
            err,
            run,
            ..
        } = self;
        let lines = if stream == Stream::Stdout { out } else { err };
        let logged = lines.end(&mut run.log, |line| parser.line(stream, line, events));
        self.settle(logged).await;
    }

    /// After the log failed the pipes are still drained, but what comes is not shown: it could not be kept.
    fn log_failed(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| {
            matches!(&*failure.code, "log_full" | "storage_full" | "log_failed")
        })
    }

    /// What is to be told and noted, as far as the engine is talked with. An engine that asks for more than it reads is
    /// not waited for.
    async fn converse(&mut self) {
        let Some(talk) = self.parser.talk() else {
            return;
        };
        let told = talk.take_input();
        let notes = talk.take_notes();
        self.input.extend_from_slice(&told);
        if self.input.len() > INPUT_BYTES_MAX {
            self.input = BytesMut::new();
            self.failure.get_or_insert_with(|| {
                let message = format!(
                    "it does not read the answers to what it asks for; {INPUT_BYTES_MAX} bytes wait"
                );
                EngineError::new("engine_error", message)
            });
            self.stop().await;
        }
        let noted = notes.iter().try_for_each(|note| self.run.log.note(note));
        if !self.log_failed() {
            self.give_up_on(noted).await;
        }
    }

    /// Whether there is something to write: all of a message, even an empty one, or the next words of a talk.
    fn has_input(&self) -> bool {
        !self.is_talk || !self.input.is_empty() || !self.listens()
    }

    /// Whether it may yet be told something.
    fn listens(&self) -> bool {
        self.is_talk && !self.has_result && self.failure.is_none() && !self.stopping
    }

    async fn settle(&mut self, logged: Result<(), LogError>) {
        self.emit().await;
        self.give_up_on(logged).await;
        self.converse().await;
    }

    async fn give_up_on(&mut self, logged: Result<(), LogError>) {
        if let Err(error) = logged {
            let failure = EngineError::from(&error);
            let _ = self.run.log.note(&failure.to_string());
            self.failure = Some(failure);
            self.stop().await;
        }
    }

    /// Passes on what was parsed, at the supervisor's pace. A stop gets through even while it does not read.
    async fn emit(&mut self) {
        let sender = self.run.events.clone();
        for event in std::mem::take(&mut self.events) {
            match event {
                EngineEvent::Error { error, message } => {
                    self.failure
                        .get_or_insert_with(|| EngineError::new(error, message));
                    self.expect_exit();
                    continue;
                }
                EngineEvent::Result { .. } => {
                    self.has_result = true;
                    self.expect_exit();
                }
                _ => {}
            }
            loop {
                tokio::select! {
                    permit = sender.reserve() => {
                        match permit {
                            Ok(permit) => permit.send(event),
                            Err(_) => self.stop().await,
                        }
                        break;
                    }
                    () = told(&mut self.run.stop), if !self.told_to_stop => self.tell_to_stop().await,
                }
            }
        }
    }

    /// It said its last word: now it has to exit.
    fn expect_exit(&mut self) {
        let is_over = self.is_talk || self.has_result || self.failure.is_some();
        if self.stopping || self.has_ended || !is_over {
            return;
        }
        let wait = match (self.is_talk, self.told_to_stop) {
            (true, true) => Duration::ZERO,
            (true, false) => self.patience.after_talk,
            (false, _) => self.patience.exit_after_result,
        };
        let by = Instant::now() + wait;
        self.deadline = Some(self.deadline.map_or(by, |deadline| deadline.min(by)));
    }

    async fn tell_to_stop(&mut self) {
        self.told_to_stop = true;
        if !self.listens() {
            return self.stop().await;
        }
        if let Some(talk) = self.parser.talk() {
            talk.cancel();
            self.input.extend_from_slice(&talk.take_input());
        }
        self.deadline = Some(Instant::now() + self.patience.after_talk / 2);
    }

    async fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.control.stop().await;
            self.deadline =
                Some(Instant::now() + self.patience.grace_period + self.patience.after_kill);
        }
    }

    async fn lose_patience(&mut self) {
        if self.stopping {
            // Something keeps even the guard from its work (it may have been stopped); the server takes over.
            self.control.abandon();
            self.deadline = None;
        } else if self.is_talk {
            if !self.has_result && !self.told_to_stop {
                self.failure.get_or_insert_with(|| {
                    EngineError::new("no_answer", "it stopped reading before it answered")
                });
            }
            self.stop().await;
        } else {
            let _ = self.run.log.note(&format!(
                "did not exit within {} s after its result and was stopped",
                self.patience.exit_after_result.as_secs()
            ));
            self.stop().await;
        }
    }

    async fn conclude(mut self, ended: Ended) -> Result<Completion, EngineError> {
        self.run.pid.send_replace(None);
        if ended.survivors > 0 {
            let note = format!("{} of its processes could not be killed", ended.survivors);
            tracing::error!(
                survivors = ended.survivors,
                "an engine left processes that cannot be killed"
            );
            let _ = self.run.log.note(&note);
        }
        if self.told_to_stop {
            return Ok(Completion::Stopped);
        }
        if self.log_failed() {
            return self.failure.map_or(Ok(Completion::Completed), Err);
        }
        if self.parser.resume_failed() {
            return Ok(Completion::ResumeFailed);
        }
        if self.failure.is_none() && !self.has_result && ended.code == Some(0) {
            self.parser.end(&mut self.events);
            self.emit().await;
        }
        let said = format!("{}\n{}", self.out.tail(), self.err.tail());
        let denied = self.confinement.and_then(|lists| lists.denied(&said));
        if let Some(hint) = &denied {
            let _ = self.run.log.note(&format!("{}: {hint}", statement(true)));
        }
        match self.failure {
            Some(failure) => Err(failure),
            None if self.has_result => Ok(Completion::Completed),
            None => {
                // What it said in its own language is shown as what it means; the rest is for people.
                let words = self.out.tail();
                let words = words.lines().filter(|line| !line.starts_with('{'));
                let words: Vec<&str> = words.collect();
                let mut error = unfinished(ended, &self.err.tail(), &words.join("\n"));
                let hint = denied.unwrap_or_else(|| SEE_THE_LOG.to_owned());
                error.message = format!("{} ({hint})", error.message);
                Err(error)
            }
        }
    }
}

/// Why a process that ended without a result did so, as well as can be told.
fn unfinished(ended: Ended, stderr: &str, stdout: &str) -> EngineError {
    let said = [stderr, stdout]
        .into_iter()
        .find(|tail| !tail.is_empty())
        .map(|tail| format!(": {tail}"))
        .unwrap_or_default();
    match (ended.code, ended.signal) {
        (Some(0), _) => EngineError::new(
            "no_answer",
            format!("the engine ended without an answer{said}"),
        ),
        (Some(code), _) => EngineError::new(
            "exited",
            format!("the engine exited with code {code}{said}"),
        ),
        (None, Some(9)) => EngineError::new(
            "killed",
            format!("the engine was killed (signal 9); the system may be out of memory{said}"),
        ),
        (None, Some(signal)) => EngineError::new(
            "killed",
            format!("the engine was ended by signal {signal}{said}"),
        ),
        (None, None) => EngineError::new(
            "killed",
            format!("the engine's guard was killed, and so was the engine{said}"),
        ),
    }
}

impl From<&LogError> for EngineError {
    fn from(error: &LogError) -> Self {
        let code = match error {
            LogError::Full { .. } => "log_full",
            LogError::Io { .. } if error.is_storage_full() => "storage_full",
            LogError::Io { .. } => "log_failed",
        };
        Self::new(code, format!("the run was ended: {error}"))
    }
}
