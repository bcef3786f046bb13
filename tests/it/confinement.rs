//! What an engine's processes can touch: their work directory, what they were granted, and nothing else.
//!
//! Where the kernel has no Landlock there is nothing that could hold them, and what is checked is that Skep says so.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::support::model::{ModelServer, calls, text};
use crate::support::{Setup, TestServer, User, processes};

/// What `attacks` prints for each of them.
const ATTACKS: [&str; 12] = [
    "write-home",
    "write-beside",
    "write-tmp",
    "truncate",
    "remove",
    "link",
    "hard-link",
    "signing-key",
    "journal",
    "ssh",
    "environ",
    "signal",
];
/// What has to work all the same.
const WORKS: [&str; 7] = [
    "write-work",
    "write-temp",
    "write-granted",
    "read-granted",
    "rename",
    "own-program",
    "devices",
];

/// A child that tries everything. It prints `<name> yes` or `<name> no`, and ends well.
const SCRIPT: &str = r#"
home=$1 data=$2 server=$(cat server)
try() { name=$1; shift; if sh -c "$*" >/dev/null 2>&1; then echo "$name yes"; else echo "$name no"; fi; }
try write-home "echo x >'$home/made'"
try write-beside "echo x >../made"
try write-tmp "echo x >'$home/outside/made'"
try truncate ": >'$home/outside/file'"
try remove "rm '$home/outside/file'"
try link "ln -sfn '$home/outside' out && echo x >out/made"
try hard-link "ln '$home/outside/file' hard && echo x >hard"
try signing-key "cat '$data'/keys/*"
try journal "cat '$data'/journal/*"
try ssh "cat '$home/.ssh/id_test'"
try environ "tr '\0' x <'/proc/$server/environ' | grep ."
try signal "kill -0 '$server'"
try write-work "echo x >made && cat made"
try write-temp "echo x >\$TMPDIR/made && cat \$TMPDIR/made"
try write-granted "echo x >'$home/granted/made'"
try read-granted "cat '$home/readable/file'"
try rename "mkdir -p a b && echo x >a/x && mv a/x b/x"
try own-program "printf '#!/bin/sh\nexit 0\n' >prog && chmod +x prog && ./prog"
try devices "echo x >/dev/null && head -c 1 /dev/urandom"
setsid sh -c 'sleep 1000' >/dev/null 2>&1 &
"#;

/// A home with a hive in it, a key of the user's own, and places that were granted and that were not.
struct Home {
    directory: Arc<TempDir>,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().canonicalize().unwrap();
        for name in [".ssh", "outside", "granted", "readable", "engine", "hive"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        for name in [".ssh/id_test", "outside/file", "readable/file"] {
            std::fs::write(path.join(name), "not for engines").unwrap();
        }
        std::fs::write(path.join("engine/attacks.sh"), SCRIPT).unwrap();
        Self { directory, path }
    }

    /// A program that makes the attacks, in the place of a command line that is built in.
    fn install(&self, name: &str, speaks: &str) -> PathBuf {
        // One that is talked with is asked for its turn once it has a session.
        let reads = match name.ends_with("-acp") {
            true => {
                r#"read -r x; echo '{"id":1,"result":{"protocolVersion":1}}'
                read -r x; echo '{"id":4,"result":{"sessionId":"s"}}'; read -r x"#
            }
            false => "cat >/dev/null",
        };
        let program = self.path.join("engine").join(name);
        let home = self.path.display();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo 1.0 && exit 0\n{reads}\n\
             said=$(/bin/sh '{home}/engine/attacks.sh' '{home}' '{home}/hive' | tr '\\n' ';')\n{speaks}\n",
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }
}

struct House {
    home: Home,
    server: TestServer,
    user: User,
}

impl House {
    async fn new(home: Home, engine: &str) -> Self {
        let settings =
            format!("[confinement]\nread = [\"~/readable\"]\nwrite = [\"~/granted\"]\n\n{engine}");
        std::fs::write(home.path.join("hive/skep.toml"), &settings).unwrap();
        let setup = Setup::settings(&settings);
        let server = setup
            .start_on(&home.directory, &home.path.join("hive"))
            .await;
        let user = server.log_in().await;
        Self { home, server, user }
    }

    /// What a worker of the engine answers, and its execution.
    async fn attacked(&self, engine: &str) -> (String, String) {
        let body = json!({ "name": "Ada", "engine": engine, "permissions": "allow_all" });
        let worker = self.user.worker_with(&body).await;
        let work_dir = self.user.read(&format!("/api/workers/{worker}")).await;
        let work_dir = Path::new(work_dir["work_dir"].as_str().unwrap());
        std::fs::write(work_dir.join("server"), self.server.pid().to_string()).unwrap();
        let chat = self.user.chat_with(&worker).await;
        let reply = self.user.ask(&chat, "Do it.").await;
        let execution = reply.execution["id"].as_str().unwrap().to_owned();
        assert_eq!(reply.status(), "completed", "{engine}: {}", reply.error());
        (reply.text().to_owned(), execution)
    }

    async fn statement(&self, engine: &str) -> String {
        let engines = self.user.read("/api/engines").await;
        let mut engines = engines.as_array().unwrap().iter();
        let found = engines.find(|status| status["name"] == engine);
        found.unwrap()["confinement"].as_str().unwrap().to_owned()
    }
}

/// Every attack failed and everything else worked; without Landlock: Skep says that it cannot be helped.
async fn held(house: &House, engine: &str, printed: &str) {
    let statement = house.statement(engine).await;
    let Some(abi) = skep::guard::landlock_abi() else {
        assert_eq!(statement, "not confined: this kernel has no Landlock");
        return;
    };
    assert!(
        statement.starts_with(&format!("confined by Landlock ABI {abi}")),
        "{statement}"
    );
    let said =
        |name: &str, word: &str| printed.lines().any(|line| line == format!("{name} {word}"));
    for name in WORKS {
        assert!(said(name, "yes"), "{engine}: {name}: {printed}");
    }
    for name in ATTACKS {
        let needs = match name {
            "truncate" => 3,
            "signal" => 6,
            _ => 1,
        };
        assert!(
            said(name, "no") || abi < needs,
            "{engine}: {name}: {printed}"
        );
    }
    let left = std::fs::read_to_string(house.home.path.join("outside/file")).unwrap();
    assert_eq!(left, "not for engines", "{engine}");
}

#[tokio::test]
async fn a_command_is_held_to_its_lists() {
    let home = Home::new();
    let [path, script] = [home.path.clone(), home.path.join("engine/attacks.sh")];
    let engine = format!(
        "[engines.mine]\nkind = \"command\"\nargv = [\"/bin/sh\", {script:?}, {path:?}, {:?}]\n",
        path.join("hive")
    );
    let house = House::new(home, &engine).await;
    let (said, execution) = house.attacked("mine").await;
    held(&house, "mine", &said).await;
    assert_eq!(
        processes::of_execution(&execution),
        [0; 0],
        "no daemon is left"
    );
}

#[tokio::test]
async fn command_lines_are_held_to_their_lists() {
    let kinds = [
        (
            "claude",
            r#"printf '{"type":"result","subtype":"success","is_error":false,"result":"%s"}\n' "$said""#,
            ".claude",
        ),
        (
            "codex",
            r#"printf '{"type":"item.completed","item":{"id":"1","type":"agent_message","text":"%s"}}\n{"type":"turn.completed","usage":{}}\n' "$said""#,
            ".codex",
        ),
        (
            "opencode",
            r#"printf '{"type":"text","part":{"id":"1","text":"%s"}}\n{"type":"step_finish","part":{"reason":"stop"}}\n' "$said""#,
            ".config/opencode",
        ),
        (
            "gemini",
            r#"printf '{"type":"message","role":"assistant","content":"%s"}\n{"type":"result","status":"success"}\n' "$said""#,
            ".gemini",
        ),
        // An agent, by the name of its program.
        (
            "codex-acp",
            r#"printf '{"method":"session/update","params":{"sessionId":"s","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"%s"}}}}\n{"id":8,"result":{"stopReason":"end_turn"}}\n' "$said""#,
            ".codex",
        ),
    ];
    for (kind, speaks, own) in kinds {
        let home = Home::new();
        let own = home.path.join(own).join("made");
        let speaks = format!("echo x >'{}' || said=\n{speaks}", own.display());
        let program = home.install(kind, &speaks);
        let house = House::new(home, &format!("[engines.{kind}]\nargv = [{program:?}]\n")).await;
        let (said, execution) = house.attacked(kind).await;
        held(&house, kind, &said.replace(';', "\n")).await;
        assert!(own.exists(), "{kind} writes its own configuration");
        assert_eq!(
            processes::of_execution(&execution),
            [0; 0],
            "no daemon is left"
        );
    }
}

#[tokio::test]
async fn what_a_model_runs_is_held_to_its_lists() {
    let home = Home::new();
    let argv = json!({ "argv": ["/bin/sh", "-c", SCRIPT, "x", home.path, home.path.join("hive")] });
    let scripts = vec![
        calls(&[("run_command", &argv.to_string())]),
        text(&["Done."]),
    ];
    let model = ModelServer::saying(scripts).await;
    let house = House::new(home, &model.engine("m", "")).await;
    let (_, execution) = house.attacked("m").await;
    let asked = model.asked();
    let messages = asked.last().unwrap().body["messages"].as_array().unwrap();
    let told = messages.iter().find(|message| message["role"] == "tool");
    let told = told.unwrap()["content"].as_str().unwrap();
    held(&house, "m", told).await;
    assert_eq!(
        processes::of_execution(&execution),
        [0; 0],
        "no daemon is left"
    );
}

/// Both ways to switch it off, and both say so.
#[tokio::test]
async fn confinement_can_be_switched_off_and_then_says_so() {
    let engine = "[engines.mine]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"cat ~/outside/file\"]\n";
    for (settings, env) in [
        (format!("{engine}confine = false\n"), "on"),
        (engine.to_owned(), "off"),
    ] {
        let home = Home::new();
        let setup = Setup::settings(&settings).env("SKEP_CONFINEMENT_MODE", env);
        let server = setup
            .start_on(&home.directory, &home.path.join("hive"))
            .await;
        let user = server.log_in().await;
        let house = House { home, server, user };
        let (said, _) = house.attacked("mine").await;
        assert_eq!(said, "not for engines");
        assert_eq!(
            house.statement("mine").await,
            "not confined: switched off in skep.toml"
        );
    }
}

/// Whoever is stopped by the lists learns which setting lets it through, in the reply's error and in the log.
#[tokio::test]
async fn a_denied_path_is_named_with_the_setting_that_grants_it() {
    let home = Home::new();
    let engine = "[engines.mine]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"cat ~/outside/file\"]\n";
    let house = House::new(home, engine).await;
    let (_, chat) = house.user.chat_with_engine("Ada", "mine").await;
    let reply = house.user.ask(&chat, "Do it.").await;
    if skep::guard::landlock_abi().is_none() {
        assert_eq!(reply.text(), "not for engines");
        return;
    }
    assert!(
        reply.error().contains("skep.toml grants it"),
        "{}",
        reply.error()
    );
    let log = house
        .user
        .log(reply.execution["id"].as_str().unwrap())
        .await;
    let log = String::from_utf8(log.body).unwrap();
    assert!(log.contains("[skep] confined by Landlock ABI"), "{log}");
}

#[test]
fn engines_says_what_the_kernel_offers() {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["engines", "--data"])
        .arg(home.path().join("hive"))
        .env_clear()
        .env("HOME", home.path())
        .env("SKEP_MODEL_SERVERS", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let statement = skep::guard::statement(true);
    assert!(
        said.contains(&format!("Their programs are {statement}")),
        "{said}"
    );
}

/// A worker's process and the processes that it starts run with the limits of the settings, also from the guard that
/// waited for it; what it was started with is never raised.
#[tokio::test]
async fn processes_of_engines_have_limits() {
    let print = "cat /proc/self/limits /proc/self/oom_score_adj; cut -d ' ' -f 19 /proc/self/stat";
    let server = TestServer::with(&format!(
        "[confinement]\nopen_files_max = 300\nprocesses_max = 5000\nmemory_bytes_max = 1073741824\nnice = 7\n\n\
         [engines.limits]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"sleep 0.2; {print}\"]\n\n\
         [engines.free]\nkind = \"command\"\nconfine = false\nargv = [\"/bin/sh\", \"-c\", \"sleep 0.2; {print}\"]\n"
    ))
    .await;
    let own_nice = rustix::process::getpriority_process(None).unwrap();
    let user = server.log_in().await;
    for engine in ["limits", "free"] {
        let (_, chat) = user.chat_with_engine(engine, engine).await;
        for _ in 0..2 {
            let reply = user.ask(&chat, "what are they?").await;
            let said = reply.text();
            let limit = |name: &str| {
                let line = said.lines().find(|line| line.starts_with(name)).unwrap();
                let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
                [words[0].to_owned(), words[1].to_owned()]
            };
            assert_eq!(limit("Max core file size"), ["0", "0"], "{said}");
            assert_eq!(limit("Max open files"), ["300", "300"], "{said}");
            assert_eq!(limit("Max data size"), ["1073741824"; 2], "{said}");
            let [processes, _] = limit("Max processes");
            assert!(processes.parse::<u64>().unwrap() > 1, "{said}");
            assert!(limit("Max processes")[0] == processes, "{said}");
            let last: Vec<&str> = said.lines().rev().take(2).collect();
            let expected_nice = (own_nice + 7).min(19).to_string();
            assert_eq!(last, [expected_nice.as_str(), "500"], "{said}");
        }
    }
}

/// Processes are counted from those that there are, so that somebody who has many can still run an engine.
#[tokio::test]
async fn the_limit_of_processes_stands_above_those_there_are() {
    let server = TestServer::with(
        "[confinement]\nprocesses_max = 1\nmemory_bytes_max = 0\n\n\
         [engines.limits]\nkind = \"command\"\nargv = [\"/bin/cat\", \"/proc/self/limits\", \"/proc/loadavg\"]\n",
    )
    .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "limits").await;
    let reply = user.ask(&chat, "what are they?").await;
    assert_eq!(reply.status(), "completed", "{}", reply.error());
    let lines: Vec<&str> = reply.text().lines().collect();
    let processes = lines.iter().find(|it| it.starts_with("Max processes"));
    let most: Option<u64> = processes
        .unwrap()
        .split_whitespace()
        .nth(2)
        .unwrap()
        .parse()
        .ok();
    assert!(most.is_some_and(|most| most > 1), "{}", reply.text());
    let data = lines.iter().find(|it| it.starts_with("Max data size"));
    assert!(data.unwrap().contains("unlimited"), "{}", reply.text());
}
