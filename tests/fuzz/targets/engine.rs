//! What engines print.

use skep::engine::EngineEvent;
use skep::engine::cli::{Dialect, is_session_id};
use skep::engine::process::Parser;
use skep::engine::settings::{EngineKind, EngineSettings, Output};
use skep::execution_log::Stream;
use skep::model::limits::TOOL_DETAIL_BYTES_MAX;

use super::choice;

/// Whatever an engine prints: its events are no more than it said, each can be written and read back, no session id can
/// become an option of the next run, and how the bytes were cut makes no difference.
pub fn lines(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    match which % 5 {
        0 => dialect(EngineKind::Claude, rest),
        1 => dialect(EngineKind::Codex, rest),
        2 => dialect(EngineKind::Opencode, rest),
        3 => events(rest),
        _ => text(rest),
    }
}

fn parser(kind: EngineKind, output: Output) -> Box<dyn Parser> {
    let settings = EngineSettings {
        kind: Some(kind),
        output,
        ..EngineSettings::default()
    };
    let dialect = Dialect::of(kind).expect("a command line");
    (dialect.parser)(&settings)
}

fn fed(parser: &mut dyn Parser, printed: &[u8]) -> Vec<EngineEvent> {
    let mut events = Vec::new();
    for line in printed.split(|byte| *byte == b'\n') {
        parser.line(Stream::Stderr, line, &mut events);
        assert!(events.len() <= printed.len(), "more events than bytes");
        parser.line(Stream::Stdout, line, &mut events);
    }
    parser.end(&mut events);
    let _ = parser.resume_failed();
    events
}

fn dialect(kind: EngineKind, printed: &[u8]) {
    let events = fed(parser(kind, Output::Text).as_mut(), printed);
    let mut said = 0;
    for event in &events {
        survives(event);
        match event {
            EngineEvent::Session { id, .. } => assert!(is_session_id(id), "{id:?}"),
            EngineEvent::ToolResult { output, .. } => {
                assert!(output.len() <= TOOL_DETAIL_BYTES_MAX);
            }
            EngineEvent::ToolCall { args, .. } => {
                // Escaping may make it longer, once.
                assert!(args.to_string().len() <= 8 * TOOL_DETAIL_BYTES_MAX);
            }
            EngineEvent::Error { message, .. } => {
                assert!(message.len() <= 2 * TOOL_DETAIL_BYTES_MAX);
            }
            EngineEvent::Text { text } => said += text.len(),
            _ => {}
        }
    }
    assert!(
        said <= 2 * printed.len(),
        "{said} bytes of {}",
        printed.len()
    );
}

fn events(printed: &[u8]) {
    for event in fed(
        parser(EngineKind::Command, Output::Events).as_mut(),
        printed,
    ) {
        survives(&event);
    }
}

fn survives(event: &EngineEvent) {
    let written = serde_json::to_string(event).expect("written");
    assert!(!written.contains('\n'), "one line");
    let again: EngineEvent = serde_json::from_str(&written).expect("read back");
    assert_eq!(serde_json::to_string(&again).expect("written"), written);
}

/// The reply is the text, whatever the cuts between reads.
fn text(bytes: &[u8]) {
    let (size, printed) = choice(bytes);
    let whole = String::from_utf8_lossy(printed);
    for size in [usize::from(size).max(1), 1] {
        let mut parser = parser(EngineKind::Command, Output::Text);
        assert!(parser.takes_bytes());
        let mut events = Vec::new();
        for piece in printed.chunks(size) {
            parser.bytes(piece, &mut events);
        }
        parser.end(&mut events);
        assert_eq!(events.pop(), Some(EngineEvent::Result { text: None }));
        let said: String = events
            .iter()
            .map(|event| match event {
                EngineEvent::Text { text } => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(said, whole, "read {size} at a time");
    }
}
