//! A page of a list: read along an index, it never costs more than its rows.

use redb::{ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

use super::{StoreError, Tx, codec};

/// A page: at most `limit` rows, and where the next one starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows, in the order of the list.
    pub rows: Vec<T>,
    /// Present when more rows exist.
    pub next: Option<Cursor>,
}

/// Where a page starts: the index key of the last row before it. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The first part of the key: a time, or 0.
    pub major: u64,
    /// The id part of the key.
    pub minor: u128,
}

impl Cursor {
    /// The text that clients send back.
    pub fn encode(&self) -> String {
        format!("{:x}-{:x}", self.major, self.minor)
    }

    /// The cursor that a client sent back.
    pub fn decode(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('-')?;
        Some(Self {
            major: u64::from_str_radix(major, 16).ok()?,
            minor: u128::from_str_radix(minor, 16).ok()?,
        })
    }
}

/// How many keys one page looks at. A page whose rows are rare may be short; its cursor goes on from there.
pub const KEYS_SCANNED_MAX: usize = 10_000;

/// How much one page of large rows holds: a thousand of the longest replies would be 2 GiB.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// The rows of a table whose key is their id, newest first.
pub fn newest_first<T: DeserializeOwned>(
    tx: &impl Tx,
    table: TableDefinition<'static, u128, &'static [u8]>,
    name: &'static str,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<T>, StoreError> {
    let table = tx.table(table)?;
    let rows = table
        .range(..after.map_or(u128::MAX, |cursor| cursor.minor))?
        .rev();
    collect(
        rows.map(|row| {
            row.map(|(id, value)| (id.value(), value))
                .map_err(StoreError::from)
        }),
        limit,
        |(id, _)| Cursor {
            major: 0,
            minor: *id,
        },
        |(_, value)| codec::decode(name, value.value()).map(Some),
    )
}

/// Takes at most `limit` rows from `keys`; `load` may skip a key by answering `None`. One key more is looked at, to know
/// whether there is a next page.
pub fn collect<K, T>(
    keys: impl Iterator<Item = Result<K, StoreError>>,
    limit: usize,
    cursor: impl Fn(&K) -> Cursor,
    mut load: impl FnMut(&K) -> Result<Option<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    collect_large(
        keys,
        limit,
        cursor,
        |key| Ok(load(key)?.map(|row| (row, 0))),
    )
}

/// The same for rows that may be large: `load` tells the size of each, and the row that brings the page to
/// [`PAGE_BYTES_MAX`] is its last.
pub fn collect_large<K, T>(
    keys: impl Iterator<Item = Result<K, StoreError>>,
    limit: usize,
    cursor: impl Fn(&K) -> Cursor,
    mut load: impl FnMut(&K) -> Result<Option<(T, usize)>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for (scanned, key) in keys.enumerate() {
        let key = key?;
        if rows.len() == limit || bytes >= PAGE_BYTES_MAX || scanned == KEYS_SCANNED_MAX {
            return Ok(Page { rows, next: last });
        }
        if let Some((row, size)) = load(&key)? {
            rows.push(row);
            bytes += size;
        }
        last = Some(cursor(&key));
    }
    Ok(Page { rows, next: None })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_survives_the_client() {
        let cursor = Cursor {
            major: u64::MAX,
            minor: u128::MAX,
        };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for bad in ["", "-", "x-1", "1", "1-", "ffffffffffffffffff-1"] {
            assert_eq!(Cursor::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_says_whether_more_exist() {
        let page = |n: u64, limit| {
            collect(
                (1..=n).map(Ok),
                limit,
                |&k| Cursor { major: k, minor: 0 },
                |&k| Ok(Some(k)),
            )
            .unwrap()
        };
        assert_eq!(
            page(3, 3),
            Page {
                rows: vec![1, 2, 3],
                next: None
            }
        );
        assert_eq!(
            page(4, 3),
            Page {
                rows: vec![1, 2, 3],
                next: Some(Cursor { major: 3, minor: 0 })
            }
        );
        assert_eq!(
            page(0, 3),
            Page {
                rows: vec![],
                next: None
            }
        );
    }

    #[test]
    fn a_page_of_large_rows_ends_at_its_size_and_goes_on() {
        let large = |n: u64, size: usize| {
            collect_large(
                (1..=n).map(Ok),
                1000,
                |&k| Cursor { major: k, minor: 0 },
                |&k| Ok(Some((k, size))),
            )
            .unwrap()
        };
        let half = large(3, PAGE_BYTES_MAX / 2);
        assert_eq!(half.rows, [1, 2]);
        assert_eq!(half.next, Some(Cursor { major: 2, minor: 0 }));
        let just_under = large(3, PAGE_BYTES_MAX / 2 - 1);
        assert_eq!((just_under.rows.len(), just_under.next), (3, None));
        // However large a row is, the list goes on.
        assert_eq!(large(2, 2 * PAGE_BYTES_MAX).rows, [1]);
    }

    #[test]
    fn a_page_of_rare_rows_stops_at_the_limit_and_goes_on() {
        let n = KEYS_SCANNED_MAX as u64;
        let rare = |keys: u64| {
            collect(
                (1..=keys).map(Ok),
                1,
                |&k| Cursor { major: k, minor: 0 },
                |&k| Ok((k > n).then_some(k)),
            )
            .unwrap()
        };
        assert_eq!(
            rare(n),
            Page {
                rows: vec![],
                next: None
            }
        );
        assert_eq!(
            rare(n + 1),
            Page {
                rows: vec![],
                next: Some(Cursor { major: n, minor: 0 })
            }
        );
    }
}
