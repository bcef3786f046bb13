//! Answers about itself.

use super::super::markdown::{cell_code, code, plain, table};
use super::super::phrases::{ADD_MODEL_SHORT, HELP, NO_MODEL, near};
use super::super::speaker::Halt;
use super::Answerer;

impl Answerer<'_> {
    pub async fn help(&mut self) -> Result<(), Halt> {
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

    pub async fn hello(&mut self) -> Result<(), Halt> {
        let name = self.name();
        self.say(&format!(
            "Hello! I am {name}. {NO_MODEL} Try `list files`, `workers`, `note: buy milk` or `help`."
        ))
        .await
    }

    pub async fn who(&mut self) -> Result<(), Halt> {
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

    pub async fn unknown(&mut self) -> Result<(), Halt> {
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
}
