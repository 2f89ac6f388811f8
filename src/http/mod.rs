//! HTTP plumbing that knows no resource: bodies, conditions, ranges, forms, problems, connections.

mod activity;
pub mod admission;
pub mod body;
pub mod client_address;
pub mod conditions;
mod connections;
pub mod content;
pub mod cookies;
mod decode;
pub mod digest;
pub mod extract;
#[doc(hidden)] // For the benchmarks.
pub mod form;
pub mod hosts;
pub mod incoming;
pub mod json;
pub mod location;
pub mod middleware;
mod open_files;
mod places;
pub mod problem;
pub mod query;
mod ranges;
mod refusal;
pub mod request_memory;
mod serve;
pub mod server;
pub mod unread;
