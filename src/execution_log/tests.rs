#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::disk::faulty::{FaultyDisk, Survival};

const CAP: u64 = 1024 * 1024;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn all_pieces(path: &Path) -> Vec<(Stream, bool, Vec<u8>)> {
    let reader = LogReader::open(path).unwrap();
    reader
        .pieces(0, 10_000)
        .unwrap()
        .into_iter()
        .map(|piece| {
            let bytes = reader
                .read_range(piece.offset, u64::from(piece.bytes))
                .unwrap();
            (piece.stream, piece.goes_on, bytes.to_vec())
        })
        .collect()
}

#[test]
fn a_log_holds_every_byte_in_order_and_knows_its_stream() {
    let directory = directory();
    let path = directory.path().join("logs/2026-11/a.log");
    let mut log = LogWriter::create(&path, CAP).unwrap();
    log.line(Stream::Stdout, b"one\n").unwrap();
    log.line(Stream::Stderr, b"\xff\xfe two\n").unwrap();
    log.line(Stream::Stdout, b"thr").unwrap();
    log.note("resumed\nafresh").unwrap();
    assert_eq!(log.len(), fs::metadata(&path).unwrap().len());
    drop(log);

    let expected = b"one\n\xff\xfe two\nthr\n[skep] resumed afresh\n";
    assert_eq!(fs::read(&path).unwrap(), expected);
    assert_eq!(
        all_pieces(&path),
        [
            (Stream::Stdout, false, b"one\n".to_vec()),
            (Stream::Stderr, false, b"\xff\xfe two\n".to_vec()),
            (Stream::Stdout, true, b"thr".to_vec()),
            (Stream::Note, false, b"\n[skep] resumed afresh\n".to_vec()),
        ]
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

/// Both sides of the boundary: a line of exactly one piece, and one byte more.
#[test]
fn a_long_line_is_written_in_pieces() {
    let directory = directory();
    let path = directory.path().join("a.log");
    let mut log = LogWriter::create(&path, CAP).unwrap();
    let mut line = vec![b'x'; PIECE_BYTES_MAX - 1];
    line.push(b'\n');
    log.line(Stream::Stdout, &line).unwrap();
    line.insert(0, b'y');
    log.line(Stream::Stdout, &line).unwrap();
    let shapes: Vec<(bool, usize)> = all_pieces(&path)
        .into_iter()
        .map(|(_, goes_on, bytes)| (goes_on, bytes.len()))
        .collect();
    assert_eq!(
        shapes,
        [
            (false, PIECE_BYTES_MAX),
            (true, PIECE_BYTES_MAX),
            (false, 1)
        ]
    );
}

#[test]
fn a_log_stops_exactly_at_its_cap_and_can_still_say_so() {
    let directory = directory();
    let path = directory.path().join("a.log");
    let mut log = LogWriter::create(&path, 8).unwrap();
    log.line(Stream::Stdout, b"1234567\n").unwrap();
    let error = log.line(Stream::Stdout, b"x").unwrap_err();
    assert!(matches!(error, LogError::Full { bytes_max: 8 }), "{error}");
    log.note("full").unwrap();
    assert!(log.note(&"x".repeat(4096)).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"1234567\n[skep] full\n");

    let path = directory.path().join("b.log");
    let mut log = LogWriter::create(&path, 4).unwrap();
    log.line(Stream::Stdout, b"123456").unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"1234");
}

#[test]
fn a_sealed_log_is_read_only_and_is_not_written_again() {
    let directory = directory();
    let path = directory.path().join("a.log");
    let mut log = LogWriter::create(&path, CAP).unwrap();
    log.line(Stream::Stdout, b"done\n").unwrap();
    assert_eq!(log.seal().unwrap(), 5);
    for file in [path.clone(), index_path(&path)] {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o400, "{}", file.display());
    }
    assert!(LogWriter::create(&path, CAP).is_err());
}

/// A crash can leave an index that is torn, or that knows of bytes which the log lost.
#[test]
fn a_log_that_a_crash_cut_at_any_byte_reopens() {
    let directory = directory();
    let path = directory.path().join("whole.log");
    let mut log = LogWriter::create(&path, CAP).unwrap();
    for line in ["one\n", "two\n", "three\n"] {
        log.line(Stream::Stdout, line.as_bytes()).unwrap();
    }
    drop(log);
    let data = fs::read(&path).unwrap();
    let index = fs::read(index_path(&path)).unwrap();
    for data_cut in 0..=data.len() {
        for index_cut in 0..=index.len() {
            let path = directory.path().join("cut.log");
            fs::write(&path, &data[..data_cut]).unwrap();
            fs::write(index_path(&path), &index[..index_cut]).unwrap();
            let mut log = LogWriter::reopen(&path, CAP).unwrap();
            log.note("interrupted").unwrap();
            drop(log);
            let kept = fs::read(&path).unwrap();
            assert!(kept.starts_with(&data[..data_cut]));
            assert!(kept.ends_with(b"[skep] interrupted\n"));
            let pieces = all_pieces(&path);
            let (last, before) = pieces.split_last().unwrap();
            assert_eq!(last.0, Stream::Note);
            for (piece, line) in before.iter().zip(["one\n", "two\n", "three\n"]) {
                assert_eq!(piece.2, line.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn a_follower_sees_every_byte_once_and_the_end() {
    let directory = directory();
    let path = directory.path().join("a.log");
    let mut log = LogWriter::create(&path, CAP).unwrap();
    log.line(Stream::Stdout, b"before\n").unwrap();
    let reader = LogReader::open(&path).unwrap();
    let mut follower = reader.follow(3, log.length());
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(bytes) = follower.next().await.unwrap() {
            seen.extend_from_slice(&bytes);
        }
        seen
    });
    for number in 0..1000 {
        log.line(Stream::Stdout, format!("{number}\n").as_bytes())
            .unwrap();
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    log.seal().unwrap();
    let seen = reading.await.unwrap();
    assert_eq!(seen, fs::read(&path).unwrap()[3..]);
    assert!(seen.ends_with(b"999\n"));
}

/// A sealed log is on disk with its index, its name and its folder's; one that was not sealed may be gone.
#[test]
fn a_sealed_log_survives_a_power_cut() {
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    for directory in ["/hive", "/hive/logs"] {
        disk.create_dir(Path::new(directory)).unwrap();
    }
    let open = |name: &str| {
        let path = Path::new("/hive/logs/2026-11").join(name);
        let mut log = LogWriter::create_on(&disk, &path, 1 << 20).unwrap();
        log.line(Stream::Stdout, b"one\n").unwrap();
        log.line(Stream::Stderr, b"two").unwrap();
        (path, log)
    };
    let (sealed, log) = open("sealed.log");
    let (lost, open) = open("open.log");
    assert_eq!(log.seal().unwrap(), 7);
    drop(open);
    faulty.power_loss(Survival::Nothing);
    assert_eq!(faulty.content(&sealed).unwrap(), b"one\ntwo");
    let index = faulty.content(&index_path(&sealed)).unwrap();
    assert_eq!(index.len(), 2 * INDEX_RECORD_BYTES);
    assert_eq!(faulty.content(&lost).unwrap_or_default(), b"");
}

/// A disk that fills in the middle of a line keeps what fitted, says so, and its index still points at its own bytes.
#[test]
fn a_disk_that_fills_is_told_and_the_index_stays_true() {
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    disk.create_dir(Path::new("/logs")).unwrap();
    let mut log = LogWriter::create_on(&disk, "/logs/a.log", 1 << 20).unwrap();
    log.line(Stream::Stdout, b"before\n").unwrap();
    faulty.set_capacity(Some(0));
    let refused = log.line(Stream::Stdout, &[b'x'; 9000]).unwrap_err();
    assert!(refused.is_storage_full(), "{refused:?}");
    faulty.set_capacity(None);
    log.line(Stream::Stdout, b"after\n").unwrap();
    let bytes = log.seal().unwrap();
    let content = faulty.content(Path::new("/logs/a.log")).unwrap();
    assert_eq!(content.len() as u64, bytes);
    let index = faulty.content(Path::new("/logs/a.idx")).unwrap();
    let last = index.rchunks(INDEX_RECORD_BYTES).next().unwrap();
    let last = Piece::decode(last).unwrap();
    let at = usize::try_from(last.offset).unwrap();
    assert_eq!(&content[at..], b"after\n");
}
