//! Answers about itself.

use super::super::markdown::{cell_code, code, plain, prose, table};
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

    /// `@Ada …` is how one talks to Ada.
    pub async fn ask(&mut self, name: &str, text: &str) -> Result<(), Halt> {
        if !self.is_worker(name).await {
            return self.unknown().await;
        }
        let message = code(&format!("@{name} {text}"));
        self.say(&format!(
            "I pass nothing on. Begin the message with the name, and the answer comes from there: {message}"
        ))
        .await
    }

    pub async fn remind(&mut self, what: &str) -> Result<(), Halt> {
        let note = match what {
            "" => "note: buy milk".to_owned(),
            what => format!("note: {what}"),
        };
        self.say(&format!(
            "I cannot remind you at a time: a task can, made on the **Tasks** page, where a worker starts by itself. To have it written down, say {}.",
            code(&note)
        ))
        .await
    }

    pub async fn use_engine(&mut self, engine: &str) -> Result<(), Halt> {
        let known = self.engine_info(engine).await;
        let Some(known) = known else {
            return self.unknown().await;
        };
        let lead = match known.ready {
            true => String::new(),
            false => format!(
                "{} is not ready here: {}. ",
                code(engine),
                prose(&known.detail)
            ),
        };
        self.say(&format!(
            "{lead}Say which worker shall use it: {}, or make one: {}. For me, it is chosen on the **Workers** page; for all who name none, it is {} in `skep.toml`, and a restart.",
            code(&format!("use {engine} for Ada")),
            code(&format!("create a worker named Ada using {engine}")),
            code(&format!("default_engine = \"{engine}\"")),
        ))
        .await
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
