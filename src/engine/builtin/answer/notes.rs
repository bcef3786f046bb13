//! Answers about notes.

use serde_json::json;

use super::super::markdown::{code, plain};
use super::super::speaker::Halt;
use super::Answerer;
use crate::tool::notes::{self, Notes};

impl Answerer<'_> {
    pub async fn notes(&mut self) -> Result<(), Halt> {
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

    pub async fn add_note(&mut self, text: &str) -> Result<(), Halt> {
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

    pub async fn remove_note(&mut self, which: &str) -> Result<(), Halt> {
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
}
