//! The server's process; [`rollcall::app`] is what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    rollcall::app::main(std::env::args_os().skip(1))
}
