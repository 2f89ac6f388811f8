//! How content reaches other people: share links, signed URLs, and who can read a file at present.

pub mod links;
mod readers;
pub mod signed_urls;

pub use readers::{AccessEntry, EndedBy, access};
