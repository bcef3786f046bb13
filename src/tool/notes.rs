//! Notes: what an agent was asked to remember, one line each, in `NOTES.md` of its work directory. People may edit the
//! file; lines that are no notes stay as they are.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::beneath::{Beneath, RelativePath, read_up_to};
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};

/// The file.
pub const FILE: &str = "NOTES.md";
/// What the file may hold.
pub const NOTES_BYTES_MAX: u64 = 256 * 1024;
/// One note.
pub const NOTE_BYTES_MAX: usize = 4 * 1024;
const TITLE: &str = "# Notes\n\n";
const MARK: &str = "- ";

/// All notes. Data: [`Notes`].
pub const LIST: Tool = Tool {
    name: "list_notes",
    description: "Lists the notes, numbered.",
    access: Access::Read,
    params: &[],
    call: |cx, _| Box::pin(list(cx)),
};

/// One more note. Data: [`Notes`].
pub const ADD: Tool = Tool {
    name: "add_note",
    description: "Keeps a note of one line.",
    access: Access::Write,
    params: &[Param::required("text", Kind::Text, "What to remember.")],
    call: |cx, args| Box::pin(add(cx, args)),
};

/// One note less. Data: [`Notes`], with what was removed.
pub const REMOVE: Tool = Tool {
    name: "remove_note",
    description: "Removes a note.",
    access: Access::Write,
    params: &[Param::required(
        "number",
        Kind::Number,
        "Its number in the list, from 1.",
    )],
    call: |cx, args| Box::pin(remove(cx, args)),
};

/// The notes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// In the order of the file.
    pub notes: Vec<String>,
    /// What this call removed.
    #[serde(default)]
    pub removed: Option<String>,
}

impl Notes {
    fn answer(self) -> ToolOutput {
        let lines: Vec<String> = self
            .notes
            .iter()
            .enumerate()
            .map(|(at, note)| format!("{}. {note}", at + 1))
            .collect();
        let text = if lines.is_empty() {
            "no notes".to_owned()
        } else {
            lines.join("\n")
        };
        ToolOutput::new(text, &self)
    }
}

async fn list(cx: &Context) -> Result<ToolOutput, ToolError> {
    let work_dir = cx.work_dir.clone();
    let text = blocking(move || load(&Beneath::open(&work_dir)?)).await?;
    Ok(notes_of(&text).answer())
}

#[derive(Deserialize)]
struct Add {
    text: String,
}

async fn add(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Add { text } = parse(args)?;
    // A note is a line: its own line breaks become spaces, and characters that steer a terminal are left out.
    let note: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    if note.is_empty() {
        return Err(ToolError::InvalidArguments("the note is empty".to_owned()));
    }
    if note.len() > NOTE_BYTES_MAX {
        return Err(ToolError::InvalidArguments(format!(
            "a note has at most {NOTE_BYTES_MAX} bytes; write a file for more"
        )));
    }
    change(cx, move |mut text| {
        if text.is_empty() {
            text.push_str(TITLE);
        } else if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{MARK}{note}\n"));
        if text.len() as u64 > NOTES_BYTES_MAX {
            return Err(ToolError::Refused(format!(
                "{FILE} is full ({NOTES_BYTES_MAX} bytes); remove some notes first"
            )));
        }
        Ok((text, None))
    })
    .await
}

#[derive(Deserialize)]
struct Remove {
    number: usize,
}

async fn remove(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Remove { number } = parse(args)?;
    change(cx, move |text| {
        let mut seen = 0;
        let mut removed = None;
        let kept: String = text
            .split_inclusive('\n')
            .filter(|line| {
                let Some(note) = note_in(line) else {
                    return true;
                };
                seen += 1;
                if seen == number {
                    removed = Some(note.to_owned());
                }
                seen != number
            })
            .collect();
        match removed {
            Some(removed) => Ok((kept, Some(removed))),
            None => Err(ToolError::NotFound(match seen {
                0 => "there are no notes".to_owned(),
                1 => format!("there is no note {number}, only note 1"),
                _ => format!("there is no note {number}; they go from 1 to {seen}"),
            })),
        }
    })
    .await
}

/// A changed text of the file, and the note that is gone from it.
type Changed = (String, Option<String>);

async fn change(
    cx: &Context,
    change: impl FnOnce(String) -> Result<Changed, ToolError> + Send + 'static,
) -> Result<ToolOutput, ToolError> {
    let work_dir = cx.work_dir.clone();
    let notes = blocking(move || {
        let beneath = Beneath::open(&work_dir)?;
        let (text, removed) = change(load(&beneath)?)?;
        beneath.replace(&path()?, text.as_bytes())?;
        Ok(Notes {
            removed,
            ..notes_of(&text)
        })
    })
    .await?;
    Ok(notes.answer())
}

fn path() -> Result<RelativePath, ToolError> {
    RelativePath::parse(FILE)
}

/// The file's text; a file that is not there is empty. One that is too long or no text is refused, since writing it
/// back would lose something.
fn load(beneath: &Beneath) -> Result<String, ToolError> {
    let path = path()?;
    let mut file = match beneath.file(&path) {
        Ok((file, _)) => file,
        Err(ToolError::NotFound(_)) => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let bytes = read_up_to(&mut file, NOTES_BYTES_MAX + 1, &path)?;
    if bytes.len() as u64 > NOTES_BYTES_MAX {
        return Err(ToolError::Refused(format!(
            "`{FILE}` is longer than the {NOTES_BYTES_MAX} bytes that notes may have"
        )));
    }
    String::from_utf8(bytes).map_err(|_| ToolError::Refused(format!("`{FILE}` is not text")))
}

fn note_in(line: &str) -> Option<&str> {
    line.strip_prefix(MARK)
        .map(str::trim)
        .filter(|note| !note.is_empty())
}

fn notes_of(text: &str) -> Notes {
    Notes {
        notes: text
            .lines()
            .filter_map(note_in)
            .map(str::to_owned)
            .collect(),
        removed: None,
    }
}
