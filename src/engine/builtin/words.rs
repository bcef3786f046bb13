//! A message, word by word: words are compared without case, what is left is handed on as it was written.

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    rest: &'a str,
}

/// Words that change nothing.
const FILLERS: &[&str] = &[
    "a", "an", "the", "my", "our", "your", "all", "me", "of", "some", "any", "new", "another",
];

impl<'a> Words<'a> {
    /// All of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    /// What is left, as it was written.
    pub fn rest(self) -> &'a str {
        self.rest
    }

    /// What is left, without the punctuation and the courtesy at the end of a sentence.
    pub fn subject(self) -> &'a str {
        const COURTESY: &[&str] = &["please", "for me", "thanks", "thank you", "now"];
        let mut text = self.rest;
        loop {
            let before = text.len();
            text = text.trim_end_matches(|c: char| c.is_whitespace() || "?!,;".contains(c));
            // A full stop ends a sentence, but also begins `.gitignore` and ends `..`.
            if let Some(shorter) = text.strip_suffix('.')
                && shorter.ends_with(char::is_alphanumeric)
            {
                text = shorter;
            }
            for courtesy in COURTESY {
                if let Some(shorter) = strip_suffix(text, courtesy)
                    && shorter.ends_with(|c: char| c.is_whitespace() || c == ',')
                {
                    text = shorter;
                }
            }
            if text.len() == before {
                return unquoted(text);
            }
        }
    }

    /// The next word in lower case, without what ends a sentence or announces a text.
    pub fn peek(self) -> String {
        bare(self.split().0).to_lowercase()
    }

    /// Takes the next word.
    pub fn next(&mut self) -> &'a str {
        let (word, rest) = self.split();
        self.rest = rest;
        bare(word)
    }

    /// Takes the next word if it is one of these; tells whether it was.
    pub fn eat(&mut self, words: &[&str]) -> bool {
        let is_one = !self.rest.is_empty() && words.contains(&self.peek().as_str());
        if is_one {
            self.rest = self.split().1;
        }
        is_one
    }

    /// Takes words as long as they change nothing.
    pub fn skip_fillers(&mut self) {
        while self.eat(FILLERS) {}
    }

    /// Takes the start of the text if it is this phrase.
    pub fn eat_phrase(&mut self, phrase: &str) -> bool {
        let mut ahead = *self;
        for word in phrase.split(' ') {
            if !ahead.eat(&[word]) {
                return false;
            }
        }
        *self = ahead;
        true
    }

    /// Whether nothing is left.
    pub fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// Takes a name or a path: what is in quotes, or the next word up to a colon that ends it. Says whether a colon
    /// followed.
    pub fn take_name(&mut self) -> Option<(&'a str, bool)> {
        let (name, rest) = match quoted(self.rest) {
            Some(found) => found,
            None => {
                let (word, rest) = self.split();
                match word.split_once(':') {
                    // `hello.txt:text` and `hello.txt: text`.
                    Some((name, _)) if !name.is_empty() => (name, &self.rest[name.len()..]),
                    _ => (word, rest),
                }
            }
        };
        if name.is_empty() {
            return None;
        }
        let after = rest.trim_start_matches([' ', '\t']);
        let text = after.strip_prefix(':');
        self.rest = text.unwrap_or(after).trim_start_matches([' ', '\t']);
        Some((name, text.is_some()))
    }

    fn split(self) -> (&'a str, &'a str) {
        let end = self
            .rest
            .find(char::is_whitespace)
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        (word, rest.trim_start())
    }
}

fn bare(word: &str) -> &str {
    let shorter = word.trim_end_matches([',', ':', ';', '!', '?', '.']);
    if shorter.is_empty() { word } else { shorter }
}

/// `text` without `suffix` at its end, ignoring the case of ASCII letters.
pub fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (start, end) = (text.get(..at)?, text.get(at..)?);
    end.eq_ignore_ascii_case(suffix).then_some(start)
}

/// The two sides of the first, or last, of these words that stands alone outside of quotes; each side is trimmed and
/// not empty.
pub fn split_at_word<'a>(text: &'a str, words: &[&str], last: bool) -> Option<(&'a str, &'a str)> {
    let mut found = None;
    let mut at = 0;
    let mut in_quotes = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let end = at + word.len();
        let trimmed = word.trim_end();
        let is_one = words.iter().any(|w| bare(trimmed).eq_ignore_ascii_case(w));
        if is_one && !in_quotes {
            let (before, after) = (text[..at].trim(), text[end..].trim());
            if !before.is_empty() && !after.is_empty() {
                found = Some((before, after));
                if !last {
                    return found;
                }
            }
        }
        in_quotes ^= trimmed.matches('"').count() % 2 == 1;
        at = end;
    }
    found
}

const QUOTES: &[(char, char)] = &[('"', '"'), ('`', '`'), ('\'', '\''), ('“', '”'), ('«', '»')];

/// What is in quotes at the start, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (_, close) = QUOTES.iter().find(|(open, _)| text.starts_with(*open))?;
    let inside = &text[text.chars().next()?.len_utf8()..];
    let end = inside.find(*close)?;
    let after = &inside[end + close.len_utf8()..];
    Some((&inside[..end], after))
}

/// `text` without the quotes around all of it.
pub fn unquoted(text: &str) -> &str {
    match quoted(text.trim()) {
        Some((inside, "")) => inside,
        _ => text.trim(),
    }
}
