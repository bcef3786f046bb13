//! `command`: any program is an engine.
//!
//! The message, and nothing else, is its standard input. Its standard output is the reply, shown while it is printed,
//! or with `output = "events"` one [`EngineEvent`] a line. What else it may want to know is in its environment; a memory too
//! long for a variable is cut there and whole in the file that `SKEP_MEMORY_FILE` names.

use super::ansi::Plain;
use super::cli::Dialect;
use super::launch::{Launch, VARIABLE_BYTES_MAX, environment, temp_file};
use super::process::Parser;
use super::settings::{EngineSettings, Output};
use super::{EngineError, EngineEvent, Turn};
use crate::execution_log::Stream;
use crate::model::text::truncated;

/// Any program as a command line.
pub static DIALECT: Dialect = Dialect {
    program: "",
    variables: &[],
    launch,
    own: |_| Vec::new(),
    parser: |settings| match settings.output {
        Output::Text => Box::<TextParser>::default(),
        Output::Events => Box::<EventsParser>::default(),
    },
    talk: None,
};

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let mut env = environment(turn, DIALECT.variables, &settings.env);
    let memory = truncated(&turn.memory, VARIABLE_BYTES_MAX);
    if memory.len() < turn.memory.len() {
        let file = temp_file(turn, "memory.md", &turn.memory)?;
        env.insert("SKEP_MEMORY_FILE".to_owned(), file);
    }
    let media: Vec<String> = turn
        .media
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let session = turn.session_id.map(|id| id.to_string());
    env.extend(
        [
            ("SKEP_WORKER", turn.worker_name.clone()),
            ("SKEP_SESSION", session.unwrap_or_default()),
            ("SKEP_EXECUTION", turn.execution_id.to_string()),
            ("SKEP_MEMORY", memory.to_owned()),
            ("SKEP_MEDIA", media.join("\n")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(Launch {
        argv: settings.argv.clone(),
        env,
        cwd: turn.work_dir.clone(),
        stdin: turn.prompt.clone().into_bytes(),
    })
}

/// Standard output is the reply.
#[derive(Debug, Default)]
pub struct TextParser {
    /// What colours and moves is for terminals.
    plain: Plain,
    /// The start of a character whose end has not come yet.
    torn: Vec<u8>,
}

impl Parser for TextParser {
    fn takes_bytes(&self) -> bool {
        true
    }

    fn bytes(&mut self, bytes: &[u8], events: &mut Vec<EngineEvent>) {
        self.plain.push(bytes, &mut self.torn);
        let whole = self.torn.len() - torn_bytes(&self.torn);
        if whole > 0 {
            let rest = self.torn.split_off(whole);
            let bytes = std::mem::replace(&mut self.torn, rest);
            events.push(text(&bytes));
        }
    }

    fn line(&mut self, _stream: Stream, _line: &[u8], _events: &mut Vec<EngineEvent>) {}

    fn end(&mut self, events: &mut Vec<EngineEvent>) {
        if !self.torn.is_empty() {
            events.push(text(&std::mem::take(&mut self.torn)));
        }
        events.push(EngineEvent::Result { text: None });
    }
}

fn text(bytes: &[u8]) -> EngineEvent {
    EngineEvent::Text {
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// How many bytes at the end are the beginning of a character that is still to come.
fn torn_bytes(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let tail = &bytes[bytes.len() - length..];
        if let Err(error) = std::str::from_utf8(tail)
            && error.valid_up_to() == 0
            && error.error_len().is_none()
        {
            return length;
        }
    }
    0
}

/// One event a line.
#[derive(Debug, Default)]
pub struct EventsParser {
    said_something: bool,
}

impl Parser for EventsParser {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream != Stream::Stdout {
            return;
        }
        if let Ok(event) = serde_json::from_slice::<EngineEvent>(line) {
            self.said_something |= matches!(event, EngineEvent::Text { .. });
            events.push(event);
        }
    }

    fn end(&mut self, events: &mut Vec<EngineEvent>) {
        if self.said_something {
            events.push(EngineEvent::Result { text: None });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(events: &[EngineEvent]) -> Vec<&str> {
        events
            .iter()
            .filter_map(|event| match event {
                EngineEvent::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Wherever reads cut the bytes, no character is torn and nothing waits longer than it must.
    #[test]
    fn characters_survive_any_cut() {
        let said = "añ€🐝 z";
        for size in 1..=said.len() {
            let mut parser = TextParser::default();
            let mut events = Vec::new();
            for chunk in said.as_bytes().chunks(size) {
                parser.bytes(chunk, &mut events);
            }
            parser.end(&mut events);
            assert_eq!(texts(&events).concat(), said, "read {size} at a time");
        }
    }

    #[test]
    fn colours_are_no_part_of_a_reply() {
        let mut parser = TextParser::default();
        let mut events = Vec::new();
        for said in [&b"\x1b[1;3"[..], b"2mgre\xc3", b"\xa4n\x1b[0m\n"] {
            parser.bytes(said, &mut events);
        }
        parser.end(&mut events);
        assert_eq!(texts(&events).concat(), "greän\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_do_not_wait() {
        let mut parser = TextParser::default();
        let mut events = Vec::new();
        parser.bytes(b"a\xff\xfeb", &mut events);
        parser.bytes(b"\xf0\x9f", &mut events);
        assert_eq!(texts(&events), ["a\u{fffd}\u{fffd}b"]);
        parser.bytes(b"x", &mut events);
        parser.bytes(b"\xe2\x82", &mut events);
        parser.end(&mut events);
        assert_eq!(
            texts(&events).concat(),
            "a\u{fffd}\u{fffd}b\u{fffd}x\u{fffd}"
        );
    }

    #[test]
    fn events_are_read_and_the_rest_is_left_to_the_log() {
        let mut parser = EventsParser::default();
        let mut events = Vec::new();
        for line in [
            r#"{"type":"text","text":"Hel"}"#,
            r#"{"type":"text"}"#,
            r#"{"type":"dance"}"#,
            "not json",
            r#"{"type":"tool_result","id":"1"}"#,
            r#"{"type":"usage","input_tokens":3,"output_tokens":4,"cost_usd":null}"#,
        ] {
            parser.line(Stream::Stdout, line.as_bytes(), &mut events);
        }
        parser.line(
            Stream::Stderr,
            br#"{"type":"text","text":"no"}"#,
            &mut events,
        );
        parser.end(&mut events);
        assert_eq!(events.len(), 4);
        assert_eq!(texts(&events), ["Hel"]);
        assert!(matches!(
            events[1],
            EngineEvent::ToolResult { ok: true, .. }
        ));
        assert!(matches!(events[2], EngineEvent::Usage(_)));
        assert_eq!(events[3], EngineEvent::Result { text: None });
    }
}
