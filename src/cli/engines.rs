//! `skep engines`: what can answer here, and the one command that fixes what is missing. Needs no server and no hive.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::control;
use super::hive::HiveError;
use crate::config::{Config, data_dir};
use crate::data_dir::is_gone;
use crate::engine::process::Patience;
use crate::engine::{Engine, EngineError, EngineStatus, Engines, Run, Turn};
use crate::guard::Guards;
use crate::model::text::truncated;

/// What is shown of an engine's models; `--json` has all.
const MODELS_SHOWN_BYTES: usize = 200;

/// Prints the engines, for people or as JSON.
pub fn list(is_json: bool, data: Option<PathBuf>) -> Result<(), HiveError> {
    let env = |name: &str| std::env::var_os(name);
    let root = data_dir(data, env)?;
    let config = Config::load(&root, env, &[])?;
    // Somebody else may listen at the address of a server that died.
    let own = control::read(&root).filter(|server| !is_gone(server.pid));
    let own = own.map(|server| server.address);
    let engines = Engines::new(
        config.engines.values().cloned(),
        config.default_engine.clone(),
        Arc::new(Listed),
        Arc::new(Guards::new()?.confining(config.policy())),
        Patience::default(),
        config.http_parts(own, None),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(engines.list());
    let text = match is_json {
        true => serde_json::to_string_pretty(&found).map_err(io::Error::other)?,
        false => format!(
            "{}\nTheir programs are {}",
            table(&found, &engines.auto_order()),
            confinement(&found)
        ),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The built-in engine where nothing is run.
struct Listed;

impl Engine for Listed {
    fn name(&self) -> &str {
        "builtin"
    }

    fn run<'a>(
        &'a self,
        _turn: &'a Turn,
        _run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async {
            Err(EngineError::new(
                "engine_missing",
                "engines are only listed here",
            ))
        })
    }
}

fn table(engines: &[EngineStatus], auto_order: &[&str]) -> String {
    let width = |text: fn(&EngineStatus) -> &str| {
        let widths = engines.iter().map(|engine| text(engine).chars().count());
        widths.max().unwrap_or(0)
    };
    let name_width = width(|engine| &engine.name);
    let state_width = width(state);
    let mut lines = Vec::new();
    for engine in engines {
        let about = [&engine.version, &engine.path, &engine.url];
        let mut about: Vec<&str> = about.into_iter().flatten().map(String::as_str).collect();
        let models = engine.models.join(", ");
        if !models.is_empty() {
            about.push(truncated(&models, MODELS_SHOWN_BYTES));
        }
        let line = format!(
            "{:name_width$}  {:state_width$}  {}",
            engine.name,
            state(engine),
            about.join("  ")
        );
        lines.push(line.trim_end().to_owned());
        if !engine.is_ready() {
            let why = engine.why_not.as_deref().unwrap_or("cannot be used");
            lines.push(format!("{:name_width$}  {why}", ""));
            if let Some(fix) = &engine.fix {
                lines.push(format!("{:name_width$}  fix: {fix}", ""));
            }
        }
    }
    let auto = engines.iter().find(|engine| engine.auto);
    lines.push(format!(
        "auto, for the bee and workers without an engine, is {}: the first that is ready of {} (default_engine in skep.toml puts another first)",
        auto.map_or("none", |engine| engine.name.as_str()),
        auto_order.join(", ")
    ));
    lines.join("\n")
}

/// What holds for most, and who is an exception.
fn confinement(engines: &[EngineStatus]) -> String {
    let of = |engine: &EngineStatus| engine.confinement.clone().unwrap_or_default();
    let usual = engines.iter().map(of).min().unwrap_or_default();
    let others = engines.iter().filter(|engine| of(engine) != usual);
    let others: Vec<String> = others
        .map(|engine| format!("{} {}", engine.name, of(engine)))
        .collect();
    [vec![usual], others].concat().join("; ")
}

fn state(engine: &EngineStatus) -> &str {
    match (engine.found, engine.signed_in) {
        (false, _) => "not found",
        (true, Some(false)) => "not signed in",
        (true, _) => "ready",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_below_with_its_fix() {
        let status = |name: &str, found| EngineStatus {
            name: name.to_owned(),
            kind: "claude",
            auto: found,
            found,
            version: found.then(|| "1.2".to_owned()),
            path: found.then(|| "/bin/x".to_owned()),
            url: None,
            models: Vec::new(),
            confinement: None,
            signed_in: found.then_some(true),
            why_not: (!found).then(|| "it is not on PATH".to_owned()),
            fix: (!found).then(|| "npm install it".to_owned()),
        };
        let text = table(
            &[status("a", true), status("long", false)],
            &["long", "a", "builtin"],
        );
        assert_eq!(
            text,
            "a     ready      1.2  /bin/x\n\
             long  not found\n      it is not on PATH\n      fix: npm install it\n\
             auto, for the bee and workers without an engine, is a: the first that is ready of long, a, builtin \
             (default_engine in skep.toml puts another first)"
        );
    }
}
