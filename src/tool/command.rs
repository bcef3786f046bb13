//! Running a program in the work directory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

use super::beneath::Beneath;
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, parse};
use crate::guard::{Confinement, Ended, Needs, Spec, landlock_abi};

/// What is kept of each of a program's outputs, half from its beginning and half from its end.
pub const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// Words of a command.
pub const WORDS_MAX: usize = 1_000;
/// All words of a command together; the kernel takes not much more.
pub const WORDS_BYTES_MAX: usize = 128 * 1024;
/// From SIGTERM to SIGKILL: whoever pressed stop waits for it.
const GRACE_PERIOD: Duration = Duration::from_millis(500);
/// From SIGKILL to giving up on the guard.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Runs a program. Data: [`CommandResult`].
pub const RUN: Tool = Tool {
    name: "run_command",
    description: "Runs a program in the work directory and answers its exit code and what it printed. No shell sees the words; for one, run [\"sh\", \"-c\", …].",
    access: Access::Run,
    params: &[
        Param::required(
            "argv",
            Kind::Words,
            "The program and its arguments, e.g. [\"ls\", \"-l\"].",
        ),
        Param::optional(
            "timeout_s",
            Kind::Number,
            "Seconds until it is stopped; the usual limit without it, and at most.",
        ),
    ],
    call: |cx, args| Box::pin(run(cx, args)),
};

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether its time was over.
    pub timed_out: bool,
    /// What it printed, as far as it is kept.
    pub stdout: String,
    /// Its errors, as far as they are kept.
    pub stderr: String,
}

#[derive(Deserialize)]
struct Arguments {
    argv: Vec<String>,
    timeout_s: Option<u64>,
}

async fn run(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Arguments { argv, timeout_s } = parse(args)?;
    check(&argv)?;
    let limit = cx.shared.command_timeout;
    let limit = timeout_s.map_or(limit, |seconds| {
        Duration::from_secs(seconds.max(1)).min(limit)
    });
    let mut env = cx.shared.environment.clone();
    if let Some(directory) = cx.temp_dir.to_str() {
        env.insert("TMPDIR".to_owned(), directory.to_owned());
    }
    // Where a link has taken its place, nothing is started.
    Beneath::open(&cx.work_dir)?;
    let confinement = confine(cx, &env).map_err(ToolError::Refused)?;
    let spec = Spec {
        argv,
        env,
        cwd: cx.work_dir.clone(),
        grace_period_ms: GRACE_PERIOD.as_millis() as u64,
        confinement: confinement.clone(),
    };
    let mut guarded = cx
        .shared
        .guards
        .start(&spec)
        .await
        .map_err(|error| ToolError::Refused(error.message))?;
    drop(guarded.stdin);
    let deadline = Instant::now() + limit;
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let mut timed_out = false;
    let mut ended = None;
    {
        let control = &mut guarded.control;
        let output = async {
            tokio::join!(
                stdout.drain(&mut guarded.stdout),
                stderr.drain(&mut guarded.stderr)
            )
        };
        tokio::pin!(output);
        let mut is_open = true;
        let mut is_stopping = false;
        // When the guard, or pipes that nothing of ours can close, are given up.
        let mut last = None;
        while is_open || ended.is_none() {
            tokio::select! {
                _ = &mut output, if is_open => is_open = false,
                how = control.ended(), if ended.is_none() => {
                    ended = Some(how);
                    last = Some(Instant::now() + AFTER_KILL);
                }
                () = cx.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    control.stop().await;
                    last = Some(Instant::now() + GRACE_PERIOD + AFTER_KILL);
                }
                () = sleep_until(deadline), if !is_stopping => {
                    (is_stopping, timed_out) = (true, true);
                    control.stop().await;
                    last = Some(Instant::now() + GRACE_PERIOD + AFTER_KILL);
                }
                () = at(last), if last.is_some() => {
                    if ended.is_some() {
                        break;
                    }
                    control.abandon();
                    last = None;
                }
            }
        }
    }
    let result = CommandResult {
        stdout: stdout.text(),
        stderr: stderr.text(),
        timed_out,
        ..how(ended.unwrap_or_default())
    };
    if cx.stop.is_cancelled() {
        return Err(ToolError::Unavailable("it was stopped".to_owned()));
    }
    let mut text = text(&result, limit);
    let said = format!("{}\n{}", result.stdout, result.stderr);
    let confinement = confinement.filter(|_| result.code != Some(0) && landlock_abi().is_some());
    if let Some(hint) = confinement.and_then(|lists| lists.denied(&said)) {
        text.push_str(&format!("\n\n{hint}"));
    }
    Ok(ToolOutput::new(text, &result))
}

/// Nothing that the model names is on the lists; `None`: it is not confined.
fn confine(cx: &Context, env: &BTreeMap<String, String>) -> Result<Option<Confinement>, String> {
    let needs = Needs {
        env: Some(env),
        work_dir: Some(&cx.work_dir),
        temp_dir: Some(&cx.temp_dir),
        read: cx.granted.read.clone(),
        write: cx.granted.write.clone(),
        ..Needs::default()
    };
    let policy = cx.shared.guards.policy().filter(|_| cx.granted.confine);
    policy.map(|policy| policy.confine(&needs)).transpose()
}

fn check(argv: &[String]) -> Result<(), ToolError> {
    let invalid = |message: String| Err(ToolError::InvalidArguments(message));
    if argv.first().is_none_or(String::is_empty) {
        return invalid("argv must begin with a program".to_owned());
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return invalid("a word of a command cannot hold NUL characters".to_owned());
    }
    if argv.len() > WORDS_MAX || argv.iter().map(String::len).sum::<usize>() > WORDS_BYTES_MAX {
        return invalid(format!(
            "a command has at most {WORDS_MAX} words of {WORDS_BYTES_MAX} bytes together"
        ));
    }
    Ok(())
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn how(ended: Ended) -> CommandResult {
    CommandResult {
        code: ended.code,
        signal: ended.signal,
        timed_out: false,
        stdout: String::new(),
        stderr: String::new(),
    }
}

fn text(result: &CommandResult, limit: Duration) -> String {
    let mut text = match (result.timed_out, result.code, result.signal) {
        (true, ..) => format!("stopped after {} s, which is its limit", limit.as_secs()),
        (_, Some(code), _) => format!("exit code {code}"),
        (_, None, Some(signal)) => format!("ended by signal {signal}"),
        (_, None, None) => "killed together with its guard".to_owned(),
    };
    for (title, said) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
        if !said.is_empty() {
            text.push_str(&format!("\n\n{title}:\n{said}"));
        }
    }
    text
}

/// The beginning and the end of what a program prints. All of it is read, so that the program never waits.
#[derive(Default)]
struct Kept {
    head: Vec<u8>,
    tail: Vec<u8>,
    bytes: u64,
}

impl Kept {
    async fn drain(&mut self, source: &mut (impl AsyncRead + Unpin)) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = source.read(&mut buffer).await {
            self.push(&buffer[..count]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        const HALF: usize = OUTPUT_BYTES_MAX / 2;
        self.bytes += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(HALF - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(HALF)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(HALF);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(rest);
    }

    fn text(&self) -> String {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let head = String::from_utf8_lossy(&self.head);
        let tail = String::from_utf8_lossy(&self.tail);
        match self.bytes - kept {
            0 => format!("{head}{tail}"),
            left_out => format!("{head}\n… {left_out} bytes left out …\n{tail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_an_output_are_kept() {
        let half = OUTPUT_BYTES_MAX / 2;
        for size in [1, 7, 5000, OUTPUT_BYTES_MAX * 2] {
            let printed: Vec<u8> = (0..OUTPUT_BYTES_MAX + 1)
                .map(|n| b'a' + (n % 26) as u8)
                .collect();
            let mut kept = Kept::default();
            for chunk in printed[..OUTPUT_BYTES_MAX].chunks(size) {
                kept.push(chunk);
            }
            assert_eq!(kept.text().as_bytes(), &printed[..OUTPUT_BYTES_MAX]);
            kept.push(&printed[OUTPUT_BYTES_MAX..]);
            let text = kept.text();
            assert!(text.contains("\n… 1 bytes left out …\n"), "{size}");
            assert_eq!(&text.as_bytes()[..half], &printed[..half]);
            assert_eq!(&text.as_bytes()[text.len() - half..], &printed[half + 1..]);
        }
    }
}
