//! The store: redb, the materialised tables.
//!
//! Owns the tables, their bytes and the questions asked of them. Must never know HTTP, async or a clock; it is the only
//! folder that names redb, and only the journal's writer begins a write transaction. What is here can be deleted at any
//! time: the journal rebuilds it. Start reading at [`tables`], then [`Store`].

pub mod accounts;
pub mod codec;
pub mod contexts;
pub mod copy;
pub mod engine_options;
pub mod events;
pub mod executions;
pub mod idempotency;
pub mod memory;
pub mod messages;
pub mod meta;
pub mod page;
pub mod permissions;
pub mod profiles;
pub mod pruned;
pub mod sessions;
pub mod tables;
pub mod tasks;
pub mod usage;
pub mod walk;
pub mod workers;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, Durability, Key, ReadableDatabase, ReadableTable, TableDefinition, Value};

pub use page::{Cursor, Page};

/// Why the store could not do as asked. `Io` is told apart because a full disk is answered differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A value cannot be written.
    #[error("a value cannot be encoded: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A value does not decode: damage, or a newer version.
    #[error("a value in table {table} does not decode: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// The file system refused.
    #[error("the store could not be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// redb refused for another reason.
    #[error("redb: {0}")]
    Redb(String),
    /// The database is closed while it is being reopened, or could not be reopened.
    #[error("the store is closed")]
    Closed,
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Io(error) => Self::Io(error),
                    other => Self::Redb(other.to_string()),
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

/// The open database. It can be closed and opened again below its readers, which is how a failed commit is repaired.
pub struct Store {
    path: PathBuf,
    cache_bytes: usize,
    database: RwLock<Option<Database>>,
    left: Mutex<Left>,
    is_left: AtomicBool,
    version: Arc<AtomicU64>,
}

/// Changes whose commit was left to the next who asks for anything.
enum Left {
    Nothing,
    Changes(Box<WriteTx>),
    /// They could not be committed; nothing can be read until the tables were opened again and caught up.
    Failed(String),
}

impl Store {
    /// Opens `path`, or makes it. Nothing is said about whether its content can be trusted.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let store = Self {
            path: path.to_owned(),
            cache_bytes,
            database: RwLock::new(None),
            left: Mutex::new(Left::Nothing),
            is_left: AtomicBool::new(false),
            version: Arc::default(),
        };
        store.reopen()?;
        Ok(store)
    }

    /// Closes the file and opens it at its last durable commit.
    pub fn reopen(&self) -> Result<(), StoreError> {
        *self.left() = Left::Nothing;
        self.is_left.store(false, Ordering::Release);
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *database = None;
        // redb would make it readable to the group and to others.
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        let opened = Database::builder()
            .set_cache_size(self.cache_bytes)
            .create(&self.path)?;
        let count = opened
            .begin_read()?
            .list_tables()
            .map_err(StoreError::from)?
            .count();
        if count < tables::NAMES.len() {
            let tx = opened.begin_write()?;
            tables::visit(&mut CreateTables(&tx))?;
            tx.commit()?;
        }
        *database = Some(opened);
        Ok(())
    }

    /// Closes the file; later reads are refused.
    pub fn close(&self) {
        let _ = self.settle();
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Memory that redb may use for its cache.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Asks the tables as they are now. Short: never across an await, never a whole table.
    pub fn read<T, E: From<StoreError>>(
        &self,
        question: impl FnOnce(&ReadTx) -> Result<T, E>,
    ) -> Result<T, E> {
        self.settle()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        question(&ReadTx(database.begin_read().map_err(StoreError::from)?))
    }

    /// A view that stays as it is now, for a snapshot. It keeps old pages alive: drop it soon.
    pub fn view(&self) -> Result<ReadTx, StoreError> {
        self.settle()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(ReadTx(
            database.as_ref().ok_or(StoreError::Closed)?.begin_read()?,
        ))
    }

    /// A transaction that changes tables; only the journal's writer may ask. `durable` commits are checkpoints.
    pub(crate) fn begin_write(&self, durable: bool) -> Result<WriteTx, StoreError> {
        self.settle()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut tx = database.as_ref().ok_or(StoreError::Closed)?.begin_write()?;
        if durable {
            tx.set_quick_repair(true);
        } else {
            tx.set_durability(Durability::None)?;
        }
        Ok(WriteTx(tx, self.version.clone()))
    }

    /// Leaves the commit to whoever asks next: who reads sees these changes, and who does not need them does not wait.
    pub(crate) fn leave(&self, tx: WriteTx) {
        *self.left() = Left::Changes(Box::new(tx));
        self.is_left.store(true, Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with every change that can be seen. What was read after asking for it holds for as long as it stays.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes the commit that was left, if there is one.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        if !self.is_left.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut left = self.left();
        let result = match std::mem::replace(&mut *left, Left::Nothing) {
            Left::Nothing => Ok(()),
            Left::Changes(tx) => tx.commit(),
            Left::Failed(reason) => Err(StoreError::Redb(reason)),
        };
        match &result {
            Ok(()) => self.is_left.store(false, Ordering::Release),
            Err(error) => *left = Left::Failed(error.to_string()),
        }
        result
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that reads.
pub struct ReadTx(redb::ReadTransaction);

/// A transaction that changes tables.
pub struct WriteTx(redb::WriteTransaction, Arc<AtomicU64>);

impl WriteTx {
    /// Makes the changes visible to readers.
    pub fn commit(self) -> Result<(), StoreError> {
        self.0.commit()?;
        self.1.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Forgets the changes.
    pub fn abort(self) -> Result<(), StoreError> {
        Ok(self.0.abort()?)
    }
}

/// What can be asked of both kinds of transaction: queries are written once.
pub trait Tx {
    /// A table of this transaction.
    type Table<'a, K: Key + 'static, V: Value + 'static>: ReadableTable<K, V>
    where
        Self: 'a;

    /// Opens a table. Within one write transaction a table is open once at a time: drop it before asking again.
    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<Self::Table<'_, K, V>, StoreError>;
}

impl Tx for ReadTx {
    type Table<'a, K: Key + 'static, V: Value + 'static> = redb::ReadOnlyTable<K, V>;

    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<Self::Table<'_, K, V>, StoreError> {
        Ok(self.0.open_table(table)?)
    }
}

impl Tx for WriteTx {
    type Table<'a, K: Key + 'static, V: Value + 'static> = redb::Table<'a, K, V>;

    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<Self::Table<'_, K, V>, StoreError> {
        Ok(self.0.open_table(table)?)
    }
}

/// Opens every table once, so that a reader never meets one that does not exist.
struct CreateTables<'a>(&'a redb::WriteTransaction);

impl tables::Visit for CreateTables<'_> {
    type Error = StoreError;

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        _name: &'static str,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        self.0.open_table(table)?;
        Ok(())
    }
}
