//! Server-sent events, line by line.

/// The data of one event; more of it is no event of a model.
pub(super) const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads the lines of an event stream.
#[derive(Debug, Default)]
pub(super) struct Sse {
    data: String,
    has_data: bool,
}

impl Sse {
    /// The next line, without its newline. Gives the data of an event when the line completes it.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<String> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.end();
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        // The names of events are in their data as well; `error` is how llama.cpp once said what went wrong.
        if field != b"data" && field != b"error" {
            return None;
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.has_data {
            self.data.push('\n');
        }
        self.has_data = true;
        if self.data.len() + value.len() <= EVENT_BYTES_MAX {
            self.data.push_str(&String::from_utf8_lossy(value));
        }
        None
    }

    /// The event that was not ended by a blank line; the last one of some servers.
    pub(super) fn end(&mut self) -> Option<String> {
        let has_data = std::mem::take(&mut self.has_data);
        has_data.then(|| std::mem::take(&mut self.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_the_standard_says() {
        let mut sse = Sse::default();
        let stream = "\u{0}:x\n: comment\n\ndata: a\r\n\r\nevent: x\ndata:b\ndata: c\nid: 7\n\nretry: 1\n\ndata\n\nerror: {}\n\nnonsense\n\ndata: last";
        let mut events: Vec<String> = stream
            .split('\n')
            .filter_map(|line| sse.line(line.as_bytes()))
            .collect();
        events.extend(sse.end());
        assert_eq!(events, ["a", "b\nc", "", "{}", "last"]);
    }
}
