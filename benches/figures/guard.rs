//! What do a guard and its confinement cost an engine? A guard is started for each, as when none waits; the engine is
//! `date`: it tells when it ran. Beside one fork+exec of the same. A regression is a ratio that doubles.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use skep::cli::bench::{Measure, Row, machine, median, unix_ms};
use skep::guard::{Guards, Needs, Policy, Spec};
use tokio::io::AsyncReadExt;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let work_dir = figures.dir().join("guard/work");
    std::fs::create_dir_all(&work_dir)?;
    let policy = Policy::new(&figures.dir().join("guard/hive"), None, &[], &[]);
    let confinement = policy.confine(&Needs {
        work_dir: Some(&work_dir),
        ..Needs::default()
    });
    let confinement = confinement.map_err(io::Error::other)?;
    let guards = Arc::new(Guards::running(figures.lab.binary.clone()));
    let mut spec = Spec {
        argv: machine::CLOCK.map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        cwd: work_dir,
        grace_period_ms: 1_000,
        confinement: None,
    };
    let (mut guarded, mut confined, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        plain.push(machine::fork_exec(1)?);
        spec.confinement = None;
        guarded.push(once(&guards, &spec).await?);
        spec.confinement = Some(confinement.clone());
        confined.push(once(&guards, &spec).await?);
    }
    let plain = median(&mut plain);
    let row = |what, times| Row::new(what, "ms", Measure::of(times)).beside("fork+exec", plain);
    Ok(vec![
        row("engine under a new guard → it runs", guarded),
        row("the same, confined", confined),
    ])
}

/// Milliseconds until it ran.
async fn once(guards: &Arc<Guards>, spec: &Spec) -> io::Result<f64> {
    let begin = unix_ms();
    let mut guarded = guards.start(spec).await.map_err(io::Error::other)?;
    drop(guarded.stdin);
    let mut printed = String::new();
    guarded.stdout.read_to_string(&mut printed).await?;
    guarded.control.ended().await;
    Ok(machine::clock_ms(&printed)? - begin)
}
