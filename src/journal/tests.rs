//! The journal against disks that fail, tear and forget.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::format::{
    BATCH_BYTES_MAX, BATCH_HEADER_BYTES, FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX,
    SEGMENT_HEADER_BYTES,
};
use super::{Frame, JournalError, Log, Options, Recovery, Reserve};
use crate::disk::Disk;
use crate::disk::faulty::{FaultyDisk, Survival};

/// Small steps, so that tests reach every edge of them.
const SMALL: Reserve = Reserve {
    step_bytes_first: 512,
    step_bytes_max: 2048,
    zeros_bytes: 128,
};

fn dir() -> &'static Path {
    Path::new("/journal")
}

fn first_segment() -> PathBuf {
    dir().join("00000000000000000001.seg")
}

fn options() -> Options {
    Options {
        reserve: SMALL,
        ..Options::default()
    }
}

fn as_copy() -> Options {
    Options {
        is_copy: true,
        ..options()
    }
}

fn open(disk: &Disk) -> Result<(Log, Recovery), JournalError> {
    Log::open(disk.clone(), dir(), &options())
}

/// Payloads of many lengths, whose content tells which one it is.
fn payload(seq: u64) -> Vec<u8> {
    let len = 1 + (seq * 37 % 90) as usize;
    (0..len).map(|at| (seq * 31 + at as u64) as u8).collect()
}

fn append(log: &mut Log, payloads: &[Vec<u8>]) -> Result<(), JournalError> {
    let frames: Vec<_> = payloads
        .iter()
        .map(|payload| Frame {
            version: 7,
            payload,
        })
        .collect();
    log.append_batch(&frames).map(drop)
}

/// Appends `count` records in batches of one, two and three.
fn fill(log: &mut Log, count: u64) {
    let end = log.next_seq() + count;
    while log.next_seq() < end {
        let seq = log.next_seq();
        let payloads: Vec<_> = (seq..end.min(seq + 1 + seq % 3)).map(payload).collect();
        append(log, &payloads).unwrap();
    }
}

fn read(log: &Log) -> Vec<Vec<u8>> {
    try_read(log).unwrap()
}

fn try_read(log: &Log) -> Result<Vec<Vec<u8>>, JournalError> {
    let first = log.segments()[0].first_seq;
    let mut records = log.records_from(first)?;
    let mut payloads = Vec::new();
    while let Some(record) = records.next()? {
        assert_eq!(record.seq, first + payloads.len() as u64);
        assert_eq!(record.version, 7);
        payloads.push(record.payload.to_vec());
    }
    Ok(payloads)
}

fn expected(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(payload).collect()
}

/// A journal of one segment, its content, and the end of every batch with the records up to there.
fn small_journal(is_closed: bool) -> (Vec<u8>, Vec<(usize, u64)>) {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    let mut ends = vec![(SEGMENT_HEADER_BYTES, 0)];
    for _ in 0..5 {
        let count = 1 + log.next_seq() % 3;
        fill(&mut log, count);
        ends.push((log.active_bytes() as usize, log.last_seq()));
    }
    if is_closed {
        log.close().unwrap();
    }
    (faulty.content(&first_segment()).unwrap(), ends)
}

fn disk_with(bytes: &[u8]) -> FaultyDisk {
    let faulty = FaultyDisk::new();
    faulty.put(&first_segment(), bytes);
    faulty
}

/// What goes in comes out, over several segments, from every number on and from every position.
#[test]
fn records_are_read_back_in_order() {
    let faulty = FaultyDisk::new();
    let (mut log, recovery) = open(&faulty.disk()).unwrap();
    assert_eq!(recovery, Recovery::default());
    let mut positions = Vec::new();
    for _ in 0..4 {
        fill(&mut log, 10);
        positions.push(log.position());
        log.seal_and_rotate(5).unwrap();
    }
    fill(&mut log, 7);
    assert_eq!(read(&log), expected(47));
    assert_eq!(log.segments().len(), 5);
    for hint in positions.iter().copied().map(Some).chain([None]) {
        for seq in 1..=48 {
            let mut records = log.records(seq, hint).unwrap();
            for expected in seq..=47 {
                let record = records.next().unwrap().unwrap();
                assert_eq!(
                    (record.seq, record.payload),
                    (expected, &payload(expected)[..])
                );
            }
            assert!(records.next().unwrap().is_none());
        }
    }
    let bytes = log.total_bytes();
    log.close().unwrap();
    let stored: usize = faulty
        .paths()
        .iter()
        .map(|path| faulty.content(path).unwrap().len())
        .sum();
    let mark = BATCH_HEADER_BYTES as u64;
    assert_eq!(
        stored as u64,
        bytes + mark,
        "nothing but the reserve is given back"
    );
    let (log, recovery) = open(&faulty.disk()).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(log.total_bytes(), bytes);
    assert_eq!(read(&log), expected(47));
}

/// The same on the machine's own file system.
#[test]
fn records_survive_reopening_on_a_real_disk() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let options = Options::default();
    for round in 0..3 {
        let (mut log, recovery) = Log::open(Disk::real(), &dir, &options).unwrap();
        assert_eq!(recovery, Recovery::default());
        assert_eq!(read(&log), expected(round * 30));
        fill(&mut log, 20);
        log.seal_and_rotate(1).unwrap();
        fill(&mut log, 10);
        if round == 0 {
            log.close().unwrap();
        }
    }
    let found = Log::verify(&Disk::real(), &dir, false).unwrap();
    assert_eq!((found.first_seq, found.next_seq), (1, 91));
}

/// Wherever a crash cuts the file, exactly the whole batches before are there, and appending goes on.
#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_batch() {
    let (bytes, ends) = small_journal(false);
    for cut in 0..bytes.len() {
        let faulty = disk_with(&bytes[..cut]);
        if cut < SEGMENT_HEADER_BYTES {
            let error = open(&faulty.disk()).err().unwrap();
            assert!(matches!(error, JournalError::Damaged { offset: 0, .. }));
            continue;
        }
        let (end, count) = ends.iter().rfind(|(end, _)| *end <= cut).unwrap();
        let is_torn = cut > *end && *count < ends.last().unwrap().1;
        let verified = Log::verify(&faulty.disk(), dir(), false).unwrap();
        let (mut log, recovery) = open(&faulty.disk()).unwrap();
        assert_eq!(verified.recovery, recovery);
        assert_eq!(verified.next_seq, log.next_seq());
        assert_eq!(read(&log), expected(*count), "cut at {cut}");
        assert_eq!(recovery.torn.len(), usize::from(is_torn), "cut at {cut}");
        if is_torn {
            assert_eq!(recovery.torn[0].offset, *end as u64);
            assert_eq!(recovery.torn[0].file, first_segment());
        }
        fill(&mut log, 9);
        drop(log);
        let (log, recovery) = open(&faulty.disk()).unwrap();
        assert_eq!(recovery, Recovery::default());
        assert_eq!(read(&log), expected(count + 9));
    }
}

/// A flipped byte below the last durable offset stops the start and is named; above it, it is the torn tail it may be.
#[test]
fn a_flipped_byte_below_the_durable_offset_is_named_damage() {
    for is_closed in [false, true] {
        let (bytes, ends) = small_journal(is_closed);
        let end = ends.last().unwrap().0;
        let durable = if is_closed {
            end
        } else {
            ends[ends.len() - 2].0
        };
        for at in 0..end {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            let faulty = disk_with(&bytes);
            let opened = open(&faulty.disk());
            let batch = ends.iter().rfind(|(end, _)| *end <= at);
            if at < durable {
                let Err(JournalError::Damaged { file, offset, .. }) = opened else {
                    panic!("byte {at} of {durable}: {:?}", opened.map(|o| o.1));
                };
                let begin = batch.map_or(0, |(end, _)| *end as u64);
                assert_eq!(file, first_segment());
                assert!((begin..=at as u64).contains(&offset), "{at}: {offset}");
                assert_eq!(faulty.content(&first_segment()).unwrap(), bytes);
            } else {
                let (log, recovery) = opened.unwrap();
                assert_eq!(recovery.torn.len(), 1);
                assert_eq!(read(&log), expected(batch.unwrap().1));
            }
        }
    }
}

/// Damage in a sealed segment does not delay a start, but is found by whoever reads or verifies it.
#[test]
fn damage_in_a_sealed_segment_is_found_when_it_is_read() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 9);
    log.seal_and_rotate(0).unwrap();
    fill(&mut log, 9);
    drop(log);
    let bytes = faulty.content(&first_segment()).unwrap();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        faulty.put(&first_segment(), &bytes);
        let is_named =
            |error| matches!(error, JournalError::Damaged { file, .. } if file == first_segment());
        assert!(is_named(
            Log::verify(&faulty.disk(), dir(), false).unwrap_err()
        ));
        match open(&faulty.disk()) {
            Ok((log, _)) => assert!(is_named(try_read(&log).unwrap_err())),
            Err(error) => assert!(is_named(error)),
        }
    }
}

/// A file of a newer version is left alone, to the byte.
#[test]
fn a_newer_format_is_refused_and_not_touched() {
    let (mut bytes, _) = small_journal(false);
    bytes[8] = 9;
    let crc = crc32c::crc32c(&bytes[..44]);
    bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    let faulty = disk_with(&bytes);
    let error = open(&faulty.disk()).err().unwrap();
    assert!(matches!(
        error,
        JournalError::NewerFormat {
            found: 9,
            supported: 1,
            ..
        }
    ));
    assert!(error.to_string().contains("newer Skep"));
    assert_eq!(faulty.content(&first_segment()).unwrap(), bytes);
}

/// Bytes that came in as payload never pass for a batch, even when they are a copy of one.
#[test]
fn a_payload_that_looks_like_a_batch_is_not_taken_for_one() {
    let (bytes, ends) = small_journal(false);
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 2);
    let end = log.active_bytes() as usize;
    append(&mut log, &[bytes[..ends.last().unwrap().0].to_vec()]).unwrap();
    drop(log);
    let mut torn = faulty.content(&first_segment()).unwrap();
    torn[end] ^= 1;
    let faulty = disk_with(&torn);
    let (log, recovery) = open(&faulty.disk()).unwrap();
    assert_eq!(recovery.torn.len(), 1);
    assert_eq!(log.last_seq(), 2);
}

/// A payload of exactly the limit is stored; one byte more is refused and leaves no trace. The same for a batch.
#[test]
fn limits_hold_to_the_byte() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = Log::open(faulty.disk(), dir(), &Options::default()).unwrap();
    let largest = vec![3; PAYLOAD_BYTES_MAX];
    append(&mut log, std::slice::from_ref(&largest)).unwrap();
    let bytes = log.active_bytes();
    let error = append(&mut log, &[vec![3; PAYLOAD_BYTES_MAX + 1]]).unwrap_err();
    assert!(matches!(error, JournalError::PayloadTooLarge { .. }));
    let rest = BATCH_BYTES_MAX - PAYLOAD_BYTES_MAX - 3 * FRAME_HEADER_BYTES;
    let (half, other) = (vec![4; rest / 2], vec![5; rest - rest / 2]);
    let over = [largest.clone(), half.clone(), [&other[..], &[0]].concat()];
    let error = append(&mut log, &over).unwrap_err();
    assert!(matches!(error, JournalError::BatchTooLarge { .. }));
    assert_eq!(log.active_bytes(), bytes);
    let full = [largest.clone(), half, other];
    append(&mut log, &full).unwrap();
    append(&mut log, &[Vec::new()]).unwrap();
    drop(log);
    let (log, _) = open(&faulty.disk()).unwrap();
    let all: Vec<_> = [largest]
        .into_iter()
        .chain(full)
        .chain([Vec::new()])
        .collect();
    assert!(read(&log) == all);
}

/// A full disk refuses before a batch is begun, and freeing space is enough to go on.
#[test]
fn a_full_disk_refuses_and_goes_on_when_space_is_freed() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 5);
    faulty.set_capacity(Some(1500));
    let mut stored = 5;
    let error = loop {
        let before = faulty.content(&first_segment()).unwrap();
        match append(&mut log, &[payload(stored + 1)]) {
            Ok(()) => stored += 1,
            Err(error) => {
                assert_eq!(faulty.content(&first_segment()).unwrap(), before);
                break error;
            }
        }
    };
    assert!(matches!(error, JournalError::StorageFull { .. }), "{error}");
    faulty.set_capacity(Some(0));
    assert!(matches!(
        log.seal_and_rotate(0),
        Err(JournalError::StorageFull { .. })
    ));
    assert!(matches!(
        log.reserve(4096),
        Err(JournalError::StorageFull { .. })
    ));
    assert_eq!(read(&log), expected(stored));
    faulty.set_capacity(None);
    fill(&mut log, 20);
    log.seal_and_rotate(0).unwrap();
    fill(&mut log, 20);
    drop(log);
    let (log, recovery) = open(&faulty.disk()).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(read(&log), expected(stored + 40));
}

/// A failed sync is final, also for callers that do not look.
#[test]
fn a_failed_sync_is_final() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 6);
    faulty.fail_next_sync(Errno::IO);
    let error = append(&mut log, &[payload(7)]).unwrap_err();
    assert!(matches!(error, JournalError::SyncFailed { .. }), "{error}");
    assert!(log.failure().is_some());
    let refused = |error| matches!(error, Err(JournalError::SyncFailed { .. }));
    assert!(refused(append(&mut log, &[payload(7)])));
    assert!(refused(log.mark()));
    assert!(refused(log.seal_and_rotate(0)));
    assert!(refused(log.reserve(1)));
    assert_eq!(read(&log), expected(6), "reading goes on");
    assert!(refused(log.close()));
}

/// What one run of `life` was promised.
#[derive(Default)]
struct Promised {
    /// Records whose append returned.
    acknowledged: u64,
    /// Records whose append failed in its sync: they may be there or not.
    uncertain: u64,
    is_over: bool,
}

/// Opens, appends, marks, rotates, removes and closes; stops where the disk says so.
fn life(disk: &Disk, rounds: u64, promised: &mut Promised) -> Result<(), JournalError> {
    let (mut log, _) = open(disk)?;
    assert!(log.last_seq() >= promised.acknowledged);
    promised.acknowledged = log.last_seq();
    promised.uncertain = 0;
    for round in 1..=rounds {
        for _ in 0..2 {
            let seq = log.next_seq();
            let payloads: Vec<_> = (seq..=seq + seq % 3).map(payload).collect();
            match append(&mut log, &payloads) {
                Ok(()) => promised.acknowledged = log.last_seq(),
                Err(error) => {
                    if matches!(error, JournalError::SyncFailed { .. }) {
                        promised.uncertain = payloads.len() as u64;
                        return Err(error);
                    }
                    // Refused means refused; the next attempt has the same number.
                    assert_eq!(log.next_seq(), seq);
                }
            }
        }
        match round % 4 {
            1 => log.mark()?,
            2 => log.seal_and_rotate(round)?,
            _ => {}
        }
    }
    log.close()?;
    promised.is_over = true;
    Ok(())
}

fn check_kept(disk: &Disk, promised: &Promised, context: &str) {
    let (log, _) = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let records = read(&log);
    let count = records.len() as u64;
    assert_eq!(
        records,
        expected(count),
        "{context}: something was invented"
    );
    let possible = [
        promised.acknowledged,
        promised.acknowledged + promised.uncertain,
    ];
    assert!(
        possible.contains(&count),
        "{context}: {count} of {possible:?}"
    );
    Log::verify(disk, dir(), false).unwrap_or_else(|error| panic!("{context}: {error}"));
}

/// Whichever call to the disk fails, and however, nothing acknowledged is lost and nothing refused comes back: after
/// the failure alone, and after a power cut that follows it.
#[test]
fn any_failing_call_loses_and_invents_nothing() {
    let faulty = FaultyDisk::new();
    life(&faulty.disk(), 8, &mut Promised::default()).unwrap();
    let calls = faulty.calls();
    assert!(calls > 50);
    for n in 1..=calls {
        for fault in 0..4 {
            for cut in [
                None,
                Some(Survival::Nothing),
                Some(Survival::Everything),
                Some(Survival::Some(n)),
            ] {
                let faulty = FaultyDisk::new();
                match fault {
                    0 => faulty.fail_call(n, Errno::IO),
                    1 => faulty.fail_call(n, Errno::NOSPC),
                    2 => faulty.tear_call(n, 5),
                    _ => faulty.tear_call(n, 60),
                }
                let mut promised = Promised::default();
                let ended = life(&faulty.disk(), 8, &mut promised);
                faulty.heal();
                if let Some(survival) = cut {
                    faulty.power_loss(survival);
                }
                let context = format!("call {n}, fault {fault}, cut {cut:?}, {ended:?}");
                check_kept(&faulty.disk(), &promised, &context);
                // And life goes on.
                let mut promised = Promised::default();
                life(&faulty.disk(), 3, &mut promised).unwrap();
                faulty.power_loss(Survival::Nothing);
                check_kept(&faulty.disk(), &promised, &context);
            }
        }
    }
}

/// Runs until the power is cut at the `n`-th call, with `survival` of what was not synced.
fn life_until_power_loss(n: u64, survival: Survival, syncs_lie: bool) -> (FaultyDisk, Promised) {
    let faulty = FaultyDisk::new();
    if syncs_lie {
        faulty.let_syncs_lie();
    }
    // From the failing call on every call fails, as on a machine without power.
    faulty.fail_from(n, Errno::IO);
    let mut promised = Promised::default();
    let _ = life(&faulty.disk(), 8, &mut promised);
    faulty.heal();
    faulty.power_loss(survival);
    (faulty, promised)
}

/// Wherever the power is cut, and whatever the disk kept of what was not synced, everything acknowledged is there.
#[test]
fn a_power_cut_at_any_call_loses_nothing_acknowledged() {
    let faulty = FaultyDisk::new();
    life(&faulty.disk(), 8, &mut Promised::default()).unwrap();
    for n in 1..=faulty.calls() + 1 {
        let seeds = (0..20).map(|seed| Survival::Some(n * 100 + seed));
        for survival in [Survival::Nothing, Survival::Everything]
            .into_iter()
            .chain(seeds)
        {
            let (faulty, promised) = life_until_power_loss(n, survival, false);
            check_kept(
                &faulty.disk(),
                &promised,
                &format!("power cut at call {n}, {survival:?}"),
            );
        }
    }
}

/// The test above would notice a missing sync: on a disk whose syncs do nothing it does lose records.
#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let faulty = FaultyDisk::new();
    life(&faulty.disk(), 8, &mut Promised::default()).unwrap();
    let lost = (1..=faulty.calls() + 1).filter(|n| {
        let (faulty, promised) = life_until_power_loss(*n, Survival::Nothing, true);
        match open(&faulty.disk()) {
            Ok((log, _)) => log.last_seq() < promised.acknowledged,
            Err(_) => true,
        }
    });
    assert!(lost.count() > 20);
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

/// A moment of a directory: its files, and the last acknowledged record.
type Moment = (Vec<(PathBuf, Vec<u8>)>, u64);

/// Every state a journal was in while it was written, over three segments of several pages.
fn moments() -> Vec<Moment> {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    let mut moments = Vec::new();
    for round in 1..=3 {
        for _ in 0..110 {
            let (begin, acknowledged) = (log.active_bytes(), log.last_seq());
            let payloads: Vec<_> = (0..1 + acknowledged % 5)
                .map(|more| payload(acknowledged + 1 + more))
                .collect();
            append(&mut log, &payloads).unwrap();
            let paths = faulty.paths();
            let files: Vec<_> = paths
                .iter()
                .map(|path| (path.clone(), faulty.content(path).unwrap()))
                .collect();
            // A batch is not written at once either, but page by page: it rarely stops within one, and never for long.
            let mut half = files.clone();
            let middle = (begin + log.active_bytes()) / 2;
            let middle = match middle.next_multiple_of(4096) {
                page_end if page_end - middle < 16 => page_end,
                _ => middle,
            };
            half.last_mut().unwrap().1[middle as usize..].fill(0);
            moments.push((half, acknowledged));
            moments.push((files, log.last_seq()));
        }
        log.seal_and_rotate(round).unwrap();
    }
    moments
}

/// Copies piece after piece, each as it was at some moment not before that of the piece before.
fn copy_while_writing(moments: &[Moment], dice: &mut Dice) -> (FaultyDisk, u64) {
    let mut now = dice.below(moments.len());
    let acknowledged = moments[now].1;
    let copy = FaultyDisk::new();
    let mut copied: Vec<PathBuf> = Vec::new();
    // The names are read again at the end, as a long directory is.
    while let Some((path, _)) = moments[now]
        .0
        .iter()
        .find(|(path, _)| !copied.contains(path))
    {
        copied.push(path.clone());
        let mut bytes = Vec::new();
        loop {
            let files = &moments[now].0;
            let content = &files.iter().find(|(name, _)| name == path).unwrap().1;
            // Mostly whole pages; sometimes writes overtake the copy within one, though not in the very moment of a write.
            let page_end = (bytes.len() / 4096 + 1) * 4096;
            let is_half_written = now.is_multiple_of(2);
            let to = match dice.below(8) {
                0 if !is_half_written => bytes.len() + 1 + dice.below(page_end - bytes.len()),
                _ => page_end,
            };
            let to = to.min(content.len());
            if to <= bytes.len() {
                break;
            }
            bytes.extend_from_slice(&content[bytes.len()..to]);
            now = (now + dice.below(12)).min(moments.len() - 1);
        }
        copy.put(path, &bytes);
    }
    (copy, acknowledged)
}

/// A copy taken while the journal is written holds every record acknowledged before it began, and deletes nothing.
#[test]
fn a_copy_taken_while_writing_holds_what_was_acknowledged_before() {
    let moments = moments();
    let mut dice = Dice(7);
    let (mut holes, mut asides) = (0, 0);
    for round in 0..1500 {
        let (copy, acknowledged) = copy_while_writing(&moments, &mut dice);
        let verified = Log::verify(&copy.disk(), dir(), true).unwrap();
        let (mut log, recovery) = Log::open(copy.disk(), dir(), &as_copy())
            .unwrap_or_else(|error| panic!("copy {round}: {error}"));
        let count = log.last_seq();
        assert_eq!(verified.next_seq, log.next_seq());
        assert!(
            count >= acknowledged,
            "copy {round}: {count} of {acknowledged}"
        );
        assert_eq!(read(&log), expected(count));
        for torn in recovery.torn.iter().filter(|torn| torn.later_records) {
            let kept = copy.content(torn.kept_as.as_ref().unwrap()).unwrap();
            assert_eq!(kept.len() as u64, torn.bytes_cut);
            holes += 1;
        }
        asides += recovery.set_aside.len();
        fill(&mut log, 5);
        drop(log);
        // From here on it is a journal like any other.
        let (log, recovery) = open(&copy.disk()).unwrap();
        assert_eq!(recovery, Recovery::default());
        assert_eq!(read(&log), expected(count + 5));
        Log::verify(&copy.disk(), dir(), false).unwrap();
    }
    assert!(
        holes > 50 && asides > 10,
        "{holes} holes, {asides} set aside"
    );
}

/// What a copy may have is damage in an original, and a copy may not have everything.
#[test]
fn a_hole_is_excused_in_a_copy_only_and_other_damage_in_none() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 200);
    let end = log.active_bytes() as usize;
    drop(log);
    let bytes = faulty.content(&first_segment()).unwrap();
    assert!(end > 2 * 4096);
    let mut hole = bytes.clone();
    hole[4096 - 100..4096].fill(0);
    let faulty = disk_with(&hole);
    assert!(matches!(
        open(&faulty.disk()),
        Err(JournalError::Damaged { .. })
    ));
    let (log, recovery) = Log::open(faulty.disk(), dir(), &as_copy()).unwrap();
    assert!(recovery.torn[0].later_records);
    assert_eq!(read(&log), expected(log.last_seq()));
    let mut flipped = bytes;
    flipped[4096 - 200] ^= 1;
    let faulty = disk_with(&flipped);
    for options in [options(), as_copy()] {
        let opened = Log::open(faulty.disk(), dir(), &options);
        assert!(matches!(opened, Err(JournalError::Damaged { .. })));
    }
}

/// A missing segment is named, in a copy as well when the one before it was complete.
#[test]
fn a_missing_segment_is_named() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    for round in 0..3 {
        fill(&mut log, 10);
        log.seal_and_rotate(round).unwrap();
    }
    let second = log.segments()[1].path.clone();
    faulty.disk().remove_file(&second).unwrap();
    for options in [options(), as_copy()] {
        match Log::open(faulty.disk(), dir(), &options) {
            Err(JournalError::MissingRecords {
                expected: 11,
                found: 21,
                ..
            }) => {}
            other => panic!("{:?}", other.map(|opened| opened.1)),
        }
    }
}

/// A trusted position saves the reading before it, and one that is wrong costs nothing but that.
#[test]
fn a_wrong_position_is_not_believed() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    fill(&mut log, 30);
    let position = log.position();
    fill(&mut log, 30);
    drop(log);
    for offset in position.offset - 2..=position.offset + 2 {
        for seq in position.seq - 1..=position.seq + 1 {
            let trusted = super::Position {
                offset,
                seq,
                ..position
            };
            let options = Options {
                trusted: Some(trusted),
                ..options()
            };
            let (log, recovery) = Log::open(faulty.disk(), dir(), &options).unwrap();
            assert_eq!(recovery, Recovery::default());
            assert_eq!(read(&log), expected(60));
        }
    }
}

/// Segments below a record go, oldest first, and never the one that is written.
#[test]
fn old_segments_are_removed_and_the_rest_is_kept() {
    let faulty = FaultyDisk::new();
    let (mut log, _) = open(&faulty.disk()).unwrap();
    for round in 0..3 {
        fill(&mut log, 10);
        log.seal_and_rotate(round).unwrap();
    }
    assert_eq!(log.remove_segments_below(10).unwrap().len(), 0);
    assert_eq!(log.remove_segments_below(25).unwrap().len(), 2);
    assert!(matches!(
        log.records_from(20),
        Err(JournalError::MissingRecords { .. })
    ));
    assert_eq!(log.remove_segments_below(99).unwrap().len(), 1);
    fill(&mut log, 1);
    let mut records = log.records_from(31).unwrap();
    assert_eq!(records.next().unwrap().unwrap().payload, payload(31));
    drop(log);
    assert_eq!(open(&faulty.disk()).unwrap().0.last_seq(), 31);
}
