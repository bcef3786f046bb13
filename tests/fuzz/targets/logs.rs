//! The log of an execution with its index, as a crash or an attacker left them, and ranges of it.

use std::fs;

use skep::execution_log::{INDEX_RECORD_BYTES, LogReader, LogWriter, Stream, index_path};
use skep::http::range::Range;

use super::choice;

/// An index of any bytes points at nothing that the log does not hold, the log is read as it is, and it can be ended.
pub fn index(bytes: &[u8]) {
    let (records, rest) = choice(bytes);
    let cut = rest
        .len()
        .min(usize::from(records) * INDEX_RECORD_BYTES + usize::from(records % 3));
    let (index, content) = rest.split_at(cut);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.log");
    fs::write(&path, content).expect("written");
    fs::write(index_path(&path), index).expect("written");

    let reader = LogReader::open(&path).expect("opened");
    let first = u64::from(records);
    for first in [0, 1, first, u64::MAX] {
        let pieces = reader.pieces(first, 1_000).expect("read");
        assert!(pieces.len() <= index.len() / INDEX_RECORD_BYTES);
        for piece in &pieces {
            let range = reader.read_range(piece.offset, u64::from(piece.bytes));
            let end = piece.offset.saturating_add(u64::from(piece.bytes));
            if end <= content.len() as u64 {
                let (from, to) = (piece.offset as usize, end as usize);
                assert_eq!(range.expect("read"), content[from..to]);
            }
        }
        if let Some(last) = pieces.last() {
            let is_last = first + pieces.len() as u64 == (index.len() / INDEX_RECORD_BYTES) as u64;
            let end = last.offset.checked_add(u64::from(last.bytes));
            assert!(!is_last || end.is_some_and(|end| end <= content.len() as u64));
        }
    }

    let mut log = LogWriter::reopen(&path, 1 << 20).expect("reopened");
    log.note("interrupted").expect("noted");
    let bytes = log.seal().expect("sealed");
    let sealed = fs::read(&path).expect("read");
    assert_eq!(sealed.len() as u64, bytes);
    assert!(sealed.starts_with(content) && sealed.ends_with(b"[skep] interrupted\n"));
    // What is broken further in stays broken, and hides nothing of what is asked for by its number.
    let records = fs::metadata(index_path(&path)).expect("there").len() / INDEX_RECORD_BYTES as u64;
    let reader = LogReader::open(&path).expect("opened");
    let pieces = reader.pieces(records - 1, 1).expect("read");
    let last = pieces.last().expect("the note");
    assert_eq!(last.stream, Stream::Note);
    assert_eq!(last.offset + u64::from(last.bytes), bytes);

    ranges(content);
}

/// A range lies within what there is, and is what the header says where that is plain.
fn ranges(bytes: &[u8]) {
    let (length, rest) = choice(bytes);
    let Ok(header) = std::str::from_utf8(rest) else {
        return;
    };
    for length in [u64::from(length), 0, u64::MAX] {
        match Range::parse(Some(header), length) {
            Range::Whole | Range::Unsatisfiable => {}
            Range::Part { start, end } => {
                assert!(start <= end && end < length, "{header:?} of {length}");
                let plain = format!("bytes={start}-{end}");
                assert_eq!(
                    Range::parse(Some(&plain), length),
                    Range::Part { start, end }
                );
            }
        }
    }
}
