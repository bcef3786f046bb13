//! The registry's tools as the protocol shows them.

use std::sync::Arc;

use super::super::caller::Caller;
use crate::app::App;
use crate::engine::permission::Ask;
use crate::http::CancellationToken;
use crate::supervisor::Agent;
use crate::tool::{self, Access, Authority, Context, Tool};
use serde_json::{Value, json};

/// What is offered. Files and programs are a worker's own, and whoever calls from outside has no work directory.
const OFFERED: [&str; 21] = [
    "list_workers",
    "get_worker",
    "create_worker",
    "update_worker",
    "delete_worker",
    "get_worker_status",
    "create_task",
    "list_tasks",
    "cancel_task",
    "mark_task_complete",
    "send_message",
    "list_session_contexts",
    "clear_session",
    "clear_worker_session",
    "save_memory",
    "get_memory",
    "delete_memory",
    "search_knowledge",
    "get_system_overview",
    "list_executions",
    "ask_worker",
];

/// Here a worker is `worker_id`, as everywhere in the API; an agent's own tools take its name first.
const WORKER: (&str, &str) = ("worker", "worker_id");
/// What OpenBee calls a chat; it is understood, too.
const SESSION: (&str, &str) = ("session_id", "session_key");

fn scope(tool: &Tool) -> &'static str {
    match (tool.name, tool.access) {
        (_, Access::Read) => "read",
        ("send_message" | "clear_session" | "clear_worker_session" | "ask_worker", _)
        | (_, Access::Send) => "chat",
        (_, Access::Write | Access::Run) => "admin",
    }
}

fn is_offered(tool: &Tool, caller: &Caller) -> bool {
    OFFERED.contains(&tool.name)
        && match caller.agent() {
            Some(agent) => tool::is_for(tool, agent.worker_id, agent.permissions),
            None => caller.may(scope(tool)),
        }
}

/// The tool with this name, if the caller may use it.
pub(super) fn find(caller: &Caller, name: &str) -> Option<&'static Tool> {
    tool::find(name).filter(|tool| is_offered(tool, caller))
}

/// Every tool that the caller may use.
pub(super) fn listed(caller: &Caller) -> Vec<Value> {
    let offered = tool::ALL.iter().filter(|tool| is_offered(tool, caller));
    offered
        .map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "inputSchema": schema(tool),
                "annotations": { "readOnlyHint": tool.access == Access::Read },
            })
        })
        .collect()
}

fn schema(tool: &Tool) -> Value {
    let mut schema = tool.schema();
    let (ours, theirs) = WORKER;
    if let Some(properties) = schema["properties"].as_object_mut()
        && let Some(property) = properties.remove(ours)
    {
        properties.insert(theirs.to_owned(), property);
    }
    for name in schema["required"].as_array_mut().into_iter().flatten() {
        if name == ours {
            *name = theirs.into();
        }
    }
    schema
}

/// What a tool answered to a user's client.
pub(super) async fn call(
    app: &Arc<App>,
    closing: &CancellationToken,
    tool: &Tool,
    arguments: Value,
) -> Value {
    let directory = app.data.bee_dir();
    let cx = Context {
        shared: app.tools.clone(),
        authority: Authority::Account,
        execution_id: None,
        worker_id: None,
        session_id: None,
        work_dir: directory.clone(),
        temp_dir: directory,
        may_fetch: false,
        granted: Default::default(),
        stop: closing.clone(),
    };
    done(&cx, tool, arguments).await
}

/// What a tool answered to an agent. It is not done for one that has to end.
pub(super) async fn call_of_agent(
    app: &Arc<App>,
    agent: &Agent,
    tool: &Tool,
    arguments: Value,
) -> Value {
    let Some(asker) = app.supervisor.asker(agent.execution_id) else {
        return refused("it was stopped");
    };
    let asked = asker.ask(Ask::new(tool.name, tool.access, arguments.clone()));
    match agent.over.run_until_cancelled(asked).await {
        Some(verdict) if verdict.is_allowed() => {}
        Some(verdict) => return refused(&verdict.sentence()),
        None => return refused("it was stopped"),
    }
    let cx = Context {
        shared: app.tools.clone(),
        authority: Authority::Agent,
        execution_id: Some(agent.execution_id),
        worker_id: agent.worker_id,
        session_id: agent.session_id,
        work_dir: agent.work_dir.clone(),
        temp_dir: agent.work_dir.clone(),
        may_fetch: false,
        granted: Default::default(),
        stop: agent.over.clone(),
    };
    let done = done(&cx, tool, arguments);
    match agent.over.run_until_cancelled(done).await {
        Some(done) => done,
        None => refused("it was stopped"),
    }
}

/// That a tool could not is a result, too: the model reads it and does better.
fn refused(why: &str) -> Value {
    let text = json!([{ "type": "text", "text": why }]);
    json!({ "content": text, "isError": true })
}

async fn done(cx: &Context, tool: &Tool, mut arguments: Value) -> Value {
    for (ours, theirs) in [WORKER, SESSION] {
        if tool.params.iter().any(|param| param.name == ours)
            && let Some(given) = arguments.as_object_mut()
            && let Some(value) = given.remove(theirs)
        {
            given.insert(ours.to_owned(), value);
        }
    }
    match tool.call(cx, arguments).await {
        Ok(output) => {
            let text = json!([{ "type": "text", "text": output.text }]);
            // Older revisions take an object and nothing else.
            let data = match output.data {
                data @ Value::Object(_) => data,
                data => json!({ "items": data }),
            };
            json!({ "content": text, "structuredContent": data, "isError": false })
        }
        Err(error) => refused(&error.to_string()),
    }
}
