//! One row for each setting: the table that drives parsing and from which the documentation comes.

use super::value::Kind;
use super::{Config, Confinement, RateLimits, Retention, limits::Limits};

/// A setting: its names, its default and what it means.
pub struct Setting {
    /// In `skep.toml`; `table.key` when it stands in a table.
    pub key: &'static str,
    /// In the environment.
    pub env: String,
    /// On the command line, where people expect one.
    pub flag: Option<&'static str>,
    /// The default as it would be written in `skep.toml`; empty when there is none.
    pub default: String,
    /// The unit of a number; empty when it is a count or no number.
    pub unit: &'static str,
    /// The least and the greatest number; empty when it is no number.
    pub range: String,
    /// What it means.
    pub doc: String,
    pub(super) kind: Kind,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

/// Every setting that has one value, in the order of the documentation. `[engines.<name>]` and `[tier]` are tables of
/// the user's own making and are not among them.
pub fn documented() -> Vec<Setting> {
    let mut all = Config::settings();
    all.extend(RateLimits::settings());
    all.extend(Retention::settings());
    all.extend(Limits::settings());
    all.extend(Confinement::settings());
    all
}

/// The unit that a setting's name ends in or holds.
pub(super) fn unit(key: &str) -> &'static str {
    if key.ends_with("_ms") {
        "milliseconds"
    } else if key.ends_with("_s") {
        "seconds"
    } else if key.contains("_bytes") {
        "bytes"
    } else {
        ""
    }
}

/// Defines a struct of settings, its defaults and a row of the table for each field:
/// `name: Type = default, in range, env "NAME", flag "--name";` and, in an `also` block, fields that are no settings.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $section:literal, $prefix:literal, $access:expr => {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr
                    $(, in $range:expr)?
                    $(, env $env:literal)?
                    $(, flag $flag:literal)?;
            )+
        }
        $(also { $($(#[$also_meta:meta])* $also:ident: $also_type:ty,)+ })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($($(#[$also_meta])* pub $also: $also_type,)+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $default,)+
                    $($($also: Default::default(),)+)?
                }
            }
        }

        impl $name {
            pub(super) fn settings() -> Vec<$crate::config::Setting> {
                use $crate::config::value::Value;
                let default = Self::default();
                vec![$($crate::config::Setting {
                    key: concat!($section, stringify!($field)),
                    env: settings!(@first $($env.to_owned(),)?
                        format!("{}{}", $prefix, stringify!($field).to_uppercase()),),
                    flag: settings!(@first $(Some($flag),)? None,),
                    default: default.$field.toml(),
                    unit: $crate::config::setting::unit(stringify!($field)),
                    range: settings!(@first $({
                        let (min, max) = ($range).into_inner();
                        let (min, max): ($type, $type) = (min, max);
                        format!("{min}–{max}")
                    },)? String::new(),),
                    doc: [$($doc.trim()),+].join(" "),
                    kind: <$type as Value>::KIND,
                    set: |config, word| {
                        let access: fn(&mut $crate::config::Config) -> &mut Self = $access;
                        let value = <$type as Value>::parse(word)?;
                        $(let value = $crate::config::value::within(value, $range)?;)?
                        access(config).$field = value;
                        Ok(())
                    },
                }),+]
            }
        }
    };
    (@first $first:expr, $($rest:expr,)*) => { $first };
}
pub(super) use settings;
