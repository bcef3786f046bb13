//! The tables as snapshots and journal alone make them, somewhere else: nothing of what is read is changed.
//!
//! That is how damage is found before a start meets it, and how a backup tells what is in it.

use std::path::Path;

use super::materialise::{Error, load_snapshot, replay_records};
use super::reader::Records;
use super::snapshot;
use super::survey::{Depth, survey};
use crate::disk::Disk;
use crate::store::{Store, meta};

/// From where the tables are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The newest good snapshot, as a start does.
    Newest,
    /// As much of the journal as there is: the first record, or the oldest good snapshot.
    Oldest,
}

/// What to rebuild.
#[derive(Debug, Clone, Copy)]
pub struct Rebuild<'a> {
    /// The journal's segments.
    pub journal: &'a Path,
    /// The snapshots.
    pub snapshots: &'a Path,
    /// The directory is a copy, or a server is writing in it.
    pub is_copy: bool,
    /// From where.
    pub base: Base,
    /// Up to which record; all, if not given.
    pub until: Option<u64>,
    /// What redb may cache.
    pub cache_bytes: usize,
}

impl Rebuild<'_> {
    /// Makes the tables in the file `into`, which must not exist. Returns them, and the last record they hold.
    pub fn run(&self, disk: &Disk, into: &Path) -> Result<(Store, u64), Error> {
        let found = survey(disk, self.journal, Depth::Everything, self.is_copy)?;
        let first_seq = found.segments.first().map(|found| found.header.first_seq);
        let next_seq = found.segments.last().map_or(1, |last| last.scan.next_seq);
        let until = self.until.unwrap_or(u64::MAX);
        let mut snapshots = snapshot::list(disk, self.snapshots)?;
        snapshots.retain(|snapshot| snapshot.seq <= until);
        if self.base == Base::Newest {
            snapshots.reverse();
        }
        let store = Store::open(into, self.cache_bytes)?;
        let mut reached = 0;
        if self.base == Base::Newest || first_seq.is_none_or(|first_seq| first_seq > 1) {
            for candidate in snapshots {
                if first_seq.is_some_and(|first_seq| candidate.seq + 1 < first_seq) {
                    continue;
                }
                if load_snapshot(disk, &candidate.path, &store).is_ok() {
                    reached = candidate.seq;
                    break;
                }
                store.close();
                std::fs::remove_file(into).map_err(super::materialise::io_error("remove", into))?;
                store.reopen()?;
            }
        }
        if let Some(first_seq) = first_seq.filter(|first_seq| reached + 1 < *first_seq) {
            return Err(Error::Gap { first_seq });
        }
        let last = until.min(next_seq - 1);
        if last > reached {
            let segments = found.segments.iter().rev();
            let records = Records {
                disk: disk.clone(),
                segments: segments
                    .filter(|found| found.header.first_seq <= last)
                    .map(|found| (found.path.clone(), found.header.first_seq))
                    .collect(),
                hint: None,
                from_seq: reached + 1,
                end_seq: last + 1,
                open: None,
            };
            replay_records(&store, records, reached, last)?;
            reached = last;
        }
        let tx = store.begin_write(false)?;
        meta::set(&tx, meta::APPLIED_SEQ, &reached)?;
        tx.commit()?;
        Ok((store, reached))
    }
}
