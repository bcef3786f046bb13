//! One turn in an agent's own language: what is said to it next, and what its words mean.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};

use super::super::EngineEvent;
use super::super::cli::{failure, text_at};
use super::super::extra::Extra;
use super::super::mcp::{McpAccess, SERVER_NAME};
use super::super::process::{Parser, Talk};
use super::requests::{Answer, Answered, Desk};
use super::updates::{Updates, name};
use super::wire::{self, AUTH_REQUIRED, Failure, INTERNAL_ERROR, METHOD_NOT_FOUND, Message};
use crate::execution_log::Stream;
use crate::model::limits::ENGINE_WORD_BYTES_MAX;

/// The version of the protocol that is spoken.
const PROTOCOL_VERSION: u64 = 1;
/// Requests of an agent that are worked on at once.
const REQUESTS_MAX: usize = 32;

/// Skep's requests, each with its own number, so that a log can be read without what was told.
const INITIALIZE: u64 = 1;
const RESUME: u64 = 2;
const LOAD: u64 = 3;
const NEW: u64 = 4;
const AUTHENTICATE: u64 = 5;
const NEW_AGAIN: u64 = 6;
const SET_MODEL: u64 = 7;
const PROMPT: u64 = 8;
/// After a session was loaded: some repeat what was said in it only then, but before they answer this.
const SETTLE: u64 = 9;

/// What a turn is about.
pub(super) struct Opening {
    /// The directory to work in.
    pub cwd: String,
    /// The session to go on with.
    pub resume: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// How to sign in when the agent wants that: the first of these that it knows.
    pub auth_methods: Vec<String>,
    /// The message, for a session that goes on.
    pub prompt: Vec<Value>,
    /// Who the agent is, for a session that begins.
    pub briefing: String,
    /// Whether that is news to a session that goes on.
    pub is_news: bool,
    /// Other servers of tools.
    pub extra: Extra,
    /// Skep's own tools.
    pub mcp: Option<McpAccess>,
    /// Who answers what the agent asks for.
    pub desk: Desk,
}

/// A turn with an agent.
pub struct Conversation {
    /// `None`: it is only read, from a log.
    opening: Option<Opening>,
    /// Requests that have no answer yet.
    asked: BTreeSet<u64>,
    abilities: Value,
    sign_in: String,
    /// How to sign in without a person.
    auth_method: Option<String>,
    session: Option<String>,
    /// What the agent said of a session that it loaded.
    loaded: Option<Value>,
    /// What is said is said in this turn, and not repeated from an earlier one.
    is_open: bool,
    is_fresh: bool,
    is_cancelled: bool,
    is_over: bool,
    updates: Updates,
    input: Vec<u8>,
    notes: Vec<String>,
    work: FuturesUnordered<Answered>,
    /// Permissions that are asked for.
    open_questions: HashMap<String, Value>,
}

impl Conversation {
    /// A turn that begins.
    pub(super) fn new(opening: Opening) -> Self {
        let mut conversation = Self::read();
        conversation.opening = Some(opening);
        conversation.asked.clear();
        let params = json!({
            "protocolVersion": PROTOCOL_VERSION,
            "clientCapabilities": {
                "fs": { "readTextFile": true, "writeTextFile": true },
                "terminal": false,
            },
            "clientInfo": { "name": "skep", "title": "Skep", "version": env!("CARGO_PKG_VERSION") },
        });
        conversation.ask(INITIALIZE, "initialize", &params);
        conversation
    }

    /// One that is read from a log.
    pub(super) fn read() -> Self {
        Self {
            opening: None,
            asked: (INITIALIZE..=SETTLE).collect(),
            loaded: None,
            abilities: Value::Null,
            sign_in: String::new(),
            auth_method: None,
            session: None,
            is_open: false,
            is_fresh: true,
            is_cancelled: false,
            is_over: false,
            updates: Updates::default(),
            input: Vec::new(),
            notes: Vec::new(),
            work: FuturesUnordered::new(),
            open_questions: HashMap::new(),
        }
    }

    fn ask(&mut self, id: u64, method: &str, params: &Value) {
        if self.opening.is_some() && !self.is_cancelled {
            self.asked.insert(id);
            let line = wire::request(id, method, params);
            self.input.extend_from_slice(line.as_bytes());
        }
    }

    fn message(&mut self, message: Message, events: &mut Vec<EngineEvent>) {
        match message {
            Message::Answer { id, result } if self.asked.remove(&id) => match result {
                Ok(result) => self.answered(id, &result, events),
                Err(failure) => self.failed(id, &failure, events),
            },
            // To what nobody asked, or a second time.
            Message::Answer { .. } => {}
            Message::Notification { method, params } => {
                if method == "session/update" && self.is_own(&params) {
                    self.updates.update(&params["update"], events);
                }
            }
            Message::Request { id, method, params } => self.request(id, &method, params, events),
        }
    }

    fn is_own(&self, params: &Value) -> bool {
        self.is_open
            && self
                .session
                .as_deref()
                .is_none_or(|id| params["sessionId"] == id)
    }

    fn answered(&mut self, id: u64, result: &Value, events: &mut Vec<EngineEvent>) {
        match id {
            INITIALIZE => self.initialized(result, events),
            AUTHENTICATE => self.open_fresh(NEW_AGAIN),
            SET_MODEL => self.prompt(),
            PROMPT => self.end_of_turn(result, events),
            SETTLE => self.settled(events),
            LOAD if result["modes"]["currentModeId"].is_string() => {
                let mode = &result["modes"]["currentModeId"];
                let params = json!({ "sessionId": self.session, "modeId": mode });
                self.ask(SETTLE, "session/set_mode", &params);
                self.loaded = Some(result.clone());
            }
            _ => self.opened(id, result, events),
        }
    }

    fn initialized(&mut self, result: &Value, events: &mut Vec<EngineEvent>) {
        let version = result["protocolVersion"].as_u64();
        if version != Some(PROTOCOL_VERSION) {
            let said = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            let message = format!(
                "the agent speaks version {said} of the Agent Client Protocol, Skep speaks {PROTOCOL_VERSION}"
            );
            return self.give_up(failure(None, &message, ""), events);
        }
        self.abilities = result["agentCapabilities"].clone();
        let methods = result["authMethods"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let is_known = |id: &&String| methods.iter().any(|method| text_at(method, "/id") == **id);
        let ours = self.opening.as_ref().map(|opening| &opening.auth_methods);
        self.auth_method = ours.into_iter().flatten().find(is_known).cloned();
        let methods: Vec<String> = methods
            .iter()
            .map(|method| {
                let (id, about) = (text_at(method, "/id"), text_at(method, "/description"));
                let about = if about.is_empty() {
                    text_at(method, "/name")
                } else {
                    about
                };
                format!("{about} ({id})")
            })
            .take(8)
            .collect();
        self.sign_in = match methods.is_empty() {
            true => "sign in with the agent's own program in a terminal".to_owned(),
            false => format!(
                "sign in with the agent's own program in a terminal, or name one of its ways as `auth_method` in skep.toml: {}",
                methods.join("; ")
            ),
        };
        let resume = self.opening.as_ref().and_then(|it| it.resume.clone());
        let resumes = self.abilities["sessionCapabilities"]["resume"].is_object();
        match resume {
            Some(session) if resumes => self.go_on(RESUME, "session/resume", session),
            Some(session) if self.loads() => self.go_on(LOAD, "session/load", session),
            Some(_) => {
                let note = "the agent cannot go on with a session; starting a fresh one";
                self.notes.push(note.to_owned());
                self.open_fresh(NEW);
            }
            None => self.open_fresh(NEW),
        }
    }

    fn loads(&self) -> bool {
        self.abilities["loadSession"] == true
    }

    fn go_on(&mut self, id: u64, method: &str, session: String) {
        let mut params = self.place();
        params["sessionId"] = json!(session);
        self.session = Some(session);
        self.is_fresh = false;
        self.ask(id, method, &params);
    }

    fn open_fresh(&mut self, id: u64) {
        self.session = None;
        self.is_fresh = true;
        let params = self.place();
        self.ask(id, "session/new", &params);
    }

    /// Where a session is, and what it can use there.
    fn place(&self) -> Value {
        let cwd = self.opening.as_ref().map(|opening| &opening.cwd);
        let speaks_http = self.abilities["mcpCapabilities"]["http"] == true;
        let mcp = self.opening.as_ref().and_then(|it| it.mcp.as_ref());
        let servers = mcp.filter(|_| speaks_http).map(|mcp| {
            json!({
                "type": "http",
                "name": SERVER_NAME,
                "url": mcp.url,
                "headers": [{ "name": "Authorization", "value": mcp.authorization() }],
            })
        });
        let others = self
            .opening
            .as_ref()
            .map(|it| it.extra.for_agents(speaks_http));
        let servers: Vec<Value> = servers
            .into_iter()
            .chain(others.into_iter().flatten())
            .collect();
        json!({ "cwd": cwd, "mcpServers": servers })
    }

    fn opened(&mut self, id: u64, result: &Value, events: &mut Vec<EngineEvent>) {
        if matches!(id, NEW | NEW_AGAIN) {
            let session = text_at(result, "/sessionId");
            if !is_session_id(session) {
                let message = "the agent opened a session without an id that can be used";
                return self.give_up(failure(None, message, ""), events);
            }
            self.session = Some(session.to_owned());
        }
        self.is_open = true;
        let choice = Choice::of(result);
        if let Some(session) = &self.session {
            events.push(EngineEvent::Session {
                id: session.clone(),
                model: choice.current.clone(),
            });
        }
        let wanted = self.opening.as_ref().and_then(|it| it.model.clone());
        match wanted {
            Some(model) if choice.current.as_ref() != Some(&model) => {
                self.choose(&choice, &model, events);
            }
            _ => self.prompt(),
        }
    }

    fn settled(&mut self, events: &mut Vec<EngineEvent>) {
        if let Some(loaded) = self.loaded.take() {
            self.opened(LOAD, &loaded, events);
        }
    }

    fn choose(&mut self, choice: &Choice, model: &str, events: &mut Vec<EngineEvent>) {
        let session = self.session.clone();
        if choice.offered.is_empty() {
            self.notes.push(format!(
                "the agent offers no choice of models; it takes its own, and not {model:?}"
            ));
            return self.prompt();
        }
        if !choice.offered.iter().any(|offered| offered == model) {
            let offered = choice.offered.join(", ");
            let message = format!("the agent has no model {model:?}; it has {offered}");
            return self.give_up(failure(None, &message, ""), events);
        }
        events.extend(session.clone().map(|id| EngineEvent::Session {
            id,
            model: Some(model.to_owned()),
        }));
        match &choice.option {
            Some(option) => self.ask(
                SET_MODEL,
                "session/set_config_option",
                &json!({ "sessionId": session, "configId": option, "value": model }),
            ),
            None => self.ask(
                SET_MODEL,
                "session/set_model",
                &json!({ "sessionId": session, "modelId": model }),
            ),
        }
    }

    fn prompt(&mut self) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        let mut prompt = std::mem::take(&mut opening.prompt);
        if self.is_fresh || opening.is_news {
            let briefing = format!("{}\n\n# The message\n\n", opening.briefing);
            prompt.insert(0, json!({ "type": "text", "text": briefing }));
        }
        let params = json!({ "sessionId": self.session, "prompt": prompt });
        self.ask(PROMPT, "session/prompt", &params);
    }

    fn end_of_turn(&mut self, result: &Value, events: &mut Vec<EngineEvent>) {
        self.updates.end(events);
        self.updates.usage(result, events);
        let why = text_at(result, "/stopReason");
        let has_answer = self.updates.said_something();
        let event = match why {
            "cancelled" => {
                return self.give_up(ended("cancelled", "the agent cancelled its turn"), events);
            }
            "refusal" => ended("refused", "the agent refused to answer"),
            _ if has_answer => EngineEvent::Result { text: None },
            "end_turn" => ended("no_answer", "the agent ended its turn without a word"),
            why => ended(
                "no_answer",
                &format!(
                    "the agent ended its turn without a word: {}",
                    why.replace('_', " ")
                ),
            ),
        };
        if !matches!(why, "end_turn" | "cancelled") && has_answer {
            self.notes
                .push(format!("the agent stopped: {}", why.replace('_', " ")));
        }
        self.give_up(event, events);
    }

    fn failed(&mut self, id: u64, error: &Failure, events: &mut Vec<EngineEvent>) {
        match (id, error.code, self.auth_method.take()) {
            (SETTLE, ..) => self.settled(events),
            (RESUME, ..) if self.loads() => {
                if let Some(session) = self.session.clone() {
                    self.go_on(LOAD, "session/load", session);
                }
            }
            (RESUME | LOAD, code, _) if code != AUTH_REQUIRED => {
                let note = "the session to go on with is gone; starting a fresh one";
                self.notes.push(note.to_owned());
                self.open_fresh(NEW);
            }
            (RESUME | LOAD | NEW, AUTH_REQUIRED, Some(method)) => {
                self.ask(AUTHENTICATE, "authenticate", &json!({ "methodId": method }));
            }
            (_, code, _) => {
                let status = (code == AUTH_REQUIRED || id == AUTHENTICATE).then_some(401);
                let message = match error.message.as_str() {
                    "" => "the agent failed and did not say why",
                    message => message,
                };
                let event = failure(status, message, &self.sign_in);
                self.give_up(event, events);
            }
        }
    }

    fn give_up(&mut self, event: EngineEvent, events: &mut Vec<EngineEvent>) {
        if !self.is_over {
            self.is_over = true;
            events.push(event);
        }
    }

    fn request(&mut self, id: Value, method: &str, params: Value, events: &mut Vec<EngineEvent>) {
        let Some(opening) = &self.opening else {
            if method == "session/request_permission" {
                self.updates.call(&params["toolCall"], events);
            }
            return;
        };
        let refusal = match method {
            "fs/read_text_file" | "fs/write_text_file" | "session/request_permission"
                if self.work.len() >= REQUESTS_MAX =>
            {
                let message = format!("{REQUESTS_MAX} requests are being worked on; ask again");
                Failure::new(INTERNAL_ERROR, message)
            }
            "fs/read_text_file" => return self.work.push(opening.desk.read(id, params)),
            "fs/write_text_file" => return self.work.push(opening.desk.write(id, params)),
            "session/request_permission" if self.is_cancelled => {
                return self.answer(&id, &cancelled());
            }
            "session/request_permission" => {
                let call = &params["toolCall"];
                self.updates.call(call, events);
                let call_id = text_at(call, "/toolCallId");
                self.updates.show(call_id, events);
                let is_own = opening.mcp.is_some() && self.updates.is_own(call_id);
                self.open_questions.insert(id.to_string(), id.clone());
                let asked = match is_own {
                    true => opening.desk.leave_it_to_the_tool(id, &name(call), &params),
                    false => opening.desk.permission(id, name(call), params),
                };
                return self.work.push(asked);
            }
            _ => Failure::new(METHOD_NOT_FOUND, "Skep does not offer this"),
        };
        self.answer(&id, &Err(refusal));
    }

    fn answer(&mut self, id: &Value, result: &Result<Value, Failure>) {
        let line = wire::answer(id, result);
        self.input.extend_from_slice(line.as_bytes());
    }
}

impl Parser for Conversation {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream == Stream::Stdout
            && !self.is_over
            && let Some(message) = wire::parse(line)
        {
            self.message(message, events);
        }
    }

    fn end(&mut self, _events: &mut Vec<EngineEvent>) {}

    fn line_too_long(&mut self, events: &mut Vec<EngineEvent>) {
        let message = "the agent sent a line that is too long to be read";
        self.give_up(failure(None, message, ""), events);
    }

    /// It died over the session to go on with.
    fn resume_failed(&self) -> bool {
        self.opening.is_some() && [RESUME, LOAD].iter().any(|id| self.asked.contains(id))
    }

    fn talk(&mut self) -> Option<&mut dyn Talk> {
        match self.opening {
            Some(_) => Some(self),
            None => None,
        }
    }
}

impl Talk for Conversation {
    fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn work<'a>(&'a mut self, _events: &'a mut Vec<EngineEvent>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // An empty set is done at once, and would be so again and again.
            let Some(answer) = self.work.next().await else {
                return std::future::pending().await;
            };
            let Answer {
                id,
                result,
                note,
                granted,
            } = answer;
            self.open_questions.remove(&id.to_string());
            self.answer(&id, &result);
            self.notes.extend(note);
            if let (Some(path), Some(opening)) = (granted, &mut self.opening) {
                opening.desk.grant(path);
            }
        })
    }

    fn cancel(&mut self) {
        if self.asked.contains(&PROMPT) {
            let params = json!({ "sessionId": self.session });
            let line = wire::notification("session/cancel", &params);
            self.input.extend_from_slice(line.as_bytes());
        }
        self.is_cancelled = true;
        self.work = FuturesUnordered::new();
        for id in std::mem::take(&mut self.open_questions).into_values() {
            self.answer(&id, &cancelled());
        }
    }
}

/// The models that an agent offers for a session.
struct Choice {
    /// The option that holds it; `None`: it is no option, but a request of its own.
    option: Option<String>,
    current: Option<String>,
    offered: Vec<String>,
}

impl Choice {
    fn of(session: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let options = session["configOptions"].as_array().into_iter().flatten();
        let mut options = options.filter(|option| text_at(option, "/category") == "model");
        if let Some(option) = options.next() {
            let values = option["options"].as_array().into_iter().flatten();
            // They may come in groups.
            let values = values.flat_map(|value| match value["options"].as_array() {
                Some(group) => group.iter().collect(),
                None => vec![value],
            });
            return Self {
                option: text(&option["id"]),
                current: text(&option["currentValue"]),
                offered: values.filter_map(|value| text(&value["value"])).collect(),
            };
        }
        let models = session["models"]["availableModels"].as_array();
        let offered = models.into_iter().flatten();
        Self {
            option: None,
            current: text(&session["models"]["currentModelId"]),
            offered: offered
                .filter_map(|model| text(&model["modelId"]))
                .collect(),
        }
    }
}

fn cancelled() -> Result<Value, Failure> {
    Ok(json!({ "outcome": { "outcome": "cancelled" } }))
}

fn ended(error: &str, message: &str) -> EngineEvent {
    EngineEvent::Error {
        error: error.to_owned(),
        message: message.to_owned(),
    }
}

/// Whether this can be kept as the id of a session.
pub(super) fn is_session_id(id: &str) -> bool {
    (1..=ENGINE_WORD_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}
