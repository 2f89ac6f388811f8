//! HTTP plumbing that knows no resource: bodies, conditions, ranges, forms, problems, connections.

pub mod body;
pub mod client_address;
pub mod conditions;
pub mod connections;
pub mod content;
pub mod cookies;
mod decode;
pub mod digest;
pub mod extract;
#[doc(hidden)] // For the benchmarks.
pub mod form;
pub mod incoming;
pub mod json;
pub mod middleware;
pub mod problem;
pub mod query;
mod ranges;
pub mod request_memory;
pub mod server;
