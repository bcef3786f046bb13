//! From what a pipe delivers to the log and to whole lines.

use memchr::memchr;

use crate::execution_log::{LogError, LogWriter, PIECE_BYTES_MAX, Stream};

/// The longest line that is parsed; a longer one is in the log only.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much of a stream's end is kept for the message of a run that failed.
const TAIL_BYTES_MAX: usize = 2 * 1024;

/// One stream of an engine on its way into the log, cut into lines.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    /// The line that has not ended yet, and how much of it is in the log.
    line: Vec<u8>,
    logged: usize,
    /// Bytes of a line that is too long to be kept.
    dropped: usize,
    line_bytes_max: usize,
    /// Lines that were too long.
    too_long: u64,
    tail: Vec<u8>,
}

impl Lines {
    pub(super) fn new(stream: Stream, line_bytes_max: usize) -> Self {
        Self {
            stream,
            line: Vec::new(),
            logged: 0,
            dropped: 0,
            line_bytes_max,
            too_long: 0,
            tail: Vec::new(),
        }
    }

    /// How many lines were too long to be read.
    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Logs what came and hands on each line that it completes, without its newline.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        log: &mut LogWriter,
        mut whole: impl FnMut(&[u8]),
    ) -> Result<(), LogError> {
        self.remember(bytes);
        while let Some(newline) = memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(newline + 1);
            bytes = rest;
            if self.line.is_empty() && self.dropped == 0 && head.len() <= self.line_bytes_max {
                log.line(self.stream, head)?;
                whole(&head[..newline]);
            } else {
                self.grow(head, log)?;
                self.finish(log, &mut whole)?;
            }
        }
        self.grow(bytes, log)
    }

    /// Logs what came at once, without waiting for the end of its line; for output that is shown while it is typed.
    pub(super) fn push_bytes(&mut self, bytes: &[u8], log: &mut LogWriter) -> Result<(), LogError> {
        self.remember(bytes);
        bytes
            .split_inclusive(|byte| *byte == b'\n')
            .try_for_each(|piece| log.line(self.stream, piece))
    }

    /// The last line, which need not end in a newline.
    pub(super) fn end(
        &mut self,
        log: &mut LogWriter,
        mut whole: impl FnMut(&[u8]),
    ) -> Result<(), LogError> {
        if self.line.is_empty() && self.dropped == 0 {
            return Ok(());
        }
        self.finish(log, &mut whole)
    }

    /// The last lines that were printed, for people.
    pub(super) fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail)
            .chars()
            .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
            .collect::<String>()
            .trim()
            .to_owned()
    }

    fn grow(&mut self, bytes: &[u8], log: &mut LogWriter) -> Result<(), LogError> {
        self.line.extend_from_slice(bytes);
        // Until a line ends it waits here, so that the other stream does not cut it in two; but not without limit.
        while self.line.len() - self.logged >= PIECE_BYTES_MAX {
            let piece = &self.line[self.logged..self.logged + PIECE_BYTES_MAX];
            log.line(self.stream, piece)?;
            self.logged += PIECE_BYTES_MAX;
        }
        if self.dropped > 0 || self.line.len() > self.line_bytes_max {
            self.log_rest(log)?;
            self.too_long += u64::from(self.dropped == 0);
            self.dropped += self.line.len();
            self.line = Vec::new();
            self.logged = 0;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        log: &mut LogWriter,
        whole: &mut impl FnMut(&[u8]),
    ) -> Result<(), LogError> {
        self.log_rest(log)?;
        if self.dropped > 0 {
            log.note(&format!(
                "a line of {} bytes is longer than {} and was not read",
                self.dropped, self.line_bytes_max
            ))?;
        } else {
            whole(self.line.strip_suffix(b"\n").unwrap_or(&self.line));
        }
        self.line.clear();
        self.line.shrink_to(PIECE_BYTES_MAX);
        self.logged = 0;
        self.dropped = 0;
        Ok(())
    }

    fn log_rest(&mut self, log: &mut LogWriter) -> Result<(), LogError> {
        if self.logged < self.line.len() {
            log.line(self.stream, &self.line[self.logged..])?;
            self.logged = self.line.len();
        }
        Ok(())
    }

    fn remember(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whatever the cuts between reads, the lines are the same and the log is what was printed.
    #[test]
    fn cuts_between_reads_do_not_matter() {
        let printed = b"one\n\n\xffthree\nfour\nlast without newline";
        let directory = tempfile::tempdir().unwrap();
        for size in 1..=printed.len() {
            let path = directory.path().join(format!("{size}.log"));
            let mut log = LogWriter::create(&path, 1 << 20).unwrap();
            let mut lines = Lines::new(Stream::Stdout, 1024);
            let mut seen = Vec::new();
            for chunk in printed.chunks(size) {
                lines
                    .push(chunk, &mut log, |line| seen.push(line.to_vec()))
                    .unwrap();
            }
            lines
                .end(&mut log, |line| seen.push(line.to_vec()))
                .unwrap();
            let expected: Vec<&[u8]> = printed.split(|byte| *byte == b'\n').collect();
            assert_eq!(seen, expected, "read {size} at a time");
            assert_eq!(std::fs::read(&path).unwrap(), printed);
        }
    }

    /// Both sides of the limit, newline included.
    #[test]
    fn a_line_over_the_limit_is_logged_and_not_parsed() {
        let directory = tempfile::tempdir().unwrap();
        for (size, parsed) in [(99, true), (100, false)] {
            for chunk_bytes in [7, 1000] {
                let path = directory.path().join(format!("{size}-{chunk_bytes}.log"));
                let mut log = LogWriter::create(&path, 1 << 20).unwrap();
                let mut lines = Lines::new(Stream::Stdout, 100);
                let mut printed = vec![b'x'; size];
                printed.extend_from_slice(b"\nnext\n");
                let mut seen = Vec::new();
                for chunk in printed.chunks(chunk_bytes) {
                    lines
                        .push(chunk, &mut log, |line| seen.push(line.len()))
                        .unwrap();
                }
                assert_eq!(seen, if parsed { vec![size, 4] } else { vec![4] });
                let logged = std::fs::read_to_string(&path).unwrap();
                assert!(logged.starts_with(&"x".repeat(size)) && logged.ends_with("next\n"));
                assert_eq!(logged.contains("[skep] a line of"), !parsed);
            }
        }
    }

    #[test]
    fn the_tail_is_bounded_and_readable() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogWriter::create(directory.path().join("a.log"), 1 << 20).unwrap();
        let mut lines = Lines::new(Stream::Stderr, 1 << 20);
        lines.push(&[b'x'; 5000], &mut log, |_| {}).unwrap();
        lines
            .push(b"\n\x1b[31mboom\x1b[0m\n", &mut log, |_| {})
            .unwrap();
        let tail = lines.tail();
        assert!(tail.len() <= TAIL_BYTES_MAX && tail.ends_with("[31mboom[0m"));
    }
}
