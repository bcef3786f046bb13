//! What is kept for how long: `[retention]` in `skep.toml`.

use std::fmt;
use std::str::FromStr;

use super::settings;
use super::value::Text;
use crate::model::Millis;

/// More than this is no limit any more.
const TOTAL_BYTES_MAX: u64 = 1 << 60;

settings! {
    /// What is kept for how long, and how much of it. Nothing is removed unless it is said here.
    pub struct Retention in "retention.", "SKEP_RETENTION_", |config| &mut config.retention => {
        /// The age at which ended executions are removed, with their logs: `90d`, `12h`, `30m`, `10s` or `off`. The messages of the chats stay.
        executions_age: Age = Age::OFF;
        /// The age at which the logs of ended executions are removed.
        logs_age: Age = Age::OFF;
        /// The size of all logs from which on the oldest are removed; 0 is no limit.
        logs_bytes: u64 = 0, in 0..=TOTAL_BYTES_MAX;
        /// The age at which uploaded files are removed.
        uploads_age: Age = Age::OFF;
        /// The size of all uploaded files from which on the oldest are removed, but none of the last hour; 0 is no limit.
        uploads_bytes: u64 = 0, in 0..=TOTAL_BYTES_MAX;
    }
}

impl Retention {
    /// Whether anything is ever removed.
    pub fn is_on(&self) -> bool {
        let ages = [self.executions_age, self.logs_age, self.uploads_age];
        ages.iter().any(|age| age.0.is_some()) || self.logs_bytes > 0 || self.uploads_bytes > 0
    }
}

/// An age: `30d`, `12h`, `5m`, `10s`; `off` is never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(Option<u64>);

/// Units, the largest first, in seconds.
const UNITS: [(char, &str, u64); 4] = [
    ('d', "day", 86_400),
    ('h', "hour", 3_600),
    ('m', "minute", 60),
    ('s', "second", 1),
];
/// A hundred years.
const SECONDS_MAX: u64 = 36_525 * 86_400;

impl Age {
    /// Never reached.
    pub const OFF: Self = Self(None);

    /// The time before which everything has this age, if it is ever reached.
    pub fn before(self, now: Millis) -> Option<Millis> {
        self.0.map(|seconds| now.saturating_sub(seconds * 1000))
    }

    /// In words, as far as it is ever reached: `30 days`.
    pub fn in_words(self) -> Option<String> {
        let seconds = self.0?;
        let (_, word, unit) = unit_of(seconds);
        let count = seconds / unit;
        let plural = if count == 1 { "" } else { "s" };
        Some(format!("{count} {word}{plural}"))
    }

    /// The time that lay between two times, in the largest unit that it is one of.
    pub fn between(start: Millis, end: Millis) -> Self {
        let seconds = end.saturating_sub(start) / 1000;
        let unit = UNITS.iter().find(|(_, _, unit)| seconds >= *unit);
        let unit = unit.map_or(1, |(_, _, unit)| *unit);
        Self(Some(seconds / unit * unit))
    }
}

/// The largest unit that it is a whole number of.
fn unit_of(seconds: u64) -> (char, &'static str, u64) {
    let fits = |unit: &&(char, &str, u64)| seconds > 0 && seconds.is_multiple_of(unit.2);
    UNITS.iter().find(fits).copied().unwrap_or(UNITS[3])
}

impl FromStr for Age {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "off" {
            return Ok(Self::OFF);
        }
        let seconds = word.char_indices().next_back().and_then(|(end, letter)| {
            let (_, _, unit) = UNITS.iter().find(|(known, _, _)| *known == letter)?;
            let digits = &word[..end];
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: u64 = digits.parse().ok().filter(|_| is_number)?;
            count.checked_mul(*unit)
        });
        match seconds {
            Some(seconds) if (1..=SECONDS_MAX).contains(&seconds) => Ok(Self(Some(seconds))),
            _ => Err(format!(
                "{word:?} is not an age: \"30d\", \"12h\", \"5m\" or \"10s\", at most a hundred years; \"off\" keeps everything"
            )),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(seconds) => {
                let (letter, _, unit) = unit_of(seconds);
                write!(f, "{}{letter}", seconds / unit)
            }
        }
    }
}

impl Text for Age {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ages_are_numbers_with_a_unit_or_off() {
        for (word, text, in_words) in [
            ("30d", "30d", Some("30 days")),
            ("24h", "1d", Some("1 day")),
            ("36h", "36h", Some("36 hours")),
            ("90s", "90s", Some("90 seconds")),
            ("60s", "1m", Some("1 minute")),
            ("36525d", "36525d", Some("36525 days")),
            ("off", "off", None),
        ] {
            let age: Age = word.parse().unwrap();
            assert_eq!(age.to_string(), text);
            assert_eq!(age.in_words().as_deref(), in_words);
        }
        for word in [
            "",
            "0d",
            "d",
            "30",
            "-1d",
            "+1d",
            "1.5d",
            "36526d",
            "99999999999999999999d",
            "1w",
            "1 d",
            "Off",
            "1é",
            "é",
        ] {
            assert!(word.parse::<Age>().is_err(), "{word}");
        }
    }

    #[test]
    fn what_lay_between_is_told_roughly() {
        let words = |ms: u64| Age::between(1000, 1000 + ms).in_words().unwrap();
        assert_eq!(words(0), "0 seconds");
        assert_eq!(words(59_999), "59 seconds");
        assert_eq!(words(3_700_000), "1 hour");
        assert_eq!(words(30 * 86_400_000 + 5), "30 days");
    }

    #[test]
    fn nothing_is_removed_unless_it_is_said() {
        let mut retention = Retention::default();
        assert!(!retention.is_on());
        retention.uploads_bytes = 1;
        assert!(retention.is_on());
        assert_eq!(Age::OFF.before(5), None);
        assert_eq!("1s".parse::<Age>().unwrap().before(5_000), Some(4_000));
    }
}
