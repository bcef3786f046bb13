//! The tools that a model is offered, and what becomes of its calls.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::super::cli::{tool_call, tool_result};
use super::super::permission::{Ask, Verdict};
use super::answer::{ARGUMENT_BYTES_MAX, Call};
use super::conversation::{Offer, Output};
use super::turn::{Halt, Talk};
use crate::model::text::truncated;
use crate::tool::{self, Access, Context, Decision, Permissions, Tool, ToolOutput};

/// What a model is told of a tool's answer.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// What the log keeps of a call's arguments; the model's own words of them are in it, too.
const NOTED_BYTES_MAX: usize = 4 * 1024;
/// Calls that run at once.
const PARALLEL_MAX: usize = 8;

/// The tools that this agent could use at all: a model that is offered less chooses better, and reads less.
pub(super) fn offered(cx: &Context, permissions: Permissions) -> Vec<Offer> {
    tool::ALL
        .iter()
        .filter(|tool| is_offered(tool, cx, permissions))
        .map(|tool| Offer {
            name: tool.name,
            description: tool.description,
            schema: tool.schema(),
        })
        .collect()
}

fn is_offered(tool: &Tool, cx: &Context, permissions: Permissions) -> bool {
    tool::is_for(tool, cx.worker_id, permissions)
        && (cx.may_fetch || tool.name != tool::fetch::FETCH.name)
}

/// Calls with an id each; some servers give none.
pub(super) fn numbered(mut calls: Vec<Call>) -> Vec<Call> {
    for (at, call) in calls.iter_mut().enumerate() {
        if call.id.is_empty() {
            call.id = format!("call_{}", at + 1);
        }
        // What is no JSON must not be sent back as if it were; the answer says what was wrong with it.
        if call.is_too_long {
            call.arguments = "{}".to_owned();
        }
    }
    calls
}

/// What one call comes to before it is done.
enum Step {
    Do(&'static Tool, Value),
    Refuse(String),
}

/// Does what the model calls for, in its order; what only looks is done at the same time.
pub(super) async fn answer(talk: &mut Talk<'_>, calls: &[Call]) -> Result<Vec<Output>, Halt> {
    let mut outputs = Vec::with_capacity(calls.len());
    let mut rest = calls;
    while !rest.is_empty() {
        let looks = rest.iter().take_while(|call| only_looks(call)).count();
        let (group, others) = rest.split_at(looks.clamp(1, PARALLEL_MAX));
        rest = others;
        let mut steps = Vec::with_capacity(group.len());
        for call in group {
            note_call(talk, call).await?;
            steps.push(judge(talk, call).await?);
        }
        let cx = talk.cx.clone();
        let doing = steps.into_iter().map(|step| perform(&cx, step));
        let done = join_all(doing).await;
        for (call, done) in group.iter().zip(done) {
            outputs.push(note_output(talk, call, done).await?);
        }
        if cx.stop.is_cancelled() {
            return Err(Halt::Stopped);
        }
    }
    Ok(outputs)
}

fn only_looks(call: &Call) -> bool {
    tool::find(&call.name).is_some_and(|tool| tool.access == Access::Read)
}

/// The one place that decides whether a call is done, and what is said instead. It may take as long as a person takes.
async fn judge(talk: &mut Talk<'_>, call: &Call) -> Result<Step, Halt> {
    let (tool, arguments) = match understood(talk, call) {
        Ok(understood) => understood,
        Err(why) => return Ok(Step::Refuse(why)),
    };
    let mut ask = Ask::new(tool.name, tool.access, arguments.clone());
    ask.call_id = Some(call.id.clone());
    if talk.permissions().decide(tool.access) == Decision::Ask {
        ask.diff = tool::preview::preview(&talk.cx, tool, &arguments).await;
    }
    let verdict = talk.run.ask(ask).await;
    if !matches!(verdict, Verdict::AllowedByMode) {
        let note = format!("permission for {}: {}", tool.name, verdict.sentence());
        talk.run.log.note(&note)?;
    }
    Ok(match verdict.is_allowed() {
        true => Step::Do(tool, arguments),
        false => Step::Refuse(verdict.sentence()),
    })
}

/// The tool and the arguments of a call, or what is wrong with it.
fn understood(talk: &Talk<'_>, call: &Call) -> Result<(&'static Tool, Value), String> {
    let Some(tool) = tool::find(&call.name) else {
        let known: Vec<&str> = offered(&talk.cx, talk.permissions())
            .iter()
            .map(|tool| tool.name)
            .collect();
        return Err(format!(
            "there is no tool {:?}; there are {}",
            call.name,
            known.join(", ")
        ));
    };
    if call.is_too_long {
        return Err(format!(
            "the arguments have more than {ARGUMENT_BYTES_MAX} bytes; do it in smaller parts"
        ));
    }
    let arguments = match call.arguments.trim() {
        "" => Ok(json!({})),
        text => serde_json::from_str(text),
    };
    match arguments {
        Ok(arguments) => {
            // Nobody is asked for what cannot be done.
            tool.check(&arguments).map_err(|error| error.to_string())?;
            Ok((tool, arguments))
        }
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    }
}

async fn perform(cx: &Context, step: Step) -> Result<ToolOutput, String> {
    let (tool, arguments) = match step {
        Step::Do(tool, arguments) => (tool, arguments),
        Step::Refuse(why) => return Err(why),
    };
    let doing = tool.call(cx, arguments);
    // A program is ended by its own tool, which then returns; everything else can be left where it is.
    let done = match tool.access {
        Access::Run => Some(doing.await),
        _ => cx.stop.run_until_cancelled(doing).await,
    };
    match done {
        Some(done) => done.map_err(|error| error.to_string()),
        None => Err("it was stopped".to_owned()),
    }
}

async fn note_call(talk: &mut Talk<'_>, call: &Call) -> Result<(), Halt> {
    let shown = truncated(&call.arguments, NOTED_BYTES_MAX);
    talk.run.log.note(&format!("tool {}: {shown}", call.name))?;
    let arguments = serde_json::from_str(&call.arguments)
        .unwrap_or_else(|_| Value::String(call.arguments.clone()));
    talk.emit(tool_call(&call.id, &call.name, arguments)).await
}

/// People are shown what changed; the model knows, since it wrote it.
async fn note_output(
    talk: &mut Talk<'_>,
    call: &Call,
    done: Result<ToolOutput, String>,
) -> Result<Output, Halt> {
    let (ok, text, diff) = match done {
        Ok(output) => {
            let diff = output.data["diff"].as_str().map(str::to_owned);
            (true, output.text, diff)
        }
        Err(why) => (false, why, None),
    };
    let text = match truncated(&text, OUTPUT_BYTES_MAX) {
        whole if whole.len() == text.len() => text,
        part => format!("{part}\n… {} bytes in all", text.len()),
    };
    let shown = match diff.filter(|diff| !diff.is_empty()) {
        Some(diff) => format!("{text}\n\n{diff}"),
        None => text.clone(),
    };
    let word = if ok { "did" } else { "failed" };
    talk.run
        .log
        .note(&format!("tool {} {word}: {shown}", call.name))?;
    talk.emit(tool_result(&call.id, ok, &shown)).await?;
    Ok(Output {
        id: call.id.clone(),
        ok,
        text,
    })
}
