//! What was measured, beside what the machine can do and what is asked.

use std::fmt::Write as _;

use serde::Serialize;

/// Several rounds of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// The one in the middle.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Measure {
    /// Of the rounds there were; zeros if there was none.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        let median = super::median(&mut rounds);
        Self {
            median,
            low: rounds.first().copied().unwrap_or(median),
            high: rounds.last().copied().unwrap_or(median),
        }
    }
}

impl From<f64> for Measure {
    fn from(value: f64) -> Self {
        Self::of(vec![value])
    }
}

/// What a figure shall be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// Nothing: it is told to explain others.
    Nothing,
    /// At most this, in the figure's unit.
    AtMost(f64),
    /// At least this, in the figure's unit.
    AtLeast(f64),
    /// At most so many times the machine's limit.
    TimesAtMost(f64),
    /// At least so many times the machine's limit.
    TimesAtLeast(f64),
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    what: String,
    unit: &'static str,
    limit: Option<(String, f64)>,
    skep: Measure,
    asked: Asked,
}

impl Row {
    /// A figure of Skep.
    pub fn new(what: impl Into<String>, unit: &'static str, skep: impl Into<Measure>) -> Self {
        Self {
            what: what.into(),
            unit,
            limit: None,
            skep: skep.into(),
            asked: Asked::Nothing,
        }
    }

    /// Beside what the machine needs or does at best, in the same unit.
    pub fn beside(mut self, what: impl Into<String>, value: f64) -> Self {
        self.limit = Some((what.into(), value));
        self
    }

    /// What it shall be.
    pub fn asked(mut self, asked: Asked) -> Self {
        self.asked = asked;
        self
    }

    /// How often the machine's limit fits into it.
    pub fn ratio(&self) -> Option<f64> {
        let (_, limit) = self.limit.as_ref()?;
        (*limit > 0.0).then(|| self.skep.median / limit)
    }

    /// Whether it is as asked; `None` when nothing is.
    pub fn holds(&self) -> Option<bool> {
        match self.asked {
            Asked::Nothing => None,
            Asked::AtMost(most) => Some(self.skep.median <= most),
            Asked::AtLeast(least) => Some(self.skep.median >= least),
            Asked::TimesAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Asked::TimesAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
        }
    }

    fn asked_text(&self) -> String {
        match self.asked {
            Asked::Nothing => String::new(),
            Asked::AtMost(most) => format!("≤ {} {}", number(most), self.unit),
            Asked::AtLeast(least) => format!("≥ {} {}", number(least), self.unit),
            Asked::TimesAtMost(most) => format!("≤ {} ×", number(most)),
            Asked::TimesAtLeast(least) => format!("≥ {} ×", number(least)),
        }
    }

    fn cells(&self) -> [String; 6] {
        let Measure { median, low, high } = self.skep;
        let skep = match low == high {
            true => format!("{} {}", number(median), self.unit),
            false => format!(
                "{} {} ({}–{})",
                number(median),
                self.unit,
                number(low),
                number(high)
            ),
        };
        let limit = match &self.limit {
            Some((what, value)) => format!("{what}: {} {}", number(*value), self.unit),
            None => String::new(),
        };
        let ratio = self
            .ratio()
            .map_or(String::new(), |ratio| format!("{} ×", number(ratio)));
        let holds = match self.holds() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        [
            self.what.clone(),
            limit,
            skep,
            ratio,
            self.asked_text(),
            holds.to_owned(),
        ]
    }

    /// As a JSON object.
    pub fn json(&self) -> serde_json::Value {
        let limit = self.limit.as_ref();
        let limit = limit.map(|(what, value)| serde_json::json!({ "what": what, "value": value }));
        serde_json::json!({
            "what": self.what,
            "unit": self.unit,
            "limit": limit,
            "skep": self.skep,
            "ratio": self.ratio(),
            "asked": self.asked_text(),
            "holds": self.holds(),
        })
    }
}

/// The rows as a Markdown table whose columns stand under each other.
pub fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 6] = [
        "what",
        "the machine",
        "Skep (median, range)",
        "ratio",
        "asked",
        "holds",
    ];
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    }
    text
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        0.0 => "0".to_owned(),
        _ => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_it_holds() {
        let row = |asked| Row::new("post", "ms", 2.0).beside("sync", 1.0).asked(asked);
        for (asked, holds) in [
            (Asked::Nothing, None),
            (Asked::AtMost(2.0), Some(true)),
            (Asked::AtMost(1.9), Some(false)),
            (Asked::AtLeast(2.0), Some(true)),
            (Asked::AtLeast(2.1), Some(false)),
            (Asked::TimesAtMost(2.0), Some(true)),
            (Asked::TimesAtMost(1.8), Some(false)),
            (Asked::TimesAtLeast(2.0), Some(true)),
            (Asked::TimesAtLeast(3.0), Some(false)),
        ] {
            assert_eq!(row(asked).holds(), holds, "{asked:?}");
        }
        let alone = Row::new("post", "ms", 2.0).asked(Asked::TimesAtMost(1.0));
        assert_eq!(alone.holds(), None, "a ratio needs a limit");
    }

    #[test]
    fn the_table_shows_median_range_and_ratio() {
        let row = Row::new("post", "ms", Measure::of(vec![3.0, 1.0, 2.0]));
        let row = row.beside("sync", 1.6).asked(Asked::TimesAtMost(1.8));
        let text = table(std::slice::from_ref(&row));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| post | sync: 1.6 ms | 2 ms (1–3)           | 1.25 × | ≤ 1.8 × | yes   |"
        );
        let width = lines[0].chars().count();
        assert!(
            lines.iter().all(|line| line.chars().count() == width),
            "{text}"
        );
        assert_eq!(row.json()["skep"]["median"], 2.0);
        assert_eq!(row.json()["holds"], true);
    }

    #[test]
    fn numbers_keep_what_means_something() {
        let shown = [0.0, 0.126, 1.5, 12.04, 19.96, 123.4, 98_765.4].map(number);
        assert_eq!(shown, ["0", "0.13", "1.5", "12", "20", "123", "98765"]);
    }
}
