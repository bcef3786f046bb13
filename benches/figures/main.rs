//! The figures that Skep shall reach, each beside what this machine can do, measured in the same run: medians of several
//! rounds, because machines are shared. One file for each question.
//!
//! ```sh
//! cargo bench --bench figures                    # about 3 minutes
//! cargo bench --bench figures -- page fan_out    # these only
//! cargo bench --bench figures -- --full          # with 1 M messages and 10,000 streams: about 20 minutes, 8 GB of disk
//! cargo bench --bench figures -- --smoke         # each question once and briefly, for the tests
//! cargo bench --bench figures -- --dir /mnt/disk # on that disk; else where temporary files go
//! cargo bench --bench figures -- --skep PATH     # of another Skep, to compare
//! benches/pocketbase/run.sh                      # the shared questions, asked of PocketBase too
//! ```
//!
//! A regression is a ratio that doubles, or a row that stops holding. Nothing here is a test: a slow machine is no bug.
#![allow(clippy::unwrap_used)]

mod binary;
mod console_page;
mod deltas;
mod exec;
mod fan_out;
mod growth;
mod guard;
mod idle_stream;
mod log_download;
mod memory;
mod page;
mod pipeline;
mod pocketbase;
mod post_alone;
mod post_together;
mod start;
mod support;
mod tool_round;

use std::io;
use std::pin::Pin;

use skep::cli::bench::{Row, descriptors, table};

use support::{Figures, Options, peer, ticker};

/// One of them.
type Question = (&'static str, fn(&Figures) -> Measured<'_>);
type Measured<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<Row>>> + 'a>>;

/// Every question, by the name of its file.
const QUESTIONS: [Question; 17] = [
    ("post_alone", |figures| {
        Box::pin(post_alone::measure(figures))
    }),
    ("post_together", |figures| {
        Box::pin(post_together::measure(figures))
    }),
    ("page", |figures| Box::pin(page::measure(figures))),
    ("start", |figures| Box::pin(start::measure(figures))),
    ("memory", |figures| Box::pin(memory::measure(figures))),
    ("idle_stream", |figures| {
        Box::pin(idle_stream::measure(figures))
    }),
    ("fan_out", |figures| Box::pin(fan_out::measure(figures))),
    ("exec", |figures| Box::pin(exec::measure(figures))),
    ("deltas", |figures| Box::pin(deltas::measure(figures))),
    ("log_download", |figures| {
        Box::pin(log_download::measure(figures))
    }),
    ("console_page", |figures| {
        Box::pin(console_page::measure(figures))
    }),
    ("binary", |figures| Box::pin(binary::measure(figures))),
    ("growth", |figures| Box::pin(growth::measure(figures))),
    ("pocketbase", |figures| {
        Box::pin(pocketbase::measure(figures))
    }),
    ("guard", |figures| Box::pin(guard::measure(figures))),
    ("tool_round", |figures| {
        Box::pin(tool_round::measure(figures))
    }),
    ("pipeline", |figures| Box::pin(pipeline::measure(figures))),
];

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match words.first().map(String::as_str) {
        Some(peer::WORD) => return runtime.block_on(peer::serve()),
        Some(ticker::WORD) => return ticker::tick(),
        _ => {}
    }
    let names = QUESTIONS.map(|(name, _)| name);
    let options = Options::read(&words, &names)?;
    let descriptors = descriptors()?;
    let figures = Figures::new(options, descriptors)?;
    let mut rows = Vec::new();
    for (name, question) in QUESTIONS {
        if figures.options.asks(name) {
            eprintln!("{name} …");
            rows.extend(runtime.block_on(question(&figures))?);
        }
    }
    print!("{}", table(&rows));
    for note in figures.notes.into_inner() {
        println!("{note}");
    }
    Ok(())
}
