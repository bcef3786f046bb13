//! The server's side: starting guards, talking to them, and sweeping up after one that was killed.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, waitid, waitpid,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::protocol::{
    Ended, KILL, REPORT_BYTES_MAX, Report, SPEC_BYTES_MAX, STOP, Spec, StartError,
};
use super::{Limits, NOT_AN_ENGINE, Policy, SUBCOMMAND, tree};

/// How long the server tries to kill what a dead guard left behind.
const SWEEP_PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks.
const SWEEP_INTERVAL: Duration = Duration::from_millis(5);

/// Starts guards, and knows which ones live. A process has one of these.
///
/// Whatever else becomes a child of this process after [`Guards::adopt_orphans`] counts as left behind by a dead guard
/// and is killed when one dies, unless it bears [`NOT_AN_ENGINE`].
#[derive(Debug)]
pub struct Guards {
    program: PathBuf,
    limits: Limits,
    spare: Mutex<Spare>,
    living: Mutex<HashSet<Pid>>,
    adopts: AtomicBool,
    policy: Option<Policy>,
}

impl Guards {
    /// Guards that run this very binary, also after its file was replaced.
    pub fn new() -> io::Result<Self> {
        Ok(Self::running(if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        }))
    }

    /// Guards that run the given Skep binary.
    pub fn running(program: PathBuf) -> Self {
        Self {
            program,
            limits: Limits::default(),
            spare: Mutex::new(Spare::NotKept),
            living: Mutex::new(HashSet::new()),
            adopts: AtomicBool::new(false),
            policy: None,
        }
    }

    /// The same with a policy for what they start; without one nothing is confined.
    pub fn confining(mut self, policy: Option<Policy>) -> Self {
        self.policy = policy;
        self
    }

    /// How what they start is to be confined.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Holds what they start to these limits.
    pub fn limiting(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// From now on one guard waits for the next engine, once one was needed: what the start of Skep's own binary takes
    /// is then no part of a message's wait.
    pub fn keep_spare(&self) {
        *self.spare() = Spare::Missing;
    }

    /// Starts the guard that waits, if it is missing, in a while.
    pub fn replenish(self: &Arc<Self>) {
        let guards = Arc::clone(self);
        tokio::spawn(async move {
            let mut spare = guards.spare();
            if matches!(*spare, Spare::Missing) {
                match guards.spawn() {
                    Ok(waiting) => *spare = Spare::Ready(Box::new(waiting)),
                    Err(error) => tracing::debug!(%error, "no guard could be started ahead"),
                }
            }
        });
    }

    /// Ends the guard that waits, for good.
    pub async fn dismiss_spare(&self) {
        let spare = std::mem::replace(&mut *self.spare(), Spare::NotKept);
        if let Spare::Ready(mut waiting) = spare {
            // Nothing is below it.
            waiting.control.abandon();
            waiting.control.take_leave().await;
        }
    }

    /// Makes this process the one that inherits what a killed guard leaves behind. Does nothing where there are no
    /// subreapers.
    pub fn adopt_orphans(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(getpid()))?;
        self.adopts.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Starts an engine under a guard of its own and returns once it runs.
    pub async fn start(self: &Arc<Self>, spec: &Spec) -> Result<Guarded, StartError> {
        let failed = |error: io::Error| {
            StartError::new(format!("Skep's own guard cannot be started: {error}"))
        };
        let bytes = serde_json::to_vec(spec).map_err(|error| {
            StartError::new(format!("the command cannot be passed on: {error}"))
        })?;
        if bytes.len() > SPEC_BYTES_MAX {
            return Err(StartError::new(format!(
                "the command and its environment take {} bytes, more than {SPEC_BYTES_MAX}",
                bytes.len()
            )));
        }
        let (mut guarded, sent) = self.hand_over(&bytes).map_err(failed)?;
        // A guard that dies right here closes its end; then the report below is what fails.
        let _ = guarded.control.commands.write_all(&bytes[sent..]).await;
        match guarded.control.next_report().await {
            Ok(Some(Report::Started(pid))) => {
                guarded.pid = pid;
                Ok(guarded)
            }
            Ok(Some(Report::SpawnFailed(error))) => {
                guarded.control.take_leave().await;
                Err(error)
            }
            Ok(_) => Err(StartError::new("Skep's own guard died at its start")),
            Err(error) => Err(failed(error)),
        }
    }

    /// Gives the spec to a guard. Returns how much of it is on its way already.
    fn hand_over(self: &Arc<Self>, spec: &[u8]) -> io::Result<(Guarded, usize)> {
        let (engine_stdin, stdin) = io::pipe()?;
        let stdin = pipe::Sender::from_owned_fd(OwnedFd::from(stdin))?;
        let send = |waiting: Waiting| -> io::Result<(Waiting, usize)> {
            let socket: &UnixStream = waiting.control.commands.as_ref();
            let sent = send_first(socket.as_fd(), spec, engine_stdin.as_fd())?;
            Ok((waiting, sent))
        };
        // One that something has killed meanwhile takes nothing, so nothing is run twice.
        let taken = self.take_spare().and_then(|spare| send(spare).ok());
        let (waiting, sent) = match taken {
            Some(taken) => taken,
            None => send(self.spawn()?)?,
        };
        let guarded = Guarded {
            pid: 0,
            stdin,
            stdout: waiting.stdout,
            stderr: waiting.stderr,
            control: waiting.control,
        };
        Ok((guarded, sent))
    }

    /// A guard that waits for its spec.
    fn spawn(self: &Arc<Self>) -> io::Result<Waiting> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (reports, commands) = UnixStream::from_std(ours)?.into_split();
        let children = signal(SignalKind::child())?;

        // Under the lock, so that a sweep never takes a newborn guard for an orphan.
        let mut living = self.living();
        let mut child = Command::new(&self.program)
            .arg(SUBCOMMAND)
            .arg(serde_json::to_string(&self.limits)?)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let guard = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        living.extend(guard);
        drop(living);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the guard has no pipes"));
        };
        let control = Control {
            commands,
            reports: BufReader::new(reports),
            children,
            last_word: None,
            guard,
            child,
            guards: Arc::clone(self),
        };
        Ok(Waiting {
            stdout,
            stderr,
            control,
        })
    }

    fn take_spare(&self) -> Option<Waiting> {
        let mut spare = self.spare();
        match std::mem::replace(&mut *spare, Spare::Missing) {
            Spare::Ready(waiting) => Some(*waiting),
            other => {
                *spare = other;
                None
            }
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self) -> MutexGuard<'_, HashSet<Pid>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every process that is ours but no living guard's, until there is none. `Err` says how many there are still.
    fn sweep(&self) -> Result<u32, u32> {
        if !self.adopts.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let me = getpid();
        let give_up = Instant::now() + SWEEP_PATIENCE;
        let mut killed = HashSet::new();
        loop {
            let orphans: Vec<Pid> = {
                let living = self.living();
                let is_orphan =
                    |pid| !living.contains(&pid) && !tree::has_variable(pid, NOT_AN_ENGINE);
                killed.extend(tree::kill_below(me, is_orphan));
                tree::children(me)
                    .into_iter()
                    .filter(|pid| is_orphan(*pid))
                    .collect()
            };
            for orphan in &orphans {
                let _ = waitpid(Some(*orphan), WaitOptions::NOHANG);
            }
            if orphans.is_empty() {
                return Ok(u32::try_from(killed.len()).unwrap_or(u32::MAX));
            }
            if Instant::now() >= give_up {
                return Err(u32::try_from(orphans.len()).unwrap_or(u32::MAX));
            }
            std::thread::sleep(SWEEP_INTERVAL);
        }
    }
}

/// The length of the spec, with it the engine's standard input, and as much of the spec as the socket holds: it waits
/// there for the guard, which need not wait for us then. Returns how much that was.
fn send_first(socket: BorrowedFd<'_>, spec: &[u8], stdin: BorrowedFd<'_>) -> io::Result<usize> {
    let length = u32::try_from(spec.len())
        .map_err(|_| io::ErrorKind::InvalidInput)?
        .to_le_bytes();
    let descriptors = [stdin];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let parts = [IoSlice::new(&length), IoSlice::new(spec)];
    let sent = sendmsg(socket, &parts, &mut ancillary, SendFlags::empty())?;
    sent.checked_sub(length.len())
        .ok_or_else(|| io::Error::other("a new socket took less than four bytes"))
}

/// A guard that has no engine yet.
#[derive(Debug)]
struct Waiting {
    stdout: ChildStdout,
    stderr: ChildStderr,
    control: Control,
}

/// The one guard that may be started ahead.
#[derive(Debug)]
enum Spare {
    NotKept,
    Missing,
    Ready(Box<Waiting>),
}

/// A running engine: its pipes, and its guard.
#[derive(Debug)]
pub struct Guarded {
    /// The engine's process.
    pub pid: u32,
    /// Its standard input; dropping it is the end of the input.
    pub stdin: pipe::Sender,
    /// Its standard output. It ends when nothing is left that could write to it.
    pub stdout: ChildStdout,
    /// Its standard error; ends likewise.
    pub stderr: ChildStderr,
    /// The line to its guard.
    pub control: Control,
}

/// The line to a guard. Dropping it kills everything below the guard.
#[derive(Debug)]
pub struct Control {
    commands: OwnedWriteHalf,
    reports: BufReader<OwnedReadHalf>,
    /// Tells that something became of a child of the server.
    children: Signals,
    /// The last word of the guard; `Some(None)`: it died without one.
    last_word: Option<Option<Ended>>,
    guard: Option<Pid>,
    child: Child,
    guards: Arc<Guards>,
}

impl Control {
    /// SIGTERM to the engine's process group, the grace period, SIGKILL to everything. Returns at once.
    pub async fn stop(&mut self) {
        let _ = self.commands.write_all(&[STOP]).await;
    }

    /// SIGKILL to everything. Returns at once.
    pub async fn kill(&mut self) {
        let _ = self.commands.write_all(&[KILL]).await;
    }

    /// Kills the guard itself, for one that does not answer; [`Control::ended`] then kills what was below it.
    pub fn abandon(&mut self) {
        let _ = self.child.start_kill();
    }

    /// How the engine ended; nothing of it is left then. May be dropped and called again.
    pub async fn ended(&mut self) -> Ended {
        let last_word = match self.last_word {
            Some(last_word) => last_word,
            None => match self.next_report().await {
                Ok(Some(Report::Exited(ended))) => Some(ended),
                _ => None,
            },
        };
        self.last_word = Some(last_word);
        self.take_leave().await;
        match last_word {
            Some(ended) => ended,
            None => self.sweep().await,
        }
    }

    async fn next_report(&mut self) -> io::Result<Option<Report>> {
        let mut line = Vec::new();
        loop {
            self.resume();
            let mut reports = (&mut self.reports).take(REPORT_BYTES_MAX);
            tokio::select! {
                // A report is one small write on a local socket, so a cancelled read never holds half of one.
                read = reports.read_until(b'\n', &mut line) => {
                    read?;
                    break;
                }
                Some(()) = self.children.recv() => {}
            }
        }
        if line.is_empty() {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&line).ok())
    }

    /// Lets the guard go on if something has stopped it: an engine of the same user can do that.
    fn resume(&self) {
        let Some(guard) = self.guard else { return };
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        if let Ok(Some(_)) = waitid(WaitId::Pid(guard), stopped) {
            let _ = kill_process(guard, Signal::CONT);
        }
    }

    async fn take_leave(&mut self) {
        let _ = self.child.wait().await;
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.guards.living().remove(&guard);
        }
    }

    /// The guard was killed: what was below it is ours now.
    async fn sweep(&self) -> Ended {
        let guards = Arc::clone(&self.guards);
        let swept = tokio::task::spawn_blocking(move || guards.sweep()).await;
        let (left_behind_killed, survivors) = match swept {
            Ok(Ok(killed)) => (killed, 0),
            Ok(Err(survivors)) => (0, survivors),
            Err(_) => (0, 0),
        };
        Ended {
            code: None,
            signal: None,
            left_behind_killed,
            survivors,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.forget();
    }
}
