//! The text that Prometheus reads.

use std::fmt::Write;

/// The content type of [`Text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics, family by family.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value of the family that was begun.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family of one value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A family of one value that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A histogram of the family that was begun, its values divided by `unit`.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        (buckets, total, sum): (Vec<(u64, u64)>, u64, u64),
        unit: f64,
    ) {
        let bucket = format!("{name}_bucket");
        let bounds = buckets
            .into_iter()
            .map(|(bound, count)| ((bound as f64 / unit).to_string(), count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), total)]) {
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&bucket, &labels, count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum as f64 / unit);
        self.sample(&format!("{name}_count"), labels, total as f64);
    }

    /// All of it.
    pub fn into_string(self) -> String {
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let mut text = Text::default();
        text.family("a", "gauge", "What.");
        text.sample("a", &[("b", "c\"} 1\n\\")], 0.5);
        assert_eq!(
            text.into_string(),
            "# HELP a What.\n# TYPE a gauge\na{b=\"c\\\"} 1\\n\\\\\"} 0.5\n"
        );
    }
}
