//! From the lines of a log, or of a server, to what they mean.

use super::super::EngineEvent;
use super::super::cli::Reply;
use super::super::process::Parser;
use super::super::settings::Protocol;
use super::answer::Answer;
use super::sse::Sse;
use super::{anthropic, openai};
use crate::execution_log::Stream;

/// Reads the answers of one turn, one after the other.
#[derive(Debug)]
pub(super) struct Reading {
    protocol: Protocol,
    sse: Sse,
    reply: Reply,
    /// The one that is being read.
    pub(super) answer: Answer,
}

impl Reading {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            sse: Sse::default(),
            reply: Reply::default(),
            answer: Answer::default(),
        }
    }

    /// The next answer begins; gives the last one.
    pub(super) fn next(&mut self) -> Answer {
        self.sse = Sse::default();
        self.reply.begin();
        std::mem::take(&mut self.answer)
    }

    /// The next line of an answer.
    pub(super) fn answer_line(&mut self, line: &[u8], events: &mut Vec<EngineEvent>) {
        let data = self.sse.line(line);
        self.read(data, events);
    }

    /// No line follows in this answer.
    pub(super) fn answer_end(&mut self, events: &mut Vec<EngineEvent>) {
        let data = self.sse.end();
        self.read(data, events);
    }

    fn read(&mut self, data: Option<String>, events: &mut Vec<EngineEvent>) {
        let Some(data) = data else { return };
        let (answer, reply) = (&mut self.answer, &mut self.reply);
        match self.protocol {
            Protocol::Openai => openai::read(&data, answer, reply, events),
            Protocol::Anthropic => anthropic::read(&data, answer, reply, events),
        }
    }
}

/// A log holds all answers of a turn; the last word of one is followed by the next.
impl Parser for Reading {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream != Stream::Stdout {
            return;
        }
        self.answer_line(line, events);
        if self.answer.is_over {
            self.next();
        }
    }

    fn end(&mut self, events: &mut Vec<EngineEvent>) {
        self.answer_end(events);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answer::Fault;
    use super::*;

    fn read(protocol: Protocol, data: &[serde_json::Value]) -> (Answer, Vec<EngineEvent>) {
        let (mut reading, mut events) = (Reading::new(protocol), Vec::new());
        for data in data {
            reading.answer_line(format!("data: {data}").as_bytes(), &mut events);
            reading.answer_line(b"", &mut events);
        }
        reading.answer_end(&mut events);
        (reading.next(), events)
    }

    #[test]
    fn chat_completions_are_understood() {
        let chunk = |delta| json!({ "model": "m", "choices": [{ "index": 0, "delta": delta }] });
        let (answer, events) = read(
            Protocol::Openai,
            &[
                chunk(json!({ "role": "assistant", "content": null })),
                chunk(json!({ "reasoning_content": "hm" })),
                chunk(json!({ "content": "Hel" })),
                chunk(json!({ "content": "lo" })),
                chunk(
                    json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "f", "arguments": "{\"a\"" } }] }),
                ),
                chunk(
                    json!({ "tool_calls": [{ "index": 0, "function": { "arguments": ":1}" } }] }),
                ),
                json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
                json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }),
            ],
        );
        assert_eq!(
            (answer.text.as_str(), answer.model.as_deref()),
            ("Hello", Some("m"))
        );
        assert_eq!(
            (
                answer.calls[0].name.as_str(),
                answer.calls[0].arguments.as_str()
            ),
            ("f", "{\"a\":1}")
        );
        assert_eq!(
            (answer.input_tokens, answer.output_tokens),
            (Some(7), Some(3))
        );
        assert_eq!(answer.finish.as_deref(), Some("tool_calls"));
        assert_eq!(events.len(), 3);
    }

    #[test]
    fn messages_are_understood() {
        let block = |index: u64, block| json!({ "type": "content_block_start", "index": index, "content_block": block });
        let delta = |index: u64, delta| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        let (answer, events) = read(
            Protocol::Anthropic,
            &[
                json!({ "type": "message_start", "message": { "model": "c", "usage": { "input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1 } } }),
                block(0, json!({ "type": "thinking", "thinking": "" })),
                delta(0, json!({ "type": "thinking_delta", "thinking": "hm" })),
                delta(0, json!({ "type": "signature_delta", "signature": "sig" })),
                block(1, json!({ "type": "text", "text": "" })),
                delta(1, json!({ "type": "text_delta", "text": "Hello" })),
                block(
                    2,
                    json!({ "type": "tool_use", "id": "t", "name": "f", "input": {} }),
                ),
                delta(
                    2,
                    json!({ "type": "input_json_delta", "partial_json": "{\"a\"" }),
                ),
                delta(
                    2,
                    json!({ "type": "input_json_delta", "partial_json": ":1}" }),
                ),
                json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 9 } }),
                json!({ "type": "message_stop" }),
            ],
        );
        assert_eq!(answer.text, "Hello");
        assert_eq!(answer.thoughts[0].signature, "sig");
        assert_eq!(
            (
                answer.calls[0].id.as_str(),
                answer.calls[0].arguments.as_str()
            ),
            ("t", "{\"a\":1}")
        );
        assert_eq!(
            (answer.input_tokens, answer.output_tokens),
            (Some(7), Some(9))
        );
        assert!(answer.is_over && events.len() == 2);
    }

    #[test]
    fn an_error_in_mid_answer_is_one() {
        let (answer, _) = read(Protocol::Openai, &[json!({ "error": { "message": "no" } })]);
        assert_eq!(answer.fault, Some(Fault::Server("no".to_owned())));
        let error =
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } });
        let (answer, _) = read(Protocol::Anthropic, &[error]);
        assert_eq!(answer.fault, Some(Fault::Server("busy".to_owned())));
    }

    /// Whatever a server sends, nobody panics.
    #[test]
    fn no_data_makes_a_reader_panic() {
        for protocol in [Protocol::Openai, Protocol::Anthropic] {
            for data in [
                "",
                "[DONE]",
                "{",
                "[]",
                "null",
                "7",
                "{\"choices\":7}",
                "{\"choices\":[{\"delta\":[]}]}",
                "{\"choices\":[{\"delta\":{\"tool_calls\":[7,{\"index\":-1,\"function\":{\"arguments\":{}}}]}}]}",
                "{\"type\":\"content_block_delta\",\"index\":99,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}}",
                "{\"error\":7}",
                "{\"type\":\"error\"}",
                "{\"usage\":{\"prompt_tokens\":1e99}}",
            ] {
                let (mut reading, mut events) = (Reading::new(protocol), Vec::new());
                reading.line(
                    Stream::Stdout,
                    format!("data: {data}").as_bytes(),
                    &mut events,
                );
                reading.line(Stream::Stdout, b"\r", &mut events);
                reading.end(&mut events);
            }
        }
    }

    #[test]
    fn a_log_gives_every_answer_of_its_turn() {
        let (mut reading, mut events) = (Reading::new(Protocol::Openai), Vec::new());
        for line in [
            "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}",
            "",
            "data: [DONE]",
            "",
            "data: {\"choices\":[{\"delta\":{\"content\":\"two\"}}]}",
            "",
        ] {
            reading.line(Stream::Stdout, line.as_bytes(), &mut events);
        }
        let text: String = events
            .iter()
            .map(|event| match event {
                EngineEvent::Text { text } => text.as_str(),
                _ => "",
            })
            .collect();
        assert_eq!(text, "one\n\ntwo");
    }
}
