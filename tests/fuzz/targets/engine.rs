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
    match which % 7 {
        0 => dialect(EngineKind::Claude, rest),
        1 => dialect(EngineKind::Codex, rest),
        2 => dialect(EngineKind::Opencode, rest),
        3 => events(rest),
        4 => dialect(EngineKind::Gemini, rest),
        5 => agent(rest),
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

/// Whatever an agent says: a turn ends once, and what is told to it is bounded by what it asked.
fn agent(printed: &[u8]) {
    let settings = EngineSettings {
        kind: Some(EngineKind::Acp),
        ..EngineSettings::default()
    };
    let mut parser = (Dialect::of_engine(&settings).expect("an agent").parser)(&settings);
    let events = fed(parser.as_mut(), printed);
    let is_end = |event: &&EngineEvent| {
        matches!(
            event,
            EngineEvent::Result { .. } | EngineEvent::Error { .. }
        )
    };
    assert!(events.iter().filter(is_end).count() <= 1, "one end");
    events.iter().for_each(survives);
    // The same in a turn of its own, which asks and answers.
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime");
    runtime.block_on(async {
        let mut talked = skep::engine::acp::rehearsal();
        let mut told = talked
            .talk()
            .map(|talk| talk.take_input())
            .unwrap_or_default();
        let events = fed(talked.as_mut(), printed);
        assert!(events.iter().filter(is_end).count() <= 1, "one end");
        if let Some(talk) = talked.talk() {
            talk.cancel();
            told.extend(talk.take_input());
        }
        assert!(
            told.len() <= 8 * 1024 + 512 * printed.len(),
            "{} bytes told",
            told.len()
        );
        for line in told
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let said: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!(said["jsonrpc"], "2.0");
        }
    });
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

/// The reply is the text without what steers a terminal, whatever the cuts between reads.
fn text(bytes: &[u8]) {
    let (size, printed) = choice(bytes);
    let said = |size: usize| -> String {
        let mut parser = parser(EngineKind::Command, Output::Text);
        assert!(parser.takes_bytes());
        let mut events = Vec::new();
        for piece in printed.chunks(size) {
            parser.bytes(piece, &mut events);
        }
        parser.end(&mut events);
        assert_eq!(events.pop(), Some(EngineEvent::Result { text: None }));
        events
            .iter()
            .map(|event| match event {
                EngineEvent::Text { text } => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let whole = said(printed.len().max(1));
    assert!(!whole.contains('\u{1b}'));
    if !printed.contains(&0x1b) {
        assert_eq!(whole, String::from_utf8_lossy(printed));
    }
    for size in [usize::from(size).max(1), 1] {
        assert_eq!(said(size), whole, "read {size} at a time");
    }
}
