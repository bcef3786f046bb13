//! How many pages of the newest 50 messages a second do 64 clients get, out of 10 k messages in 64 chats? Out of other
//! numbers: `growth.rs`. A regression is a rate that falls by a quarter.

use std::io;

use skep::cli::bench::Row;

use crate::support::Figures;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let messages = figures.scaled(1_000, 10_000, 10_000);
    let chats = figures.lab.filled("page", messages).await?;
    let mut row = figures.lab.page("page", &chats, messages).await?;
    if let Ok(peer) = crate::support::peer::Peer::start(figures) {
        let samples = figures.lab.effort.samples * 10;
        let load =
            skep::cli::bench::hammer(&peer.target, vec![peer.target.get("/")], 64, samples).await?;
        row = row.beside("bare hyper, a short answer", load.rate / 1e3);
    }
    Ok(vec![row])
}
