//! How content reaches others: share links, signed URLs, and who can read a file now.

mod links;
mod readers;
pub mod signed_urls;

pub use links::{
    Link, LinkDownload, LinkOptions, LinkPage, LinkState, LinkVisitor, OpenedLink, Part, UnlockToken, change_link,
    create_link, link, list_every_link, list_links, open_link, redirect_link, revoke_link, rotate_link, unlock_link,
};
pub use readers::{AccessEntry, EndedBy, access};
