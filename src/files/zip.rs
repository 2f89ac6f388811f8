//! What ZIP archives consist of: the records of the format, the paths of the entries, and what is known of the entries while
//! an archive is written, which would be too much for the memory.

pub mod paths;
pub mod records;
pub mod spool;
