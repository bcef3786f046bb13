//! Finding and killing every process below another one.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, kill_process};

/// How often the tree is read again because it grew while it was being frozen.
const FREEZE_PASSES_MAX: u32 = 32;

/// Freezes, then kills every living process below the roots that `is_root` accepts (their parent is `parent`), roots
/// included, and returns those it signalled.
///
/// A process that is stopped cannot fork, so freezing first wins against one that forks faster than it can be found.
pub(super) fn kill_below(parent: Pid, is_root: impl Fn(Pid) -> bool) -> HashSet<Pid> {
    let mut frozen = HashSet::new();
    for _ in 0..FREEZE_PASSES_MAX {
        let mut grew = false;
        for pid in descendants(parent, &is_root) {
            if frozen.insert(pid) {
                grew = true;
                let _ = kill_process(pid, Signal::STOP);
            }
        }
        if !grew {
            break;
        }
    }
    for pid in &frozen {
        let _ = kill_process(*pid, Signal::KILL);
    }
    frozen
}

/// Every living process below `parent` whose topmost ancestor `is_root` accepts.
#[cfg(target_os = "linux")]
pub(super) fn descendants(parent: Pid, is_root: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let table = processes();
    let mut found = Vec::new();
    let mut level: Vec<Pid> = children_of(&table, parent)
        .filter(|row| is_root(row.pid))
        .map(|row| row.pid)
        .collect();
    let mut seen: HashSet<Pid> = level.iter().copied().collect();
    while let Some(pid) = level.pop() {
        // The dead have no children: theirs were handed on when they died.
        if table.iter().any(|row| row.pid == pid && !row.dead) {
            found.push(pid);
        }
        level.extend(
            children_of(&table, pid)
                .map(|row| row.pid)
                .filter(|pid| seen.insert(*pid)),
        );
    }
    found
}

/// Without subreapers there is nothing to find: the process group is all there is.
#[cfg(not(target_os = "linux"))]
pub(super) fn descendants(_parent: Pid, _is_root: impl Fn(Pid) -> bool) -> Vec<Pid> {
    Vec::new()
}

/// The children of a process, dead ones too.
#[cfg(target_os = "linux")]
pub(super) fn children(parent: Pid) -> Vec<Pid> {
    children_of(&processes(), parent)
        .map(|row| row.pid)
        .collect()
}

/// See [`descendants`].
#[cfg(not(target_os = "linux"))]
pub(super) fn children(_parent: Pid) -> Vec<Pid> {
    Vec::new()
}

/// Whether a process was started with that variable.
#[cfg(target_os = "linux")]
pub(super) fn has_variable(pid: Pid, name: &str) -> bool {
    std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|variable| {
            variable
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"="))
        })
    })
}

/// See [`descendants`].
#[cfg(not(target_os = "linux"))]
pub(super) fn has_variable(_pid: Pid, _name: &str) -> bool {
    false
}

#[cfg(target_os = "linux")]
struct Row {
    pid: Pid,
    parent: Option<Pid>,
    dead: bool,
}

#[cfg(target_os = "linux")]
fn children_of(table: &[Row], parent: Pid) -> impl Iterator<Item = &Row> {
    table.iter().filter(move |row| row.parent == Some(parent))
}

/// Every process there is. One that dies meanwhile may be missing; the caller looks again until nothing is left.
#[cfg(target_os = "linux")]
fn processes() -> Vec<Row> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(entry.path().join("stat")).ok()?;
            let (dead, parent) = parse_stat(&stat)?;
            Some(Row {
                pid: Pid::from_raw(pid)?,
                parent: Pid::from_raw(parent),
                dead,
            })
        })
        .collect()
}

/// `pid (name) state ppid …`; the name may hold anything, also `)` and spaces.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &[u8]) -> Option<(bool, i32)> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(name_end + 1..)?)
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((matches!(state, "Z" | "X" | "x"), parent))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_confuse_the_table() {
        assert_eq!(parse_stat(b"7 (cat) S 3 7 7"), Some((false, 3)));
        assert_eq!(parse_stat(b"7 (a) Z 1) Z 12 7"), Some((true, 12)));
        assert_eq!(parse_stat(b"7 (\xff) R 9"), Some((false, 9)));
        for torn in [
            &b""[..],
            b"7 (cat",
            b"7 (cat)",
            b"7 (cat) S",
            b"7 (cat) S x",
        ] {
            assert_eq!(parse_stat(torn), None);
        }
    }
}
