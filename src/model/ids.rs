//! Ids are UUIDv7 (RFC 9562): they sort by the time they were made, so a table keyed by id is in time order.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(Uuid);

        impl $name {
            /// The id as the number that table keys use; it sorts as the id does.
            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The id that a table key holds.
            pub fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }
    )+};
}

ids! {
    /// A worker.
    WorkerId,
    /// A chat.
    SessionId,
    /// A message of a chat, the user's or a reply.
    MessageId,
    /// One run of an engine.
    ExecutionId,
    /// A sign-in: the family of the refresh tokens that descend from it.
    LoginId,
    /// An API key.
    ApiKeyId,
    /// Something to be done at a time.
    TaskId,
    /// Something that the user is asked about.
    PermissionId,
}

/// Where new ids come from: UUIDv7 that never goes back within this process.
#[derive(Debug, Default)]
pub struct Ids;

impl Ids {
    /// A new id, later than every one made before.
    pub fn next<T: From<Uuid>>(&self) -> T {
        T::from(Uuid::now_v7())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_sort_in_the_order_they_were_made() {
        let ids = Ids;
        let made: Vec<MessageId> = (0..1000).map(|_| ids.next()).collect();
        assert!(
            made.windows(2)
                .all(|pair| pair[0] < pair[1] && pair[0].as_u128() < pair[1].as_u128())
        );
    }

    #[test]
    fn an_id_survives_text_and_key() {
        let id: SessionId = Ids.next();
        assert_eq!(id.to_string().parse::<SessionId>().unwrap(), id);
        assert_eq!(SessionId::from_u128(id.as_u128()), id);
        assert!("not-an-id".parse::<SessionId>().is_err());
    }
}
