//! From what was asked for to the answer: the tools are called, what they say is put in words.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::Turn;
use super::attachments;
use super::markdown::{block, cell_code, code, counted, head, language, plain, size, table};
use super::phrases::{ADD_MODEL, ADD_MODEL_SHORT, HELP, NO_MODEL, near};
use super::request::Request;
use super::speaker::{Halt, Speaker};
use super::understand::understand;
use crate::tool::files::{self, FileList, FileText, FileWritten, Found};
use crate::tool::notes::{self, Notes};
use crate::tool::system::{self, Overview};
use crate::tool::{Context, EngineInfo, ToolError};

/// What is shown of a file.
const SHOWN_BYTES_MAX: usize = 32 * 1024;
const SHOWN_LINES_MAX: usize = 500;
/// Entries of a directory that are shown.
const SHOWN_ENTRIES_MAX: usize = 200;
/// How far it counts.
pub const COUNT_MAX: u64 = 1_000;
/// Between two numbers when it counts slowly.
const COUNT_PAUSE: Duration = Duration::from_millis(100);

/// One answer on its way.
pub struct Answerer<'a> {
    pub cx: Context,
    pub turn: &'a Turn,
    pub speaker: Speaker<'a>,
}

impl Answerer<'_> {
    /// Answers the turn.
    pub async fn answer(&mut self) -> Result<(), Halt> {
        let prompt = self.turn.prompt.trim();
        if !self.turn.media.is_empty() {
            for said in attachments::describe(self.turn.media.clone()).await {
                self.say(&said).await?;
            }
        }
        match understand(prompt) {
            Request::Unknown if !self.turn.media.is_empty() => {
                self.say(&format!(
                    "That is all I can make of it. {NO_MODEL} {ADD_MODEL_SHORT}"
                ))
                .await?;
            }
            request => self.respond(request).await?,
        }
        self.speaker.finish().await
    }

    async fn respond(&mut self, request: Request) -> Result<(), Halt> {
        match request {
            Request::Help => self.help().await,
            Request::Hello => self.hello().await,
            Request::Thanks => {
                self.say("You're welcome! Say `help` for what I can do.")
                    .await
            }
            Request::Who => self.who().await,
            Request::AddModel => self.add_model().await,
            Request::ListFiles { path } => self.list_files(&path).await,
            Request::Show { what } => self.show(&what).await,
            Request::Find { text, within } => self.find(&text, within.as_deref()).await,
            Request::WriteFile {
                path,
                text,
                overwrite,
            } => self.write(&path, &text, overwrite).await,
            Request::AppendFile { path, text } => self.append(&path, &text).await,
            Request::Notes => self.notes().await,
            Request::AddNote { text } => self.add_note(&text).await,
            Request::RemoveNote { which } => self.remove_note(&which).await,
            Request::Status => self.status().await,
            Request::Engines => self.engines().await,
            Request::Count { to, slowly } => self.count(to, slowly).await,
            Request::Incomplete { example } => {
                self.say(&format!(
                    "I need a little more. For example: {}",
                    code(example)
                ))
                .await
            }
            Request::DeleteUnclear { what } => self.delete_unclear(&what).await,
            Request::Workers => self.workers().await,
            Request::Worker { name } => self.worker(&name).await,
            Request::WorkerStatus { name } => self.worker_status(&name).await,
            Request::CreateWorker {
                name,
                description,
                using,
            } => self.create_worker(&name, description, using).await,
            Request::ChangeWorker { name, field, value } => {
                self.change_worker(&name, field, &value).await
            }
            Request::DeleteWorker { name } => self.delete_worker(&name).await,
            Request::Unknown => self.unknown().await,
        }
    }

    pub async fn say(&mut self, markdown: &str) -> Result<(), Halt> {
        self.speaker.say(markdown).await
    }

    /// What a tool said against it.
    pub async fn regret(&mut self, error: &ToolError) -> Result<(), Halt> {
        let message = error.to_string();
        let mut letters = message.chars();
        let sentence = match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect::<String>(),
            None => "that did not work".to_owned(),
        };
        let lead = match error {
            ToolError::Failed(_) | ToolError::Unavailable(_) => "That did not work: ",
            _ => "",
        };
        let sentence = if lead.is_empty() { sentence } else { message };
        self.say(&format!("{lead}{}.", sentence.trim_end_matches('.')))
            .await
    }

    async fn help(&mut self) -> Result<(), Halt> {
        self.say(&format!("{NO_MODEL} You can say:")).await?;
        for (subject, commands) in HELP {
            let rows = commands
                .iter()
                .map(|(command, what)| vec![cell_code(command), (*what).to_owned()]);
            self.say(&format!("**{subject}**")).await?;
            self.say(&table(&["Say", "What happens"], rows)).await?;
        }
        self.say(&format!(
            "Other words are fine too: *could you please read notes.txt?* works. {ADD_MODEL_SHORT}"
        ))
        .await
    }

    async fn hello(&mut self) -> Result<(), Halt> {
        let name = self.name();
        self.say(&format!(
            "Hello! I am {name}. {NO_MODEL} Try `list files`, `workers`, `note: buy milk` or `help`."
        ))
        .await
    }

    async fn who(&mut self) -> Result<(), Halt> {
        let name = self.name();
        let about = match self.turn.description.trim() {
            "" => String::new(),
            description => format!(
                " What I am here for: {}.",
                plain(description.trim_end_matches('.'))
            ),
        };
        self.say(&format!("I am {name}.{about}")).await?;
        self.say(&format!(
            "{NO_MODEL} I work with files, notes and workers on this machine. {ADD_MODEL_SHORT}"
        ))
        .await
    }

    fn name(&self) -> String {
        match self.turn.worker_id {
            Some(_) => format!(
                "**{}**, a worker of this hive",
                plain(&self.turn.worker_name)
            ),
            None => "the **bee**, who answers when no worker is meant".to_owned(),
        }
    }

    async fn unknown(&mut self) -> Result<(), Halt> {
        self.say(&format!("I did not understand that. {NO_MODEL}"))
            .await?;
        let near = near(&self.turn.prompt);
        let near = if near.is_empty() {
            "Say `help` for everything I understand.".to_owned()
        } else {
            let near: Vec<String> = near
                .iter()
                .map(|near| format!("- {}", code(near)))
                .collect();
            format!(
                "Did you mean something like this?\n\n{}\n\nSay `help` for everything I understand.",
                near.join("\n")
            )
        };
        self.say(&near).await?;
        self.say(ADD_MODEL_SHORT).await
    }

    async fn list_files(&mut self, path: &str) -> Result<(), Halt> {
        let args = match path {
            "" => json!({}),
            path => json!({ "path": path }),
        };
        match self.speaker.call(&self.cx, &files::LIST, args).await? {
            Ok(list) => self.show_list(&list).await,
            Err(error) => self.regret(&error).await,
        }
    }

    async fn show_list(&mut self, list: &FileList) -> Result<(), Halt> {
        let place = match list.path.as_str() {
            "." => "The work directory".to_owned(),
            path => code(path),
        };
        if list.entries.is_empty() {
            return self
                .say(&format!(
                    "{place} is empty. `write hello.txt: Hello!` makes a first file."
                ))
                .await;
        }
        let shown = list.entries.iter().take(SHOWN_ENTRIES_MAX);
        let rows = shown.map(|entry| {
            let (name, what) = match (entry.kind.as_str(), entry.bytes) {
                ("directory", _) => (format!("{}/", entry.name), "directory".to_owned()),
                (_, Some(bytes)) => (entry.name.clone(), size(bytes)),
                (kind, None) => (entry.name.clone(), kind.to_owned()),
            };
            vec![cell_code(&name), what]
        });
        let table = table(&["Name", "Size"], rows);
        let count = list.entries.len();
        let (entries, at_least) = match count {
            1 => ("1 entry".to_owned(), ""),
            _ if list.more => (format!("{count} entries"), "more than "),
            _ => (format!("{count} entries"), ""),
        };
        self.say(&format!("{place} has {at_least}{entries}:"))
            .await?;
        self.say(&table).await?;
        if count > SHOWN_ENTRIES_MAX {
            self.say(&format!("These are the first {SHOWN_ENTRIES_MAX}."))
                .await?;
        }
        Ok(())
    }

    /// A file; else the directory, else the worker of that name.
    async fn show(&mut self, what: &str) -> Result<(), Halt> {
        let args = json!({ "path": what });
        let read = self.speaker.call(&self.cx, &files::READ, args).await?;
        let error = match read {
            Ok(file) => return self.show_file(&file).await,
            Err(error) => error,
        };
        match error {
            ToolError::Refused(_) => {
                let beneath = crate::tool::files::LIST
                    .call(&self.cx, json!({ "path": what }))
                    .await;
                if beneath.is_ok() {
                    return self.list_files(what).await;
                }
            }
            ToolError::NotFound(_) if self.is_worker(what).await => {
                return self.worker(what).await;
            }
            _ => {}
        }
        self.regret(&error).await?;
        if matches!(error, ToolError::NotFound(_)) {
            self.say("`list files` shows what there is.").await?;
        }
        Ok(())
    }

    async fn show_file(&mut self, file: &FileText) -> Result<(), Halt> {
        let name = code(&file.path);
        if file.bytes == 0 {
            return self.say(&format!("{name} is empty.")).await;
        }
        let (shown, more) = head(&file.text, SHOWN_BYTES_MAX, SHOWN_LINES_MAX);
        self.say(&format!("{name} ({}):", size(file.bytes))).await?;
        self.say(&block(shown, language(&file.path))).await?;
        if more || file.next_offset.is_some() {
            self.say(&format!(
                "That is the beginning: {} of {}.",
                size(shown.len() as u64),
                size(file.bytes)
            ))
            .await?;
        }
        Ok(())
    }

    async fn find(&mut self, text: &str, within: Option<&str>) -> Result<(), Halt> {
        let args = match within {
            // `find peace in our time` has no directory in it.
            Some(path) if self.exists(path).await => json!({ "text": text, "path": path }),
            Some(path) => json!({ "text": format!("{text} in {path}") }),
            None => json!({ "text": text }),
        };
        let wanted = args["text"].as_str().unwrap_or(text).to_owned();
        let found: Found = match self.speaker.call(&self.cx, &files::SEARCH, args).await? {
            Ok(found) => found,
            Err(error) => return self.regret(&error).await,
        };
        let files = counted(found.files as u64, "file");
        if found.matches.is_empty() {
            let so_far = if found.more {
                " There is more than I can search."
            } else {
                ""
            };
            return self
                .say(&format!(
                    "I found {} nowhere; I looked in {files}.{so_far}",
                    code(&wanted)
                ))
                .await;
        }
        let lines = counted(found.matches.len() as u64, "line");
        self.say(&format!("{} is in {lines}:", code(&wanted)))
            .await?;
        let mut listing = String::new();
        for found in &found.matches {
            listing.push_str(&format!("{}:{}: {}\n", found.path, found.line, found.text));
        }
        self.say(&block(&listing, "text")).await?;
        if found.more {
            self.say("There is more; look for something rarer, or in one directory.")
                .await?;
        }
        Ok(())
    }

    /// Looks without showing it: only to choose between two meanings.
    async fn exists(&self, path: &str) -> bool {
        let path = json!({ "path": path });
        files::LIST.call(&self.cx, path.clone()).await.is_ok()
            || !matches!(
                files::READ.call(&self.cx, path).await,
                Err(ToolError::NotFound(_) | ToolError::InvalidArguments(_))
            )
    }

    async fn write(&mut self, path: &str, text: &str, overwrite: bool) -> Result<(), Halt> {
        let mut args = json!({ "path": path, "text": text });
        if overwrite {
            args["overwrite"] = Value::Bool(true);
        }
        match self.speaker.call(&self.cx, &files::WRITE, args).await? {
            Ok(FileWritten { path, bytes }) => {
                self.say(&format!("Written: {} ({}).", code(&path), size(bytes)))
                    .await
            }
            Err(error @ ToolError::Exists(_)) => {
                self.regret(&error).await?;
                self.say(&format!(
                    "Nothing was changed. To replace it, say {}.",
                    code(&format!("overwrite {path}: …"))
                ))
                .await
            }
            Err(error) => self.regret(&error).await,
        }
    }

    async fn append(&mut self, path: &str, text: &str) -> Result<(), Halt> {
        let args = json!({ "path": path, "text": text });
        match self.speaker.call(&self.cx, &files::APPEND, args).await? {
            Ok(FileWritten { path, bytes }) => {
                self.say(&format!("Added; {} has {} now.", code(&path), size(bytes)))
                    .await
            }
            Err(error) => self.regret(&error).await,
        }
    }

    async fn notes(&mut self) -> Result<(), Halt> {
        let notes: Notes = match self.speaker.call(&self.cx, &notes::LIST, json!({})).await? {
            Ok(notes) => notes,
            Err(error) => return self.regret(&error).await,
        };
        if notes.notes.is_empty() {
            return self
                .say("There are no notes. `note: buy milk` makes one.")
                .await;
        }
        let lines: Vec<String> = notes
            .notes
            .iter()
            .enumerate()
            .map(|(at, note)| format!("{}. {}", at + 1, plain(note)))
            .collect();
        self.say(&lines.join("\n")).await
    }

    async fn add_note(&mut self, text: &str) -> Result<(), Halt> {
        let args = json!({ "text": text });
        match self
            .speaker
            .call::<Notes>(&self.cx, &notes::ADD, args)
            .await?
        {
            Ok(notes) => {
                let noted = notes.notes.last().map(String::as_str).unwrap_or_default();
                let count = notes.notes.len();
                self.say(&format!("Noted, as number {count}: {}", plain(noted)))
                    .await
            }
            Err(error) => self.regret(&error).await,
        }
    }

    async fn remove_note(&mut self, which: &str) -> Result<(), Halt> {
        let number = match which.parse::<u64>() {
            Ok(number) => number,
            Err(_) => {
                let listed = self.speaker.call(&self.cx, &notes::LIST, json!({})).await?;
                let notes: Notes = match listed {
                    Ok(notes) => notes,
                    Err(error) => return self.regret(&error).await,
                };
                let wanted = which.to_lowercase();
                let mut holding = (1u64..)
                    .zip(&notes.notes)
                    .filter(|(_, note)| note.to_lowercase().contains(&wanted));
                match (holding.next(), holding.next()) {
                    (Some((number, _)), None) => number,
                    (None, _) => {
                        return self
                            .say(&format!(
                                "No note says {}. `notes` shows them.",
                                code(which)
                            ))
                            .await;
                    }
                    (Some(_), Some(_)) => {
                        return self
                            .say("Several notes say that. `notes` shows their numbers; then say `forget note 2`.")
                            .await;
                    }
                }
            }
        };
        let args = json!({ "number": number });
        match self
            .speaker
            .call::<Notes>(&self.cx, &notes::REMOVE, args)
            .await?
        {
            Ok(notes) => {
                let removed = notes.removed.unwrap_or_default();
                self.say(&format!("Forgotten: {}", plain(&removed))).await
            }
            Err(error) => self.regret(&error).await,
        }
    }

    async fn status(&mut self) -> Result<(), Halt> {
        let overview = self
            .speaker
            .call(&self.cx, &system::OVERVIEW, json!({}))
            .await?;
        let overview: Overview = match overview {
            Ok(overview) => overview,
            Err(error) => return self.regret(&error).await,
        };
        let engines: Vec<String> = overview.engines.iter().map(|name| code(name)).collect();
        let running: Vec<String> = overview
            .running
            .iter()
            .map(|running| plain(&running.worker))
            .collect();
        let at_least = if overview.data_bytes_at_least {
            "at least "
        } else {
            ""
        };
        let rows = [
            ("Version", overview.version),
            ("Workers", overview.workers.to_string()),
            ("Chats", overview.sessions.to_string()),
            (
                "Running",
                format!("{} ({})", overview.running.len(), running.join(", ")),
            ),
            ("Waiting", overview.waiting.to_string()),
            ("Engines ready", engines.join(", ")),
            ("Data directory", cell_code(&overview.data_dir)),
            (
                "Its size",
                format!("{at_least}{}", size(overview.data_bytes)),
            ),
        ];
        let rows = rows.map(|(what, value)| vec![what.to_owned(), value.replace(" ()", "")]);
        self.say(&table(&["", "Now"], rows)).await
    }

    async fn engines(&mut self) -> Result<(), Halt> {
        if let Some(models) = self.show_engines().await?
            && models == 0
        {
            self.say(ADD_MODEL_SHORT).await?;
        }
        Ok(())
    }

    async fn add_model(&mut self) -> Result<(), Halt> {
        self.say(ADD_MODEL).await?;
        self.show_engines().await.map(drop)
    }

    /// The table of engines; answers how many are ready beside this one.
    async fn show_engines(&mut self) -> Result<Option<usize>, Halt> {
        let engines = self
            .speaker
            .call(&self.cx, &system::ENGINES, json!({}))
            .await?;
        let engines: Vec<EngineInfo> = match engines {
            Ok(engines) => engines,
            Err(error) => {
                self.regret(&error).await?;
                return Ok(None);
            }
        };
        let rows = engines.iter().map(|engine| {
            let ready = if engine.ready { "yes" } else { "no" };
            vec![
                cell_code(&engine.name),
                ready.to_owned(),
                plain(&engine.detail),
            ]
        });
        self.say(&table(&["Engine", "Ready", ""], rows)).await?;
        let others = engines
            .iter()
            .filter(|engine| engine.ready && engine.name != super::NAME);
        Ok(Some(others.count()))
    }

    async fn count(&mut self, to: u64, slowly: bool) -> Result<(), Halt> {
        let last = to.min(COUNT_MAX);
        for number in 1..=last {
            let space = if number == 1 { "" } else { " " };
            self.speaker.emit_text(&format!("{space}{number}")).await?;
            if slowly && number < last {
                self.speaker.pause(COUNT_PAUSE).await?;
            }
        }
        if to > last {
            self.say(&format!("I stop at {COUNT_MAX}.")).await?;
        }
        if to == 0 {
            self.say("That was quick: there is nothing to count.")
                .await?;
        }
        Ok(())
    }

    async fn delete_unclear(&mut self, what: &str) -> Result<(), Halt> {
        if !what.is_empty() && self.is_worker(what).await {
            let explicit = code(&format!("delete worker {what}"));
            return self
                .say(&format!(
                    "To be sure that you mean the worker, say {explicit}."
                ))
                .await;
        }
        self.say("I delete workers (`delete worker Ada`) and notes (`forget note 2`). Files I leave alone.")
            .await
    }
}
