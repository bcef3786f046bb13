//! The `skep` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == skep::guard::SUBCOMMAND)
    {
        return skep::guard::main();
    }
    ExitCode::SUCCESS
}
