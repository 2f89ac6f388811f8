//! How content reaches others: share links, signed URLs, and who can read a file now.

mod links;
mod readers;
pub(super) mod signed_urls;

pub use links::{
    Delivery, Link, LinkBounds, LinkPage, LinkState, Opened, Part, Proof, Visitor, change_link, hand_over_link, link,
    list_every_link, list_links, make_link, open_link, revoke_link, rotate_link, unlock_link,
};
pub use readers::{Access, Reader, access};
pub use signed_urls::{Signed, Wish, content_by_grant, receive_by_grant, revoke_signed, sign, sign_for_list};
