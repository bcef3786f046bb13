//! Every table as bytes and back: what snapshots hold, and what two stores are compared by.

use redb::{Key, ReadableTable, TableDefinition, Value};
use sha2::{Digest, Sha256};

use super::tables::{self, Visit};
use super::{ReadTx, StoreError, Tx, WriteTx};

/// Takes the content of the tables, in a fixed order.
pub trait Sink {
    /// A table begins.
    fn table(&mut self, name: &'static str) -> std::io::Result<()>;
    /// A row of the table that began last.
    fn row(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()>;
}

/// Writes every table into `sink`.
pub fn dump(view: &ReadTx, sink: &mut impl Sink) -> Result<(), StoreError> {
    tables::visit(&mut Dump { view, sink })
}

struct Dump<'a, S> {
    view: &'a ReadTx,
    sink: &'a mut S,
}

impl<S: Sink> Visit for Dump<'_, S> {
    type Error = StoreError;

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        name: &'static str,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        self.sink.table(name)?;
        for row in self.view.table(table)?.iter()? {
            let (key, value) = row?;
            self.sink.row(
                K::as_bytes(&key.value()).as_ref(),
                V::as_bytes(&value.value()).as_ref(),
            )?;
        }
        Ok(())
    }
}

/// Puts a row into the table of this name. Bytes that cannot be a row of it are refused; a table that is not known
/// belongs to a newer version.
pub fn load(tx: &WriteTx, name: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let mut load = Load {
        tx,
        name,
        key,
        value,
        found: false,
    };
    tables::visit(&mut load)?;
    if load.found {
        Ok(())
    } else {
        Err(StoreError::Corrupt {
            table: "snapshot",
            reason: format!("there is no table {name:?}"),
        })
    }
}

struct Load<'a> {
    tx: &'a WriteTx,
    name: &'a str,
    key: &'a [u8],
    value: &'a [u8],
    found: bool,
}

impl Visit for Load<'_> {
    type Error = StoreError;

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        name: &'static str,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        if name != self.name {
            return Ok(());
        }
        self.found = true;
        if !fits::<K>(self.key) || !fits::<V>(self.value) {
            return Err(StoreError::Corrupt {
                table: name,
                reason: "a row does not fit the table".to_owned(),
            });
        }
        self.tx
            .table(table)?
            .insert(K::from_bytes(self.key), V::from_bytes(self.value))?;
        Ok(())
    }
}

/// Whether redb can read these bytes as a value of this type without a panic.
fn fits<T: Value>(bytes: &[u8]) -> bool {
    match T::fixed_width() {
        Some(width) => bytes.len() == width,
        None => {
            T::type_name() != <&str as Value>::type_name() || std::str::from_utf8(bytes).is_ok()
        }
    }
}

/// SHA-256 over names and rows of all tables but what belongs to the file: equal for equal content.
pub fn digest(view: &ReadTx) -> Result<[u8; 32], StoreError> {
    let mut sink = Digester {
        hasher: Sha256::new(),
    };
    dump(view, &mut sink)?;
    Ok(sink.hasher.finalize().into())
}

struct Digester {
    hasher: Sha256,
}

impl Digester {
    fn part(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

impl Sink for Digester {
    fn table(&mut self, name: &'static str) -> std::io::Result<()> {
        self.part(name.as_bytes());
        Ok(())
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        if !super::meta::OF_THE_FILE
            .iter()
            .any(|name| name.as_bytes() == key)
        {
            self.part(key);
            self.part(value);
        }
        Ok(())
    }
}
