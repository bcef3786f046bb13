//! A secret from the keyboard, without showing it.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The most that is read of a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: u8 = 8;
const CLEAR_LINE: u8 = 21;
const DELETE: u8 = 127;

/// A new secret: asked for twice on a terminal, else all of standard input but its last line ending.
pub fn new_secret(prompt: &str) -> io::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut secret = String::new();
        stdin.take(SECRET_BYTES_MAX).read_to_string(&mut secret)?;
        let line = secret.strip_suffix('\n').unwrap_or(&secret);
        return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
    }
    let first = ask(&stdin, &format!("{prompt}: "))?;
    let second = ask(&stdin, "Once more: ")?;
    match first == second {
        true => Ok(first),
        false => Err(io::Error::other(
            "the two are not the same; nothing was changed",
        )),
    }
}

/// While it lives, the terminal shows nothing and hands over every key, Ctrl-C too: so there is no way out that leaves
/// the terminal dumb.
struct Silence<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        eprintln!();
    }
}

fn ask(terminal: &Stdin, prompt: &str) -> io::Result<String> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let _silence = Silence::begin(terminal)?;
    read_line(terminal.lock().take(SECRET_BYTES_MAX))
}

/// A line as a terminal in raw mode gives it.
fn read_line(keys: impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key? {
            b'\r' | b'\n' => break,
            INTERRUPT | END => {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "stopped; nothing was changed",
                ));
            }
            BACKSPACE | DELETE => {
                // One character, which may be several bytes.
                while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            CLEAR_LINE => line.clear(),
            key => line.push(key),
        }
    }
    String::from_utf8(line).map_err(|_| io::Error::other("that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_can_be_corrected_and_given_up() {
        let read = |keys: &[u8]| read_line(keys);
        assert_eq!(read(b"secret\rrest").unwrap(), "secret");
        assert_eq!(read("sé\u{7f}e\n".as_bytes()).unwrap(), "se");
        assert_eq!(read(b"wrong\x15right\n").unwrap(), "right");
        assert_eq!(read(b"\x7f\x7fx\n").unwrap(), "x");
        assert!(read(b"se\x03cret\n").is_err());
        assert!(read(b"\x04").is_err());
        assert!(read(b"\xff\n").is_err());
    }
}
