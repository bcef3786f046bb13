//! Takes what the comments of the handlers say into the program, where the OpenAPI document says it to clients: a handler
//! is described once, above its code.
//!
//! Every `pub async fn` under `src/api` with a comment gives one line of a table, its path below `api` and its comment; and
//! so does every file, with the first line that it says of itself.
//!
//! Asks the linker for packed relocations where this machine's C library reads them: as a plain table they are nearly a
//! megabyte of every process.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src/api");
    if packs_relocations() {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    let mut table = String::from("&[\n");
    for path in files(Path::new("src/api")) {
        let source = fs::read_to_string(&path).expect("a source of ours");
        let head = source
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "));
        writeln!(
            table,
            "    ({:?}, {:?}),",
            module(&path),
            head.unwrap_or_default()
        )
        .expect("memory");
        for (name, comment) in handlers(&source) {
            let handler = format!("{}::{name}", module(&path));
            writeln!(table, "    ({handler:?}, {comment:?}),").expect("memory");
        }
    }
    table.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    fs::write(out.join("handlers.rs"), table).expect("cargo's own directory");
}

/// Since glibc 2.36, and only of a program that runs where it is built: an older one does not start it.
fn packs_relocations() -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_glibc =
        variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if !is_glibc || variable("TARGET") != variable("HOST") {
        return false;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = said.unwrap_or_default();
    let numbers = version.trim().strip_prefix("glibc ").unwrap_or_default();
    let (major, minor) = numbers.split_once('.').unwrap_or((numbers, ""));
    let minor = minor.split('.').next().unwrap_or_default();
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major), Ok(minor)) => (major, minor) >= (2, 36),
        _ => false,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of ours");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let found = paths.into_iter().flat_map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    found
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// `src/api/flow/agents.rs` is `flow::agents`.
fn module(path: &Path) -> String {
    let path = path
        .strip_prefix("src/api")
        .unwrap_or(path)
        .with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts
        .filter(|part| part != "mod")
        .collect::<Vec<_>>()
        .join("::")
}

/// Name and comment of each.
fn handlers(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = Vec::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if let Some(rest) = line.strip_prefix("pub async fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.push((name.to_owned(), comment.join("\n")));
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    found
}
