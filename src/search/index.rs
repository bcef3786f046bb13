//! The index on disk: which documents there are, and which of them hold a term.
//!
//! A document is numbered when it is added; the last two bits of the number are its kind, so that a question about one
//! kind costs nothing for the others. A text that changed is another document, and the old one's number is forgotten: its
//! postings are passed over, and once they are most of the file, the whole index is made anew.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::document::{Key, Kind, message_key};
use super::postings::{self, Posting};
use super::words;
use crate::data_dir::{FileIdentity, make_dir};
use crate::store::codec;
use crate::store::walk::Walk;

/// One row: the state of the index.
const STATE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("state");
/// What a document is, by its number; no row: it was removed.
pub(super) const DOCUMENTS: TableDefinition<'static, u32, (u8, u128, u64)> =
    TableDefinition::new("documents");
/// The number of a document, and the checksum of its text. Changes together with `DOCUMENTS`.
const NUMBERS: TableDefinition<'static, (u8, u128, u64), (u32, u32)> =
    TableDefinition::new("numbers");
/// (term, first document): a chunk of the documents that hold the term.
pub(super) const POSTINGS: TableDefinition<'static, (&'static str, u32), &'static [u8]> =
    TableDefinition::new("postings");

const STATE_ROW: &str = "state";
/// Raised whenever texts become other terms, or terms other bytes.
const FORMAT: u32 = 1;
const FILE: &str = "index.redb";
/// Numbers that were forgotten while as many are in use: then the index is made anew.
const FORGOTTEN_MIN: u32 = 20_000;
/// What a transaction holds in memory before it is written.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// What a term takes in memory besides its letters.
const TERM_BYTES: usize = 48;

/// Why the index could not be asked or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file system refused.
    #[error("the search index could not be read or written: {0}")]
    Io(io::Error),
    /// It has to be made anew.
    #[error("the search index does not read: {0}")]
    Damaged(String),
    /// The tables it is made from do not read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A file that was cut, or another one.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Io(error),
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for IndexError {
            fn from(error: $error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Io(error) => error.into(),
                    other => Self::Damaged(other.to_string()),
                }
            }
        }
    )+};
}
from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

/// How far the index is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// Which file this was written to: a copy of an open file cannot be trusted.
    file: Option<FileIdentity>,
    /// The last event that was taken.
    pub position: u64,
    /// Where it is in what was there before the index was.
    pub walk: Option<Walk>,
    /// Documents that were ever numbered.
    numbered: u32,
    /// Documents that can be found.
    pub documents: u32,
    /// How many of them are executions.
    pub executions: u64,
}

/// The file, open while it is used.
pub(super) struct Index {
    folder: PathBuf,
    cache_bytes: usize,
    open: Mutex<Option<Arc<Database>>>,
}

impl Index {
    pub fn new(folder: PathBuf, cache_bytes: usize) -> Self {
        Self {
            folder,
            cache_bytes,
            open: Mutex::new(None),
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file; one that cannot be trusted is replaced by an empty one.
    pub fn database(&self) -> Result<Arc<Database>, IndexError> {
        let mut open = self.open();
        if let Some(database) = &*open {
            return Ok(database.clone());
        }
        let path = self.folder.join(FILE);
        clear_the_way(&self.folder)?;
        make_dir(&self.folder).map_err(|error| IndexError::Io(io::Error::other(error)))?;
        // A damaged redb file may make redb panic; it is as good as one that does not open.
        let trusted = || trusted(&path, self.cache_bytes);
        let database = match std::panic::catch_unwind(trusted) {
            Ok(Ok(Some(database))) => database,
            Ok(Err(error @ (IndexError::Io(_) | IndexError::Store(_)))) => return Err(error),
            Ok(Ok(None)) => create(&path, self.cache_bytes)?,
            Ok(Err(error)) => {
                tracing::info!(%error, "the search index is made anew");
                create(&path, self.cache_bytes)?
            }
            Err(_) => {
                tracing::info!("the search index is damaged and made anew");
                create(&path, self.cache_bytes)?
            }
        };
        let database = Arc::new(database);
        *open = Some(database.clone());
        Ok(database)
    }

    /// Closes the file unless somebody reads.
    pub fn rest(&self) {
        let mut open = self.open();
        *open = match open.take().map(Arc::try_unwrap) {
            Some(Err(used)) => Some(used),
            Some(Ok(database)) => {
                // What is lost here is taken again.
                let _ = settle(&database);
                None
            }
            None => None,
        };
    }

    pub fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// Removes the file. Who still reads it, reads the old one.
    pub fn reset(&self) -> Result<(), IndexError> {
        let mut open = self.open();
        *open = None;
        clear_the_way(&self.folder)?;
        remove(&self.folder.join(FILE))
    }
}

/// The folder's name is Skep's own, and what is in it disposable: something else there would keep search from coming
/// back for good.
fn clear_the_way(folder: &Path) -> Result<(), IndexError> {
    if fs::metadata(folder).is_ok_and(|it| it.is_dir()) || fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    tracing::warn!(path = %folder.display(), "this is no directory; it is removed, and the search index made there");
    remove(folder)
}

/// Removes what is there, if anything is.
fn remove(path: &Path) -> Result<(), IndexError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(it) if it.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Opens the file if it was written here by this version.
fn trusted(path: &Path, cache_bytes: usize) -> Result<Option<Database>, IndexError> {
    let identity = match FileIdentity::of(path) {
        Ok(identity) => identity,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if fs::metadata(path)?.is_dir() {
        return Err(IndexError::Damaged("it is a directory".to_owned()));
    }
    let database = Database::builder().set_cache_size(cache_bytes).open(path)?;
    let state = read_state(&database)?;
    if state.format != FORMAT {
        return Err(IndexError::Damaged("it is of another version".to_owned()));
    }
    if state.file != Some(identity) {
        return Err(IndexError::Damaged(
            "it was not written in this place".to_owned(),
        ));
    }
    Ok(Some(database))
}

fn create(path: &Path, cache_bytes: usize) -> Result<Database, IndexError> {
    remove(path)?;
    // redb would make it readable to the group and to others.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let database = Database::builder()
        .set_cache_size(cache_bytes)
        .create(path)?;
    let mut tx = database.begin_write()?;
    tx.set_quick_repair(true);
    tx.open_table(DOCUMENTS)?;
    tx.open_table(NUMBERS)?;
    tx.open_table(POSTINGS)?;
    let state = State {
        format: FORMAT,
        file: Some(FileIdentity::of(path)?),
        walk: Some(Walk::default()),
        ..State::default()
    };
    write_state(&tx, &state)?;
    tx.commit()?;
    Ok(database)
}

fn settle(database: &Database) -> Result<(), IndexError> {
    let mut tx = database.begin_write()?;
    tx.set_quick_repair(true);
    Ok(tx.commit()?)
}

/// How far the index is.
pub(super) fn read_state(database: &Database) -> Result<State, IndexError> {
    state_of(&database.begin_read()?.open_table(STATE)?)
}

pub(super) fn read_state_in(tx: &redb::ReadTransaction) -> Result<State, IndexError> {
    state_of(&tx.open_table(STATE)?)
}

fn state_of(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<State, IndexError> {
    let row = table.get(STATE_ROW)?;
    let row = row.ok_or_else(|| IndexError::Damaged("it is empty".to_owned()))?;
    codec::decode("search", row.value()).map_err(|error| IndexError::Damaged(error.to_string()))
}

fn write_state(tx: &WriteTransaction, state: &State) -> Result<(), IndexError> {
    let bytes = codec::encode(state)?;
    tx.open_table(STATE)?.insert(STATE_ROW, bytes.as_slice())?;
    Ok(())
}

/// Changes that become visible together, with how far the index is then.
pub(super) struct Batch {
    tx: WriteTransaction,
    pub state: State,
    terms: BTreeMap<String, Vec<Posting>>,
    bytes: usize,
}

impl Batch {
    pub fn begin(database: &Database) -> Result<Self, IndexError> {
        Ok(Self {
            state: read_state(database)?,
            tx: database.begin_write()?,
            terms: BTreeMap::new(),
            bytes: 0,
        })
    }

    /// Whether it holds as much as it should.
    pub fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX
    }

    /// Whether so many documents were removed that the index should be made anew.
    pub fn is_worn(&self) -> bool {
        let forgotten = self.state.numbered - self.state.documents.min(self.state.numbered);
        forgotten > FORGOTTEN_MIN && forgotten > self.state.documents
    }

    /// Adds a document, or changes its text.
    pub fn put(&mut self, key: Key, text: &str) -> Result<(), IndexError> {
        let checksum = crc32c::crc32c(text.as_bytes());
        let known = self
            .tx
            .open_table(NUMBERS)?
            .get(key)?
            .map(|row| row.value().1);
        match known {
            Some(known) if known == checksum => return Ok(()),
            Some(_) => self.remove(key)?,
            None => {}
        }
        let number = self
            .state
            .numbered
            .checked_mul(4)
            .and_then(|number| number.checked_add(u32::from(key.0)))
            .ok_or_else(|| IndexError::Damaged("its numbers are used up".to_owned()))?;
        self.state.numbered += 1;
        self.state.documents += 1;
        self.state.executions += u64::from(key.0 == Kind::Execution as u8);
        self.tx.open_table(DOCUMENTS)?.insert(number, key)?;
        self.tx
            .open_table(NUMBERS)?
            .insert(key, (number, checksum))?;
        let (terms, length) = words::count(text);
        for (term, count) in terms {
            self.bytes += term.len() + TERM_BYTES;
            let posting = (number, postings::weight(count, length));
            self.terms.entry(term).or_default().push(posting);
        }
        if self.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    /// Removes a document, if it is there.
    pub fn remove(&mut self, key: Key) -> Result<(), IndexError> {
        let removed = self
            .tx
            .open_table(NUMBERS)?
            .remove(key)?
            .map(|row| row.value().0);
        if let Some(number) = removed {
            self.tx.open_table(DOCUMENTS)?.remove(number)?;
            self.count_removed(key);
        }
        Ok(())
    }

    /// Removes the messages of a chat.
    pub fn remove_messages(&mut self, session: crate::model::SessionId) -> Result<(), IndexError> {
        let mut removed = Vec::new();
        {
            let mut numbers = self.tx.open_table(NUMBERS)?;
            let mut documents = self.tx.open_table(DOCUMENTS)?;
            let keys = message_key(session, 0)..=message_key(session, u64::MAX);
            for row in numbers.extract_from_if(keys, |_, _| true)? {
                let (key, value) = row?;
                documents.remove(value.value().0)?;
                removed.push(key.value());
            }
        }
        removed.into_iter().for_each(|key| self.count_removed(key));
        Ok(())
    }

    fn count_removed(&mut self, key: Key) {
        let is_execution = key.0 == Kind::Execution as u8;
        self.state.documents = self.state.documents.saturating_sub(1);
        self.state.executions = self.state.executions.saturating_sub(is_execution.into());
        self.bytes += TERM_BYTES;
    }

    /// At most `limit` executions after one, by their ids.
    pub fn executions_after(&self, after: u128, limit: usize) -> Result<Vec<u128>, IndexError> {
        let first = (Kind::Execution as u8, after, 1);
        let numbers = self.tx.open_table(NUMBERS)?;
        let keys = numbers.range(first..=(Kind::Execution as u8, u128::MAX, u64::MAX))?;
        keys.take(limit).map(|row| Ok(row?.0.value().1)).collect()
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        let mut table = self.tx.open_table(POSTINGS)?;
        // In the order of the keys, so that each page is visited once.
        for (term, added) in std::mem::take(&mut self.terms) {
            let mut left = added.as_slice();
            let newest = table
                .range((term.as_str(), 0)..=(term.as_str(), u32::MAX))?
                .next_back()
                .transpose()?
                .map(|(key, chunk)| (key.value().1, chunk.value().to_vec()));
            if let Some((first, mut chunk)) = newest {
                let fitted = postings::extend(&mut chunk, first, left);
                if fitted > 0 {
                    table.insert((term.as_str(), first), chunk.as_slice())?;
                }
                left = &left[fitted..];
            }
            while let Some(&(first, _)) = left.first() {
                let mut chunk = Vec::new();
                let fitted = postings::extend(&mut chunk, first, left);
                table.insert((term.as_str(), first), chunk.as_slice())?;
                left = &left[fitted..];
            }
        }
        Ok(())
    }

    /// Makes the changes visible. What is not `durable` may be lost in a crash, and is then taken again.
    pub fn commit(mut self, durable: bool) -> Result<State, IndexError> {
        self.flush()?;
        write_state(&self.tx, &self.state)?;
        match durable {
            true => self.tx.set_quick_repair(true),
            false => self.tx.set_durability(Durability::None)?,
        }
        self.tx.commit()?;
        Ok(self.state)
    }
}
