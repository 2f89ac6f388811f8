//! Who may do what: the one predicate of every way in.
//!
//! A [`Subject`] asks for a [`Right`] to a file or a folder. It has all rights in its own space; elsewhere it has those of
//! the grants to the target, to a folder above it, or to the space, each to the user or to a team of the user. Grants only
//! add rights, so the order in which they are found does not matter. The answer is a [`Permit`]. Where rights come from a
//! grant, the transactions and transfers of the request check again that they are still held.

mod permit;
mod right;
mod subject;
mod tree;

pub use permit::{Permit, Root, Target, permit};
pub use right::{Right, Rights, Role};
pub use subject::Subject;
pub use tree::Tree;
