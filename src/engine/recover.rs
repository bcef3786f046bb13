//! The reply of an interrupted run, out of its log.

use std::io;
use std::path::Path;

use super::EngineEvent;
use super::lines::LINE_BYTES_MAX;
use super::process::Parser;
use crate::execution_log::{LogReader, READ_BYTES_MAX, Stream};
use crate::model::limits::REPLY_BYTES_MAX;
use crate::model::text::truncated;

/// Pieces of the index that are read at once.
const PIECES_READ_AT_ONCE: usize = 1024;

/// What the engine had said when its log ended. It goes through the log once, with one line in memory, and stops where a
/// reply is full.
pub(super) fn text(log: &Path, parser: &mut dyn Parser) -> io::Result<String> {
    let reader = LogReader::open(log)?;
    let (mut text, mut events, mut line) = (String::new(), Vec::new(), Vec::new());
    let mut number = 0;
    loop {
        let pieces = reader.pieces(number, PIECES_READ_AT_ONCE)?;
        if pieces.is_empty() {
            break;
        }
        number += pieces.len() as u64;
        for piece in pieces.iter().filter(|piece| piece.stream == Stream::Stdout) {
            let end = piece.end();
            let mut offset = piece.offset;
            while offset < end {
                let bytes = reader.read_range(offset, (end - offset).min(READ_BYTES_MAX as u64))?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                if parser.takes_bytes() {
                    parser.bytes(&bytes, &mut events);
                } else if line.len() + bytes.len() <= LINE_BYTES_MAX {
                    line.extend_from_slice(&bytes);
                }
            }
            if !parser.takes_bytes() && !piece.goes_on {
                let whole = line.strip_suffix(b"\n").unwrap_or(&line);
                parser.line(Stream::Stdout, whole, &mut events);
                line.clear();
            }
            take(&mut text, events.drain(..));
            if text.len() >= REPLY_BYTES_MAX {
                return Ok(text);
            }
        }
    }
    Ok(text)
}

fn take(text: &mut String, events: impl Iterator<Item = EngineEvent>) {
    for event in events {
        match event {
            EngineEvent::Text { text: piece } => {
                text.push_str(truncated(&piece, REPLY_BYTES_MAX - text.len()));
            }
            EngineEvent::Result { text: Some(whole) } => {
                truncated(&whole, REPLY_BYTES_MAX).clone_into(text);
            }
            _ => {}
        }
    }
}
