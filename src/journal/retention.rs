//! What may be removed: a pure decision over names, numbers and times.
//!
//! Two generations of snapshots are kept, and the segments since the older one. What that makes superfluous stays another
//! hour, so that whoever copies the directory slowly never meets a gap.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::snapshot::SnapshotFile;

/// How many snapshots are kept at least.
pub const GENERATIONS: usize = 2;
/// How long a file stays after the file that supersedes it was finished.
pub const SUPERSEDED_STAYS: Duration = Duration::from_secs(60 * 60);

/// What may go now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removable {
    /// Snapshots, oldest first.
    pub snapshots: Vec<PathBuf>,
    /// Segments all of whose records are below this number; see `Log::remove_segments_below`.
    pub segments_below: Option<u64>,
}

/// Decides over good snapshots, oldest first: damaged ones must not be among them, since nothing can be rebuilt from those.
///
/// An hour ago some of them were there. What the rule would have let go then may go now.
pub fn removable(snapshots: &[SnapshotFile], now: SystemTime) -> Removable {
    let is_settled = |snapshot: &SnapshotFile| {
        // A time in the future, after a clock was set back, counts as just now.
        now.duration_since(snapshot.modified)
            .is_ok_and(|age| age >= SUPERSEDED_STAYS)
    };
    let settled = snapshots
        .iter()
        .rposition(is_settled)
        .map_or(0, |at| at + 1);
    let Some(oldest_kept) = settled.checked_sub(GENERATIONS) else {
        return Removable::default();
    };
    Removable {
        snapshots: snapshots[..oldest_kept]
            .iter()
            .map(|snapshot| snapshot.path.clone())
            .collect(),
        segments_below: Some(snapshots[oldest_kept].seq + 1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(minutes * 60)
    }

    fn snapshot(seq: u64, minutes: u64) -> SnapshotFile {
        SnapshotFile {
            seq,
            path: PathBuf::from(seq.to_string()),
            bytes: 1,
            modified: at(minutes),
        }
    }

    /// Two generations and the segments since the older one are kept, and the hour is counted from what supersedes.
    #[test]
    fn superseded_files_stay_an_hour() {
        let snapshots = [snapshot(10, 0), snapshot(20, 100), snapshot(30, 200)];
        let segments_below = |minutes| removable(&snapshots, at(minutes)).segments_below;
        assert_eq!(removable(&snapshots[..1], at(9999)), Removable::default());
        assert_eq!(removable(&[], at(9999)), Removable::default());
        assert_eq!(segments_below(159), None, "the second has not settled");
        assert_eq!(segments_below(160), Some(11));
        assert_eq!(
            segments_below(259),
            Some(11),
            "the third supersedes the first in a minute"
        );
        let removable = removable(&snapshots, at(260));
        assert_eq!(removable.snapshots, [PathBuf::from("10")]);
        assert_eq!(removable.segments_below, Some(21));
    }

    /// A clock that was set back removes nothing.
    #[test]
    fn snapshots_from_the_future_supersede_nothing() {
        let snapshots = [snapshot(10, 500), snapshot(20, 600)];
        assert_eq!(removable(&snapshots, at(100)), Removable::default());
    }
}
