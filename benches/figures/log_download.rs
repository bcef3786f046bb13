//! How fast is a finished log of 100 MB downloaded? Beside the same file from nginx, or from a loop around sendfile where
//! nginx is not installed. A regression is a ratio that falls by a quarter.

use std::io;
use std::time::Instant;

use serde_json::json;
use skep::cli::bench::{Asked, Client, Measure, Rounds, Row, Target, ended, median, text};

use crate::support::{Figures, files::Files};

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let bytes = figures.scaled(10_000_000, 100_000_000, 100_000_000);
    let engine = format!(
        "[engines.wordy]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \
         \"yes 'a line of an ordinary length, as programs print them' | head -c {bytes}\"]\n"
    );
    let server = figures.lab.fresh("log", &engine).await?;
    let worker = server.worker("wordy").await?;
    let chat = server.chat().await?;
    let target = &server.target;
    let mut client = Client::connect(target.address).await?;
    let body = json!({ "content": "say much", "worker_id": worker });
    let posted = client
        .json(&target.post(&format!("{chat}/messages"), &body))
        .await?;
    let path = format!("/api/executions/{}", text(&posted, "execution_id")?);
    ended(&mut client, &target.get(&path)).await?;
    let skep = rates(figures.lab.rounds(), target, &format!("{path}/logs"), bytes).await?;

    let folder = figures.dir().join("files");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("log"), vec![b'x'; bytes])?;
    let files = Files::serve(figures, &folder)?;
    let mut limit = rates(figures.lab.rounds(), &files.target, "/log", bytes).await?;
    let what = format!("download of a log of {} MB", bytes / 1_000_000);
    Ok(vec![
        Row::new(what, "MB/s", Measure::of(skep))
            .beside(files.name, median(&mut limit))
            .asked(Asked::TimesAtLeast(0.5)),
    ])
}

async fn rates(
    mut rounds: Rounds,
    target: &Target,
    path: &str,
    bytes: usize,
) -> io::Result<Vec<f64>> {
    let request = target.get(path);
    let mut client = Client::connect(target.address).await?;
    let mut rates = Vec::new();
    while rounds.another() {
        let begin = Instant::now();
        let got = client.download(&request).await?;
        rates.push(got as f64 / 1e6 / begin.elapsed().as_secs_f64());
        if got != bytes as u64 {
            return Err(io::Error::other(format!("{got} bytes instead of {bytes}")));
        }
    }
    Ok(rates)
}
