#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::settings::{EngineKind, Output};

struct Sources {
    dir: tempfile::TempDir,
    env: Vec<(&'static str, &'static str)>,
    flags: Vec<(&'static str, String)>,
}

impl Sources {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            env: Vec::new(),
            flags: Vec::new(),
        }
    }

    fn file(self, text: &str) -> Self {
        std::fs::write(self.dir.path().join(FILE_NAME), text).unwrap();
        self
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push((key, value.to_owned()));
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        let env = |name: &str| {
            let found = self.env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Config::load(self.dir.path(), env, &self.flags)
    }

    fn refusal(self) -> String {
        // The path of the file is another one in every test.
        let dir = std::path::absolute(self.dir.path()).unwrap();
        let refusal = self.load().unwrap_err().to_string();
        refusal.replace(&format!("{}/", dir.display()), "")
    }
}

fn file(text: &str) -> Result<Config, ConfigError> {
    Sources::new().file(text).load()
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Sources::new().load().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.max_concurrent_executions, 8);
    assert_eq!(config.default_engine, "auto");
    assert_eq!(
        (config.access_token_s, config.refresh_token_s),
        (3600, 604_800)
    );
    assert_eq!(config.upload_bytes_max, 100 * 1024 * 1024);
    assert_eq!(config.log_bytes_max, 1024 * 1024 * 1024);
    assert_eq!(config.limits.head_bytes_max, 32 * 1024);
    assert!(config.data.is_absolute() && config.engines.is_empty());
}

#[test]
fn later_sources_win() {
    let sources = || Sources::new().file("max_concurrent_executions = 1");
    let in_use = |sources: Sources| sources.load().unwrap().max_concurrent_executions;
    assert_eq!(in_use(sources()), 1);
    assert_eq!(
        in_use(sources().env("SKEP_MAX_CONCURRENT_EXECUTIONS", " 2 ")),
        2
    );
    assert_eq!(
        in_use(sources().env("SKEP_MAX_CONCURRENT_EXECUTIONS", "")),
        1
    );
    let all = sources().env("SKEP_MAX_CONCURRENT_EXECUTIONS", "2");
    assert_eq!(in_use(all.flag("max_concurrent_executions", "3")), 3);
}

#[test]
fn a_whole_file_is_understood() {
    let config = file(
        r#"
listen = "localhost:9000"
max_concurrent_executions = 0x10
public_url = "https://Skep.example.org/"
public_names = ["hive.local"]
cors_allowed_origins = ["https://a.example", "http://b.example:3000"]
trusted_proxies = ["10.0.0.0/8"]
default_engine = "mine"

[engines.mine]
kind = "command"
argv = ["/usr/local/bin/my-agent", "--json"]
output = "events"
env = { LANG = "C.UTF-8" }

[engines.local]
kind = "claude"

[limits]
stop_grace_s = 1

[rate_limit]
enabled = false
chat = "off"
default = "10/20"

[tier]
name = "pro"
[tier.limits]
workers = 20
"#,
    )
    .unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.max_concurrent_executions, 16);
    assert_eq!(
        config.public_url.unwrap().as_str(),
        "https://skep.example.org"
    );
    assert_eq!(
        config.cors_allowed_origins[1].as_str(),
        "http://b.example:3000"
    );
    assert_eq!(config.engines["mine"].argv[1], "--json");
    assert_eq!(config.engines["mine"].output, Output::Events);
    assert_eq!(config.engines["local"].kind, Some(EngineKind::Claude));
    assert_eq!(config.limits.stop_grace_s, 1);
    assert!(!config.rate_limit.enabled);
    assert_eq!(config.rate_limit.chat, Rate::Off);
    assert_eq!(
        (config.tier.name.as_str(), config.tier.limits["workers"]),
        ("pro", 20)
    );
}

#[test]
fn a_refusal_in_the_file_names_key_and_line() {
    for (text, start) in [
        (
            "\n\nlistn = 1",
            "skep.toml line 3: listn: is no setting; did you mean `listen`?",
        ),
        (
            "# é\nlisten = 8080",
            "skep.toml line 2: listen: must be a string, not integer",
        ),
        (
            "listen = \"here\"",
            "skep.toml line 1: listen: \"here\" is not an address",
        ),
        (
            "max_concurrent_executions = \"8\"",
            "skep.toml line 1: max_concurrent_executions: must be an integer",
        ),
        (
            "max_concurrent_executions = -1",
            "skep.toml line 1: max_concurrent_executions: must be a whole",
        ),
        (
            "max_concurrent_executions = 1.5",
            "skep.toml line 1: max_concurrent_executions: must be an integer",
        ),
        (
            "access_token_s = 99999999999999999999",
            "skep.toml line 1: access_token_s: is too large",
        ),
        (
            "public_names = \"a\"",
            "skep.toml line 1: public_names: must be an array",
        ),
        (
            "public_names = [\"a\", 1]",
            "skep.toml line 1: public_names: must hold strings",
        ),
        (
            "public_names = [\"a,b\"]",
            "skep.toml line 1: public_names: \"a,b\" holds a comma",
        ),
        (
            "[limits]\nx = 1",
            "skep.toml line 2: limits.x: is no setting",
        ),
        ("limits = 1", "skep.toml line 1: limits: must be a table"),
        (
            "[rate_limit]\nenabled = true\nchat = \"fast\"",
            "skep.toml line 3: rate_limit.chat: \"fast\" is not a rate",
        ),
        ("[tier]\nname = 1", "skep.toml line 2: tier: invalid type"),
        ("[tier]\nlimit = 1", "skep.toml line 2: tier: unknown field"),
        (
            "[engines.a]\nkind = \"magic\"",
            "skep.toml line 2: engines.a.kind: there is no kind \"magic\"; use command, claude, codex, opencode, gemini, acp, http or builtin",
        ),
        (
            "\n[engines.a]\nargv = []",
            "skep.toml line 2: engines.a: needs a kind",
        ),
        (
            "[engines.a]\nkind = \"codex\"\nargs = []",
            "skep.toml line 3: engines.a.args: is no setting; did you mean `argv`?",
        ),
        (
            "[engines.a]\nkind = 1",
            "skep.toml line 2: engines.a.kind: must be command, claude,",
        ),
        (
            "[engines.a]\nargv = \"/bin/cat\"",
            "skep.toml line 2: engines.a.argv: must be a list, e.g. [\"/bin/cat\"]",
        ),
        (
            "[engines.a]\nargv = [1]",
            "skep.toml line 2: engines.a.argv: must be a list",
        ),
        (
            "[engines.a]\nkind = \"claude\"\nenv = { A = 1 }",
            "skep.toml line 3: engines.a.env: must be a table of strings",
        ),
        (
            "[engines.a]\noutput = \"json\"",
            "skep.toml line 2: engines.a.output: there is no output \"json\"; use text or events",
        ),
        (
            "[engines.builtin]\nkind = \"claude\"",
            "skep.toml line 2: engines.builtin.kind: \"builtin\" is the engine",
        ),
        (
            "streams_max = 1",
            "skep.toml line 1: streams_max: is no setting; did you mean `limits.streams_max`?",
        ),
        (
            "[engins.a]\nkind = \"claude\"",
            "skep.toml line 1: engins: is no setting; did you mean `engines`?",
        ),
        (
            "[engines.auto]\nkind = \"codex\"",
            "skep.toml line 1: engines.auto: \"auto\" cannot be the name of an engine",
        ),
        (
            "[engines.\"a b\"]\nkind = \"codex\"",
            "skep.toml line 1: engines.a b: an engine's name",
        ),
        ("a = 1\na = 2", "skep.toml line 2: duplicate key"),
        ("a = 1\n= 2", "skep.toml line 2: "),
        (
            "default_engine = \"nobody\"",
            "skep.toml line 1: default_engine: there is no engine \"nobody\"",
        ),
        (
            "x = 1\nlisten = \"0.0.0.0:1\"",
            "skep.toml line 1: x: is no setting",
        ),
        (
            "\nlisten = \"0.0.0.0:1\"",
            "skep.toml line 2: listen: 0.0.0.0:1 can be reached",
        ),
    ] {
        let refusal = Sources::new().file(text).refusal();
        assert!(
            refusal.starts_with(start),
            "{text:?} gave {refusal:?}, not {start:?}"
        );
    }
}

#[test]
fn a_refusal_elsewhere_names_the_variable_or_the_flag() {
    let refusal = Sources::new().env("SKEP_LISTEN", "here").refusal();
    assert!(
        refusal.starts_with("environment variable SKEP_LISTEN: "),
        "{refusal}"
    );
    let refusal = Sources::new().env("CORS_ALLOWED_ORIGINS", "*").refusal();
    assert!(
        refusal.starts_with("environment variable CORS_ALLOWED_ORIGINS: "),
        "{refusal}"
    );
    for (word, message) in [
        (
            "many",
            "must be a whole number, not negative; it is \"many\"",
        ),
        ("0", "must be 1 to 1000, not 0"),
    ] {
        let name = "SKEP_MAX_CONCURRENT_EXECUTIONS";
        let refusal = Sources::new().env(name, word).refusal();
        assert_eq!(refusal, format!("environment variable {name}: {message}"));
    }
    let refusal = Sources::new().flag("listen", "here").refusal();
    assert!(refusal.starts_with("--listen: "), "{refusal}");
    let refusal = Sources::new().file("refresh_token_s = 60").refusal();
    assert!(
        refusal.starts_with("skep.toml line 1: refresh_token_s: must be at least"),
        "{refusal}"
    );
    let refusal = Sources::new()
        .env("SKEP_ACCESS_TOKEN_S", "86400")
        .file("")
        .flag("refresh_token_s", "60")
        .refusal();
    assert!(refusal.starts_with("refresh_token_s: "), "{refusal}");
}

#[test]
fn beyond_loopback_a_proxy_must_be_promised() {
    let open = || Sources::new().flag("listen", "0.0.0.0:8080");
    assert!(open().refusal().contains("--behind-proxy"));
    assert!(
        open()
            .flag("behind_proxy", "true")
            .load()
            .unwrap()
            .behind_proxy
    );
    assert!(open().file("behind_proxy = true").load().is_ok());
    assert!(open().env("SKEP_BEHIND_PROXY", "1").load().is_ok());
    assert!(
        open()
            .file("behind_proxy = true")
            .env("SKEP_BEHIND_PROXY", "0")
            .load()
            .is_err()
    );
}

/// Each number is taken at both ends of its range and refused one step beyond.
#[test]
fn every_bound_holds_at_the_bound() {
    let mut numbers = 0;
    for setting in documented()
        .iter()
        .filter(|setting| setting.kind == Kind::Integer)
    {
        let (min, max) = setting.range.split_once('–').unwrap();
        let (min, max): (u64, u64) = (min.parse().unwrap(), max.parse().unwrap());
        let default: u64 = setting.default.parse().unwrap();
        assert!((min..=max).contains(&default), "{}", setting.key);
        let set = |value: u64| (setting.set)(&mut Config::default(), &value.to_string());
        assert_eq!((set(min), set(max)), (Ok(()), Ok(())), "{}", setting.key);
        assert!(set(max + 1).is_err(), "{}", setting.key);
        assert!(
            min.checked_sub(1).is_none_or(|below| set(below).is_err()),
            "{}",
            setting.key
        );
        numbers += 1;
    }
    assert!(numbers > 20);
}

/// The table is what the documentation is made from: no two rows may mean the same name, and each must explain itself.
#[test]
fn every_setting_has_its_own_names_and_a_sentence() {
    let table = documented();
    // What the environment of engines holds is not ours to read.
    let reserved = [
        "SKEP_DATA",
        "SKEP_PASSWORD",
        "SKEP_WORKER",
        "SKEP_SESSION",
        "SKEP_EXECUTION",
        "SKEP_MEMORY",
        "SKEP_MEDIA",
    ];
    let mut seen: std::collections::BTreeSet<&str> = reserved.into();
    for setting in &table {
        assert!(
            seen.insert(setting.key) && seen.insert(&setting.env),
            "{}",
            setting.key
        );
        assert!(
            setting.doc.ends_with('.') && !setting.doc.contains('\n'),
            "{}",
            setting.key
        );
        assert!(
            setting.flag.is_none_or(|flag| flag.starts_with("--")),
            "{}",
            setting.key
        );
    }
    for (key, env) in [
        ("listen", "SKEP_LISTEN"),
        ("cors_allowed_origins", "CORS_ALLOWED_ORIGINS"),
        ("rate_limit.chat", "RATE_LIMIT_CHAT"),
        ("rate_limit.enabled", "RATE_LIMIT_ENABLED"),
        ("limits.stop_grace_s", "SKEP_STOP_GRACE_S"),
    ] {
        let setting = table.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(setting.env, env);
    }
}

#[test]
fn every_default_can_be_written_down() {
    let mut text = String::new();
    for setting in documented() {
        if !setting.default.is_empty() {
            // A dotted key is the same as a table.
            text.push_str(&format!("{} = {}\n", setting.key, setting.default));
        }
    }
    let (written, default) = (file(&text).unwrap(), file("").unwrap());
    let shown = |config: Config| {
        format!(
            "{:?}",
            Config {
                data: PathBuf::new(),
                ..config
            }
        )
    };
    assert_eq!(shown(written), shown(default));
}

#[test]
fn what_is_no_settings_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let load = || {
        Config::load(dir.path(), |_| None, &[])
            .unwrap_err()
            .to_string()
    };
    let path = dir.path().join(FILE_NAME);
    std::fs::create_dir(&path).unwrap();
    assert_eq!(load(), format!("{}: is not a file", path.display()));
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, b"listen = \"\xff\"").unwrap();
    assert!(load().starts_with(&format!("{}: ", path.display())));
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(load().contains("larger than"));
    std::fs::write(&path, "#".repeat(1 << 20)).unwrap();
    assert!(Config::load(dir.path(), |_| None, &[]).is_ok());
}

#[test]
fn no_bytes_make_the_file_reader_panic() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let inline = format!("a = {}", "{a=".repeat(10_000));
    let dotted = format!("{} = 1", vec!["a"; 10_000].join("."));
    for text in [
        deep,
        inline,
        dotted,
        "\0".into(),
        "[".into(),
        "a = '''".into(),
        "[[limits]]".into(),
    ] {
        assert!(file(&text).is_err());
    }
    let sample = "listen = \"127.0.0.1:1\"\n[engines.a]\nkind = \"codex\" # é\n";
    for end in (0..sample.len()).filter(|&end| sample.is_char_boundary(end)) {
        let _ = file(&sample[..end]);
    }
}

#[test]
fn the_data_directory_is_in_the_home_directory_unless_asked_for() {
    let home = |_: &str| Some(OsString::from("/home/ada"));
    assert_eq!(data_dir(None, home).unwrap(), Path::new("/home/ada/.skep"));
    assert_eq!(data_dir(Some("x".into()), home).unwrap(), Path::new("x"));
    assert_eq!(
        data_dir(Some("".into()), home).unwrap(),
        Path::new("/home/ada/.skep")
    );
    assert!(data_dir(None, |_| None).is_err());
    assert!(data_dir(None, |_| Some("relative".into())).is_err());
}

#[test]
fn the_first_password_does_not_show_itself() {
    let password = first_password(|_| Some("hunter2".into())).unwrap().unwrap();
    assert_eq!(password.reveal(), "hunter2");
    assert!(!format!("{password:?}").contains("hunter2"));
    assert!(first_password(|_| Some("".into())).unwrap().is_none());
    assert!(first_password(|_| None).unwrap().is_none());
}
