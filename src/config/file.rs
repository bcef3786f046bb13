//! `skep.toml`: every key is known or refused, and a refusal names key and line.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::setting::Setting;
use super::value::Kind;
use super::{Config, Tier};
use crate::engine::settings::EngineSettings;

/// More than this is not a settings file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The length of an engine's name.
const ENGINE_NAME_BYTES_MAX: usize = 64;
/// A word that is further from a key than this is no slip of it.
const DISTANCE_MAX: usize = 2;
/// The tables that hold other things than settings of one value.
const TABLES: [&str; 6] = [
    "confinement",
    "engines",
    "limits",
    "rate_limit",
    "retention",
    "tier",
];
const BUILTIN: &str = "builtin";
const ENGINE_KINDS: [&str; 8] = [
    "command", "claude", "codex", "opencode", "gemini", "acp", "http", BUILTIN,
];
const ENGINE_PROTOCOLS: [&str; 2] = ["openai", "anthropic"];
const ENGINE_OUTPUTS: [&str; 2] = ["text", "events"];
const ENGINE_KEYS: [&str; 18] = [
    "kind",
    "argv",
    "env",
    "model",
    "output",
    "auth_method",
    "url",
    "protocol",
    "key",
    "context_tokens",
    "max_tokens",
    "price_in",
    "price_out",
    "tools",
    "fetch",
    "read",
    "write",
    "confine",
];

/// The file's text; a missing file is an empty one.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let whole = |message: String| {
        ConfigError::new(
            Place::File {
                path: path.to_owned(),
                key: None,
                line: None,
            },
            message,
        )
    };
    match std::fs::metadata(path) {
        // What is no directory is for whoever opens it to refuse, by its name.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(String::new());
        }
        Err(error) => return Err(whole(error.to_string())),
        Ok(metadata) if !metadata.is_file() => return Err(whole("is not a file".to_owned())),
        Ok(_) => {}
    }
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| whole(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(whole(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Puts what the file says into `config` and returns where each setting stood.
pub(super) fn apply(
    config: &mut Config,
    table: &[Setting],
    path: &Path,
    text: &str,
) -> Result<BTreeMap<String, Place>, ConfigError> {
    let mut reader = Reader {
        config,
        table,
        path,
        text,
        places: BTreeMap::new(),
    };
    let root =
        DeTable::parse(text).map_err(|error| reader.refuse(None, error.span(), error.message()))?;
    reader.root(root.into_inner())?;
    Ok(reader.places)
}

struct Reader<'a> {
    config: &'a mut Config,
    table: &'a [Setting],
    path: &'a Path,
    text: &'a str,
    places: BTreeMap<String, Place>,
}

impl Reader<'_> {
    fn root(&mut self, root: DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in root {
            let span = key.span();
            let name = key.into_inner();
            match (&*name, value.get_ref()) {
                (
                    "limits" | "rate_limit" | "confinement" | "retention",
                    DeValue::Table(section),
                ) => {
                    for (key, value) in section {
                        self.setting(format!("{name}.{}", key.get_ref()), key.span(), value)?;
                    }
                }
                ("engines", DeValue::Table(_)) => self.engines(value)?,
                ("tier", DeValue::Table(_)) => {
                    let tier: Tier = self.typed("tier", value)?;
                    tier.check()
                        .map_err(|message| self.refuse(Some("tier"), Some(span), &message))?;
                    self.config.tier = tier;
                }
                ("limits" | "rate_limit" | "confinement" | "retention" | "engines" | "tier", _) => {
                    let message = format!("must be a table: [{name}]");
                    return Err(self.refuse(Some(&name), Some(span), &message));
                }
                _ => self.setting(name.into_owned(), span, &value)?,
            }
        }
        Ok(())
    }

    fn setting(
        &mut self,
        key: String,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let Some(setting) = self.table.iter().find(|setting| setting.key == key) else {
            let known = self.table.iter().map(|setting| setting.key);
            let message = unknown(&key, known.chain(TABLES));
            return Err(self.refuse(Some(&key), Some(span), &message));
        };
        let outcome =
            word(setting.kind, value.get_ref()).and_then(|word| (setting.set)(self.config, &word));
        outcome.map_err(|message| self.refuse(Some(&key), Some(span.clone()), &message))?;
        let line = Some(self.line(span.start));
        self.places.insert(
            key.clone(),
            Place::File {
                path: self.path.to_owned(),
                key: Some(key),
                line,
            },
        );
        Ok(())
    }

    fn engines(&mut self, engines: Spanned<DeValue<'_>>) -> Result<(), ConfigError> {
        let DeValue::Table(engines) = engines.into_inner() else {
            return Ok(());
        };
        for (name, value) in engines {
            let span = name.span();
            let name = name.into_inner().into_owned();
            let key = format!("engines.{name}");
            let valid = (1..=ENGINE_NAME_BYTES_MAX).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !valid {
                let message = format!(
                    "an engine's name is 1 to {ENGINE_NAME_BYTES_MAX} letters, digits, '-', '_' or '.'"
                );
                return Err(self.refuse(Some(&key), Some(span), &message));
            }
            if let DeValue::Table(entries) = value.get_ref() {
                for (word, value) in entries {
                    engine_entry(&name, word.get_ref(), value.get_ref()).map_err(|message| {
                        let key = format!("{key}.{}", word.get_ref());
                        self.refuse(Some(&key), Some(word.span()), &message)
                    })?;
                }
            }
            let settings: EngineSettings = self.typed(&key, value)?;
            let settings = settings
                .named(&name)
                .map_err(|message| self.refuse(Some(&key), Some(span), &message))?;
            self.config.engines.insert(name, settings);
        }
        Ok(())
    }

    fn typed<T: for<'de> Deserialize<'de>>(
        &self,
        key: &str,
        value: Spanned<DeValue<'_>>,
    ) -> Result<T, ConfigError> {
        let span = value.span();
        T::deserialize(value.into_deserializer())
            .map_err(|error| self.refuse(Some(key), error.span().or(Some(span)), error.message()))
    }

    fn refuse(&self, key: Option<&str>, span: Option<Range<usize>>, message: &str) -> ConfigError {
        let place = Place::File {
            path: self.path.to_owned(),
            key: key.map(str::to_owned),
            line: span.map(|span| self.line(span.start)),
        };
        ConfigError::new(place, message)
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// Refuses an entry of `[engines.<name>]` that cannot be read, and says how it would be right.
fn engine_entry(name: &str, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    let one_of = |known: &[&str]| match value {
        DeValue::String(word) if known.contains(&&**word) => Ok(()),
        DeValue::String(word) => Err(format!(
            "there is no {key} {word:?}; use {}",
            alternatives(known)
        )),
        _ => Err(format!("must be {}", alternatives(known))),
    };
    let is_text = |value: &Spanned<DeValue<'_>>| matches!(value.get_ref(), DeValue::String(_));
    let is_right = match (key, value) {
        ("kind", DeValue::String(kind)) if name == BUILTIN && kind != BUILTIN => {
            return Err(format!(
                "\"{BUILTIN}\" is the engine that needs nothing; give one of kind {kind:?} another name"
            ));
        }
        ("kind", _) => return one_of(&ENGINE_KINDS),
        ("output", _) => return one_of(&ENGINE_OUTPUTS),
        ("protocol", _) => return one_of(&ENGINE_PROTOCOLS),
        ("argv" | "read" | "write", DeValue::Array(words)) => words.iter().all(is_text),
        ("env", DeValue::Table(pairs)) => pairs.values().all(is_text),
        ("model" | "url" | "key" | "auth_method", DeValue::String(_)) => true,
        ("context_tokens" | "max_tokens", DeValue::Integer(_)) => true,
        ("price_in" | "price_out", DeValue::Float(_) | DeValue::Integer(_)) => true,
        ("tools" | "fetch" | "confine", DeValue::Boolean(_)) => true,
        _ => false,
    };
    match key {
        _ if is_right => Ok(()),
        "argv" => Err("must be a list, e.g. [\"/bin/cat\"]".to_owned()),
        "env" => Err("must be a table of strings, e.g. { LANG = \"C.UTF-8\" }".to_owned()),
        "model" | "url" | "key" | "auth_method" => Err("must be a string".to_owned()),
        "context_tokens" | "max_tokens" => Err("must be a whole number".to_owned()),
        "price_in" | "price_out" => Err("must be a number, e.g. 2.5".to_owned()),
        "read" | "write" => Err("must be a list, e.g. [\"~/project\"]".to_owned()),
        "tools" | "fetch" | "confine" => Err("must be true or false".to_owned()),
        _ => Err(unknown(key, ENGINE_KEYS.into_iter())),
    }
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.join(""),
    }
}

/// What is said of a key that is none, with the key that was probably meant.
fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| distance(key, known).min(distance(&last(key), &last(known)));
    let nearest = known
        .map(|known| (distance(known), known))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, nearest))
            if distance <= DISTANCE_MAX && distance < last(nearest).len() / 2 =>
        {
            format!("is no setting; did you mean `{nearest}`?")
        }
        _ => "is no setting".to_owned(),
    }
}

/// How many bytes have to be put in, left out or replaced to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > DISTANCE_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.bytes().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (index, right) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[right.len()]
}

/// The value as the one textual form that every source shares.
fn word(kind: Kind, value: &DeValue<'_>) -> Result<String, String> {
    match (kind, value) {
        (Kind::Text, DeValue::String(text)) => Ok(text.trim().to_owned()),
        (Kind::Bool, DeValue::Boolean(value)) => Ok(value.to_string()),
        (Kind::Integer, DeValue::Integer(value)) => {
            i64::from_str_radix(value.as_str(), value.radix())
                .map(|number| number.to_string())
                .map_err(|_| "is too large a number".to_owned())
        }
        (Kind::List, DeValue::Array(items)) => list(items),
        _ => Err(format!(
            "must be {}, not {}",
            kind.expected(),
            value.type_str()
        )),
    }
}

fn list(items: &DeArray<'_>) -> Result<String, String> {
    let words = items.iter().map(|item| match item.get_ref() {
        DeValue::String(text) if text.contains(',') => Err(format!("{text:?} holds a comma")),
        DeValue::String(text) if text.trim().is_empty() => Err("holds an empty string".to_owned()),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("must hold strings, not {}", other.type_str())),
    });
    Ok(words.collect::<Result<Vec<_>, _>>()?.join(","))
}
