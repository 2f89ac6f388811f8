//! The files of the web page, embedded by the build script, uncompressed and compressed.
//!
//! A separate crate, so that the server can be built without it, and the page is only built when it changes.

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// The path it is served at, such as `assets/index-a1b2c3.js`. Under `assets/`, names change with the content.
    pub path: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// Including its quotes.
    pub etag: &'static str,
    /// The bytes without a content coding.
    pub plain: &'static [u8],
    /// Compressed with Brotli, where that is smaller.
    pub brotli: Option<&'static [u8]>,
    /// Compressed with gzip, where that is smaller.
    pub gzip: Option<&'static [u8]>,
}

/// All files, sorted by path.
pub static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether the page itself is embedded, not the notice that replaces it.
pub fn is_built() -> bool {
    include!(concat!(env!("OUT_DIR"), "/is_built.rs"))
}

/// The file at this path.
pub fn asset(path: &str) -> Option<&'static Asset> {
    let index = ASSETS.binary_search_by_key(&path, |asset| asset.path).ok()?;
    Some(&ASSETS[index])
}
