//! `skep completions SHELL`: the script that makes a shell complete our arguments.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

/// Writes the script for `shell`.
pub fn write(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    // The generator panics when it cannot write, and a pipe may close at any time.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
    out.write_all(&script)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_shell_learns_every_subcommand() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            write(*shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for word in ["verify", "purge", "restore", "dry-run", "behind-proxy"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
