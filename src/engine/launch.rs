//! Everything that is decided before a process is started: which file, which environment, which directory.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{EngineError, Turn};

/// What an engine inherits from the server's environment; `*` stands for any ending.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "XDG_*",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The longest value that is passed as a variable or an argument; the kernel refuses 128 KiB, name included.
pub const VARIABLE_BYTES_MAX: usize = 64 * 1024;

/// A process to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, a path or a name to look up on `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The directory to work in.
    pub cwd: PathBuf,
    /// What it reads; then its input ends.
    pub stdin: Vec<u8>,
}

/// The environment of a run: the allow-list and `known` (variables of this engine) from the server's own, the run's
/// `TMPDIR`, what is configured, and over all the way to Skep's tools. Nothing named `SKEP_…` is ever inherited: that is where the server's own
/// secrets are.
pub fn environment(
    turn: &Turn,
    known: &[&str],
    configured: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = inherited(env::vars_os(), known);
    if let Some(directory) = turn.temp_dir.to_str() {
        environment.insert("TMPDIR".to_owned(), directory.to_owned());
    }
    environment.extend(configured.clone());
    if let Some(mcp) = &turn.mcp {
        mcp.hand_over(&mut environment);
    }
    environment
}

/// A file in the run's own temporary directory, for what is too long to be passed otherwise. Returns its path.
pub fn temp_file(turn: &Turn, name: &str, content: &str) -> Result<String, EngineError> {
    let file = turn.temp_dir.join(name);
    let failed =
        |why: String| EngineError::new("spawn_failed", format!("{}: {why}", file.display()));
    std::fs::write(&file, content).map_err(|error| failed(error.to_string()))?;
    match file.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(failed("is not valid UTF-8".to_owned())),
    }
}

/// What passes the allow-list. Variables that are not UTF-8 are left out.
pub fn inherited(
    variables: impl Iterator<Item = (OsString, OsString)>,
    known: &[&str],
) -> BTreeMap<String, String> {
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| {
            !name.starts_with("SKEP_")
                && INHERITED
                    .iter()
                    .chain(known)
                    .any(|pattern| match pattern.strip_suffix('*') {
                        Some(start) => name.starts_with(start),
                        None => name == pattern,
                    })
        })
        .collect()
}

/// The file that `program` means: itself if it is a path, else the first of that name on `path`.
pub fn find_program(program: &str, path: Option<&str>) -> Result<PathBuf, EngineError> {
    if program.contains('/') {
        let file = Path::new(program);
        if !file.is_absolute() {
            return Err(EngineError::new(
                "engine_missing",
                format!("{program} is a relative path; give an absolute one, or a name on PATH"),
            ));
        }
        return match file.metadata() {
            Err(error) => Err(EngineError::new(
                "engine_missing",
                format!("{program} cannot be used: {error}"),
            )),
            Ok(metadata) if metadata.is_dir() => Err(EngineError::new(
                "spawn_failed",
                format!("{program} is a directory, not a program"),
            )),
            Ok(_) if access(file, Access::EXEC_OK).is_err() => Err(EngineError::new(
                "spawn_failed",
                format!("{program} is not executable; chmod +x {program} makes it so"),
            )),
            Ok(_) => Ok(file.to_owned()),
        };
    }
    let path = path.unwrap_or_default();
    env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
        .ok_or_else(|| {
            EngineError::new(
                "engine_missing",
                format!(
                    "{program} was not found on the server's PATH; install it, or give its full path in skep.toml"
                ),
            )
        })
}

impl Launch {
    /// The launch with its program found and its directory checked, so that what can be explained is explained here.
    pub fn checked(mut self) -> Result<Self, EngineError> {
        let path = self.env.get("PATH").map(String::as_str);
        let Some(program) = self.argv.first() else {
            return Err(EngineError::new("spawn_failed", "there is no command"));
        };
        let file = find_program(program, path)?;
        self.argv[0] = file.into_os_string().into_string().map_err(|file| {
            EngineError::new(
                "spawn_failed",
                format!("{} is not valid UTF-8", file.display()),
            )
        })?;
        let unusable = |why: &str| {
            EngineError::new(
                "spawn_failed",
                format!("the work directory {} {why}", self.cwd.display()),
            )
        };
        match self.cwd.metadata() {
            Err(error) => Err(unusable(&format!("cannot be used: {error}"))),
            Ok(metadata) if !metadata.is_dir() => Err(unusable("is not a directory")),
            Ok(_) if self.cwd.to_str().is_none() => Err(unusable("is not valid UTF-8")),
            Ok(_) => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_environment_is_an_allow_list_without_skeps_own() {
        let given = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("SKEP_PASSWORD", "secret"),
            ("SKEP_DATA", "/data"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("OPENAI_API_KEY", "key"),
            ("HOMEBREW", "x"),
        ];
        let given = given.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let kept = inherited(given.into_iter(), &["OPENAI_*", "SKEP_*"]);
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        assert_eq!(names, ["LC_ALL", "OPENAI_API_KEY", "PATH"]);
    }

    #[test]
    fn a_program_that_cannot_run_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "x").unwrap();
        let plain = plain.to_str().unwrap();
        let path = directory.path().to_str().unwrap();
        for (program, code, says) in [
            ("plain", "engine_missing", "not found on the server's PATH"),
            ("./plain", "engine_missing", "relative path"),
            ("/nonexistent/x", "engine_missing", "No such file"),
            (path, "spawn_failed", "is a directory"),
            (plain, "spawn_failed", "chmod +x"),
        ] {
            let error = find_program(program, Some(path)).unwrap_err();
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(says), "{error}");
        }
        assert!(find_program("sh", Some("/nonexistent:/bin:/usr/bin")).is_ok());
    }
}
