//! Which paths are on the two lists.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::confinement::Confinement;

/// What every confined process may read and run: the system, and what runtimes ask it about the machine.
pub const SYSTEM: [&str; 19] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/snap",
    "/run/current-system",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/sys/kernel/mm/transparent_hugepage",
    "/home/linuxbrew/.linuxbrew",
];

/// The same below the home directory: where people install tools, and what tools are told of their user. Nothing here
/// holds a secret.
pub const HOME: [&str; 26] = [
    ".asdf",
    ".bun",
    ".cargo/bin",
    ".cargo/config.toml",
    ".cargo/env",
    ".cargo/git",
    ".cargo/registry",
    ".config/git",
    ".deno",
    ".gitconfig",
    ".local/bin",
    ".local/lib",
    ".local/share/claude",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv",
    ".npm-global",
    ".nvm",
    ".opencode/bin",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".sdkman",
    ".volta",
    "go",
];

/// What no setting grants.
const WITHHELD: [&str; 2] = [".ssh", ".gnupg"];

/// Variables that name certificates.
const CERTIFICATES: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];

/// Stands for any file of a directory of `PATH`.
const ANY_FILE: &str = "*";

/// Programs and directories of `PATH` whose installations are remembered.
const INSTALLATIONS_MAX: usize = 256;

/// How engines are confined on this machine.
#[derive(Debug, Clone)]
pub struct Policy {
    home: Option<PathBuf>,
    data: PathBuf,
    /// The data directory and what else is nobody's.
    withheld: Vec<PathBuf>,
    base: Confinement,
    installations: Arc<Mutex<HashMap<PathBuf, Installation>>>,
}

/// What a program brings, as it was found. To find it takes dozens of looks at the file system; to see that the same file
/// is still there takes one.
#[derive(Debug)]
struct Installation {
    of: Option<Stamp>,
    paths: Vec<PathBuf>,
}

/// What tells a file from one that took its place: device, inode, and when it was changed (seconds, nanoseconds).
type Stamp = (u64, u64, i64, i64);

/// What the settings of an engine say of its programs' confinement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Whether there is any.
    pub confine: bool,
    /// What they may read and run as well.
    pub read: Vec<PathBuf>,
    /// What they may write as well.
    pub write: Vec<PathBuf>,
}

impl Default for Granted {
    fn default() -> Self {
        Self {
            confine: true,
            read: Vec::new(),
            write: Vec::new(),
        }
    }
}

/// What one engine needs beside what all may use.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    /// Files whose whole installation it needs to run: the program, scripts. Never from a model or a message.
    pub programs: Vec<PathBuf>,
    /// Its environment: `PATH` and certificates count.
    pub env: Option<&'a BTreeMap<String, String>>,
    /// What else it may read.
    pub read: Vec<PathBuf>,
    /// What it may write: its own configuration, and what settings grant.
    pub write: Vec<PathBuf>,
    /// The directory it works in; `None`: none.
    pub work_dir: Option<&'a Path>,
    /// A directory for this run alone, to be written.
    pub temp_dir: Option<&'a Path>,
    /// Attachments: readable although they are in the data directory.
    pub own: Vec<PathBuf>,
}

impl Policy {
    /// With the data directory, and what the settings grant to all.
    pub fn new(data: &Path, home: Option<&Path>, read: &[PathBuf], write: &[PathBuf]) -> Self {
        let home = home.map(resolved);
        let data = resolved(data);
        let mut policy = Self {
            withheld: Vec::new(),
            base: Confinement::default(),
            installations: Arc::default(),
            home,
            data,
        };
        policy.withheld.push(policy.data.clone());
        let private = policy.home.iter();
        let private = private.flat_map(|home| WITHHELD.map(|name| resolved(&home.join(name))));
        policy.withheld.extend(private.collect::<Vec<_>>());

        let tools = policy.home.iter();
        let tools = tools.flat_map(|home| HOME.map(|name| home.join(name)));
        let tools: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).chain(tools).collect();
        let mut granted = Confinement::default();
        for path in tools.iter().chain(read) {
            policy.grant(path, &mut granted.read);
        }
        for path in write {
            policy.grant(path, &mut granted.write);
        }
        policy.base = granted;
        policy
    }

    /// The lists of one run. `Err` is why its work directory cannot be one.
    pub fn confine(&self, needs: &Needs<'_>) -> Result<Confinement, String> {
        let mut lists = self.base.clone();
        for program in &needs.programs {
            lists.read.extend(self.installation(program));
        }
        if let Some(env) = needs.env {
            let path = env.get("PATH").map(String::as_str).unwrap_or_default();
            for directory in std::env::split_paths(path).filter(|path| path.is_absolute()) {
                lists
                    .read
                    .extend(self.installation(&directory.join(ANY_FILE)));
            }
            for name in CERTIFICATES {
                if let Some(path) = env.get(name) {
                    self.grant(Path::new(path), &mut lists.read);
                }
            }
        }
        for path in &needs.read {
            self.grant(path, &mut lists.read);
        }
        for path in &needs.write {
            self.grant(path, &mut lists.write);
        }
        lists.read.extend(needs.own.iter().cloned());
        lists.write.extend(needs.temp_dir.map(Path::to_owned));
        if let Some(directory) = needs.work_dir {
            lists.write.push(self.work_dir(directory)?);
        }
        // What is not UTF-8 cannot be passed on.
        for list in [&mut lists.read, &mut lists.write] {
            list.retain(|path| path.to_str().is_some());
            // What is below another one sorts right behind it, and is granted with it.
            list.sort_unstable();
            list.dedup_by(|path, above| path.starts_with(above));
        }
        Ok(lists)
    }

    /// The directory as it is now: a link may have taken its place since it was given to a worker.
    pub fn work_dir(&self, directory: &Path) -> Result<PathBuf, String> {
        let refused = |why: &str| Err(format!("the work directory {} {why}", directory.display()));
        let real = resolved(directory);
        if real.parent().is_none() || self.home.as_ref() == Some(&real) {
            return refused("has become the root or the home directory");
        }
        if self.withheld.iter().any(|path| path.starts_with(&real)) {
            return refused("has come to hold what is nobody's");
        }
        let own = match (directory.parent(), directory.file_name()) {
            (Some(parent), Some(name)) => resolved(parent).join(name),
            _ => directory.to_owned(),
        };
        let is_inside = self.withheld.iter().any(|path| real.starts_with(path));
        if is_inside && (own != real || !self.is_skeps_own(&real)) {
            return refused("leads to what is nobody's");
        }
        Ok(real)
    }

    /// Whether Skep makes work directories there.
    fn is_skeps_own(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.data).ok();
        below.is_some_and(|below| below.starts_with("workers"))
    }

    /// Grants a path without what is withheld below it.
    fn grant(&self, path: &Path, list: &mut Vec<PathBuf>) {
        let path = match (path.strip_prefix("~"), &self.home) {
            (Ok(below), Some(home)) => home.join(below),
            (Ok(_), None) => return,
            (Err(_), _) => path.to_owned(),
        };
        self.grant_resolved(resolved(&path), list);
    }

    fn grant_resolved(&self, path: PathBuf, list: &mut Vec<PathBuf>) {
        if self
            .withheld
            .iter()
            .any(|withheld| path.starts_with(withheld))
        {
            return;
        }
        if !self
            .withheld
            .iter()
            .any(|withheld| withheld.starts_with(&path))
        {
            list.push(path);
            return;
        }
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            // Where a link leads is granted there, or not at all.
            if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
                self.grant_resolved(entry.path(), list);
            }
        }
    }

    /// The installation that a file, or any file of a directory (`/directory/*`), belongs to.
    fn installation(&self, file: &Path) -> Vec<PathBuf> {
        let of = stamp(file);
        let known = || {
            let lock = self.installations.lock();
            lock.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(found) = known().get(file).filter(|found| found.of == of) {
            return found.paths.clone();
        }
        let mut paths = Vec::new();
        self.grant_program(file, &mut paths);
        let found = Installation {
            of,
            paths: paths.clone(),
        };
        let mut known = known();
        if known.len() >= INSTALLATIONS_MAX {
            known.clear();
        }
        known.insert(file.to_owned(), found);
        paths
    }

    /// Grants the installation that a file belongs to: its directory, the libraries beside its `bin`, all of its
    /// `node_modules`; the same for the file that a link means. In the home directory or above it: the file alone.
    fn grant_program(&self, file: &Path, list: &mut Vec<PathBuf>) {
        let real = resolved(file);
        let link = (real != file).then_some(file);
        for file in link.into_iter().chain([real.as_path()]) {
            let Some(directory) = file.parent() else {
                continue;
            };
            let modules = file
                .ancestors()
                .filter(|path| path.file_name().is_some_and(|name| name == "node_modules"))
                .last();
            if let Some(modules) = modules {
                self.grant(modules, list);
            }
            let directory = resolved(directory);
            if self.is_too_much(&directory) {
                self.grant(file, list);
                continue;
            }
            let prefix = directory.parent().filter(|_| directory.ends_with("bin"));
            if let Some(prefix) = prefix.filter(|prefix| !self.is_too_much(prefix)) {
                self.grant(&prefix.join("lib"), list);
                self.grant(&prefix.join("libexec"), list);
            }
            self.grant_resolved(directory, list);
        }
    }

    fn is_too_much(&self, directory: &Path) -> bool {
        let home = self.home.as_ref();
        directory.parent().is_none() || home.is_some_and(|home| home.starts_with(directory))
    }
}

/// Of what the installation was found by: the file, or the directory that all of its files stand for.
fn stamp(file: &Path) -> Option<Stamp> {
    let found_by = match file.file_name().is_some_and(|name| name == ANY_FILE) {
        true => file.parent()?,
        false => file,
    };
    let there = fs::metadata(found_by).ok()?;
    Some((there.dev(), there.ino(), there.mtime(), there.mtime_nsec()))
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Machine {
        _directory: tempfile::TempDir,
        home: PathBuf,
        data: PathBuf,
    }

    fn machine() -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap().join("home");
        let data = home.join("hive");
        for path in [
            ".ssh",
            "hive/keys",
            "hive/workers/w",
            "project",
            "tool/bin",
            "tool/lib",
        ] {
            fs::create_dir_all(home.join(path)).unwrap();
        }
        Machine {
            _directory: directory,
            home,
            data,
        }
    }

    impl Machine {
        fn policy(&self, read: &[&str]) -> Policy {
            let read: Vec<PathBuf> = read.iter().map(PathBuf::from).collect();
            Policy::new(&self.data, Some(&self.home), &read, &[])
        }
    }

    /// Whether a path is below one of the list.
    fn covers(list: &[PathBuf], path: &Path) -> bool {
        list.iter().any(|granted| path.starts_with(granted))
    }

    #[test]
    fn whoever_grants_everything_grants_no_secret() {
        let machine = machine();
        for everything in ["/", "~/", "~/hive", "~/.ssh"] {
            let lists = machine
                .policy(&[everything])
                .confine(&Needs::default())
                .unwrap();
            for secret in ["hive/keys/signing.key", "hive/journal", ".ssh/id_ed25519"] {
                assert!(
                    !covers(&lists.read, &machine.home.join(secret)),
                    "{everything}: {secret}"
                );
            }
            let project = machine.home.join("project/x");
            assert_eq!(
                covers(&lists.read, &project),
                everything.len() < 3,
                "{everything}"
            );
        }
    }

    /// A rule of the kernel holds for all that is below it.
    #[test]
    fn what_is_granted_with_another_path_is_no_rule_of_its_own() {
        let machine = machine();
        let lists = machine
            .policy(&["~/project", "/usr/share"])
            .confine(&Needs {
                programs: vec!["/usr/bin/env".into()],
                ..Needs::default()
            });
        let read = lists.unwrap().read;
        for (at, path) in read.iter().enumerate() {
            let other = read
                .iter()
                .enumerate()
                .find(|(other, above)| *other != at && path.starts_with(above));
            assert_eq!(other, None, "{path:?}");
        }
        assert!(covers(&read, Path::new("/usr/share/x")));
        assert!(covers(&read, &machine.home.join("project/x")));
    }

    #[test]
    fn a_program_brings_its_installation_and_not_the_home_directory() {
        let machine = machine();
        let home = &machine.home;
        let lists = |program: &str| {
            let needs = Needs {
                programs: vec![home.join(program)],
                ..Needs::default()
            };
            machine.policy(&[]).confine(&needs).unwrap().read
        };
        let tool = lists("tool/bin/agent");
        assert!(
            covers(&tool, &home.join("tool/bin/agent")) && covers(&tool, &home.join("tool/lib/x"))
        );
        assert!(!covers(&tool, &home.join("tool/secret")));
        let script = lists("agent.sh");
        assert!(covers(&script, &home.join("agent.sh")) && !covers(&script, &home.join("other")));
        let modules = lists("n/node_modules/.bin/agent");
        assert!(covers(&modules, &home.join("n/node_modules/agent/cli.js")));
    }

    #[test]
    fn a_program_that_was_replaced_brings_what_belongs_to_it_now() {
        use std::os::unix::fs::symlink;
        let machine = machine();
        let home = &machine.home;
        for version in ["1", "2"] {
            fs::create_dir_all(home.join(format!("versions/{version}/bin"))).unwrap();
            fs::write(home.join(format!("versions/{version}/bin/agent")), version).unwrap();
        }
        let policy = machine.policy(&[]);
        let program = home.join("links/agent");
        let path = BTreeMap::from([("PATH".to_owned(), home.join("path").display().to_string())]);
        let lists = || {
            let needs = Needs {
                programs: vec![program.clone()],
                env: Some(&path),
                ..Needs::default()
            };
            policy.confine(&needs).unwrap().read
        };
        assert!(!covers(&lists(), &home.join("versions/1/bin/agent")));
        fs::create_dir(home.join("links")).unwrap();
        for version in ["1", "2", "1"] {
            let directory = home.join("versions").join(version);
            for (link, target) in [
                (&program, directory.join("bin/agent")),
                (&home.join("path"), directory.join("bin")),
            ] {
                let _ = fs::remove_file(link);
                symlink(target, link).unwrap();
            }
            for _ in 0..2 {
                let read = lists();
                assert!(covers(&read, &directory.join("bin/agent")), "{read:?}");
                assert!(covers(&read, &directory.join("lib/x")), "{read:?}");
                let other = home
                    .join("versions")
                    .join(if version == "1" { "2" } else { "1" });
                assert!(!covers(&read, &other.join("bin/agent")), "{read:?}");
            }
        }
    }

    #[test]
    fn no_more_installations_are_remembered_than_the_limit() {
        let machine = machine();
        let policy = machine.policy(&[]);
        let programs: Vec<PathBuf> = (0..=INSTALLATIONS_MAX)
            .map(|number| machine.home.join(format!("tool{number}/bin/agent")))
            .collect();
        for program in programs.iter().chain(programs.first()) {
            let paths = policy.installation(program);
            assert!(covers(&paths, program), "{program:?}: {paths:?}");
            assert!(policy.installations.lock().unwrap().len() <= INSTALLATIONS_MAX);
        }
    }

    #[test]
    fn a_work_directory_that_leads_elsewhere_is_none() {
        let machine = machine();
        let policy = machine.policy(&[]);
        let confine = |path: &Path| {
            policy.confine(&Needs {
                work_dir: Some(path),
                ..Needs::default()
            })
        };
        for good in ["hive/workers/w", "project"] {
            let path = machine.home.join(good);
            assert_eq!(confine(&path).unwrap().write, [path]);
        }
        for (name, target) in [
            ("a", "."),
            ("b", ".."),
            ("c", "hive/keys"),
            ("d", ".ssh"),
            ("e", "/"),
        ] {
            let link = machine.home.join(name);
            std::os::unix::fs::symlink(machine.home.join(target), &link).unwrap();
            assert!(confine(&link).is_err(), "{target}");
        }
        let swapped = machine.home.join("hive/workers/s");
        std::os::unix::fs::symlink(machine.home.join("hive/workers/w"), &swapped).unwrap();
        assert!(confine(&swapped).is_err());
        for bad in ["hive", "hive/keys"] {
            assert!(confine(&machine.home.join(bad)).is_err(), "{bad}");
        }
    }
}
