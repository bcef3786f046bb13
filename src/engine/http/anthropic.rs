//! Anthropic's Messages.

use serde_json::{Value, json};

use super::super::EngineEvent;
use super::super::cli::{Reply, number_at, text_at};
use super::answer::{Answer, Fault, Thought};
use super::conversation::{Conversation, Item};
use super::openai::said;

/// The path below the base URL.
pub(super) const PATH: &str = "messages";
/// The revision of the protocol.
pub(super) const VERSION: &str = "2023-06-01";
/// Tokens of an answer, where settings do not say: the protocol wants a number.
const MAX_TOKENS: u32 = 8_192;

/// The body of a request.
pub(super) fn body(conversation: &Conversation, model: &str, max_tokens: Option<u32>) -> Value {
    let messages: Vec<Value> = conversation.items.iter().map(message).collect();
    let mut body = json!({
        "model": model,
        "messages": messages,
        "max_tokens": max_tokens.unwrap_or(MAX_TOKENS),
        "stream": true,
    });
    if !conversation.system.is_empty() {
        body["system"] = conversation.system.as_str().into();
    }
    if !conversation.tools.is_empty() {
        let tools = conversation.tools.iter().map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.schema,
            })
        });
        body["tools"] = tools.collect();
    }
    body
}

fn message(item: &Item) -> Value {
    match item {
        Item::User { text, images } => {
            let mut parts: Vec<Value> = images
                .iter()
                .map(|image| {
                    json!({
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": image.media_type,
                            "data": image.base64,
                        },
                    })
                })
                .collect();
            parts.push(json!({ "type": "text", "text": text }));
            json!({ "role": "user", "content": parts })
        }
        Item::Model {
            text,
            thoughts,
            calls,
        } => {
            let mut parts: Vec<Value> = thoughts
                .iter()
                .filter(|thought| !thought.signature.is_empty())
                .map(|thought| {
                    json!({
                        "type": "thinking",
                        "thinking": thought.text,
                        "signature": thought.signature,
                    })
                })
                .collect();
            if !text.is_empty() {
                parts.push(json!({ "type": "text", "text": text }));
            }
            parts.extend(calls.iter().map(|call| {
                let input = serde_json::from_str::<Value>(&call.arguments).ok();
                let input = input.filter(Value::is_object).unwrap_or_else(|| json!({}));
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
            }));
            json!({ "role": "assistant", "content": parts })
        }
        Item::Tools(outputs) => {
            let parts: Vec<Value> = outputs
                .iter()
                .map(|output| {
                    json!({
                        "type": "tool_result",
                        "tool_use_id": output.id,
                        "content": output.text,
                        "is_error": !output.ok,
                    })
                })
                .collect();
            json!({ "role": "user", "content": parts })
        }
    }
}

/// Takes in the data of one event.
pub(super) fn read(
    data: &str,
    answer: &mut Answer,
    reply: &mut Reply,
    events: &mut Vec<EngineEvent>,
) {
    let Ok(event) = serde_json::from_str::<Value>(data) else {
        return;
    };
    let index = number_at(&event, "/index");
    match text_at(&event, "/type") {
        "message_start" => {
            let message = &event["message"];
            if !text_at(message, "/model").is_empty() {
                answer.model = Some(text_at(message, "/model").to_owned());
            }
            usage(&message["usage"], answer);
        }
        "content_block_start" => {
            let block = &event["content_block"];
            match text_at(block, "/type") {
                "tool_use" => {
                    answer.call(index, text_at(block, "/id"), text_at(block, "/name"), "");
                }
                "thinking" => {
                    answer.thoughts.push(Thought::default());
                    answer.think(text_at(block, "/thinking"), events);
                }
                "text" => answer.say(text_at(block, "/text"), reply, events),
                _ => {}
            }
        }
        "content_block_delta" => {
            let delta = &event["delta"];
            match text_at(delta, "/type") {
                "text_delta" => answer.say(text_at(delta, "/text"), reply, events),
                "thinking_delta" => answer.think(text_at(delta, "/thinking"), events),
                "signature_delta" => answer.sign(text_at(delta, "/signature")),
                "input_json_delta" => {
                    answer.call(index, "", "", text_at(delta, "/partial_json"));
                }
                _ => {}
            }
        }
        "message_delta" => {
            if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                answer.finish = Some(reason.to_owned());
            }
            usage(&event["usage"], answer);
        }
        "message_stop" => answer.is_over = true,
        "error" => answer.fail(Fault::Server(said(&event["error"]))),
        _ => {}
    }
}

/// What was read from a cache was read, too.
fn usage(usage: &Value, answer: &mut Answer) {
    if let Some(tokens) = number_at(usage, "/input_tokens") {
        let cached = ["/cache_read_input_tokens", "/cache_creation_input_tokens"]
            .into_iter()
            .filter_map(|name| number_at(usage, name))
            .fold(0, u64::saturating_add);
        answer.input_tokens = Some(tokens.saturating_add(cached));
    }
    if let Some(tokens) = number_at(usage, "/output_tokens") {
        answer.output_tokens = Some(tokens);
    }
}
