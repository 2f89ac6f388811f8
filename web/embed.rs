//! The web page as the build script made it: every file in memory, as it is and compressed.
//!
//! A crate of its own, so that the server builds without it, and the page is built no oftener than it changes.

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// Where it is served, such as `assets/index-a1b2c3.js`. Under `assets/` the name changes with the content.
    pub path: &'static str,
    pub content_type: &'static str,
    /// With its quotes.
    pub etag: &'static str,
    pub plain: &'static [u8],
    /// As `br`, where that is smaller.
    pub brotli: Option<&'static [u8]>,
    pub gzip: Option<&'static [u8]>,
}

/// Every file, sorted by path.
pub static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether the page itself is in here, not the notice that stands in for it.
pub fn is_built() -> bool {
    include!(concat!(env!("OUT_DIR"), "/is_built.rs"))
}

/// The file at this path.
pub fn asset(path: &str) -> Option<&'static Asset> {
    let at = ASSETS.binary_search_by_key(&path, |asset| asset.path).ok()?;
    Some(&ASSETS[at])
}
