//! What steers a terminal, taken out of what is shown in a chat. The log keeps it.

/// The longest sequence; what goes on after it is text again.
const SEQUENCE_BYTES_MAX: usize = 4096;

/// Takes escape sequences out of a stream of bytes, wherever reads cut it.
#[derive(Debug, Default)]
pub(super) struct Plain {
    state: State,
    /// How long the present sequence is.
    bytes: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more comes.
    Intermediate,
    /// `ESC [ … letter`: colours, the cursor.
    Control,
    /// `ESC ] … BEL` or `… ESC \`: titles, links; and its relatives.
    String,
    /// After ESC in one of those.
    StringEscape,
}

impl Plain {
    /// Appends what of `bytes` is text.
    pub(super) fn push(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        for &byte in bytes {
            if self.state == State::Text {
                match byte {
                    ESC => (self.state, self.bytes) = (State::Escape, 0),
                    _ => text.push(byte),
                }
                continue;
            }
            self.bytes += 1;
            self.state = match (self.state, byte) {
                _ if self.bytes >= SEQUENCE_BYTES_MAX => State::Text,
                (State::String, BEL) | (State::StringEscape, b'\\') => State::Text,
                (State::String | State::StringEscape, ESC) => State::StringEscape,
                (State::String, _) => State::String,
                // Any other sequence ends a string that was not closed.
                (State::Escape | State::StringEscape, b'[') => State::Control,
                (State::Escape | State::StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => {
                    State::String
                }
                (_, ESC) => State::Escape,
                (State::Escape | State::StringEscape | State::Intermediate, 0x20..=0x2f) => {
                    State::Intermediate
                }
                (State::Control, 0x20..=0x3f) => State::Control,
                (State::Escape | State::StringEscape | State::Intermediate, 0x30..=0x7e)
                | (State::Control, 0x40..=0x7e) => State::Text,
                // It is none: what does not belong to it is text.
                _ => {
                    text.push(byte);
                    State::Text
                }
            };
        }
    }
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(said: &[u8], size: usize) -> Vec<u8> {
        let (mut plain, mut text) = (Plain::default(), Vec::new());
        for chunk in said.chunks(size) {
            plain.push(chunk, &mut text);
        }
        text
    }

    #[test]
    fn only_text_is_left_wherever_it_is_cut() {
        for (said, text) in [
            ("plain añ€🐝\t\r\n", "plain añ€🐝\t\r\n"),
            (
                "\x1b[31mred\x1b[0m and \x1b[1;38;5;200mmore\x1b[m",
                "red and more",
            ),
            ("\x1b[2J\x1b[1;1H\x1b[?25lx", "x"),
            (
                "\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\",
                "ab",
            ),
            ("\x1b(Bx\x1b7y\x1bMz", "xyz"),
            ("\x1bPq...\x1b\\x", "x"),
            ("a\x1b\nb\x1b[3\nc", "a\nb\nc"),
            ("\x1b[é", "é"),
            ("end\x1b", "end"),
        ] {
            for size in 1..=said.len() {
                let left = plain(said.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&left), text, "{said:?} by {size}");
            }
        }
    }

    #[test]
    fn a_sequence_without_end_does_not_take_the_rest() {
        let said = format!("\x1b]{}", "x".repeat(2 * SEQUENCE_BYTES_MAX));
        assert!(plain(said.as_bytes(), 100).len() >= SEQUENCE_BYTES_MAX);
    }
}
