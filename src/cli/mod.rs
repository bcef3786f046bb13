//! The command line: what can be said, and one file for each subcommand that does it.
//!
//! Owns arguments, help and exit codes. Must never know tables or HTTP; a subcommand calls the layers as anyone does.
//! Start reading at [`Cli`].

mod backup;
pub mod bench;
mod check;
pub mod completions;
mod control;
mod control_tls;
mod engines;
mod hive;
mod login_link;
mod mcp;
mod passwd;
mod progress;
mod purge;
mod restore;
mod retention;
mod serve;
pub mod service;
mod service_unit;
mod terminal;
mod token;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use self::bench::Bench;
use self::hive::HiveError;

/// The exit code when all went well.
pub const EXIT_OK: u8 = 0;
/// The exit code when something failed.
pub const EXIT_FAILED: u8 = 1;
/// The exit code when the command line or a setting is wrong: to try again changes nothing.
pub const EXIT_USAGE: u8 = 2;

/// A beehive in one piece for AI workers: run it, open the link it prints, and chat with workers that do real work on
/// this machine.
#[derive(Debug, Parser)]
#[command(
    name = "skep",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Cli {
    /// The directory that holds everything [default: ~/.skep]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SKEP_DATA",
        hide_env_values = true
    )]
    pub data: Option<PathBuf>,

    /// What the server is started with when there is no subcommand.
    #[command(flatten)]
    pub serve: Serve,

    /// What to do; nothing said means to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  skep                          start, and print a link to sign in with
  skep --open                   start, and open the link
  skep --data ./hive            keep everything in ./hive
  skep --listen 127.0.0.1:0     take a free port
  skep engines                  what can answer here, and what is missing
  skep backup hive.tar.zst      a consistent copy, also while the server runs

Settings: skep.toml in the data directory; every setting also has an environment variable.
Exit codes: 0 done, 1 failed, 2 a wrong command line or setting.";

/// What Skep can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server (the default)
    Serve(Serve),
    /// Set the password of the account; everyone is signed out
    #[command(after_help = "\
The password is asked for on the terminal, or read from standard input when that is none:
  printf %s \"$NEW\" | skep passwd")]
    Passwd,
    /// Print a new sign-in link of the running server; it replaces the one before
    LoginLink,
    /// Run Skep as a service of systemd
    #[command(
        subcommand,
        after_help = "A service prints no sign-in link, since its log can be read by others: `skep login-link` gives one."
    )]
    Service(service::Service),
    /// Create an API key for scripts and print it, once
    #[command(after_help = "\
Examples:
  skep token --name ci
  skep token --name dashboard --scope read --expires-in-days 90")]
    Token(Token),
    /// Show which engines are here, and the one command that fixes what is missing
    Engines {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a consistent archive of everything, also while the server runs
    #[command(
        after_help = "The archive holds the secrets too, unless --without-keys: keep it as safe as the data directory."
    )]
    Backup {
        /// The file to write, or `-` for standard output [default: skep-<time>.tar.zst here]
        out: Option<PathBuf>,
        /// Leave the secrets out; everyone has to sign in again
        #[arg(long)]
        without_keys: bool,
    },
    /// Fill an empty data directory from an archive or a copy, after checking all of it
    Restore {
        /// Check only, and say what would be restored
        #[arg(long)]
        dry_run: bool,
        /// The archive that `skep backup` wrote, or a copy of a data directory
        archive: PathBuf,
    },
    /// Check every checksum of the data directory, and say what can be done about damage
    Verify,
    /// Remove what [retention] in skep.toml keeps no longer, now instead of within the hour
    #[command(after_help = "\
Examples:
  skep retention --dry-run      what would go, and how much that is")]
    Retention {
        /// Only print what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Connect a client that starts programs (Model Context Protocol over stdio) to the running server
    #[command(after_help = "\
What the client is told:
  {\"mcpServers\": {\"skep\": {\"command\": \"skep\", \"args\": [\"mcp\"]}}}

It may do everything, as whoever may read the data directory. An API key in SKEP_MCP_TOKEN limits it to the key's scopes:
  SKEP_MCP_TOKEN=$(skep token --name desktop --scope chat) skep mcp")]
    Mcp,
    /// Remove from disk what was deleted, now instead of after two snapshots
    Purge,
    /// Measure this machine and what Skep makes of it, on the disk of the data directory
    #[command(
        after_help = "It starts servers of its own in a directory of its own beside the data directory, and removes it.\n\
        Nothing of the hive is read or written. Stop what else runs: the figures are of all of this machine."
    )]
    Bench(Bench),
    /// Print a completion script
    #[command(after_help = "\
Examples:
  skep completions bash > ~/.local/share/bash-completion/completions/skep
  skep completions zsh > ~/.zfunc/_skep
  skep completions fish > ~/.config/fish/completions/skep.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What the server is started with. Other settings stand in `skep.toml` or the environment.
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// A proxy in front speaks TLS, so listening beyond this machine is fine
    #[arg(long)]
    pub behind_proxy: bool,
    /// The certificate chain, a PEM file, to speak TLS
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// The key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// The path below which everything is, behind a proxy, e.g. /skep
    #[arg(long, value_name = "PATH")]
    pub base_path: Option<String>,
    /// The engine of whoever names none [default: auto]
    #[arg(long, value_name = "NAME")]
    pub default_engine: Option<String>,
    /// How many executions run at once [default: 8]
    #[arg(long, value_name = "N")]
    pub max_concurrent_executions: Option<String>,
    /// Open the sign-in link in the browser
    #[arg(long)]
    pub open: bool,
    /// How the log on standard error is written [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: this and what is graver [default: info, or SKEP_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

impl Serve {
    /// The settings that were given, for [`crate::config::Config::load`].
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let behind_proxy = self.behind_proxy.then(|| true.to_string());
        let given = [
            ("listen", self.listen.clone()),
            ("behind_proxy", behind_proxy),
            ("tls_cert", self.tls_cert.clone()),
            ("tls_key", self.tls_key.clone()),
            ("base_path", self.base_path.clone()),
            ("default_engine", self.default_engine.clone()),
            (
                "max_concurrent_executions",
                self.max_concurrent_executions.clone(),
            ),
        ];
        given
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.settings().is_empty()
            && !self.open
            && self.log_format.is_none()
            && self.log_level.is_none()
    }
}

/// What an API key may do and for how long.
#[derive(Debug, Args)]
pub struct Token {
    /// What the key is called in the list of keys
    #[arg(long, default_value = "cli")]
    pub name: String,
    /// What it may do; may be given several times
    #[arg(long = "scope", value_enum, default_values_t = [TokenScope::Admin])]
    pub scopes: Vec<TokenScope>,
    /// When it ends by itself; never, if not given
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub expires_in_days: Option<u32>,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenScope {
    /// Read everything but backups
    Read,
    /// Also post messages, upload, cancel
    Chat,
    /// Everything
    Admin,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// From which gravity on something is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed
    Error,
    /// What somebody should look at
    Warn,
    /// Starts and stops
    #[default]
    Info,
    /// Every request
    Debug,
}

impl Cli {
    /// Reads the arguments, the program's name first. An error says itself whether it is help, and prints and exits
    /// with the right code ([`clap::Error::exit`]).
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(args)?;
        if cli.command.is_some() && !cli.serve.is_empty() {
            let message = "say the options of the server after `serve`, not before a subcommand";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(cli)
    }

    /// What to do, with nothing said meaning to serve.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

/// Does what the arguments say.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::read(args) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let data = cli.data.clone();
    let command = cli.into_command();
    if !matches!(command, Command::Serve(_)) {
        serve::init_log(LogFormat::Text, LogLevel::Warn);
    }
    let done = match command {
        Command::Serve(options) => return serve::serve(&options, data),
        Command::Completions { shell } => {
            completions::write(shell, &mut std::io::stdout()).map_err(HiveError::from)
        }
        Command::LoginLink => login_link::print(data),
        Command::Service(asked) => service::run(&asked, data),
        Command::Passwd => passwd::set(data),
        Command::Token(asked) => token::create(&asked, data),
        Command::Backup { out, without_keys } => backup::write(out, !without_keys, data),
        Command::Engines { json } => engines::list(json, data),
        Command::Restore { dry_run, archive } => restore::restore(&archive, dry_run, data),
        Command::Verify => verify::verify(data),
        Command::Retention { dry_run } => retention::retention(dry_run, data),
        Command::Purge => purge::purge(data),
        Command::Mcp => mcp::bridge(data),
        Command::Bench(asked) => bench::bench(&asked, data),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(HiveError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::from(EXIT_FAILED)
        }
        Err(error) => {
            eprintln!("skep: {error}");
            let is_usage = matches!(&error, HiveError::Config(_));
            ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split(' ').map(OsString::from))
    }

    fn command(line: &str) -> Command {
        read(line).unwrap().into_command()
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_said_means_to_serve() {
        let Command::Serve(serve) = command("skep --listen 127.0.0.1:0 --open --log-format json")
        else {
            panic!("not serve")
        };
        assert_eq!(serve.settings(), [("listen", "127.0.0.1:0".to_owned())]);
        assert!(serve.open && serve.log_format == Some(LogFormat::Json));
        assert!(matches!(command("skep"), Command::Serve(serve) if serve.is_empty()));
        let Command::Serve(serve) = command("skep serve --behind-proxy") else {
            panic!("not serve")
        };
        assert_eq!(serve.settings(), [("behind_proxy", "true".to_owned())]);
    }

    #[test]
    fn what_is_said_last_counts() {
        let line = "skep --log-level warn --listen a --listen b --log-level debug --open --open";
        let Command::Serve(serve) = command(line) else {
            panic!("not serve")
        };
        assert_eq!(serve.settings(), [("listen", "b".to_owned())]);
        assert_eq!(serve.log_level, Some(LogLevel::Debug));
        let Command::Serve(serve) = command("skep serve --listen a --listen b") else {
            panic!("not serve")
        };
        assert_eq!(serve.settings(), [("listen", "b".to_owned())]);
        let Command::Token(token) = command("skep token --name a --name b") else {
            panic!("not token")
        };
        assert_eq!(token.name, "b");
    }

    #[test]
    fn the_data_directory_may_stand_anywhere() {
        for line in [
            "skep --data d verify",
            "skep verify --data d",
            "skep --data=d",
            "skep serve --data d",
        ] {
            assert_eq!(
                read(line).unwrap().data.unwrap(),
                PathBuf::from("d"),
                "{line}"
            );
        }
    }

    #[test]
    fn every_subcommand_is_understood() {
        assert!(matches!(command("skep passwd"), Command::Passwd));
        assert!(matches!(
            command("skep engines --json"),
            Command::Engines { json: true }
        ));
        assert!(matches!(
            command("skep backup"),
            Command::Backup {
                out: None,
                without_keys: false
            }
        ));
        assert!(
            matches!(command("skep backup -"), Command::Backup { out: Some(out), .. } if out.as_os_str() == "-")
        );
        assert!(matches!(
            command("skep restore --dry-run a"),
            Command::Restore { dry_run: true, .. }
        ));
        assert!(matches!(command("skep purge"), Command::Purge));
        assert!(matches!(
            command("skep retention --dry-run"),
            Command::Retention { dry_run: true }
        ));
        assert!(matches!(
            command("skep bench --seconds 5 --json"),
            Command::Bench(Bench {
                seconds: 5,
                json: true
            })
        ));
        assert!(matches!(
            command("skep completions zsh"),
            Command::Completions { shell: Shell::Zsh }
        ));
        let Command::Token(token) =
            command("skep token --scope read --scope chat --expires-in-days 1")
        else {
            panic!("not token")
        };
        assert_eq!(token.scopes, [TokenScope::Read, TokenScope::Chat]);
        assert!(
            matches!(command("skep token"), Command::Token(token) if token.scopes == [TokenScope::Admin])
        );
    }

    #[test]
    fn wrong_usage_has_an_exit_code_of_its_own() {
        for line in [
            "skep x",
            "skep --x",
            "skep restore",
            "skep completions",
            "skep completions x",
            "skep --listen",
            "skep --listen a verify",
            "skep --open serve",
            "skep --log-format x",
            "skep verify --open",
            "skep a b",
            "skep token --scope x",
            "skep token --expires-in-days 0",
            "skep token --expires-in-days 36501",
        ] {
            assert_eq!(
                read(line).unwrap_err().exit_code(),
                i32::from(EXIT_USAGE),
                "{line}"
            );
        }
        for line in [
            "skep --help",
            "skep -h",
            "skep --version",
            "skep help verify",
            "skep token --help",
        ] {
            assert_eq!(
                read(line).unwrap_err().exit_code(),
                i32::from(EXIT_OK),
                "{line}"
            );
        }
    }

    /// The table of settings and the command line know the same flags, with the same defaults.
    #[test]
    fn flags_and_settings_agree() {
        let every = "skep --listen a --behind-proxy --tls-cert d --tls-key e --base-path f --default-engine b --max-concurrent-executions c";
        let Command::Serve(serve) = command(every) else {
            panic!("not serve")
        };
        let given: Vec<&str> = serve.settings().into_iter().map(|(key, _)| key).collect();
        let help = Cli::command();
        let mut flags = 0;
        for setting in crate::config::documented() {
            let Some(flag) = setting.flag else { continue };
            flags += 1;
            assert!(given.contains(&setting.key), "{flag} is not passed on");
            let argument = help
                .get_arguments()
                .find(|argument| argument.get_long() == flag.strip_prefix("--"));
            let text = argument.unwrap().get_help().unwrap().to_string();
            let default = format!("[default: {}]", setting.default.trim_matches('"'));
            assert!(
                text.ends_with(&default)
                    || ["false", "", "\"\""].contains(&setting.default.as_str()),
                "{flag}: {text}"
            );
        }
        assert_eq!(flags, given.len());
    }

    #[test]
    fn help_shows_how() {
        let help = Cli::command().render_long_help().to_string();
        for expected in [
            "Examples:",
            "skep engines",
            "SKEP_DATA",
            "--behind-proxy",
            "Exit codes: 0",
        ] {
            assert!(help.contains(expected), "{expected}");
        }
    }
}
