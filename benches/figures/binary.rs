//! How large is the one file?

use std::io;

use skep::cli::bench::{Asked, Row};

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let bytes = std::fs::metadata(&figures.lab.binary)?.len();
    Ok(vec![
        Row::new("binary", "MB", bytes as f64 / 1e6).asked(Asked::AtMost(20.0)),
    ])
}
