//! What runs inside the guard.

use std::collections::HashSet;
use std::io::{self, IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, setsid, wait};

use super::confinement::Starter;
use super::limits::Limits;
use super::protocol::{Ended, KILL, Report, SPEC_BYTES_MAX, STOP, Spec, StartError};
use super::tree;

/// How long killing is tried before the guard reports survivors.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// From the engine's end to the first look for what it left behind; most leave nothing, and the reaper says so sooner.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// The longest pause between two looks.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(50);

/// The guard's whole life. It says nothing but to the server, and its exit code means nothing.
pub fn main() -> ExitCode {
    // A message on stderr would be taken for the engine's own.
    std::panic::set_hook(Box::new(|_| {}));
    match guard() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn guard() -> io::Result<()> {
    close_inherited();
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A terminal's signals are the server's business; `kill -- -<guard>` still reaches all of a well-behaved engine.
    let _ = setsid();
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_child_subreaper(Some(getpid()))?;
        // A guard that was stopped would sleep through the server's death.
        rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
    }

    let limits = std::env::args().nth(2);
    let limits = limits.and_then(|limits| serde_json::from_str::<Limits>(&limits).ok());
    let limits = limits.unwrap_or_default();
    limits.take();
    let (spec, started) = on_a_thread_of_its_own(|| {
        let starter = Starter::prepare();
        let (spec, stdin) = receive(&control)?;
        let started = start(&spec, stdin, starter);
        Ok((spec, started))
    })?;
    match started {
        Ok(engine) => {
            limits.lower_priority(engine);
            report(
                &control,
                &Report::Started(engine.as_raw_nonzero().get() as u32),
            )?;
            let ended = Watch::new(engine, &spec, control.try_clone()?)?.until_nothing_is_left()?;
            report(&control, &Report::Exited(ended))
        }
        Err(error) => report(&control, &Report::SpawnFailed(error)),
    }
}

/// Whatever the server was itself started with stays out of the engine's reach.
fn close_inherited() {
    let listing = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let Ok(entries) = std::fs::read_dir(listing) else {
        return;
    };
    let numbers: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The directory's own descriptor is in the list and closed by now.
        let _ = nix::unistd::close(number);
    }
}

fn receive(control: &UnixStream) -> io::Result<(Spec, OwnedFd)> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let received = recvmsg(
        control,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        flags,
    )?;
    let stdin = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let length = u32::from_le_bytes(length) as usize;
    let Some(stdin) = stdin.filter(|_| received.bytes == 4 && length <= SPEC_BYTES_MAX) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut spec = vec![0; length];
    (&mut &*control).read_exact(&mut spec)?;
    Ok((serde_json::from_slice(&spec)?, stdin))
}

/// Whatever binds a thread and what it starts shall not bind the guard.
fn on_a_thread_of_its_own<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(io::Error::other("the guard could not start its engine")))
}

fn start(spec: &Spec, stdin: OwnedFd, starter: Starter) -> Result<Pid, StartError> {
    let [program, arguments @ ..] = spec.argv.as_slice() else {
        return Err(StartError::new("there is no command"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .process_group(0)
        .stdin(Stdio::from(stdin));
    let child = match &spec.confinement {
        Some(confinement) => confinement.spawn(&mut command, starter)?,
        None => command
            .spawn()
            .map_err(|error| StartError::new(format!("{program} cannot be started: {error}")))?,
    };
    Ok(Pid::from_child(&child))
}

fn report(mut control: &UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    control.write_all(&line)
}

/// What the reaper tells the watch: a process that is gone, as pid, exit code and signal (-1: none).
type Gone = [i32; 3];
const GONE_BYTES: usize = size_of::<Gone>();

/// Takes leave of every process that ends below the guard, and hangs up when none is left.
fn reap(mut gone: PipeWriter) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                let record: Gone = [
                    pid.as_raw_nonzero().get(),
                    status.exit_status().unwrap_or(-1),
                    status.terminating_signal().unwrap_or(-1),
                ];
                let bytes: Vec<u8> = record.iter().flat_map(|word| word.to_le_bytes()).collect();
                if gone.write_all(&bytes).is_err() {
                    return;
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

enum Phase {
    /// The engine runs.
    Running,
    /// It was asked to end.
    Stopping { until: Instant },
    /// Everything has to go.
    Killing {
        since: Instant,
        look_at: Instant,
        pause: Duration,
    },
}

/// The guard's wait for the engine's end, the server's word or its death.
struct Watch {
    engine: Pid,
    grace_period: Duration,
    control: Option<UnixStream>,
    gone: PipeReader,
    phase: Phase,
    ended: Ended,
    engine_is_gone: bool,
    killed: HashSet<Pid>,
}

impl Watch {
    fn new(engine: Pid, spec: &Spec, control: UnixStream) -> io::Result<Self> {
        let (gone, reaper) = io::pipe()?;
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || reap(reaper))?;
        Ok(Self {
            engine,
            grace_period: Duration::from_millis(spec.grace_period_ms),
            control: Some(control),
            gone,
            phase: Phase::Running,
            ended: Ended::default(),
            engine_is_gone: false,
            killed: HashSet::new(),
        })
    }

    fn until_nothing_is_left(mut self) -> io::Result<Ended> {
        loop {
            let (heard, reaped) = self.wait()?;
            if reaped && !self.take_gone()? {
                break;
            }
            if heard {
                self.take_command();
            }
            let now = Instant::now();
            match self.phase {
                Phase::Stopping { until } if now >= until => self.kill(Duration::ZERO),
                Phase::Killing { since, .. } if now >= since + KILL_PATIENCE => {
                    let survivors = tree::descendants(getpid(), |_| true).len();
                    self.ended.survivors = u32::try_from(survivors).unwrap_or(u32::MAX);
                    break;
                }
                Phase::Killing { look_at, .. } if now >= look_at => self.look_and_kill(),
                _ => {}
            }
        }
        self.ended.left_behind_killed = u32::try_from(self.killed.len()).unwrap_or(u32::MAX);
        Ok(self.ended)
    }

    /// Sleeps until the server says something, a process ends, or it is time for the next step.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let wake_at = match self.phase {
            Phase::Running => None,
            Phase::Stopping { until } => Some(until),
            Phase::Killing { look_at, .. } => Some(look_at),
        };
        let timeout = wake_at
            .map(|at| at.saturating_duration_since(Instant::now()))
            .map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
        let mut watched = vec![PollFd::new(&self.gone, PollFlags::IN)];
        if let Some(control) = &self.control {
            watched.push(PollFd::new(control, PollFlags::IN));
        }
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, false)),
            Err(error) => return Err(error.into()),
        }
        let ready = |slot: usize| {
            watched
                .get(slot)
                .is_some_and(|watched| !watched.revents().is_empty())
        };
        Ok((ready(1), ready(0)))
    }

    /// Notes who ended; `false`: nothing is left at all.
    fn take_gone(&mut self) -> io::Result<bool> {
        let mut record = [0; GONE_BYTES];
        match self.gone.read(&mut record)? {
            // The writer writes whole records, and a pipe keeps small writes together.
            GONE_BYTES => {}
            _ => return Ok(false),
        }
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&record[at * 4..at * 4 + 4]);
            i32::from_le_bytes(bytes)
        };
        if word(0) == self.engine.as_raw_nonzero().get() && !self.engine_is_gone {
            self.engine_is_gone = true;
            self.killed.remove(&self.engine);
            self.ended.code = (word(1) >= 0).then(|| word(1));
            self.ended.signal = (word(2) >= 0).then(|| word(2));
            // Where the tree cannot be searched, its group is the only way to what it left behind.
            #[cfg(not(target_os = "linux"))]
            let _ = kill_process_group(self.engine, Signal::KILL);
            self.kill(FIRST_LOOK);
        }
        Ok(true)
    }

    fn take_command(&mut self) {
        let mut command = [0];
        let read = match &self.control {
            Some(control) => (&mut &*control).read(&mut command),
            None => return,
        };
        match read {
            Ok(1) if command[0] == STOP => {
                if matches!(self.phase, Phase::Running) {
                    let _ = kill_process_group(self.engine, Signal::TERM);
                    self.phase = Phase::Stopping {
                        until: Instant::now() + self.grace_period,
                    };
                }
            }
            Ok(1) if command[0] == KILL => self.kill(Duration::ZERO),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                // The server is gone: nobody would miss what the engine still has to say.
                self.control = None;
                self.kill(Duration::ZERO);
            }
        }
    }

    fn kill(&mut self, look_after: Duration) {
        if matches!(self.phase, Phase::Killing { .. }) {
            return;
        }
        let now = Instant::now();
        self.phase = Phase::Killing {
            since: now,
            look_at: now + look_after,
            pause: FIRST_LOOK,
        };
    }

    fn look_and_kill(&mut self) {
        let Phase::Killing { since, pause, .. } = self.phase else {
            return;
        };
        if !self.engine_is_gone {
            let _ = kill_process_group(self.engine, Signal::KILL);
        }
        let mut found = tree::kill_below(getpid(), |_| true);
        found.remove(&self.engine);
        self.killed.extend(found);
        self.phase = Phase::Killing {
            since,
            look_at: Instant::now() + pause,
            pause: (pause * 2).min(LOOK_INTERVAL_MAX),
        };
    }
}
