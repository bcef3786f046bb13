//! Answers about files.

use serde_json::{Value, json};

use super::super::markdown::{block, cell_code, code, counted, head, language, size, table};
use super::super::speaker::Halt;
use super::Answerer;
use crate::tool::ToolError;
use crate::tool::files::{self, FileList, FileText, FileWritten};
use crate::tool::search::{self, Found};

/// What is shown of a file.
pub const SHOWN_BYTES_MAX: usize = 32 * 1024;
/// The same in lines.
pub const SHOWN_LINES_MAX: usize = 500;
/// Entries of a directory that are shown.
const SHOWN_ENTRIES_MAX: usize = 200;

impl Answerer<'_> {
    pub async fn list_files(&mut self, path: &str) -> Result<(), Halt> {
        let args = match path {
            "" => json!({}),
            path => json!({ "path": path }),
        };
        match self.speaker.call(&self.cx, &files::LIST, args).await? {
            Ok(list) => self.show_list(&list).await,
            Err(error) => self.regret(&error).await,
        }
    }

    pub async fn work_dir(&mut self) -> Result<(), Halt> {
        let path = code(&self.cx.work_dir.to_string_lossy());
        self.say(&format!("The work directory is {path}.")).await?;
        self.list_files("").await
    }

    pub async fn show_list(&mut self, list: &FileList) -> Result<(), Halt> {
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
    pub async fn show(&mut self, what: &str) -> Result<(), Halt> {
        let args = json!({ "path": what });
        let read = self.speaker.call(&self.cx, &files::READ, args).await?;
        let error = match read {
            Ok(file) => return self.show_file(&file).await,
            Err(error) => error,
        };
        match error {
            ToolError::Refused(_) => {
                let beneath = files::LIST.call(&self.cx, json!({ "path": what })).await;
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

    pub async fn show_file(&mut self, file: &FileText) -> Result<(), Halt> {
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

    pub async fn find(&mut self, text: &str, within: Option<&str>) -> Result<(), Halt> {
        let args = match within {
            // `find peace in our time` has no directory in it.
            Some(path) if self.exists(path).await => json!({ "text": text, "path": path }),
            Some(path) => json!({ "text": format!("{text} in {path}") }),
            None => json!({ "text": text }),
        };
        let wanted = args["text"].as_str().unwrap_or(text).to_owned();
        let found: Found = match self.speaker.call(&self.cx, &search::SEARCH, args).await? {
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
    pub async fn exists(&self, path: &str) -> bool {
        let path = json!({ "path": path });
        files::LIST.call(&self.cx, path.clone()).await.is_ok()
            || !matches!(
                files::READ.call(&self.cx, path).await,
                Err(ToolError::NotFound(_) | ToolError::InvalidArguments(_))
            )
    }

    pub async fn write(&mut self, path: &str, text: &str, overwrite: bool) -> Result<(), Halt> {
        let mut args = json!({ "path": path, "text": text });
        if overwrite {
            args["overwrite"] = Value::Bool(true);
        }
        match self.speaker.call(&self.cx, &files::WRITE, args).await? {
            Ok(FileWritten { path, bytes, .. }) => {
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

    /// Whether what is appended would go on in the last line of a file. Looks without showing it.
    async fn ends_within_a_line(&self, path: &str) -> bool {
        let Ok(found) = files::READ.call(&self.cx, json!({ "path": path })).await else {
            return false;
        };
        let file = serde_json::from_value::<FileText>(found.data);
        file.is_ok_and(|file| {
            file.next_offset.is_none() && !file.text.is_empty() && !file.text.ends_with('\n')
        })
    }

    pub async fn append(&mut self, path: &str, text: &str) -> Result<(), Halt> {
        let text = match self.ends_within_a_line(path).await {
            true => format!("\n{text}"),
            false => text.to_owned(),
        };
        let args = json!({ "path": path, "text": text });
        match self.speaker.call(&self.cx, &files::APPEND, args).await? {
            Ok(FileWritten { path, bytes, .. }) => {
                self.say(&format!("Added; {} has {} now.", code(&path), size(bytes)))
                    .await
            }
            Err(error) => self.regret(&error).await,
        }
    }
}
