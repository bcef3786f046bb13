//! What runs on this machine on behalf of an execution.

use std::fs;
use std::time::Duration;

use super::eventually;

/// Every living process that an execution's engine started: known by its environment, or by a word of its command line
/// where it has thrown its environment away.
pub fn of_execution(execution: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(execution);
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let is_zombie = stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'));
        if !is_zombie && (holds(&read("environ")) || holds(&read("cmdline"))) {
            found.push(pid);
        }
    }
    found
}

/// Waits until at least so many processes of an execution live.
pub async fn appear(execution: &str, count: usize) -> Vec<u32> {
    let what = format!("{count} processes of {execution}");
    eventually(&what, super::PATIENCE, || {
        let found = of_execution(execution);
        (found.len() >= count).then_some(found)
    })
    .await
}

/// Waits until none is left.
pub async fn are_gone(execution: &str, within: Duration) {
    let what = format!("nothing of {execution} is left");
    eventually(&what, within, || {
        of_execution(execution).is_empty().then_some(())
    })
    .await;
}
