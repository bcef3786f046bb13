//! What was said in a chat before, and what was attached to the message.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Turn;
use super::conversation::Image;
use crate::model::{MessageStatus, Role};
use crate::store::{Cursor, Store, StoreError, executions, messages};

/// Messages of a chat that are looked at.
pub const MESSAGES_MAX: usize = 200;
/// Pictures of one message.
pub const IMAGES_MAX: usize = 8;
/// One picture.
pub const IMAGE_BYTES_MAX: u64 = 5 * 1024 * 1024;
/// An attached text that is shown as it is.
pub const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) is_user: bool,
    pub(super) text: String,
}

/// What this agent heard and said in the chat since it was last cleared, oldest first; as for the command lines, whose
/// sessions hold their own turns.
pub(super) fn before(store: &Store, turn: &Turn) -> Result<Vec<Said>, StoreError> {
    store.read(|tx| {
        let Some(execution) = executions::get(tx, turn.execution_id)? else {
            return Ok(Vec::new());
        };
        let message = execution
            .message_id
            .map_or(Ok(None), |id| messages::find_by_id(tx, id))?;
        let Some(message) = message else {
            return Ok(Vec::new());
        };
        let until = Cursor {
            major: message.seq,
            minor: 0,
        };
        let page = messages::list(tx, message.session_id, Some(until), MESSAGES_MAX)?;
        let mut said = Vec::new();
        for message in page.rows {
            let asked = message
                .execution_id
                .map_or(Ok(None), |id| executions::get(tx, id))?;
            let is_ours = asked.is_some_and(|asked| {
                asked.worker_id == turn.worker_id
                    && asked.context_generation == execution.context_generation
            });
            if !is_ours || message.content.trim().is_empty() {
                continue;
            }
            let mut text = message.content;
            for media in &message.media {
                text.push_str(&format!("\n[attached: {}]", media.name));
            }
            if message.status != MessageStatus::Completed {
                text.push_str("\n[this answer was not finished]");
            }
            said.push(Said {
                is_user: message.role == Role::User,
                text,
            });
        }
        said.reverse();
        Ok(said)
    })
}

/// The message with the texts that were attached to it, and the pictures.
pub(super) fn message(turn: &Turn) -> (String, Vec<Image>) {
    let (mut text, mut images) = (turn.prompt.clone(), Vec::new());
    for path in &turn.media {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let note = match attached(path, images.len()) {
            Attached::Image(image) => {
                images.push(image);
                format!("[attached picture: {name}]")
            }
            Attached::Text(content) => format!("[attached: {name}]\n```\n{content}\n```"),
            Attached::Unread(why) => format!("[attached: {name}; {why}]"),
        };
        text.push_str(&format!("\n\n{note}"));
    }
    (text, images)
}

enum Attached {
    Image(Image),
    Text(String),
    Unread(&'static str),
}

fn attached(path: &Path, images: usize) -> Attached {
    let guessed = mime_guess::from_path(path).first_raw();
    let image = ["image/png", "image/jpeg", "image/gif", "image/webp"]
        .into_iter()
        .find(|known| guessed == Some(known));
    let bytes_max = image.map_or(TEXT_BYTES_MAX, |_| IMAGE_BYTES_MAX);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    match (read, image) {
        (Err(_), _) => Attached::Unread("it cannot be read"),
        (Ok(_), _) if bytes.len() as u64 > bytes_max => {
            Attached::Unread("it is too large to be shown")
        }
        (Ok(_), Some(_)) if images >= IMAGES_MAX => Attached::Unread("there are too many pictures"),
        (Ok(_), Some(media_type)) => Attached::Image(Image {
            media_type,
            base64: STANDARD.encode(&bytes),
        }),
        (Ok(_), None) => match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Attached::Text(text),
            _ => Attached::Unread("it is no text and no picture"),
        },
    }
}
