//! The `skep` binary: arguments and exit code; everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    // The parent of one engine: it must do its work before anything else is set up.
    if words
        .nth(1)
        .is_some_and(|word| word == skep::guard::SUBCOMMAND)
    {
        return skep::guard::main();
    }
    skep::cli::main(std::env::args_os())
}
