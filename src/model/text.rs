//! Values that came from outside, checked once: inside there are only valid ones.

use super::limits::*;

/// Why a value of a request was refused: the field and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The field as the client wrote it.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Invalid {
    /// A refusal of `field`.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

/// A worker's name: trimmed, 1 to 100 characters, one line, and not the bee's.
pub fn worker_name(text: &str) -> Result<String, Invalid> {
    let name = single_line("name", text, WORKER_NAME_CHARS_MAX)?;
    if name.eq_ignore_ascii_case("bee") {
        return Err(Invalid::new(
            "name",
            "\"bee\" is the name of the agent that always exists; choose another",
        ));
    }
    Ok(name)
}

/// A chat's name: trimmed, 1 to 200 characters, one line.
pub fn session_name(text: &str) -> Result<String, Invalid> {
    single_line("name", text, SESSION_NAME_CHARS_MAX)
}

/// The form in which names are compared: two names with the same key are the same name.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// A line of text that is not empty after trimming.
pub fn single_line(field: &'static str, text: &str, chars_max: usize) -> Result<String, Invalid> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Invalid::new(field, "must not be empty"));
    }
    if trimmed.chars().count() > chars_max {
        return Err(Invalid::new(
            field,
            format!("must be at most {chars_max} characters"),
        ));
    }
    if trimmed.chars().any(|c| c.is_control() || is_direction(c)) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok(trimmed.to_owned())
}

/// Whether a character turns the direction of what follows it, so that a name looks like another one (UAX #9).
pub fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Free text up to a size.
pub fn free_text(field: &'static str, text: &str, bytes_max: usize) -> Result<String, Invalid> {
    if text.len() > bytes_max {
        return Err(Invalid::new(
            field,
            format!("must be at most {bytes_max} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(Invalid::new(field, "must not hold NUL characters"));
    }
    Ok(text.to_owned())
}

/// The longest prefix of `text` that is at most `bytes_max` bytes and ends between two characters.
pub fn truncated(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A character as it is compared: upper case first, so that letters with two small forms (σ, ς) and ß become one; every
/// space is the same.
pub fn folded(character: char) -> impl Iterator<Item = char> {
    let character = if character.is_whitespace() {
        ' '
    } else {
        character
    };
    character.to_uppercase().flat_map(char::to_lowercase)
}

/// Whether a script writes words without spaces between them, or joins particles to them as Korean does.
pub fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
        && character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn worker_names_are_trimmed_and_bounded() {
        assert_eq!(worker_name("  Ada ").unwrap(), "Ada");
        assert_eq!(worker_name(&"é".repeat(100)).unwrap().chars().count(), 100);
        for bad in [
            "",
            " \t ",
            "BEE",
            "two\nlines",
            "evil\u{202e}txt",
            &"é".repeat(101),
        ] {
            assert_eq!(worker_name(bad).unwrap_err().field, "name", "{bad:?}");
        }
    }

    #[test]
    fn truncation_never_splits_a_character() {
        assert_eq!(truncated("añb", 2), "a");
        assert_eq!(truncated("añb", 3), "añ");
        assert_eq!(truncated("ab", 9), "ab");
    }
}
