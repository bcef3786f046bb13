//! Records as bytes: one version byte, then bincode. The only file that names bincode.
//!
//! bincode stores no field names, so a change of a record's fields is a new version and an upgrade on read, and enum
//! variants are only ever appended.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// The version of every record written by this release.
pub const VERSION: u8 = 1;

/// The largest value that is decoded, bytes: what stops a damaged length from reserving memory.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();

/// The bytes of a record. Fails only for values above [`VALUE_BYTES_MAX`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, CONFIG).map_err(|error| {
        StoreError::Encode {
            reason: error.to_string(),
        }
    })?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(StoreError::Encode {
            reason: format!("a value of {} bytes", bytes.len()),
        });
    }
    Ok(bytes)
}

/// The record that `bytes` hold; `table` names the place in the error.
pub fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { table, reason };
    match bytes.split_first() {
        Some((&VERSION, rest)) => match bincode::serde::decode_from_slice(rest, CONFIG) {
            Ok((value, read)) if read == rest.len() => Ok(value),
            Ok((_, read)) => Err(corrupt(format!(
                "{} bytes follow the value",
                rest.len() - read
            ))),
            Err(error) => Err(corrupt(error.to_string())),
        },
        Some((version, _)) => Err(corrupt(format!("version {version} is not known"))),
        None => Err(corrupt("it is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_round_trips() {
        let value = ("text".to_owned(), Some(7u64), vec![1u8, 2, 3]);
        let bytes = encode(&value).unwrap();
        assert_eq!(
            decode::<(String, Option<u64>, Vec<u8>)>("t", &bytes).unwrap(),
            value
        );
    }

    #[test]
    fn bytes_that_are_no_record_are_corrupt_and_never_a_panic() {
        let good = encode(&(String::from("hello"), 300u64)).unwrap();
        for cut in 0..good.len() {
            assert!(
                decode::<(String, u64)>("t", &good[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(decode::<(String, u64)>("t", &longer).is_err());
        for position in 0..good.len() {
            for value in [0, 1, 0x7f, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
                let mut bad = good.clone();
                bad[position] = value;
                let _ = decode::<(String, u64)>("t", &bad);
            }
        }
        assert!(matches!(
            decode::<String>("workers", &[9, 1]).unwrap_err(),
            StoreError::Corrupt {
                table: "workers",
                ..
            }
        ));
    }

    #[test]
    fn a_value_above_the_limit_is_refused() {
        assert!(encode(&vec![0u8; VALUE_BYTES_MAX - 16]).is_ok());
        assert!(encode(&vec![0u8; VALUE_BYTES_MAX]).is_err());
    }
}
