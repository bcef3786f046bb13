//! Settings: read once, validated once, from four sources of which the later win: defaults, `skep.toml` in the data
//! directory, the environment, the command line.
//!
//! Owns every tunable with its unit, its bounds and its documentation. Must never know the layers that are tuned: they
//! receive values, never [`Config`]. Start reading at [`Config`] and [`Config::load`].

mod confinement;
mod error;
mod file;
mod limits;
mod parts;
mod path;
mod retention;
mod secret;
mod setting;
mod tables;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::engine::settings::EngineSettings;
pub use confinement::{Confinement, Mode};
pub use error::{ConfigError, Place};
pub use limits::Limits;
pub use path::{BasePath, FilePath, GrantedPath};
pub use retention::{Age, Retention};
pub use secret::Secret;
use setting::settings;
pub use setting::{Setting, documented};
pub use tables::Tier;
pub use value::{AddressRange, HostName, Kind, Listen, Origin, Rate};

/// The settings file's name in the data directory.
pub const FILE_NAME: &str = "skep.toml";
/// What `default_engine` is when Skep shall choose.
pub const AUTO: &str = "auto";
/// Engines that need no `[engines.<name>]` table.
pub const BUILT_IN_ENGINES: [&str; 10] = [
    "builtin",
    "claude",
    "claude-code-acp",
    "codex",
    "codex-acp",
    "gemini",
    "gemini-acp",
    "local",
    "opencode",
    "opencode-acp",
];

const DAY_S: u64 = 24 * 3600;
const GIB: u64 = 1 << 30;

settings! {
    /// Everything that can be set.
    pub struct Config in "", "SKEP_", |config| config => {
        /// The address to listen on; port 0 takes a free one. Beyond loopback it needs TLS or `behind_proxy`.
        listen: Listen = Listen(([127, 0, 0, 1], 8080).into()), flag "--listen";
        /// A proxy in front of Skep speaks TLS to the outside, so Skep may listen beyond loopback without it.
        behind_proxy: bool = false, flag "--behind-proxy";
        /// The certificate chain, a PEM file, the server's own first; with `tls_key` Skep speaks TLS itself. Both are read again when they change.
        tls_cert: Option<FilePath> = None, flag "--tls-cert";
        /// The key of the certificate, a PEM file without a passphrase.
        tls_key: Option<FilePath> = None, flag "--tls-key";
        /// Proxies whose `Forwarded` and `X-Forwarded-For` headers count: addresses or ranges.
        trusted_proxies: Vec<AddressRange> = Vec::new();
        /// The origin that users open; it is what the sign-in link shows, and its host is accepted.
        public_url: Option<Origin> = None;
        /// The path below which everything is, when a proxy serves other things beside it: `/skep`.
        base_path: BasePath = BasePath::default(), flag "--base-path";
        /// The token that `/metrics` asks for; without it only this machine may read them, and not through a proxy.
        metrics_token: Option<Secret> = None;
        /// More host names that requests may be addressed to.
        public_names: Vec<HostName> = Vec::new();
        /// Other origins whose pages may use the API and embed the chat.
        cors_allowed_origins: Vec<Origin> = Vec::new(), env "CORS_ALLOWED_ORIGINS";

        /// The engine of the bee and of workers that name none; `auto` takes the first that is there and signed in.
        default_engine: String = AUTO.to_owned(), flag "--default-engine";
        /// Where `auto` and `local` look for a model server: Ollama, llama.cpp and LM Studio at their usual ports.
        model_servers: Vec<Origin> = ["11434", "8080", "1234"].iter().filter_map(|port| format!("http://127.0.0.1:{port}").parse().ok()).collect();
        /// Executions that run at once; more wait.
        max_concurrent_executions: usize = 8, in 1..=1_000, flag "--max-concurrent-executions";
        /// The time an execution may run, when its worker has no limit of its own.
        execution_timeout_s: u64 = 3_600, in 1..=DAY_S;
        /// The time a worker waits for permission to do something; without an answer it is denied.
        permission_timeout_s: u64 = 900, in 1..=DAY_S;
        /// The size of an execution's log at which it is ended.
        log_bytes_max: u64 = GIB, in 64 * 1024..=1024 * GIB;
        /// The size of one uploaded file.
        upload_bytes_max: u64 = 100 << 20, in 1..=1024 * GIB;

        /// The time an access token is good for.
        access_token_s: u64 = 3_600, in 10..=DAY_S;
        /// The time a refresh token is good for.
        refresh_token_s: u64 = 7 * DAY_S, in 60..=3_650 * DAY_S;
    }
    also {
        /// The data directory, absolute.
        data: PathBuf,
        /// `[rate_limit]`.
        rate_limit: RateLimits,
        /// `[retention]`.
        retention: Retention,
        /// `[limits]`.
        limits: Limits,
        /// `[confinement]`.
        confinement: Confinement,
        /// `[engines.<name>]`.
        engines: BTreeMap<String, EngineSettings>,
        /// `[tier]`.
        tier: Tier,
    }
}

settings! {
    /// Requests a minute and in a burst, for each address and for each user.
    pub struct RateLimits in "rate_limit.", "RATE_LIMIT_", |config| &mut config.rate_limit => {
        /// Whether there are any.
        enabled: bool = true;
        /// `/api/chat`, posting messages, `/v1`.
        chat: Rate = Rate::PerMinute { rate: 60, burst: 120 };
        /// `/api/agents`, `/api/workers`.
        agents: Rate = Rate::PerMinute { rate: 120, burst: 200 };
        /// `/api/knowledge`.
        knowledge: Rate = Rate::PerMinute { rate: 30, burst: 60 };
        /// `/api/auth`.
        auth: Rate = Rate::PerMinute { rate: 30, burst: 60 };
        /// Webhooks that come in.
        webhook: Rate = Rate::PerMinute { rate: 600, burst: 1_200 };
        /// Everything else.
        default: Rate = Rate::PerMinute { rate: 1_200, burst: 2_400 };
    }
}

impl Config {
    /// Reads every source and checks the result. `env` looks a variable up; `flags` are pairs of key and value from
    /// the command line. A missing file is fine; anything that is not understood is an error that names its place.
    pub fn load(
        data: &Path,
        env: impl Fn(&str) -> Option<OsString>,
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let data = std::path::absolute(data)
            .map_err(|error| ConfigError::new(Place::Flag("--data"), error.to_string()))?;
        let mut config = Self {
            data,
            ..Self::default()
        };
        let table = documented();
        let path = config.data.join(FILE_NAME);
        let text = file::read(&path)?;
        // Where each value came from, for what can only be checked in the end.
        let mut places = file::apply(&mut config, &table, &path, &text)?;
        for setting in &table {
            // An empty variable is an unset one: that is how compose files and unit files leave them out.
            if let Some(value) = env(&setting.env).filter(|value| !value.is_empty()) {
                let place = Place::Environment(setting.env.clone());
                let word = value.to_str().map(str::trim);
                word.ok_or_else(|| "must be UTF-8".to_owned())
                    .and_then(|word| {
                        (setting.set)(&mut config, word)
                            .map_err(|message| quoting(setting, word, message))
                    })
                    .map_err(|message| ConfigError::new(place.clone(), message))?;
                places.insert(setting.key.to_owned(), place);
            }
        }
        for (key, word) in flags {
            let Some(setting) = table.iter().find(|setting| setting.key == *key) else {
                return Err(ConfigError::new(Place::Flag(key), "is no setting"));
            };
            let place = Place::Flag(setting.flag.unwrap_or(key));
            (setting.set)(&mut config, word).map_err(|message| {
                ConfigError::new(place.clone(), quoting(setting, word, message))
            })?;
            places.insert(setting.key.to_owned(), place);
        }
        config.validate(&places)?;
        Ok(config)
    }

    /// What no single value can tell.
    fn validate(&self, places: &BTreeMap<String, Place>) -> Result<(), ConfigError> {
        let refuse = |key: &'static str, message: String| {
            let place = places.get(key).cloned().unwrap_or(Place::Default(key));
            Err(ConfigError::new(place, message))
        };
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("tls_cert", "needs tls_key, too".to_owned()),
            (None, Some(_)) => return refuse("tls_key", "needs tls_cert, too".to_owned()),
            _ => {}
        }
        if !self.listen.is_loopback() && !self.behind_proxy && self.tls_cert.is_none() {
            let message = format!(
                "{} can be reached from other machines: listen on 127.0.0.1, say --tls-cert and --tls-key, or put a \
                 proxy with TLS in front and say --behind-proxy",
                self.listen
            );
            return refuse("listen", message);
        }
        let engine = self.default_engine.as_str();
        if engine != AUTO
            && !BUILT_IN_ENGINES.contains(&engine)
            && !self.engines.contains_key(engine)
        {
            let message = format!(
                "there is no engine {engine:?}; use \"{AUTO}\", \"{}\" or the name of an [engines.<name>] table",
                BUILT_IN_ENGINES.join("\", \"")
            );
            return refuse("default_engine", message);
        }
        if self.refresh_token_s < self.access_token_s {
            let message = format!("must be at least access_token_s ({})", self.access_token_s);
            return refuse("refresh_token_s", message);
        }
        Ok(())
    }
}

/// The message with the value it is about; nobody looks a variable up to learn what it holds.
fn quoting(setting: &Setting, word: &str, message: String) -> String {
    let is_secret = setting.key.ends_with("_token");
    let quoted = format!("{word:?}");
    match is_secret || message.contains(&quoted) || message.ends_with(&format!("not {word}")) {
        true => message,
        false => format!("{message}; it is {quoted}"),
    }
}

/// The directory to keep everything in: what was asked for, else `~/.skep`.
pub fn data_dir(
    asked: Option<PathBuf>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, ConfigError> {
    if let Some(dir) = asked.filter(|dir| !dir.as_os_str().is_empty()) {
        return Ok(dir);
    }
    match env("HOME").filter(|home| Path::new(home).is_absolute()) {
        Some(home) => Ok(Path::new(&home).join(".skep")),
        None => Err(ConfigError::new(
            Place::Environment("HOME".to_owned()),
            "is not set, so there is no ~/.skep; say --data DIR",
        )),
    }
}

/// The password that `admin` shall have, from `SKEP_PASSWORD`. It counts at the first start only, is no part of
/// [`Config`], and is never handed to a child.
pub fn first_password(
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<FirstPassword>, ConfigError> {
    let value = env(PASSWORD_ENV).filter(|value| !value.is_empty());
    let password = value.map(OsString::into_string).transpose();
    password
        .map(|password| password.map(FirstPassword))
        .map_err(|_| ConfigError::new(Place::Environment(PASSWORD_ENV.to_owned()), "must be UTF-8"))
}

/// The one variable that is a secret.
pub const PASSWORD_ENV: &str = "SKEP_PASSWORD";

/// A password that does not show itself.
pub struct FirstPassword(String);

impl FirstPassword {
    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FirstPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstPassword(…)")
    }
}

#[cfg(test)]
mod tests;
