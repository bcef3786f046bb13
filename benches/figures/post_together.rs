//! How many messages a second reach the disk when 64 clients post, and how long does the slowest hundredth wait? A new
//! hive for each round. A regression is a rate that falls, or a p99 that grows, by a quarter.

use std::io;

use skep::cli::bench::Row;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    figures.lab.post_together().await
}
