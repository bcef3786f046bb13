//! `skep retention`: what the settings keep no longer goes now, or is told.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::control::{self, ControlError};
use super::hive::{Hive, HiveError};
use super::progress::size;
use crate::retention::{Report, Sum};

/// Removes what is due, or with `dry_run` tells what would go.
pub fn retention(dry_run: bool, data: Option<PathBuf>) -> Result<(), HiveError> {
    let mut passes = 0;
    let hive = Hive::open(data)?;
    loop {
        let report = match &hive {
            Hive::Running(server) => {
                let path = format!("/api/retention?dry_run={dry_run}");
                let answer = control::ask(server, "POST", &path, None)?;
                serde_json::from_value(answer).map_err(|_| ControlError::NotAnAnswer {
                    address: server.address,
                })?
            }
            Hive::Stopped(hive) => hive.retain(dry_run)?,
        };
        passes += 1;
        if passes == 1 || !is_nothing(&report) {
            print(&report);
        }
        // A pass removes a bounded number, and what is left is less every time.
        if dry_run || report.complete || is_nothing(&report) {
            break;
        }
    }
    if let Hive::Stopped(hive) = hive {
        hive.close();
    }
    Ok(())
}

fn is_nothing(report: &Report) -> bool {
    let removed = &report.removed;
    [
        removed.executions,
        removed.logs,
        removed.uploads,
        removed.orphans,
    ]
    .iter()
    .all(|sum| sum.count == 0)
}

fn print(report: &Report) {
    if is_nothing(report) {
        println!(
            "Nothing is due. What is kept for how long stands under [retention] in skep.toml."
        );
        return;
    }
    let removed = &report.removed;
    println!(
        "{}:",
        if report.dry_run {
            "Would remove"
        } else {
            "Removed"
        }
    );
    for (name, sum) in [
        ("executions", &removed.executions),
        ("logs", &removed.logs),
        ("uploads", &removed.uploads),
        ("files that nothing needs", &removed.orphans),
    ] {
        if sum.count > 0 {
            println!("  {}", line(name, sum));
        }
    }
    if report.dry_run && !report.complete {
        println!("  and more");
    }
}

fn line(name: &str, sum: &Sum) -> String {
    let bytes = match sum.bytes {
        0 => String::new(),
        bytes => format!(", {}", size(bytes)),
    };
    let day = |at: Option<u64>| {
        at.and_then(|at| Timestamp::from_millisecond(i64::try_from(at).ok()?).ok())
            .map(|at| {
                at.to_zoned(TimeZone::UTC)
                    .strftime("%Y-%m-%d %H:%M")
                    .to_string()
            })
            .unwrap_or_default()
    };
    format!(
        "{} {name}{bytes}, from {} to {} UTC",
        sum.count,
        day(sum.oldest),
        day(sum.newest)
    )
}
