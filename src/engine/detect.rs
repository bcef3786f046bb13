//! What is installed, and whether it is signed in, as far as files and variables tell. Nothing here asks a network.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::cli::{Dialect, confine};
use super::launch::{find_program, inherited};
use super::settings::{EngineKind, EngineSettings};
use super::{claude, codex, gemini, opencode};
use crate::guard::{Confinement, Guards, Spec};

/// How long a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The most it may say.
const VERSION_BYTES_MAX: u64 = 4 * 1024;
/// The most that is read of a configuration file.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// An engine as `GET /api/engines` and `skep engines` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EngineStatus {
    /// Its name, as in a worker's `engine`.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Whether it is the one that `auto` takes now, which is what the bee and workers without an engine use.
    pub auto: bool,
    /// Whether there is something to run.
    pub found: bool,
    /// What it says its version is.
    pub version: Option<String>,
    /// The file that runs.
    pub path: Option<String>,
    /// Where its model server is.
    pub url: Option<String>,
    /// The models that it has, as far as it says.
    pub models: Vec<String>,
    /// What keeps its programs, or those that its model runs, to their lists.
    #[schemars(extend("example" = "confined by Landlock ABI 7"))]
    pub confinement: Option<String>,
    /// Whether it can use its model; `None` where that does not apply.
    pub signed_in: Option<bool>,
    /// Why it cannot be used.
    pub why_not: Option<String>,
    /// The one command or step that mends it.
    pub fix: Option<String>,
}

impl EngineStatus {
    /// Whether a turn given to it has a chance.
    pub fn is_ready(&self) -> bool {
        self.found && self.signed_in != Some(false)
    }
}

/// What can be told of an engine without running it.
pub fn status(settings: &EngineSettings) -> EngineStatus {
    let kind = settings.kind.unwrap_or(EngineKind::Builtin);
    let mut status = EngineStatus {
        name: settings.name.clone(),
        kind: kind.as_str(),
        auto: false,
        found: true,
        version: None,
        path: None,
        url: None,
        models: Vec::new(),
        confinement: None,
        signed_in: None,
        why_not: None,
        fix: None,
    };
    let Some(dialect) = Dialect::of_engine(settings) else {
        return status;
    };
    let env = environment(settings, dialect);
    let program = settings
        .argv
        .first()
        .map_or(dialect.program, String::as_str);
    match find_program(program, env.get("PATH").map(String::as_str)) {
        Ok(path) => status.path = Some(path.display().to_string()),
        Err(error) => {
            status.found = false;
            status.fix = install(kind, program)
                .filter(|_| settings.argv.is_empty() || kind == EngineKind::Acp)
                .map(|command| format!("install it: run `{command}` in a terminal"));
            // What to do is said once.
            status.why_not = Some(match status.fix {
                Some(_) => format!("{program} was not found on PATH"),
                None => error.message,
            });
            return status;
        }
    }
    let signed_in = match kind {
        EngineKind::Claude => Some((claude_signed_in(&env), claude::SIGN_IN)),
        EngineKind::Codex => Some((codex_signed_in(&env, settings), codex::SIGN_IN)),
        EngineKind::Opencode => Some((opencode_signed_in(&env), opencode::SIGN_IN)),
        EngineKind::Gemini => Some((gemini_signed_in(&env), gemini::SIGN_IN)),
        EngineKind::Acp if program.ends_with("gemini") => {
            Some((gemini_signed_in(&env), gemini::SIGN_IN))
        }
        // Others tell when they are asked to work.
        EngineKind::Acp if program.ends_with("opencode") => {
            Some((opencode_signed_in(&env), opencode::SIGN_IN))
        }
        EngineKind::Builtin | EngineKind::Command | EngineKind::Http | EngineKind::Acp => None,
    };
    if let Some((signed_in, how)) = signed_in {
        status.signed_in = Some(signed_in);
        if !signed_in {
            status.why_not = Some(format!("{program} is installed but not signed in"));
            status.fix = Some(how.to_owned());
        }
    }
    status
}

fn install(kind: EngineKind, program: &str) -> Option<&'static str> {
    match kind {
        EngineKind::Acp => match program {
            "claude-code-acp" => Some("npm install -g @zed-industries/claude-code-acp"),
            "codex-acp" => Some("npm install -g @zed-industries/codex-acp"),
            "gemini" => install(EngineKind::Gemini, program),
            "opencode" => install(EngineKind::Opencode, program),
            _ => None,
        },
        EngineKind::Claude => Some("npm install -g @anthropic-ai/claude-code"),
        EngineKind::Codex => Some("npm install -g @openai/codex"),
        EngineKind::Opencode => Some("npm install -g opencode-ai"),
        EngineKind::Gemini => Some("npm install -g @google/gemini-cli"),
        EngineKind::Builtin | EngineKind::Command | EngineKind::Http => None,
    }
}

fn environment(settings: &EngineSettings, dialect: &Dialect) -> BTreeMap<String, String> {
    let mut environment = inherited(env::vars_os(), dialect.variables);
    environment.extend(settings.env.clone());
    environment
}

type Environment = BTreeMap<String, String>;

fn any_set(env: &Environment, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| env.get(*name).is_some_and(|value| !value.is_empty()))
}

/// The directory that a variable names, or its usual place under the home directory.
fn directory(env: &Environment, variable: &str, usual: &str) -> PathBuf {
    match env.get(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => Path::new(env.get("HOME").map_or("/", String::as_str)).join(usual),
    }
}

/// A configuration file; none, or one that cannot be read, is an empty one.
fn config(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(CONFIG_BYTES_MAX).read_to_string(&mut text);
    }
    text
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&config(path)).unwrap_or_default()
}

fn claude_signed_in(env: &Environment) -> bool {
    let keys = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CODE_USE_FOUNDRY",
    ];
    let home = directory(env, "CLAUDE_CONFIG_DIR", ".claude");
    let settings = json(&home.join("settings.json"));
    any_set(env, &keys)
        || !config(&home.join(".credentials.json")).is_empty()
        || settings["apiKeyHelper"].is_string()
        || keys.iter().any(|key| settings["env"][*key].is_string())
        // There the credentials are in the keychain, and only the account shows in a file.
        || cfg!(target_os = "macos")
            && json(&directory(env, "", ".claude.json"))["oauthAccount"].is_object()
}

fn codex_signed_in(env: &Environment, settings: &EngineSettings) -> bool {
    let home = directory(env, "CODEX_HOME", ".codex");
    any_set(env, &["CODEX_API_KEY", "OPENAI_API_KEY"])
        || json(&home.join("auth.json")).is_object()
        || toml::from_str::<toml::Table>(&config(&home.join("config.toml")))
            .is_ok_and(|config| config.contains_key("model_provider"))
        || settings
            .argv
            .iter()
            .any(|word| word.contains("model_provider="))
}

fn opencode_signed_in(env: &Environment) -> bool {
    let keys = opencode::DIALECT
        .variables
        .iter()
        .filter(|name| !name.contains('*'))
        .copied()
        .chain([
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "OPENROUTER_API_KEY",
            "OPENCODE_CONFIG",
            "OPENCODE_CONFIG_CONTENT",
        ])
        .collect::<Vec<_>>();
    let data = directory(env, "XDG_DATA_HOME", ".local/share").join("opencode/auth.json");
    let configuration = directory(env, "XDG_CONFIG_HOME", ".config").join("opencode");
    any_set(env, &keys)
        || json(&data).as_object().is_some_and(|logins| !logins.is_empty())
        // They may hold comments, so they are not parsed.
        || ["opencode.json", "opencode.jsonc", "config.json"]
            .iter()
            .any(|name| config(&configuration.join(name)).contains("\"provider\""))
}

fn gemini_signed_in(env: &Environment) -> bool {
    let keys = [
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GENAI_USE_VERTEXAI",
    ];
    let home = directory(env, "", ".gemini");
    any_set(env, &keys)
        || json(&home.join("oauth_creds.json")).is_object()
        || config(&home.join(".env")).contains("GEMINI_API_KEY=")
        || json(&home.join("settings.json"))["security"]["auth"]["selectedType"].is_string()
}

/// The versions of programs, asked once for each file.
#[derive(Debug, Default)]
pub struct Versions {
    known: Mutex<Known>,
}

/// By file and when it was changed. A program that is being asked is asked by nobody else.
type Known = HashMap<(PathBuf, Option<SystemTime>), Arc<OnceCell<Option<String>>>>;

impl Versions {
    /// What the program of `settings` says its version is; `None` if it says nothing of use in time.
    pub async fn of(
        &self,
        settings: &EngineSettings,
        path: &str,
        guards: &Arc<Guards>,
    ) -> Option<String> {
        let known = self.entry(path);
        let version = known.get_or_init(|| async {
            let dialect = Dialect::of_engine(settings)?;
            let env = environment(settings, dialect);
            let confinement = confine(settings, dialect, guards, path, &env, None).ok()?;
            timeout(VERSION_TIMEOUT, ask(path, env, confinement, guards))
                .await
                .ok()
                .flatten()
        });
        version.await.clone()
    }

    /// The same, if the program has been asked already.
    pub fn known(&self, path: &str) -> Option<String> {
        self.entry(path).get().cloned().flatten()
    }

    fn entry(&self, path: &str) -> Arc<OnceCell<Option<String>>> {
        let file = PathBuf::from(path);
        let changed = file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        Arc::clone(self.lock().entry((file, changed)).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under a guard like everything else that is started, so that it cannot leave anything behind either.
async fn ask(
    path: &str,
    env: Environment,
    confinement: Option<Confinement>,
    guards: &Arc<Guards>,
) -> Option<String> {
    let spec = Spec {
        argv: vec![path.to_owned(), "--version".to_owned()],
        env,
        cwd: PathBuf::from("/"),
        grace_period_ms: 0,
        confinement,
    };
    let mut guarded = guards.start(&spec).await.ok()?;
    drop(guarded.stdin);
    let mut said = Vec::new();
    let stdout = (&mut guarded.stdout).take(VERSION_BYTES_MAX);
    tokio::pin!(stdout);
    stdout.read_to_end(&mut said).await.ok()?;
    version_in(&String::from_utf8_lossy(&said))
}

/// The first word that looks like a version.
fn version_in(said: &str) -> Option<String> {
    said.split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(|word| word.chars().filter(|c| !c.is_control()).take(64).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(home: &Path, more: &[(&str, &str)]) -> Environment {
        let home = [("HOME", home.to_str().unwrap())];
        home.iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("2.1.197 (Claude Code)\n", Some("2.1.197")),
            ("codex-cli 0.169.0\n", Some("0.169.0")),
            ("1.18.33", Some("1.18.33")),
            ("agent v3.0", Some("3.0")),
            ("usage: agent", None),
            ("", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version);
        }
    }

    #[test]
    fn signed_in_is_what_files_and_variables_say() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let write = |name: &str, text: &str| {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let settings = EngineSettings::default();
        let nothing = environment(home, &[("ANTHROPIC_API_KEY", ""), ("OPENAI_BASE_URL", "x")]);
        assert!(!claude_signed_in(&nothing));
        assert!(!codex_signed_in(&nothing, &settings));
        assert!(!opencode_signed_in(&nothing));
        assert!(!gemini_signed_in(&nothing));

        let gemini = environment(home, &[("GEMINI_API_KEY", "x")]);
        assert!(gemini_signed_in(&gemini));
        let keys = environment(home, &[("ANTHROPIC_API_KEY", "x"), ("OPENAI_API_KEY", "x")]);
        assert!(claude_signed_in(&keys));
        assert!(codex_signed_in(&keys, &settings));
        assert!(opencode_signed_in(&keys));

        write(".codex/config.toml", "model = \"gpt\"");
        write(".local/share/opencode/auth.json", "{}");
        assert!(!codex_signed_in(&nothing, &settings));
        assert!(!opencode_signed_in(&nothing));

        write(".claude/.credentials.json", "{\"claudeAiOauth\":{}}");
        write(".codex/auth.json", "{\"tokens\":{}}");
        write(
            ".config/opencode/opencode.jsonc",
            "{ // mine\n\"provider\": {} }",
        );
        assert!(!gemini_signed_in(&nothing));
        write(
            ".gemini/settings.json",
            r#"{"security":{"auth":{"selectedType":"oauth-personal"}}}"#,
        );
        assert!(gemini_signed_in(&nothing));
        assert!(claude_signed_in(&nothing));
        assert!(codex_signed_in(&nothing, &settings));
        assert!(opencode_signed_in(&nothing));
    }

    #[test]
    fn what_is_missing_comes_with_the_step_that_mends_it() {
        let settings = EngineSettings {
            env: BTreeMap::from([("PATH".to_owned(), "/nonexistent".to_owned())]),
            ..EngineSettings::default()
        };
        let claude = status(&settings.clone().named("claude").unwrap());
        assert!(!claude.found && !claude.is_ready());
        assert_eq!(
            claude.why_not.as_deref(),
            Some("claude was not found on PATH")
        );
        assert_eq!(
            claude.fix.as_deref(),
            Some("install it: run `npm install -g @anthropic-ai/claude-code` in a terminal")
        );

        let home = tempfile::tempdir().unwrap();
        let settings = EngineSettings {
            argv: vec!["/bin/sh".to_owned()],
            env: environment(
                home.path(),
                &[("CODEX_API_KEY", ""), ("OPENAI_API_KEY", "")],
            ),
            ..EngineSettings::default()
        };
        let codex = status(&settings.named("codex").unwrap());
        assert_eq!((codex.found, codex.signed_in), (true, Some(false)));
        assert_eq!(codex.path.as_deref(), Some("/bin/sh"));
        assert!(codex.fix.unwrap().contains("codex login"));
    }
}
