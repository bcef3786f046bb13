//! How long does one client wait until its message is on disk? Beside one fdatasync in a file of fixed size and one
//! byte there and back over loopback; and what redb takes, by itself, for a change of as many tables, which is what
//! comes on top of that. A regression is a ratio that grows by a quarter.

use std::io;
use std::time::Instant;

use redb::{Database, Durability, TableDefinition};
use skep::cli::bench::{Measure, Row, millis};

use crate::support::Figures;

/// The tables that a message of the user changes: its own, the chat's, the execution's, the events', and their indices.
const TABLES: usize = 16;
/// Rows of each table before.
const ROWS: u64 = 2_000;
/// About what a row of them has.
const VALUE: [u8; 150] = [7; 150];

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let mut rows = figures.lab.post_alone().await?;
    let (changes, commits) = redb_alone(figures).map_err(io::Error::other)?;
    rows.push(Row::new("redb alone: a change of 16 tables", "ms", changes));
    rows.push(Row::new(
        "redb alone: its commit, behind the answer",
        "ms",
        commits,
    ));
    Ok(rows)
}

fn redb_alone(figures: &Figures) -> Result<(Measure, Measure), redb::Error> {
    let database = Database::create(figures.lab.dir.join("redb-alone"))?;
    let names: Vec<String> = (0..TABLES).map(|table| format!("table {table}")).collect();
    let tables: Vec<TableDefinition<'_, u64, &[u8]>> = names
        .iter()
        .map(|name| TableDefinition::new(name))
        .collect();
    let tx = database.begin_write()?;
    for table in &tables {
        let mut table = tx.open_table(*table)?;
        for row in 0..ROWS {
            table.insert(row, &VALUE[..])?;
        }
    }
    tx.commit()?;
    let (mut changes, mut commits) = (Vec::new(), Vec::new());
    for sample in 0..figures.lab.effort.samples as u64 {
        let begin = Instant::now();
        let mut tx = database.begin_write()?;
        tx.set_durability(Durability::None)?;
        for table in &tables {
            tx.open_table(*table)?.insert(ROWS + sample, &VALUE[..])?;
        }
        changes.push(millis(begin.elapsed()));
        let begin = Instant::now();
        tx.commit()?;
        commits.push(millis(begin.elapsed()));
    }
    let middle = |samples: &mut Vec<f64>| Measure::from(skep::cli::bench::median(samples));
    Ok((middle(&mut changes), middle(&mut commits)))
}
