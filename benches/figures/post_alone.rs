//! How long does one client wait until its message is on disk? Beside one fdatasync in a file of fixed size and one
//! byte there and back over loopback. A regression is a ratio that grows by a quarter.

use std::io;

use skep::cli::bench::Row;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    figures.lab.post_alone().await
}
