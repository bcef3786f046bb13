//! Memory: entries that agents are told before every turn, for everybody, one worker or one chat.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Access, Authority, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, chats, parse,
};
use crate::command::{DeleteMemory, SetMemory};
use crate::model::limits::{MEMORY_KEY_CHARS_MAX, MEMORY_VALUE_BYTES_MAX};
use crate::model::text::{free_text, single_line};
use crate::model::{Invalid, Memory, MemoryScope};
use crate::store::memory;

const SCOPE: Param = Param::optional(
    "scope",
    Kind::Text,
    "Whose: \"worker\" (your own; the usual one for a worker), \"session\" (everybody's in this chat), \"global\" (everybody's), or worker:<id>, session:<id>.",
);
const KEY: Param = Param::required("key", Kind::Text, "Its name, up to 100 characters.");

/// An entry is kept. Data: [`Entry`].
pub const SAVE: Tool = Tool {
    name: "save_memory",
    description: "Keeps something in mind for later turns, under a name; one of that name is replaced.",
    access: Access::Write,
    params: &[
        KEY,
        Param::required("value", Kind::Text, "What is to be kept in mind."),
        SCOPE,
    ],
    call: |cx, args| Box::pin(save(cx, args)),
};

/// What is kept. Data: a list of [`Entry`].
pub const GET: Tool = Tool {
    name: "get_memory",
    description: "Tells what is kept in mind: one entry, or all of a scope, last changed first.",
    access: Access::Read,
    params: &[
        Param::optional("key", Kind::Text, "Only the entry of this name."),
        SCOPE,
    ],
    call: |cx, args| Box::pin(get(cx, args)),
};

/// An entry less. Data: the scope and the key.
pub const DELETE: Tool = Tool {
    name: "delete_memory",
    description: "Forgets an entry.",
    access: Access::Write,
    params: &[KEY, SCOPE],
    call: |cx, args| Box::pin(delete(cx, args)),
};

/// What is said of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `global`, `worker:<id>` or `session:<id>`.
    pub scope: String,
    /// Its name.
    pub key: String,
    /// What is kept in mind.
    pub value: String,
    /// When it last changed, Unix milliseconds.
    pub updated_at: u64,
}

impl From<Memory> for Entry {
    fn from(entry: Memory) -> Self {
        Self {
            scope: entry.scope.to_string(),
            key: entry.key,
            value: entry.value,
            updated_at: entry.updated_at,
        }
    }
}

/// The name of an entry.
pub fn key(text: &str) -> Result<String, Invalid> {
    single_line("key", text, MEMORY_KEY_CHARS_MAX)
}

/// What an entry may hold.
pub fn value(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("value", "must not be empty"));
    }
    free_text("value", text, MEMORY_VALUE_BYTES_MAX)
}

/// The scope that is meant, if it may be used so. An agent changes its own and its chat's; what everybody is told is the
/// user's and the bee's.
fn scope(cx: &Context, wanted: Option<&str>, changes: bool) -> Result<MemoryScope, ToolError> {
    let usual = match cx.worker_id {
        Some(_) => "worker",
        None => "global",
    };
    let scope = match wanted.map(str::trim).filter(|word| !word.is_empty()) {
        None => return scope(cx, Some(usual), changes),
        Some("worker") => MemoryScope::Worker(
            cx.worker_id
                .ok_or_else(|| ToolError::InvalidArguments("whose? Say worker:<id>".to_owned()))?,
        ),
        Some("session") => MemoryScope::Session(chats::session(cx, None)?),
        Some(word) => word
            .parse()
            .map_err(|_| ToolError::NotFound("there is no such scope".to_owned()))?,
    };
    let is_bee = cx.worker_id.is_none();
    let may = match scope {
        _ if cx.authority == Authority::Account => true,
        MemoryScope::Global => is_bee || !changes,
        MemoryScope::Worker(id) => is_bee || cx.worker_id == Some(id),
        MemoryScope::Session(id) => cx.session_id == Some(id),
    };
    match may {
        true => Ok(scope),
        false => Err(ToolError::Denied(
            "an agent keeps in mind what is its own or its chat's; say scope \"worker\" or \"session\"".to_owned(),
        )),
    }
}

#[derive(Deserialize)]
struct Save {
    key: String,
    value: String,
    scope: Option<String>,
}

async fn save(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let save: Save = parse(args)?;
    let set = SetMemory {
        scope: scope(cx, save.scope.as_deref(), true)?,
        key: key(&save.key)?,
        value: value(&save.value)?,
        at: (cx.shared.clock)(),
    };
    let entry = Entry::from(cx.shared.journal.submit(set).await?);
    Ok(ToolOutput::new(
        format!("kept {} ({})", entry.key, entry.scope),
        &entry,
    ))
}

#[derive(Deserialize)]
struct Get {
    key: Option<String>,
    scope: Option<String>,
}

async fn get(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let wanted: Get = parse(args)?;
    let named = wanted.scope.as_deref();
    let named = named.map(|word| scope(cx, Some(word), false)).transpose()?;
    let scopes = match named {
        Some(scope) => vec![scope],
        // What it is told before its turns.
        None => {
            let own = cx.worker_id.map(MemoryScope::Worker);
            let chats = cx.session_id.map(MemoryScope::Session);
            [own, chats, Some(MemoryScope::Global)]
                .into_iter()
                .flatten()
                .collect()
        }
    };
    let cx = cx.clone();
    let entries = blocking(move || {
        cx.shared.store.read(|tx| {
            let mut entries = Vec::new();
            for scope in scopes {
                let of_scope = match &wanted.key {
                    Some(key) => memory::get(tx, scope, key.trim())?.into_iter().collect(),
                    None => memory::of_scope(tx, scope)?,
                };
                entries.extend(of_scope.into_iter().map(Entry::from));
            }
            if entries.is_empty() && wanted.key.is_some() {
                return Err(ToolError::NotFound("there is no such entry".to_owned()));
            }
            Ok(entries)
        })
    })
    .await?;
    let mut lines: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} ({}): {}", entry.key, entry.scope, entry.value))
        .collect();
    if lines.is_empty() {
        lines.push("nothing is kept in mind".to_owned());
    }
    Ok(ToolOutput::new(lines.join("\n"), &entries))
}

#[derive(Deserialize)]
struct Delete {
    key: String,
    scope: Option<String>,
}

async fn delete(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let delete: Delete = parse(args)?;
    let scope = scope(cx, delete.scope.as_deref(), true)?;
    let key = delete.key.trim().to_owned();
    let said = serde_json::json!({ "scope": scope.to_string(), "key": key });
    cx.shared
        .journal
        .submit(DeleteMemory { scope, key })
        .await?;
    Ok(ToolOutput::new("forgotten", &said))
}
