//! The server's process; [`rollcall::cli`] is what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    rollcall::cli::main(std::env::args_os().skip(1))
}
