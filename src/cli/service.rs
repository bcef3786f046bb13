//! `skep service`: Skep as a service of systemd, of one user or of the whole system.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};

use super::hive::HiveError;
use super::service_unit::Unit;
use crate::config::data_dir;
use crate::data_dir::replace_file;

const UNIT: &str = "skep.service";

/// What to do with the service.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Write the unit, start it now and with every login (--system: with every boot)
    Install {
        /// Where and as whom
        #[command(flatten)]
        scope: Scope,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop it and remove the unit; the data stays
    Uninstall {
        /// Where
        #[command(flatten)]
        scope: Scope,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Show what systemd says of it
    Status {
        /// Where
        #[command(flatten)]
        scope: Scope,
    },
    /// Print the unit
    Print {
        /// Where and as whom
        #[command(flatten)]
        scope: Scope,
    },
}

/// Whose service it is.
#[derive(Debug, Clone, Args)]
pub struct Scope {
    /// A service of this user (the default)
    #[arg(long, conflicts_with = "system")]
    pub user: bool,
    /// A service of the whole system
    #[arg(long)]
    pub system: bool,
    /// Who it runs as, with --system [default: who calls sudo, else who calls]
    #[arg(long, value_name = "USER", requires = "system")]
    pub run_as: Option<String>,
}

/// Does it.
pub fn run(asked: &Service, data: Option<PathBuf>) -> Result<(), HiveError> {
    match asked {
        Service::Print { scope } => {
            print!("{}", unit(scope, data)?);
            Ok(())
        }
        Service::Install { scope, dry_run } => install(scope, *dry_run, data),
        Service::Uninstall { scope, dry_run } => uninstall(scope, *dry_run),
        Service::Status { scope } => {
            let systemctl = Systemctl::find(scope)?;
            systemctl.show(&["status", "--no-pager", UNIT])
        }
    }
}

fn install(scope: &Scope, dry_run: bool, data: Option<PathBuf>) -> Result<(), HiveError> {
    let text = unit(scope, data)?;
    let path = unit_path(scope)?;
    if dry_run {
        println!("Would write {}:\n\n{text}", path.display());
        println!("Would run: {} daemon-reload", scope.words());
        println!("Would run: {} enable --now {UNIT}", scope.words());
        return Ok(());
    }
    let systemctl = Systemctl::find(scope)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| named("create", folder, &error))?;
    replace_file(&path, text.as_bytes()).map_err(|error| named("write", &path, &error))?;
    println!("Wrote {}", path.display());
    systemctl.run(&["daemon-reload"])?;
    systemctl.run(&["enable", "--now", UNIT])?;
    println!(
        "Skep runs, and starts again by itself. Its log: {}",
        scope.log()
    );
    println!("To sign in: skep login-link");
    if !scope.system {
        println!("To have it run while you are not logged in: loginctl enable-linger");
    }
    Ok(())
}

fn uninstall(scope: &Scope, dry_run: bool) -> Result<(), HiveError> {
    let path = unit_path(scope)?;
    if dry_run {
        println!("Would run: {} disable --now {UNIT}", scope.words());
        println!("Would remove {}", path.display());
        println!("Would run: {} daemon-reload", scope.words());
        return Ok(());
    }
    let systemctl = Systemctl::find(scope)?;
    if !path.exists() {
        println!("There is no {}; nothing to do", path.display());
        return Ok(());
    }
    systemctl.run(&["disable", "--now", UNIT])?;
    std::fs::remove_file(&path).map_err(|error| named("remove", &path, &error))?;
    println!(
        "Removed {}; the data directory stays as it is",
        path.display()
    );
    systemctl.run(&["daemon-reload"])
}

fn unit(scope: &Scope, data: Option<PathBuf>) -> Result<String, HiveError> {
    let data = data_dir(data, |name| std::env::var_os(name))?;
    let data = std::path::absolute(data)?;
    let user = scope.run_as.clone().or_else(|| {
        let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
        named("SUDO_USER").or_else(|| named("USER"))
    });
    Ok(Unit {
        system: scope.system,
        user: user.as_deref().unwrap_or("root"),
        program: &std::env::current_exe()?,
        data: &data,
        path: &std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
    }
    .text())
}

fn unit_path(scope: &Scope) -> Result<PathBuf, HiveError> {
    if scope.system {
        return Ok(Path::new("/etc/systemd/system").join(UNIT));
    }
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let config = config
        .ok_or_else(|| io::Error::other("HOME is not set, so there is no place for the unit"))?;
    Ok(config.join("systemd/user").join(UNIT))
}

impl Scope {
    fn words(&self) -> &'static str {
        match self.system {
            true => "systemctl",
            false => "systemctl --user",
        }
    }

    fn log(&self) -> &'static str {
        match self.system {
            true => "journalctl -u skep",
            false => "journalctl --user -u skep",
        }
    }
}

/// The manager of a scope, which is there.
struct Systemctl<'a>(&'a Scope);

impl Systemctl<'_> {
    fn find(scope: &Scope) -> Result<Systemctl<'_>, HiveError> {
        let systemctl = Systemctl(scope);
        let asked = systemctl
            .command(&["show", "--property=Version"])
            .stdin(Stdio::null())
            .output();
        match asked {
            Ok(output) if output.status.success() => Ok(systemctl),
            _ => Err(io::Error::other(format!(
                "there is no systemd to ask here (`{} show` fails), so Skep cannot be its service; `skep service print` \
                 shows the unit, and `skep` runs under any other supervisor: it stays in the foreground and logs to \
                 standard error",
                scope.words()
            ))
            .into()),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("systemctl");
        if !self.0.system {
            command.arg("--user");
        }
        command.args(words.iter().map(OsStr::new));
        command
    }

    fn run(&self, words: &[&str]) -> Result<(), HiveError> {
        println!("Running: {} {}", self.0.words(), words.join(" "));
        self.show(words)
    }

    fn show(&self, words: &[&str]) -> Result<(), HiveError> {
        let status = self.command(words).stdin(Stdio::null()).status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "`{} {}` ended with {status}",
                self.0.words(),
                words.join(" ")
            ))
            .into()),
        }
    }
}

fn named(action: &str, path: &Path, error: &io::Error) -> HiveError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; --system needs root",
        _ => "",
    };
    io::Error::other(format!("cannot {action} {}: {error}{hint}", path.display())).into()
}
