//! The binary: calls the library.

use std::process::ExitCode;

/// Returns freed memory to the system within seconds, which the allocator of glibc does not.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    strongroom::cli::main()
}
