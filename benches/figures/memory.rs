//! What does a server hold in memory, idle and after much was asked of it, and does that grow from round to round? The
//! range is over rounds of the same load.

use std::io;

use skep::cli::bench::Row;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    figures.lab.memory().await
}
