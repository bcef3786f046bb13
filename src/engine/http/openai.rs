//! Chat completions as OpenAI has them, and as nearly every model server understands them.

use serde_json::{Value, json};

use super::super::EngineEvent;
use super::super::cli::{Reply, number_at, text_at};
use super::answer::{Answer, Fault};
use super::conversation::{Conversation, Item};

/// The path below the base URL.
pub(super) const PATH: &str = "chat/completions";

/// The body of a request.
pub(super) fn body(conversation: &Conversation, model: &str, max_tokens: Option<u32>) -> Value {
    let mut messages = Vec::with_capacity(conversation.items.len() + 1);
    if !conversation.system.is_empty() {
        messages.push(json!({ "role": "system", "content": conversation.system }));
    }
    for item in &conversation.items {
        match item {
            Item::User { text, images } if images.is_empty() => {
                messages.push(json!({ "role": "user", "content": text }));
            }
            Item::User { text, images } => {
                let mut parts = vec![json!({ "type": "text", "text": text })];
                parts.extend(images.iter().map(|image| {
                    let url = format!("data:{};base64,{}", image.media_type, image.base64);
                    json!({ "type": "image_url", "image_url": { "url": url } })
                }));
                messages.push(json!({ "role": "user", "content": parts }));
            }
            Item::Model { text, calls, .. } => {
                let mut message = json!({ "role": "assistant", "content": text });
                if !calls.is_empty() {
                    let calls = calls.iter().map(|call| {
                        json!({
                            "id": call.id,
                            "type": "function",
                            "function": { "name": call.name, "arguments": call.arguments },
                        })
                    });
                    message["tool_calls"] = calls.collect();
                }
                messages.push(message);
            }
            Item::Tools(outputs) => messages.extend(outputs.iter().map(|output| {
                json!({ "role": "tool", "tool_call_id": output.id, "content": output.text })
            })),
        }
    }
    let mut body = json!({
        "model": model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if !conversation.tools.is_empty() {
        let tools = conversation.tools.iter().map(|tool| {
            json!({
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            })
        });
        body["tools"] = tools.collect();
    }
    if let Some(max_tokens) = max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    body
}

/// Takes in the data of one event.
pub(super) fn read(
    data: &str,
    answer: &mut Answer,
    reply: &mut Reply,
    events: &mut Vec<EngineEvent>,
) {
    if data.trim() == "[DONE]" {
        answer.is_over = true;
        return;
    }
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return;
    };
    if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
        return answer.fail(Fault::Server(said(error)));
    }
    // llama.cpp has also sent the bare error as an event named so.
    if chunk.get("choices").is_none() && chunk["message"].is_string() && chunk.get("code").is_some()
    {
        return answer.fail(Fault::Server(said(&chunk)));
    }
    if answer.model.is_none() && !text_at(&chunk, "/model").is_empty() {
        answer.model = Some(text_at(&chunk, "/model").to_owned());
    }
    if let Some(tokens) = number_at(&chunk, "/usage/prompt_tokens") {
        answer.input_tokens = Some(tokens);
        answer.output_tokens = number_at(&chunk, "/usage/completion_tokens");
    }
    let choice = &chunk["choices"][0];
    let delta = &choice["delta"];
    for thought in ["/reasoning_content", "/reasoning"] {
        answer.think(text_at(delta, thought), events);
    }
    answer.say(text_at(delta, "/content"), reply, events);
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        // Some servers give the arguments as an object.
        let arguments = match &function["arguments"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let index = number_at(call, "/index");
        answer.call(
            index,
            text_at(call, "/id"),
            text_at(function, "/name"),
            &arguments,
        );
    }
    if let Some(finish) = choice["finish_reason"].as_str() {
        answer.finish = Some(finish.to_owned());
    }
}

/// What an error object says.
pub(super) fn said(error: &Value) -> String {
    match error {
        Value::String(text) => text.clone(),
        error if error["message"].is_string() => text_at(error, "/message").to_owned(),
        error => error.to_string(),
    }
}
