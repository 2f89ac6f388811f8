//! Sharing: grants, share links, signed URLs, and the list of who has access to a file.

pub mod grants;
pub mod links;
mod readers;
pub mod signed_urls;

pub use readers::{AccessEntry, EndedBy, access};
