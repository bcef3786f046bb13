//! How often a second is the console's page served to 64 clients? Beside 10 KB from nginx, or from a loop around sendfile
//! where nginx is not installed. A regression is a rate that falls by a quarter.

use std::io;

use skep::cli::bench::{Asked, Measure, Row, Target, hammer, median};

use crate::support::{Figures, files::Files};

const PAGE_BYTES: usize = 10_000;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let server = figures.lab.fresh("console", "").await?;
    let skep = rates(figures, &server.target, "/").await?;
    let folder = figures.dir().join("page-file");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("page"), vec![b'x'; PAGE_BYTES])?;
    let files = Files::serve(figures, &folder)?;
    let mut limit = rates(figures, &files.target, "/page").await?;
    Ok(vec![
        Row::new("the console's page, 64 clients", "k/s", Measure::of(skep))
            .beside(format!("{}, 10 KB", files.name), median(&mut limit))
            .asked(Asked::AtLeast(60.0)),
    ])
}

async fn rates(figures: &Figures, target: &Target, path: &str) -> io::Result<Vec<f64>> {
    let count = figures.lab.effort.samples * 25;
    let mut rates = Vec::new();
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        rates.push(
            hammer(target, vec![target.get(path)], 64, count)
                .await?
                .rate
                / 1e3,
        );
    }
    Ok(rates)
}
