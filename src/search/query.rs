//! What is looked for. Any text is a query: there is nothing in it that could be wrong.

use super::words::{Token, flattened, runs};

/// Words of a query that are looked up; those that follow are not needed to find it.
const UNITS_MAX: usize = 16;

/// A query: every unit must be there, and every phrase as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What is looked up.
    pub units: Vec<Unit>,
    /// What the text must hold, as it is when flattened.
    phrases: Vec<String>,
}

/// One thing that is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A term.
    Word(String),
    /// Terms that begin so.
    Prefix(String),
}

impl Unit {
    /// The term, or its beginning.
    pub fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Prefix(text) => text,
        }
    }
}

impl Query {
    /// Words, of which the last may be unfinished, and phrases in quotes.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut is_quoted = false;
        let parts: Vec<&str> = text.split(['"', '“', '”', '„']).collect();
        for (place, part) in parts.iter().enumerate() {
            let is_last = place + 1 == parts.len();
            // Whoever still types has not ended the last word.
            let is_open = is_last && part.ends_with(char::is_alphanumeric);
            if is_quoted {
                query.add_phrase(part, is_open);
            } else {
                query.add_words(part, is_open);
            }
            is_quoted = !is_quoted;
        }
        query
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Whether a text that has the words has the phrases, too.
    pub fn has_phrases(&self, text: &str) -> bool {
        if self.phrases.is_empty() {
            return true;
        }
        let flat = flattened(text);
        self.phrases
            .iter()
            .all(|phrase| flat.contains(phrase.as_str()))
    }

    /// Which unit a term of a text is an answer to.
    pub fn unit_of(&self, token: &Token) -> Option<usize> {
        self.units.iter().position(|unit| match unit {
            Unit::Word(word) => token.term == *word,
            Unit::Prefix(prefix) => token.term.starts_with(prefix.as_str()),
        })
    }

    fn add(&mut self, unit: Unit) {
        if self.units.len() < UNITS_MAX && !self.units.contains(&unit) {
            self.units.push(unit);
        }
    }

    fn add_words(&mut self, text: &str, is_open: bool) {
        let mut runs = runs(text).peekable();
        while let Some(run) = runs.next() {
            let is_open = is_open && runs.peek().is_none();
            self.add_run(run, is_open);
            // Its pairs alone could stand anywhere.
            if run.is_unspaced && run.text.chars().nth(2).is_some() {
                self.phrases.push(run.folded().collect());
            }
        }
    }

    fn add_phrase(&mut self, text: &str, is_open: bool) {
        let mut phrase = flattened(text);
        let mut all = runs(text).peekable();
        let Some(first) = all.peek().copied() else {
            return;
        };
        let mut last = first;
        while let Some(run) = all.next() {
            self.add_run(run, is_open && all.peek().is_none());
            last = run;
        }
        if last.is_unspaced || is_open {
            phrase.pop();
        }
        if first.is_unspaced {
            phrase.remove(0);
        }
        self.phrases.push(phrase);
    }

    fn add_run(&mut self, run: super::words::Run<'_>, is_open: bool) {
        let mut tokens = Vec::new();
        run.each_token(|token| {
            // A hostile query is short, and a run of it, too.
            tokens.push(token.term);
        });
        if run.is_unspaced {
            // The last character alone is no condition of its own, unless it is all there is.
            let is_single = tokens.len() == 1;
            let last = tokens.pop();
            tokens
                .into_iter()
                .for_each(|term| self.add(Unit::Word(term)));
            if let Some(last) = last.filter(|_| is_single) {
                self.add(Unit::Prefix(last));
            }
        } else if let Some(word) = tokens.pop() {
            self.add(match is_open {
                true => Unit::Prefix(word),
                false => Unit::Word(word),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Unit {
        Unit::Word(text.to_owned())
    }

    fn prefix(text: &str) -> Unit {
        Unit::Prefix(text.to_owned())
    }

    #[test]
    fn the_last_word_may_be_unfinished() {
        assert_eq!(
            Query::parse("Hello wor").units,
            [word("hello"), prefix("wor")]
        );
        assert_eq!(
            Query::parse("Hello wor ").units,
            [word("hello"), word("wor")]
        );
        assert_eq!(Query::parse("\"a b\"").units, [word("a"), word("b")]);
        assert_eq!(Query::parse("\"a b").units, [word("a"), prefix("b")]);
    }

    #[test]
    fn phrases_stand_as_they_are_written() {
        let query = Query::parse("\"to be\"");
        assert!(query.has_phrases("Or not: TO   be!"));
        assert!(!query.has_phrases("to become") && !query.has_phrases("be to"));
        assert!(Query::parse("\"to be").has_phrases("to become"));
        assert!(Query::parse("to be").has_phrases("be to"));
    }

    #[test]
    fn scripts_without_spaces_are_looked_for_as_a_whole() {
        let query = Query::parse("机器学");
        assert_eq!(query.units, [word("机器"), word("器学")]);
        assert!(query.has_phrases("用机器学习") && !query.has_phrases("机器和器学"));
        assert_eq!(Query::parse("学").units, [prefix("学")]);
        assert!(Query::parse("\"机器学\"").has_phrases("用机器学习"));
    }

    #[test]
    fn any_text_is_a_query() {
        let long = "x ".repeat(1000) + &"\"".repeat(1000);
        for text in [
            "",
            "\"",
            "\"\"\"",
            "AND OR NOT",
            "a:b~2^(*?[",
            "\0\u{202e}",
            "-",
            &long,
        ] {
            let query = Query::parse(text);
            assert!(query.units.len() <= UNITS_MAX, "{text:?}");
            query.has_phrases(text);
        }
        assert!(Query::parse("…\"?!\"").is_empty());
        let words: String = (0..100).map(|n| format!("w{n} ")).collect();
        assert_eq!(Query::parse(&words).units.len(), UNITS_MAX);
    }
}
