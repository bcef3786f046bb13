//! `skep serve`: settings, log, signals.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{EXIT_FAILED, EXIT_USAGE, LogFormat, LogLevel, Serve};
use crate::config::{Config, data_dir, first_password};
use crate::http::CancellationToken;
use crate::{Announcement, run};

/// What the log is set with, besides `--log-level`. It is no setting of `skep.toml`: it must be known before that is
/// read.
const LOG_LEVEL_ENV: &str = "SKEP_LOG_LEVEL";
/// Signals this soon after the first are the same wish: service managers tell a process and its group at once.
const ECHO: Duration = Duration::from_secs(1);

/// Runs the server until SIGINT or SIGTERM; a second one ends it at once.
pub fn serve(options: &Serve, data: Option<PathBuf>) -> ExitCode {
    let level = match log_level(options) {
        Ok(level) => level,
        Err(message) => {
            eprintln!("skep: {message}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    init_log(options.log_format.unwrap_or_default(), level);
    let env = |name: &str| std::env::var_os(name);
    let loaded = data_dir(data, env)
        .and_then(|data| Config::load(&data, env, &options.settings()))
        .and_then(|config| Ok((config, first_password(env)?)));
    let (config, password) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("skep: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("skep: cannot start its threads: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let open = options.open;
    let result = runtime.block_on(async {
        let closing = CancellationToken::new();
        tokio::spawn(close_on_signal(closing.clone()));
        run(config, password, closing, |announcement| {
            announce(announcement, open)
        })
        .await
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skep: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// The two lines that people and scripts read. A closed standard output is no reason to stop.
fn announce(announcement: &Announcement, open: bool) {
    let link = match goes_to_journal() {
        // Others may read it there, for years.
        true => "say `skep login-link`".to_owned(),
        false => announcement.sign_in_url(),
    };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "Skep is ready at {}\nSign in: {link}",
        announcement.url
    );
    let _ = out.flush();
    if open {
        open_in_browser(&announcement.sign_in_url());
    }
}

/// Whether standard output is the system's journal, as systemd says it.
fn goes_to_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(std::io::stdout())
        .is_ok_and(|stat| journal == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn open_in_browser(link: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(program);
    command
        .arg(link)
        .env(crate::guard::NOT_AN_ENGINE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.spawn() {
        // Waited for elsewhere, so that it does not stay a zombie.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => {
            tracing::warn!(%error, program, "the browser could not be opened; open the link yourself")
        }
    }
}

async fn close_on_signal(closing: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return tracing::error!("signals cannot be listened to; only SIGKILL ends this process");
    };
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    let first = Instant::now();
    tracing::info!("stopping; press Ctrl-C again to end at once");
    closing.cancel();
    next().await;
    while first.elapsed() < ECHO {
        next().await;
    }
    std::process::exit(i32::from(EXIT_FAILED));
}

/// The level that was asked for, on the command line or in the environment.
fn log_level(options: &Serve) -> Result<LogLevel, String> {
    let word = std::env::var_os(LOG_LEVEL_ENV).filter(|word| !word.is_empty());
    match (options.log_level, word) {
        (Some(level), _) => Ok(level),
        (None, None) => Ok(LogLevel::default()),
        (None, Some(word)) => LogLevel::from_str(&word.to_string_lossy(), false).map_err(|_| {
            format!("environment variable {LOG_LEVEL_ENV}: {word:?} is no level; use error, warn, info or debug")
        }),
    }
}

/// Writes what is logged to standard error.
pub(super) fn init_log(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    // Libraries tell of themselves, at length and with what clients sent; their warnings are enough.
    let ours = Targets::new()
        .with_target("skep", level)
        .with_default(level.min(tracing::Level::WARN));
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(level);
    match format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            builder.with_ansi(ansi).finish().with(ours).init();
        }
        LogFormat::Json => builder.json().finish().with(ours).init(),
    }
}
