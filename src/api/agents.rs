//! For clients made for Bee Flow: workers as agents, whose system prompt is the worker's memory.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::caller::require;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::work_dir;
use super::workers::{self, WorkerBody, given, present};
use crate::app::App;
use crate::command::{CreateAgent, UpdateAgent, UpdateWorker, WorkerPatch};
use crate::http::{ApiError, Request, Response};
use crate::model::limits::{
    KNOWLEDGE_BASES_MAX, MEMORY_BYTES_MAX, NAME_BYTES_MAX, STARTER_PROMPT_BYTES_MAX,
    STARTER_PROMPTS_MAX, WORKER_NAME_CHARS_MAX,
};
use crate::model::profile::{Agent, Profile, ProfilePatch};
use crate::model::text::{free_text, worker_name};
use crate::model::{Millis, WorkDir, Worker, WorkerId};
use crate::store::{StoreError, profiles, workers as stored};
use crate::tool::{self, Access};

/// How many copies of one name are tried.
const COPIES_MAX: u32 = 1000;

/// An agent: a worker.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Agent")]
pub(super) struct AgentView {
    id: WorkerId,
    #[schemars(example = &"Assistant")]
    name: String,
    description: String,
    /// What it always keeps in mind: the worker's memory.
    system_prompt: String,
    /// The model; `null` is the engine's own choice.
    model: Option<String>,
    /// The name of its engine; `null` is the default one.
    engine: Option<String>,
    /// What a user may want to begin with.
    starter_prompts: Vec<String>,
    /// The tools of Skep's that it is meant to use; none is all of them.
    tools: Vec<String>,
    /// Kept for clients; there are no knowledge bases yet.
    knowledge_base_ids: Vec<String>,
    /// RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
}

pub(super) fn view(agent: Agent) -> AgentView {
    let Agent { worker, profile } = agent;
    AgentView {
        id: worker.id,
        name: worker.name,
        description: worker.description,
        system_prompt: worker.memory,
        model: given(worker.model),
        engine: given(worker.engine),
        starter_prompts: profile.starter_prompts,
        tools: profile.tools,
        knowledge_base_ids: profile.knowledge_base_ids,
        created_at: rfc3339(worker.created_at),
        updated_at: rfc3339(worker.updated_at),
    }
}

fn rfc3339(at: Millis) -> String {
    let at = i64::try_from(at).ok();
    let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or_default().to_string()
}

/// What a client may say of an agent. For a `PATCH`, what is absent stays; `null` and `""` clear.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(rename = "AgentChange")]
pub(super) struct AgentBody {
    /// 1 to 100 characters; not `bee`, and no other worker's.
    name: Option<String>,
    #[serde(deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    system_prompt: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    model: Option<Option<String>>,
    /// A name from `GET /api/engines`.
    #[serde(deserialize_with = "present")]
    engine: Option<Option<String>>,
    starter_prompts: Option<Vec<String>>,
    /// Names of Skep's tools; none is all of them.
    tools: Option<Vec<String>>,
    knowledge_base_ids: Option<Vec<String>>,
}

/// A new agent: only its name is required.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct NewAgent(AgentBody);

/// A copy of an agent.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct NewCopy {
    /// Its name; else that of the first with `(copy)` behind it.
    name: Option<String>,
}

impl AgentBody {
    fn parse(self, app: &App) -> Result<(WorkerPatch, ProfilePatch), ApiError> {
        let cleared = |text: Option<Option<String>>| text.map(Option::unwrap_or_default);
        let worker = WorkerBody {
            name: self.name,
            description: cleared(self.description),
            memory: cleared(self.system_prompt),
            model: cleared(self.model),
            engine: cleared(self.engine),
            ..WorkerBody::default()
        };
        let mut faults = Vec::new();
        // A worker's memory is called otherwise here.
        if let Some(prompt) = &worker.memory
            && let Err(fault) = free_text("systemPrompt", prompt, MEMORY_BYTES_MAX)
        {
            faults.push((fault.field, fault.message));
        }
        let mut check =
            |field, list: &Option<Vec<String>>, max, is_good: &dyn Fn(&str) -> bool, says| {
                let list = list.as_deref().unwrap_or_default();
                if list.len() > max {
                    faults.push((field, format!("must be at most {max}")));
                } else if let Some(bad) = list.iter().find(|text| !is_good(text)) {
                    faults.push((field, format!("{bad:?}: {says}")));
                }
            };
        let prompts = |text: &str| {
            !text.trim().is_empty()
                && free_text("starterPrompts", text, STARTER_PROMPT_BYTES_MAX).is_ok()
        };
        let says = format!("must be 1 to {STARTER_PROMPT_BYTES_MAX} bytes of text");
        check(
            "starterPrompts",
            &self.starter_prompts,
            STARTER_PROMPTS_MAX,
            &prompts,
            &*says,
        );
        let known = |name: &str| tool::find(name).is_some();
        check(
            "tools",
            &self.tools,
            tool::ALL.len(),
            &known,
            "there is no such tool",
        );
        let id = |id: &str| {
            (1..=NAME_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        check(
            "knowledgeBaseIds",
            &self.knowledge_base_ids,
            KNOWLEDGE_BASES_MAX,
            &id,
            "is no id",
        );
        if !faults.is_empty() {
            return Err(ApiError::validation(faults));
        }
        let worker = worker.parse(app)?;
        let profile = ProfilePatch {
            daily_cost_nanos_max: None,
            starter_prompts: self.starter_prompts,
            tools: self.tools,
            knowledge_base_ids: self.knowledge_base_ids,
        };
        Ok((worker, profile))
    }
}

fn find(app: &App, id: WorkerId) -> Result<Agent, ApiError> {
    let found = app.store.read(|tx| {
        let Some(worker) = stored::get(tx, id)? else {
            return Ok(None);
        };
        let profile = profiles::get(tx, id)?;
        Ok::<_, StoreError>(Some(Agent { worker, profile }))
    })?;
    found.ok_or_else(|| ApiError::not_found("agent"))
}

/// `GET /api/agents` -- newest first.
pub async fn list_agents(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let query = PageQuery::of(&req)?;
    let (rows, next) = app.store.read(|tx| {
        let page = stored::list(tx, query.cursor, query.limit)?;
        let rows = page.rows.into_iter().map(|worker| {
            let profile = profiles::get(tx, worker.id)?;
            Ok(view(Agent { worker, profile }))
        });
        Ok::<_, StoreError>((rows.collect::<Result<Vec<_>, StoreError>>()?, page.next))
    })?;
    Ok(page::answer(&req, &rows, next))
}

/// `GET /api/agents/{agent_id}` -- one agent.
pub async fn get_agent(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    Ok(Response::ok(&view(find(&app, req.path("agent_id")?)?)))
}

/// `POST /api/agents` -- a new agent, which is a new worker; only its name is required.
pub async fn create_agent(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let NewAgent(body) = req.json().await?;
    let (patch, profile) = body.parse(&app)?;
    let name = patch
        .name
        .ok_or_else(|| ApiError::bad_request("name: is missing"))?;
    let worker = Worker {
        id: app.ids.next(),
        name,
        description: patch.description.unwrap_or_default(),
        memory: patch.memory.unwrap_or_default(),
        work_dir: WorkDir::Own,
        engine: patch.engine.unwrap_or_default(),
        model: patch.model.unwrap_or_default(),
        permissions: String::new(),
        timeout_s: None,
        created_at: app.now(),
        updated_at: app.now(),
    };
    create(&app, &req, worker, Profile::default().with(profile)).await
}

/// Makes it, with a directory of its own.
async fn create(
    app: &App,
    req: &Request,
    mut worker: Worker,
    profile: Profile,
) -> Result<Response, ApiError> {
    workers::refuse_taken(app, &worker.name)?;
    worker.work_dir = work_dir::prepare(app, worker.id, "")?;
    let (id, made) = (worker.id, worker.work_dir.clone());
    match submit(app, req, CreateAgent { worker, profile }).await {
        Ok(agent) => created(app, agent),
        Err(error) => {
            work_dir::undo(app, id, &made);
            Err(error)
        }
    }
}

pub(super) fn created(_app: &App, agent: Agent) -> Result<Response, ApiError> {
    let location = format!("/api/agents/{}", agent.worker.id);
    Ok(Response::created(&location, &view(agent)))
}

/// `PATCH /api/agents/{agent_id}` -- changes what is given.
pub async fn update_agent(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: WorkerId = req.path("agent_id")?;
    let body: AgentBody = req.json().await?;
    let (patch, profile) = body.parse(&app)?;
    find(&app, id)?;
    let worker = UpdateWorker {
        id,
        patch,
        at: app.now(),
    };
    let agent = app.journal.submit(UpdateAgent { worker, profile }).await?;
    Ok(Response::ok(&view(agent)))
}

/// `DELETE /api/agents/{agent_id}` -- stops what it runs, cancels what waits for it, removes it.
///
/// Its directory stays, unless it is empty.
pub async fn delete_agent(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let agent = find(&app, req.path("agent_id")?)?;
    workers::delete(&app, agent.worker, false).await
}

/// `POST /api/agents/{agent_id}/duplicate` -- a new agent like this one, with a directory of its own.
pub async fn duplicate_agent(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: WorkerId = req.path("agent_id")?;
    let body: Option<NewCopy> = req.json_optional().await?;
    let Agent { worker, profile } = find(&app, id)?;
    let now = app.now();
    let copy = |name: String| Worker {
        id: app.ids.next(),
        name,
        created_at: now,
        updated_at: now,
        ..worker.clone()
    };
    if let Some(name) = body.and_then(|body| body.name) {
        return create(&app, &req, copy(worker_name(&name)?), profile).await;
    }
    for name in copy_names(&worker.name) {
        match create(&app, &req, copy(name.clone()), profile.clone()).await {
            // It is another one's, perhaps since a moment ago.
            Err(_) if workers::refuse_taken(&app, &name).is_err() => {}
            made => return made,
        }
    }
    Err(ApiError::conflict(
        "There are too many copies of it; give this one a name",
    ))
}

/// `Name (copy)`, `Name (copy 2)` …
fn copy_names(name: &str) -> impl Iterator<Item = String> + '_ {
    (1..=COPIES_MAX).map(|number| {
        let suffix = match number {
            1 => " (copy)".to_owned(),
            number => format!(" (copy {number})"),
        };
        let room = WORKER_NAME_CHARS_MAX - suffix.len();
        let stem: String = name.chars().take(room).collect();
        format!("{}{suffix}", stem.trim_end())
    })
}

/// A tool of Skep's, as an agent has it. What its engine brings itself is not in the list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AgentTool")]
pub(super) struct ToolView {
    name: &'static str,
    description: &'static str,
    /// `read`, `write`, `send` or `run`.
    access: String,
    /// The JSON Schema of its arguments.
    input_schema: Value,
    /// Whether the agent may use it: its `tools` name it or none, and its permissions do not rule it out.
    enabled: bool,
}

/// `GET /api/agents/{agent_id}/tools` -- Skep's tools, and which of them the agent may use.
pub async fn list_agent_tools(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let Agent { worker, profile } = find(&app, req.path("agent_id")?)?;
    let permissions = tool::Permissions::parse(&worker.permissions);
    let tools = tool::ALL.iter().map(|tool| ToolView {
        name: tool.name,
        description: tool.description,
        access: access(tool.access).to_owned(),
        input_schema: tool.schema(),
        enabled: tool::is_for(tool, Some(worker.id), permissions)
            && (profile.tools.is_empty() || profile.tools.iter().any(|name| name == tool.name)),
    });
    Ok(Response::ok(&tools.collect::<Vec<_>>()))
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Send => "send",
        Access::Run => "run",
    }
}
