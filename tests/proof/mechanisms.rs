//! The table of mechanisms: what keeps a promise, how it is taken away, and which test must see that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

const PROMISES: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// A test that runs longer without its mechanism waits for what will not come: that is red, too.
const HANGS_AFTER: Duration = Duration::from_secs(240);

#[derive(Debug, Deserialize)]
struct Table {
    mechanism: Vec<Mechanism>,
}

/// One thing that keeps a promise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mechanism {
    promise: u8,
    what: String,
    file: PathBuf,
    find: String,
    replace: String,
    /// `lib` or `it`, and the whole name of the test in there.
    test: String,
}

impl Mechanism {
    fn test(&self) -> (&str, &str) {
        self.test
            .split_once(' ')
            .unwrap_or_else(|| panic!("{:?} names no binary", self.test))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn mechanisms() -> Vec<Mechanism> {
    let text = std::fs::read_to_string(root().join("tests/proof/mechanisms.toml")).unwrap();
    let table: Table = toml::from_str(&text).unwrap();
    table.mechanism
}

/// So that the table cannot rot: each place is there, once, and each test is where it says.
#[test]
fn each_mechanism_is_where_the_table_says() {
    let mechanisms = mechanisms();
    let promises: BTreeSet<u8> = mechanisms.iter().map(|entry| entry.promise).collect();
    assert_eq!(promises, BTreeSet::from(PROMISES));
    let mut seen = BTreeSet::new();
    for entry in &mechanisms {
        assert!(
            seen.insert(&entry.what),
            "{} stands there twice",
            entry.what
        );
        let text = std::fs::read_to_string(root().join(&entry.file))
            .unwrap_or_else(|error| panic!("{}: {error}", entry.file.display()));
        let count = text.matches(&entry.find).count();
        assert_eq!(
            count,
            1,
            "{}: what is to be found in {} stands there {count} times",
            entry.what,
            entry.file.display()
        );
        assert_ne!(entry.find, entry.replace, "{}", entry.what);
        let (binary, name) = entry.test();
        let (module, function) = name.rsplit_once("::").unwrap();
        let sources = match binary {
            "lib" => "src",
            "it" => "tests/it",
            other => panic!("{other} is no test binary"),
        };
        let file = module_file(&root().join(sources), module);
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // A module without a file of its own stands in the one around it, where a macro may make its tests.
        let inner = module.rsplit("::").next().unwrap();
        let stem = file.file_stem().unwrap();
        let has_file = stem == inner || stem == "mod";
        let is_said = |words: String| text.contains(&words);
        let is_there = (has_file || is_said(format!("mod {inner} {{")))
            && (is_said(format!("fn {function}(")) || is_said(format!("    {function},\n")));
        assert!(
            is_there,
            "{}: no test {function} in {}",
            entry.what,
            file.display()
        );
    }
}

/// The file of a module, which may be one of tests inside another.
fn module_file(folder: &Path, module: &str) -> PathBuf {
    let path = folder.join(module.replace("::", "/"));
    let own = path.with_extension("rs");
    let outer = path.parent().unwrap();
    let candidates = [
        own,
        path.join("mod.rs"),
        outer.with_extension("rs"),
        outer.join("mod.rs"),
    ];
    candidates
        .into_iter()
        .find(|candidate| candidate.exists())
        .unwrap_or_else(|| panic!("no file of {module}"))
}

/// Takes each mechanism away, alone, in a copy of the tree, and demands that its test sees it.
#[test]
#[ignore = "builds Skep once for each mechanism; tests/proof/run.sh runs it"]
fn no_mechanism_is_gone_unseen() {
    let only = std::env::var("SKEP_PROOF_ONLY").unwrap_or_default();
    let mechanisms: Vec<Mechanism> = mechanisms()
        .into_iter()
        .filter(|entry| only.split('|').any(|text| entry.what.contains(text)))
        .collect();
    let tree = Tree::copy();
    tree.everything_is_green(&mechanisms);
    let mut unseen = Vec::new();
    println!("\n{:<3} {:<62} {:<14} {:>4}  test", "", "without", "", "s");
    for entry in &mechanisms {
        let begun = Instant::now();
        let outcome = tree.without(entry);
        println!(
            "{:<3} {:<62} {:<14} {:>4}  {}",
            entry.promise,
            entry.what,
            outcome,
            begun.elapsed().as_secs(),
            entry.test
        );
        if !outcome.starts_with("red") {
            unseen.push(format!("{}: {outcome}", entry.what));
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
    println!(
        "{} mechanisms, each missed when it is gone",
        mechanisms.len()
    );
}

/// A copy of the tree with a target directory of its own.
struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    fn copy() -> Self {
        let ours = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let proof = ours.join("proof");
        let tree = Self {
            root: proof.join("tree"),
            target: proof.join("target"),
        };
        let _ = std::fs::remove_dir_all(&tree.root);
        copy_dir(root(), &tree.root, &[".git", "target"]);
        if !tree.target.exists() {
            copy_dependencies(ours, &tree.target);
        }
        tree
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["test", "--quiet", "--locked", "--offline"])
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::null());
        command
    }

    /// A test that is red anyway would show nothing.
    fn everything_is_green(&self, mechanisms: &[Mechanism]) {
        let mut by_binary: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in mechanisms {
            let (binary, name) = entry.test();
            by_binary.entry(binary).or_default().insert(name);
        }
        for (binary, names) in by_binary {
            let mut arguments = target_of(binary);
            arguments.extend(["--", "--exact"]);
            arguments.extend(&names);
            let output = self.cargo(&arguments).output().unwrap();
            let expected = format!("ok. {} passed", names.len());
            assert!(
                output.status.success() && says(&output, &expected),
                "with every mechanism in place: {}",
                both(&output)
            );
        }
    }

    fn without(&self, entry: &Mechanism) -> &'static str {
        let path = self.root.join(&entry.file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen(&entry.find, &entry.replace, 1)).unwrap();
        let outcome = self.outcome(entry);
        std::fs::write(&path, text).unwrap();
        outcome
    }

    fn outcome(&self, entry: &Mechanism) -> &'static str {
        let (binary, name) = entry.test();
        let target = target_of(binary);
        let built = self
            .cargo(&[&target[..], &["--no-run"]].concat())
            .output()
            .unwrap();
        if !built.status.success() {
            eprintln!("{}", both(&built));
            return "DOES NOT BUILD";
        }
        let arguments = [&target[..], &["--", "--exact", name]].concat();
        let Some(output) = output_within(self.cargo(&arguments), HANGS_AFTER) else {
            return "red (hangs)";
        };
        if says(&output, "FAILED. 0 passed; 1 failed") {
            return "red";
        }
        eprintln!("{}", both(&output));
        "NOT RED"
    }
}

fn target_of(binary: &str) -> Vec<&str> {
    match binary {
        "lib" => vec!["--lib"],
        other => vec!["--test", other],
    }
}

fn says(output: &Output, text: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(text)
}

fn both(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// What a command printed; `None` when it took longer and was killed with its test.
fn output_within(mut command: Command, patience: Duration) -> Option<Output> {
    use std::os::unix::process::CommandExt as _;
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let group = rustix::process::Pid::from_child(&child);
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let killer = std::thread::spawn(move || {
        let is_late = is_done.recv_timeout(patience).is_err();
        if is_late {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        is_late
    });
    let output = child.wait_with_output().unwrap();
    let _ = done.send(());
    (!killer.join().unwrap()).then_some(output)
}

/// Copies with new times, so that cargo sees what is new.
fn copy_dir(from: &Path, to: &Path, except: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if except.iter().any(|except| name == *except) {
            continue;
        }
        let (path, to) = (entry.path(), to.join(&name));
        if path.is_dir() {
            copy_dir(&path, &to, &[]);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// Takes over what was compiled of others, with its times, which cargo compares; what is Skep's own is built anew.
fn copy_dependencies(from: &Path, to: &Path) {
    const OWN: [&str; 6] = ["skep-", "libskep-", "it-", "browser-", "proof-", "figures-"];
    for folder in ["deps", "build", ".fingerprint"] {
        let to = to.join("debug").join(folder);
        std::fs::create_dir_all(&to).unwrap();
        let Ok(entries) = std::fs::read_dir(from.join("debug").join(folder)) else {
            continue;
        };
        let paths: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap())
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                !OWN.iter().any(|own| name.starts_with(own))
            })
            .map(|entry| entry.path())
            .collect();
        for some in paths.chunks(500) {
            let copied = Command::new("cp").arg("-pR").args(some).arg(&to).status();
            assert!(copied.unwrap().success());
        }
    }
}
