//! The binary, a call of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    strongroom::cli::main()
}
