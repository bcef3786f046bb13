//! How soon after a message does its engine run? The engine is `date`: it tells when. Beside two fork+exec (the guard
//! and the engine), one fdatasync and 1 ms.

use std::io;

use skep::cli::bench::Row;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    figures.lab.exec().await
}
