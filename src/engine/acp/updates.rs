//! What an agent shows of its work (`session/update`), as events.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::EngineEvent;
use super::super::cli::{Reply, number_at, text_at, tool_call, tool_result};
use super::super::mcp::SERVER_NAME;
use crate::model::Usage;
use crate::model::limits::{ENGINE_WORD_BYTES_MAX, TOOL_DETAIL_BYTES_MAX};
use crate::model::text::truncated;
use crate::tool::edit;

/// Calls of one turn that are followed; more are in the log alone.
const CALLS_MAX: usize = 1024;
/// Files whose difference is shown; larger ones are only counted.
const DIFF_SOURCE_BYTES_MAX: usize = 256 * 1024;

/// What an agent has shown so far.
#[derive(Debug, Default)]
pub(super) struct Updates {
    reply: Reply,
    /// The message that is being said, where the agent tells them apart.
    message: Option<String>,
    calls: HashMap<String, Call>,
    plans: u64,
    plan: Value,
    usage: Usage,
}

#[derive(Debug, Default)]
struct Call {
    name: String,
    args: Value,
    /// What it brought so far, for people.
    output: String,
    is_shown: bool,
    is_done: bool,
    /// Whether it is one of Skep's own tools.
    is_own: bool,
}

impl Updates {
    /// Takes in one update.
    pub(super) fn update(&mut self, update: &Value, events: &mut Vec<EngineEvent>) {
        match text_at(update, "/sessionUpdate") {
            "agent_message_chunk" => {
                let message = update["messageId"].as_str();
                if message != self.message.as_deref() {
                    self.message =
                        message.map(|id| truncated(id, ENGINE_WORD_BYTES_MAX).to_owned());
                    self.reply.begin();
                }
                self.reply.text(&block(&update["content"]), events);
            }
            "agent_thought_chunk" => {
                let text = block(&update["content"]);
                if !text.is_empty() {
                    events.push(EngineEvent::Thinking { text });
                }
            }
            "tool_call" | "tool_call_update" => self.call(update, events),
            "plan" => self.plan(&update["entries"], events),
            "usage_update" if text_at(update, "/cost/currency") == "USD" => {
                self.usage.cost_usd = update["cost"]["amount"].as_f64();
                events.push(EngineEvent::Usage(self.usage));
            }
            _ => {}
        }
    }

    /// Takes in what is said of a call: in an update, or with a request for permission.
    pub(super) fn call(&mut self, update: &Value, events: &mut Vec<EngineEvent>) {
        let id = truncated(text_at(update, "/toolCallId"), ENGINE_WORD_BYTES_MAX);
        if id.is_empty() || (self.calls.len() >= CALLS_MAX && !self.calls.contains_key(id)) {
            return;
        }
        let call = self.calls.entry(id.to_owned()).or_default();
        if call.is_done {
            return;
        }
        call.is_own |= is_own(update);
        if call.name.is_empty() {
            call.name = name(update);
        }
        if !call.is_shown {
            match &update["rawInput"] {
                Value::Null => {}
                input => call.args = args(input),
            }
            if call.args.is_null()
                && let Some(path) = update["locations"][0]["path"].as_str()
            {
                call.args = args(&json!({ "path": path }));
            }
        }
        // An empty list at the end is no reason to forget what was shown.
        if let Some(content @ [_, ..]) = update["content"].as_array().map(Vec::as_slice) {
            call.output = contents(content);
        }
        let status = text_at(update, "/status");
        let is_done = matches!(status, "completed" | "failed");
        // One that is pending may yet be told with more of its arguments.
        if (is_done || status == "in_progress") && !call.is_shown {
            call.show(id, events);
            self.reply.begin();
        }
        if is_done {
            call.is_done = true;
            let mut output = std::mem::take(&mut call.output);
            if output.is_empty() {
                output = raw(&update["rawOutput"]);
            }
            events.push(tool_result(id, status == "completed", &output));
        }
    }

    /// Shows the call that a permission is asked for, before the question.
    pub(super) fn show(&mut self, id: &str, events: &mut Vec<EngineEvent>) {
        let id = truncated(id, ENGINE_WORD_BYTES_MAX);
        if let Some(call) = self.calls.get_mut(id).filter(|call| !call.is_shown) {
            call.show(id, events);
            self.reply.begin();
        }
    }

    /// Whether a call is one of Skep's own tools, as far as the agent's program said so, and not its model.
    pub(super) fn is_own(&self, id: &str) -> bool {
        let id = truncated(id, ENGINE_WORD_BYTES_MAX);
        self.calls.get(id).is_some_and(|call| call.is_own)
    }

    /// A plan is shown as a call of a tool that only writes it down.
    fn plan(&mut self, entries: &Value, events: &mut Vec<EngineEvent>) {
        if !entries.is_array() || *entries == self.plan {
            return;
        }
        self.plan = entries.clone();
        self.plans += 1;
        let id = format!("plan-{}", self.plans);
        events.push(tool_call(&id, "plan", json!({ "entries": entries })));
        events.push(tool_result(&id, true, ""));
        self.reply.begin();
    }

    /// The turn is over: a call whose end was not told has ended, too.
    pub(super) fn end(&mut self, events: &mut Vec<EngineEvent>) {
        let mut open: Vec<_> = self.calls.iter_mut().collect();
        open.retain(|(_, call)| call.is_shown && !call.is_done);
        open.sort_by_key(|(id, _)| *id);
        for (id, call) in open {
            call.is_done = true;
            events.push(tool_result(id, true, &call.output));
        }
    }

    /// The tokens of the turn, where its end says so.
    pub(super) fn usage(&mut self, end: &Value, events: &mut Vec<EngineEvent>) {
        // Gemini has its own place for them.
        let places = [&end["usage"], &end["_meta"]["quota"]["token_count"]];
        let Some(usage) = places.into_iter().find(|place| place.is_object()) else {
            return;
        };
        let read = [
            "/inputTokens",
            "/cachedReadTokens",
            "/cachedWriteTokens",
            "/input_tokens",
        ];
        let written = ["/outputTokens", "/thoughtTokens", "/output_tokens"];
        let sum = |names: &[&str]| {
            let counts = names.iter().filter_map(|name| number_at(usage, name));
            counts.reduce(u64::saturating_add)
        };
        self.usage.input_tokens = sum(&read);
        self.usage.output_tokens = sum(&written);
        events.push(EngineEvent::Usage(self.usage));
    }

    /// Whether there is a reply.
    pub(super) fn said_something(&self) -> bool {
        self.reply.said_something()
    }
}

impl Call {
    fn show(&mut self, id: &str, events: &mut Vec<EngineEvent>) {
        self.is_shown = true;
        let args = std::mem::take(&mut self.args);
        let args = if args.is_null() { json!({}) } else { args };
        events.push(tool_call(id, &self.name, args));
    }
}

/// The protocol has no word for the server of a tool; each agent has its own.
fn is_own(call: &Value) -> bool {
    let asked = &call["rawInput"];
    let is_codexs = asked["server_name"] == SERVER_NAME
        && text_at(asked, "/request/_meta/codex_approval_kind") == "mcp_tool_call";
    let is_claudes = text_at(call, "/_meta/claudeCode/toolName")
        .strip_prefix("mcp__")
        .and_then(|name| name.strip_prefix(SERVER_NAME))
        .is_some_and(|rest| rest.starts_with("__"));
    // The id begins with the tool's name; in the title of another tool the model may have written anything.
    let is_geminis = text_at(call, "/toolCallId")
        .strip_prefix("mcp_")
        .and_then(|name| name.strip_prefix(SERVER_NAME))
        .is_some_and(|rest| rest.starts_with('_'))
        && text_at(call, "/title").ends_with(" (skep MCP Server)");
    is_codexs || is_claudes || is_geminis
}

/// What a call is called: agents give no tool's name, but a title.
pub(super) fn name(call: &Value) -> String {
    let title = text_at(call, "/title").lines().next().unwrap_or_default();
    let kind = text_at(call, "/kind");
    let name = [title.trim(), kind, "tool"];
    let name = name.into_iter().find(|name| !name.is_empty());
    truncated(name.unwrap_or_default(), ENGINE_WORD_BYTES_MAX).to_owned()
}

/// No more of the arguments than is shown.
fn args(input: &Value) -> Value {
    let text = input.to_string();
    match truncated(&text, TOOL_DETAIL_BYTES_MAX) {
        whole if whole.len() == text.len() => input.clone(),
        part => Value::String(part.to_owned()),
    }
}

/// A block of content as text.
fn block(content: &Value) -> String {
    match text_at(content, "/type") {
        "text" => text_at(content, "/text").to_owned(),
        "resource_link" => {
            let (name, uri) = (text_at(content, "/name"), text_at(content, "/uri"));
            format!("[{}]({uri})", if name.is_empty() { uri } else { name })
        }
        "resource" => text_at(content, "/resource/text").to_owned(),
        "image" => "[image]".to_owned(),
        "audio" => "[audio]".to_owned(),
        _ => String::new(),
    }
}

fn contents(parts: &[Value]) -> String {
    let mut output = String::new();
    for part in parts {
        if output.len() >= TOOL_DETAIL_BYTES_MAX {
            break;
        }
        let text = match text_at(part, "/type") {
            "content" => block(&part["content"]),
            "diff" => difference(part),
            "terminal" => format!("[terminal {}]", text_at(part, "/terminalId")),
            _ => String::new(),
        };
        if !output.is_empty() && !text.is_empty() {
            output.push('\n');
        }
        output.push_str(truncated(&text, TOOL_DETAIL_BYTES_MAX));
    }
    output
}

/// What changes in a file.
pub(super) fn difference(part: &Value) -> String {
    let path = text_at(part, "/path");
    let (before, after) = (text_at(part, "/oldText"), text_at(part, "/newText"));
    if before.len() + after.len() > DIFF_SOURCE_BYTES_MAX {
        return format!(
            "{path}: {} bytes become {} bytes",
            before.len(),
            after.len()
        );
    }
    edit::diff(path, before, after)
}

fn raw(output: &Value) -> String {
    match output {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        output => match output["output"].as_str() {
            Some(text) => text.to_owned(),
            None => output.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each agent's way to say it, as it was seen; what the model can choose alone is none.
    #[test]
    fn skeps_own_tools_are_known_by_what_the_agents_program_says() {
        let codex = json!({ "server_name": "skep", "request": { "_meta": { "codex_approval_kind": "mcp_tool_call" } } });
        let meta = |tool: &str| json!({ "toolCallId": "1", "_meta": { "claudeCode": { "toolName": tool } } });
        let gemini = |id: &str, title: &str| json!({ "toolCallId": id, "title": title });
        for (call, expected) in [
            (json!({ "toolCallId": "1", "rawInput": codex }), true),
            (
                json!({ "toolCallId": "1", "rawInput": { "server_name": "skep" } }),
                false,
            ),
            (meta("mcp__skep__send_message"), true),
            (meta("mcp__skeptic__send_message"), false),
            (meta("Bash"), false),
            (
                json!({ "toolCallId": "1", "title": "mcp__skep__send_message" }),
                false,
            ),
            (
                gemini("mcp_skep_send__mcp_skep_send_1_0", "send (skep MCP Server)"),
                true,
            ),
            (
                gemini("run_shell_command__1_0", "rm a # (skep MCP Server)"),
                false,
            ),
            (
                gemini("mcp_skep_send__1_0", "send (other MCP Server)"),
                false,
            ),
        ] {
            let mut updates = Updates::default();
            updates.call(&call, &mut Vec::new());
            let id = text_at(&call, "/toolCallId");
            assert_eq!(updates.is_own(id), expected, "{call}");
        }
    }
}
