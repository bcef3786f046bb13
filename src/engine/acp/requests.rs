//! What an agent asks of Skep: files of the work directory, and permission.
//!
//! Terminals are not offered: an agent starts programs itself, below its own guard and within its lists.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::super::cli::text_at;
use super::super::permission::{Ask, Asker, Verdict};
use super::updates::difference;
use super::wire::{Failure, INTERNAL_ERROR, INVALID_PARAMS, RESOURCE_NOT_FOUND};
use crate::model::limits::ENGINE_WORD_BYTES_MAX;
use crate::model::text::truncated;
use crate::tool::beneath::{Beneath, RelativePath, read_up_to};
use crate::tool::inside::is_inside;
use crate::tool::{Access, ToolError};

/// What is read or written of a file at once.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Files of one call whose differences are shown.
const DIFFS_MAX: usize = 16;
/// Paths that a permission was given for, and that are remembered in one run.
const GRANTED_MAX: usize = 1024;
/// Paths of one call that are looked at; of more, nobody knows where they lead.
const PATHS_MAX: usize = 64;
/// What the keys of a call's input end with whose values are paths.
const PATH_KEYS: [&str; 7] = [
    "path",
    "paths",
    "file",
    "files",
    "dir",
    "directory",
    "destination",
];

/// What becomes of a request.
pub(super) type Answered = BoxFuture<'static, Answer>;

/// The answer to a request.
pub(super) struct Answer {
    /// The request's own id.
    pub id: Value,
    /// What it is answered.
    pub result: Result<Value, Failure>,
    /// What the log says of it.
    pub note: Option<String>,
    /// A path that may be written from now on without another question.
    pub granted: Option<PathBuf>,
}

/// What one turn's agent may ask for.
#[derive(Clone)]
pub(super) struct Desk {
    work_dir: Arc<Path>,
    /// The same without links, as the agent may know it.
    real_work_dir: Arc<Path>,
    /// Files that were attached.
    media: Arc<[PathBuf]>,
    asker: Asker,
    granted: HashSet<PathBuf>,
}

impl Desk {
    pub(super) fn new(work_dir: &Path, media: &[PathBuf], asker: Asker) -> Self {
        let real = std::fs::canonicalize(work_dir).unwrap_or_else(|_| work_dir.to_owned());
        Self {
            work_dir: work_dir.into(),
            real_work_dir: real.into(),
            media: media.into(),
            asker,
            granted: HashSet::new(),
        }
    }

    /// Remembers what was allowed.
    pub(super) fn grant(&mut self, path: PathBuf) {
        if self.granted.len() < GRANTED_MAX {
            self.granted.insert(path);
        }
    }

    /// `fs/read_text_file`.
    pub(super) fn read(&self, id: Value, params: Value) -> Answered {
        let desk = self.clone();
        Box::pin(async move {
            let result = off_the_runtime(move || desk.text(&params)).await;
            answer(id, result.map(|text| json!({ "content": text })))
        })
    }

    /// `fs/write_text_file`.
    pub(super) fn write(&self, id: Value, params: Value) -> Answered {
        let desk = self.clone();
        Box::pin(async move {
            let path = PathBuf::from(text_at(&params, "/path"));
            let verdict = match desk.granted.contains(&path) {
                true => Verdict::AllowedByMode,
                false => match desk.write_ask(&params).await {
                    Ok(ask) => desk.asker.ask(ask).await,
                    Err(failure) => return answer(id, Err(failure)),
                },
            };
            if !verdict.is_allowed() {
                let why = verdict.sentence();
                return Answer {
                    id,
                    note: Some(format!("{}: {why}", path.display())),
                    result: Err(Failure::new(INTERNAL_ERROR, why)),
                    granted: None,
                };
            }
            let written = off_the_runtime(move || desk.put(&params)).await;
            let note = match &written {
                Ok(bytes) => format!("wrote {} ({bytes} bytes) for the agent", path.display()),
                Err(failure) => format!("did not write for the agent: {}", failure.message),
            };
            Answer {
                id,
                result: written.map(|_| json!({})),
                note: Some(note),
                granted: None,
            }
        })
    }

    /// `session/request_permission` for a call of that name.
    pub(super) fn permission(&self, id: Value, name: String, params: Value) -> Answered {
        let desk = self.clone();
        Box::pin(async move {
            let call = &params["toolCall"];
            let kind = truncated(text_at(call, "/kind"), ENGINE_WORD_BYTES_MAX);
            let by_kind = access(kind);
            let (asker, paths) = (desk.asker.clone(), paths(call));
            let stays = off_the_runtime(move || Ok(desk.stay_inside(by_kind, &paths))).await;
            // Elsewhere nothing is a mere look or edit.
            let access = match (by_kind, stays) {
                (Access::Read | Access::Write, Ok(false) | Err(_)) => Access::Run,
                _ => by_kind,
            };
            let mut ask = Ask::new(
                if kind.is_empty() { "other" } else { kind },
                by_kind,
                args(call),
            );
            ask.access = access;
            ask.call_id = call["toolCallId"].as_str().map(str::to_owned);
            ask.diff = diff(call);
            let verdict = asker.ask(ask).await;
            let outcome = outcome(&params, verdict.is_allowed());
            let path = call["locations"][0]["path"].as_str();
            Answer {
                id,
                result: Ok(json!({ "outcome": outcome })),
                note: Some(format!("permission for {name}: {}", verdict.sentence())),
                granted: path
                    .filter(|_| verdict.is_allowed() && access == Access::Write)
                    .map(PathBuf::from),
            }
        })
    }

    /// `session/request_permission` for a call of Skep's own tools: they ask for themselves what they have to.
    pub(super) fn leave_it_to_the_tool(&self, id: Value, name: &str, params: &Value) -> Answered {
        let answer = Answer {
            id,
            result: Ok(json!({ "outcome": outcome(params, true) })),
            note: Some(format!(
                "permission for {name}: Skep's own tools ask for themselves"
            )),
            granted: None,
        };
        Box::pin(std::future::ready(answer))
    }

    async fn write_ask(&self, params: &Value) -> Result<Ask, Failure> {
        let (desk, params) = (self.clone(), params.clone());
        off_the_runtime(move || {
            let path = text_at(&params, "/path");
            let before = desk.text(&json!({ "path": path })).unwrap_or_default();
            let change = json!({ "path": path, "oldText": before, "newText": params["content"] });
            let mut ask = Ask::new("edit", Access::Write, json!({ "path": path }));
            ask.diff = Some(difference(&change));
            Ok(ask)
        })
        .await
    }

    /// Whether all that a call names is in the work directory; what was attached may be looked at.
    fn stay_inside(&self, access: Access, paths: &[PathBuf]) -> bool {
        let is_attached = |path: &Path| self.media.iter().any(|media| media == path);
        paths.len() <= PATHS_MAX
            && paths.iter().all(|path| {
                is_inside(&self.work_dir, path) || (access == Access::Read && is_attached(path))
            })
    }

    fn below(&self, path: &Path) -> Result<RelativePath, ToolError> {
        let below = [&self.work_dir, &self.real_work_dir]
            .into_iter()
            .find_map(|root| path.strip_prefix(root).ok());
        RelativePath::parse(&below.unwrap_or(path).to_string_lossy())
    }

    fn text(&self, params: &Value) -> Result<String, Failure> {
        let path = Path::new(text_at(params, "/path"));
        let (root, path) = match self.media.iter().find(|media| *media == path) {
            Some(media) => (
                media.parent().unwrap_or(Path::new("/")),
                media.file_name().map_or(Path::new(""), Path::new),
            ),
            None => (&*self.work_dir, path),
        };
        let path = self.below(path)?;
        let (mut file, _) = Beneath::open(root)?.file(&path)?;
        let bytes = read_up_to(&mut file, FILE_BYTES_MAX as u64 + 1, &path)?;
        if bytes.len() > FILE_BYTES_MAX {
            let message = format!("`{path}` is longer than {FILE_BYTES_MAX} bytes");
            return Err(Failure::new(INTERNAL_ERROR, message));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::new(INTERNAL_ERROR, format!("`{path}` is not text")))?;
        let number = |name: &str| params[name].as_u64().and_then(|n| usize::try_from(n).ok());
        if params["line"].is_null() && params["limit"].is_null() {
            return Ok(text);
        }
        let first = number("line").unwrap_or(1).saturating_sub(1);
        let count = number("limit").unwrap_or(usize::MAX);
        Ok(text.split_inclusive('\n').skip(first).take(count).collect())
    }

    fn put(&self, params: &Value) -> Result<usize, Failure> {
        let Some(text) = params["content"].as_str() else {
            return Err(Failure::new(INVALID_PARAMS, "content must be text"));
        };
        if text.len() > FILE_BYTES_MAX {
            let message = format!("a file is written with at most {FILE_BYTES_MAX} bytes");
            return Err(Failure::new(INVALID_PARAMS, message));
        }
        let path = self.below(Path::new(text_at(params, "/path")))?;
        Beneath::open(&self.work_dir)?.replace(&path, text.as_bytes())?;
        Ok(text.len())
    }
}

fn answer(id: Value, result: Result<Value, Failure>) -> Answer {
    Answer {
        id,
        result,
        note: None,
        granted: None,
    }
}

/// The option that says so, among those that the agent offers.
fn outcome(params: &Value, is_allowed: bool) -> Value {
    let wanted = match is_allowed {
        // Skep remembers by itself what is always allowed.
        true => ["allow_once", "allow_always"],
        false => ["reject_once", "reject_always"],
    };
    let options = params["options"].as_array().into_iter().flatten();
    let options: Vec<&Value> = options.collect();
    let option = wanted.iter().find_map(|kind| {
        let of_kind = |option: &&&Value| text_at(option, "/kind") == *kind;
        options.iter().find(of_kind)?["optionId"].as_str()
    });
    match option {
        Some(id) => json!({ "outcome": "selected", "optionId": id }),
        None => json!({ "outcome": "cancelled" }),
    }
}

/// What is shown of a call to whoever decides.
fn args(call: &Value) -> Value {
    let title = text_at(call, "/title");
    match &call["rawInput"] {
        Value::Null => json!({ "title": title, "locations": call["locations"] }),
        input => input.clone(),
    }
}

/// What a call would change, where it says so.
fn diff(call: &Value) -> Option<String> {
    let parts = call["content"].as_array()?;
    let diffs = parts.iter().filter(|part| text_at(part, "/type") == "diff");
    let diffs: Vec<String> = diffs.take(DIFFS_MAX).map(difference).collect();
    (!diffs.is_empty()).then(|| diffs.join("\n"))
}

/// The paths that a call names, wherever it does: one more than are looked at is enough.
fn paths(call: &Value) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["locations", "content", "rawInput"] {
        gather(&call[part], false, &mut found);
    }
    found
}

fn gather(value: &Value, is_path: bool, found: &mut Vec<PathBuf>) {
    if found.len() > PATHS_MAX {
        return;
    }
    match value {
        Value::String(text) if is_path => {
            let path = text.strip_prefix("file://").unwrap_or(text);
            found.push(PathBuf::from(path));
        }
        Value::Array(values) => {
            for value in values {
                gather(value, is_path, found);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                // Changes by the files that they are of.
                if key.starts_with('/') {
                    found.push(PathBuf::from(key));
                }
                let key = key.to_ascii_lowercase();
                gather(value, PATH_KEYS.iter().any(|end| key.ends_with(end)), found);
            }
        }
        _ => {}
    }
}

/// What a kind of call does to the world; one that says nothing could do anything.
fn access(kind: &str) -> Access {
    match kind {
        "read" | "search" | "think" => Access::Read,
        "edit" | "delete" | "move" => Access::Write,
        "fetch" => Access::Send,
        _ => Access::Run,
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        let code = match error {
            ToolError::NotFound(_) => RESOURCE_NOT_FOUND,
            ToolError::InvalidArguments(_) | ToolError::Denied(_) => INVALID_PARAMS,
            _ => INTERNAL_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let crashed = || Failure::new(INTERNAL_ERROR, "Skep itself failed");
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(crashed()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::permission::Decide;
    use super::*;
    use crate::tool::{Decision, Permissions};

    /// The mode decides, and nobody is there to be asked.
    struct Mode(Permissions);

    impl Decide for Mode {
        fn decide(&self, ask: Ask) -> BoxFuture<'_, Verdict> {
            let verdict = match self.0.decide(ask.access) {
                Decision::Allow => Verdict::AllowedByMode,
                Decision::Ask => Verdict::NotAsked("nobody is there".to_owned()),
                Decision::Deny => Verdict::DeniedByMode(self.0),
            };
            Box::pin(std::future::ready(verdict))
        }
    }

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("work")).unwrap();
            std::fs::write(directory.path().join("secret"), "secret").unwrap();
            std::fs::write(directory.path().join("attached"), "attached").unwrap();
            std::os::unix::fs::symlink("../secret", directory.path().join("work/link")).unwrap();
            std::fs::write(directory.path().join("work/a.txt"), "one\ntwo\nthree\n").unwrap();
            Self { directory }
        }

        fn path(&self, name: &str) -> String {
            let path = self.directory.path().join(name);
            path.to_str().unwrap().to_owned()
        }

        fn desk(&self, mode: &str) -> Desk {
            let asker = Asker::new(Arc::new(Mode(Permissions::parse(mode))));
            let media = [PathBuf::from(self.path("attached"))];
            Desk::new(&self.directory.path().join("work"), &media, asker)
        }
    }

    #[tokio::test]
    async fn files_are_those_of_the_work_directory_and_what_was_attached() {
        let place = Place::new();
        let desk = place.desk("");
        let big = "x".repeat(FILE_BYTES_MAX);
        std::fs::write(place.path("work/big"), &big).unwrap();
        std::fs::write(place.path("work/bigger"), format!("{big}x")).unwrap();
        std::fs::write(place.path("work/bytes"), b"\xff").unwrap();
        for (path, more, expected) in [
            ("work/a.txt", json!({}), Ok("one\ntwo\nthree\n")),
            ("work/a.txt", json!({ "line": 2, "limit": 1 }), Ok("two\n")),
            ("work/a.txt", json!({ "line": 0 }), Ok("one\ntwo\nthree\n")),
            ("work/a.txt", json!({ "line": 9 }), Ok("")),
            ("work/big", json!({}), Ok(big.as_str())),
            ("work/bigger", json!({}), Err(INTERNAL_ERROR)),
            ("work/bytes", json!({}), Err(INTERNAL_ERROR)),
            ("attached", json!({}), Ok("attached")),
            ("secret", json!({}), Err(INVALID_PARAMS)),
            ("work/link", json!({}), Err(INVALID_PARAMS)),
            ("work/../secret", json!({}), Err(INVALID_PARAMS)),
            ("work/none", json!({}), Err(RESOURCE_NOT_FOUND)),
        ] {
            let mut params = more;
            params["path"] = json!(place.path(path));
            let answer = desk.read(json!(1), params).await;
            let seen = answer.result.as_ref();
            let seen = seen.map(|result| result["content"].as_str().unwrap());
            assert_eq!(seen.map_err(|failure| failure.code), expected, "{path}");
        }
    }

    /// By the worst of all the paths that it names, wherever it names them and wherever they lead.
    #[tokio::test]
    async fn a_permission_is_judged_by_every_path_of_the_call() {
        let place = Place::new();
        let (inside, outside) = (place.path("work/a.txt"), place.path("secret"));
        let (link, attached) = (place.path("work/link"), place.path("attached"));
        let changes = |path: &str| {
            let mut changes = json!({});
            changes[path] = json!({ "type": "update" });
            json!({ "rawInput": { "changes": changes } })
        };
        let many = vec![&inside; PATHS_MAX + 1];
        for (kind, call, is_allowed) in [
            ("edit", json!({}), true),
            ("edit", json!({ "locations": [{ "path": inside }] }), true),
            ("edit", json!({ "locations": [{ "path": outside }] }), false),
            (
                "edit",
                json!({ "locations": [{ "path": inside }], "rawInput": { "filePath": outside } }),
                false,
            ),
            (
                "edit",
                json!({ "locations": [{ "path": inside }, { "path": outside }] }),
                false,
            ),
            (
                "edit",
                json!({ "locations": [{ "path": outside }], "rawInput": { "path": inside } }),
                false,
            ),
            (
                "edit",
                json!({ "content": [{ "type": "diff", "path": outside }] }),
                false,
            ),
            (
                "edit",
                json!({ "rawInput": { "file_path": "a.txt", "content": outside } }),
                true,
            ),
            (
                "edit",
                json!({ "rawInput": { "file_path": "../secret" } }),
                false,
            ),
            (
                "edit",
                json!({ "rawInput": { "edits": [{ "path": link }] } }),
                false,
            ),
            (
                "edit",
                json!({ "rawInput": { "paths": [inside, format!("file://{outside}")] } }),
                false,
            ),
            ("edit", json!({ "rawInput": { "paths": many } }), false),
            ("edit", changes(&inside), true),
            ("edit", changes(&outside), false),
            (
                "move",
                json!({ "rawInput": { "path": inside, "destination": outside } }),
                false,
            ),
            ("read", json!({ "rawInput": { "path": inside } }), true),
            ("read", json!({ "rawInput": { "path": outside } }), false),
            ("read", json!({ "rawInput": { "path": attached } }), true),
            ("edit", json!({ "rawInput": { "path": attached } }), false),
            ("execute", json!({ "rawInput": { "path": inside } }), false),
        ] {
            let mut call = call;
            call["kind"] = json!(kind);
            let shown = call.to_string();
            let options = json!([{ "optionId": "yes", "kind": "allow_once" }, { "optionId": "no", "kind": "reject_once" }]);
            let params = json!({ "toolCall": call, "options": options });
            let desk = place.desk("allow_edits");
            let answer = desk.permission(json!(1), "Do it".to_owned(), params).await;
            let chosen = &answer.result.unwrap()["outcome"]["optionId"];
            assert_eq!(chosen == "yes", is_allowed, "{shown}");
            assert!(is_allowed || answer.granted.is_none(), "{shown}");
        }
    }

    #[tokio::test]
    async fn files_are_written_in_the_work_directory_alone_and_as_the_mode_allows() {
        let place = Place::new();
        for (mode, path, is_written) in [
            ("", "work/new/b.txt", true),
            ("allow_all", "work/c.txt", true),
            ("allow_all", "outside.txt", false),
            ("allow_all", "work/../outside.txt", false),
            ("read_only", "work/d.txt", false),
            ("ask", "work/e.txt", false),
        ] {
            let params = json!({ "path": place.path(path), "content": "text" });
            let answer = place.desk(mode).write(json!(1), params).await;
            assert_eq!(answer.result.is_ok(), is_written, "{mode} {path}");
            let exists = std::fs::read_to_string(place.path(path)).is_ok();
            assert_eq!(exists, is_written, "{mode} {path}");
            assert!(answer.note.is_some());
        }
        let mut asked = place.desk("ask");
        asked.grant(place.path("work/e.txt").into());
        let params = json!({ "path": place.path("work/e.txt"), "content": "text" });
        assert!(asked.write(json!(1), params).await.result.is_ok());
    }

    #[tokio::test]
    async fn permission_is_what_the_mode_says() {
        let place = Place::new();
        let options = ["allow_always", "allow_once", "reject_once"];
        let options: Vec<Value> = options
            .iter()
            .map(|kind| json!({ "kind": kind, "optionId": format!("my-{kind}") }))
            .collect();
        for (mode, kind, chosen) in [
            ("", "edit", "my-allow_once"),
            ("", "execute", "my-reject_once"),
            ("", "new kind", "my-reject_once"),
            ("ask", "read", "my-allow_once"),
            ("ask", "edit", "my-reject_once"),
            ("read_only", "edit", "my-reject_once"),
            ("allow_all", "execute", "my-allow_once"),
        ] {
            let params = json!({
                "toolCall": { "toolCallId": "1", "kind": kind, "locations": [{ "path": place.path("work/p") }] },
                "options": options,
            });
            let desk = place.desk(mode);
            let answer = desk.permission(json!(1), "tool".to_owned(), params).await;
            let outcome = &answer.result.unwrap()["outcome"];
            assert_eq!(outcome["optionId"], chosen, "{mode} {kind}");
            let is_grant = kind == "edit" && chosen == "my-allow_once";
            assert_eq!(answer.granted.is_some(), is_grant, "{mode} {kind}");
        }
        let none = json!({ "toolCall": {}, "options": "?" });
        let desk = place.desk("allow_all");
        let answer = desk.permission(json!(1), "tool".to_owned(), none).await;
        assert_eq!(answer.result.unwrap()["outcome"]["outcome"], "cancelled");
    }
}
