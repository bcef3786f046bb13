//! The codec: the values of every table, and the commands of the journal.

use serde::Serialize;
use serde::de::DeserializeOwned;
use skep::command::Command;
use skep::model::{Account, ApiKey, Bee, Event, Execution, Login, Message, Session, Worker};
use skep::store::codec;

use super::choice;

/// Whatever decodes is encoded to bytes that mean the same, and nothing is so large that it could not be.
pub fn decode(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    match which % 12 {
        0 => check::<Account>("meta", rest),
        1 => check::<ApiKey>("api_keys", rest),
        2 => check::<Bee>("meta", rest),
        3 => check::<Event>("feed", rest),
        4 => check::<Execution>("executions", rest),
        5 => check::<Login>("logins", rest),
        6 => check::<Message>("messages", rest),
        7 => check::<Session>("sessions", rest),
        8 => check::<Worker>("workers", rest),
        9 => check::<Command>("journal", rest),
        10 => check::<u64>("meta", rest),
        _ => check::<String>("contexts", rest),
    }
}

fn check<T: Serialize + DeserializeOwned>(table: &'static str, bytes: &[u8]) {
    match codec::decode::<T>(table, bytes) {
        Ok(value) => {
            let encoded = codec::encode(&value).expect("what was read can be written");
            let again: T = codec::decode(table, &encoded).expect("what was written can be read");
            // Compared as bytes: a cost that is no number differs from itself.
            assert_eq!(encoded, codec::encode(&again).expect("as before"));
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(table), "{said} does not name {table}");
            assert!(said.len() < 1024, "{} bytes of error", said.len());
        }
    }
}
