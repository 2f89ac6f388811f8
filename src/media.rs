//! Names of content types: many types have several, and are compared by one of them.

use crate::suggest::nearest;

/// The name by which this type is compared and stored, whichever of its names is given. `essence` is in lower case,
/// without parameters.
///
/// # Examples
/// ```
/// use strongroom::media::canonical;
///
/// assert_eq!(canonical("audio/x-m4a"), "audio/mp4");
/// assert_eq!(canonical("text/csv"), "text/csv");
/// ```
pub fn canonical(essence: &str) -> &str {
    ALIASES.iter().find(|(_, aliases)| aliases.contains(&essence)).map_or(essence, |(name, _)| name)
}

/// Why no content can have this type: it belongs to a family whose types the bytes must show, and is none of those that
/// are detected. `None` for every other type, and for a whole family such as `image/*`.
pub fn undetectable(essence: &str) -> Option<String> {
    let (family, subtype) = essence.split_once('/')?;
    let detected = DETECTED.iter().find(|known| known.starts_with(&format!("{family}/")))?;
    let name = canonical(essence);
    if subtype == "*" || DETECTED.contains(&name) {
        return None;
    }
    let family = detected.split('/').next().unwrap_or_default();
    let meant =
        nearest(essence, DETECTED.iter().copied().chain(ALIASES.iter().flat_map(|(_, names)| names.iter().copied())));
    let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Some(format!("{essence} is not among the {family} types that are detected from content{meant}"))
}

/// The types of pictures, sound, films and fonts, which no content has unless its bytes show it.
pub const DETECTED: &[&str] = &[
    "audio/aac",
    "audio/amr",
    "audio/flac",
    "audio/midi",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/x-aiff",
    "audio/x-ape",
    "audio/x-dsf",
    "font/otf",
    "font/ttf",
    "font/woff",
    "font/woff2",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heif",
    "image/jp2",
    "image/jpeg",
    "image/jxl",
    "image/openraster",
    "image/png",
    "image/svg+xml",
    "image/tiff",
    "image/vnd.adobe.photoshop",
    "image/vnd.djvu",
    "image/vnd.dwg",
    "image/vnd.microsoft.icon",
    "image/vnd.ms-photo",
    "image/webp",
    "image/x-canon-cr2",
    "image/x-canon-cr3",
    "video/3gpp",
    "video/3gpp2",
    "video/mp4",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
    "video/x-flv",
    "video/x-matroska",
    "video/x-ms-wmv",
    "video/x-msvideo",
];

/// A type and its other names. `image/heic` is a kind of HEIF: allowing one of them allows both.
const ALIASES: &[(&str, &[&str])] = &[
    ("application/epub+zip", &["application/x-epub+zip"]),
    ("application/gzip", &["application/x-gzip", "application/gzip-compressed"]),
    ("application/java-archive", &["application/jar", "application/x-java-archive", "application/x-jar"]),
    ("application/json", &["text/json", "application/x-json"]),
    ("application/pdf", &["application/x-pdf"]),
    ("application/postscript", &["application/ps", "application/eps", "application/x-eps"]),
    ("application/rtf", &["text/rtf", "application/x-rtf", "text/richtext"]),
    ("application/vnd.debian.binary-package", &["application/x-debian-package", "application/x-deb"]),
    (
        "application/vnd.microsoft.portable-executable",
        &[
            "application/x-msdownload",
            "application/x-dosexec",
            "application/x-msdos-program",
            "application/x-ms-dos-executable",
        ],
    ),
    ("application/vnd.rar", &["application/rar", "application/x-rar", "application/x-rar-compressed"]),
    ("application/vnd.sqlite3", &["application/x-sqlite3"]),
    ("application/x-7z-compressed", &["application/x-7zip"]),
    ("application/x-bzip2", &["application/bzip2", "application/x-bz2", "application/x-bzip"]),
    ("application/x-tar", &["application/tar"]),
    ("application/yaml", &["application/x-yaml", "text/yaml", "text/x-yaml", "text/vnd.yaml"]),
    ("application/zip", &["application/x-zip", "application/x-zip-compressed", "application/zip-compressed"]),
    ("application/zstd", &["application/x-zstd", "application/x-zstandard"]),
    ("audio/aac", &["audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts"]),
    ("audio/amr", &["audio/x-amr"]),
    ("audio/flac", &["audio/x-flac"]),
    ("audio/midi", &["audio/x-midi", "audio/mid", "audio/sp-midi"]),
    ("audio/mp4", &["audio/m4a", "audio/x-m4a", "audio/x-mp4", "audio/m4b", "audio/x-m4b"]),
    (
        "audio/mpeg",
        &["audio/mp3", "audio/x-mp3", "audio/mpeg3", "audio/x-mpeg-3", "audio/x-mpeg", "audio/mpa", "audio/mpg"],
    ),
    // Opus in a file is Opus in Ogg (RFC 7845, section 9).
    (
        "audio/ogg",
        &["audio/opus", "audio/x-ogg", "audio/vorbis", "audio/x-opus+ogg", "audio/x-vorbis+ogg", "application/ogg"],
    ),
    ("audio/wav", &["audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"]),
    ("audio/x-aiff", &["audio/aiff"]),
    ("audio/x-ape", &["audio/ape"]),
    ("audio/x-dsf", &["audio/dsf"]),
    (
        "font/otf",
        &["application/x-font-otf", "application/x-font-opentype", "application/vnd.ms-opentype", "font/opentype"],
    ),
    ("font/ttf", &["application/x-font-ttf", "application/x-font-truetype", "application/font-sfnt", "font/truetype"]),
    ("font/woff", &["application/font-woff", "application/x-font-woff"]),
    ("font/woff2", &["application/font-woff2", "application/x-font-woff2"]),
    ("image/bmp", &["image/x-ms-bmp", "image/x-bmp", "image/x-windows-bmp"]),
    ("image/heif", &["image/heic", "image/heic-sequence", "image/heif-sequence"]),
    ("image/jp2", &["image/jpeg2000", "image/jpx", "image/x-jp2"]),
    ("image/jpeg", &["image/jpg", "image/pjpeg", "image/x-jpeg", "image/jfif"]),
    ("image/png", &["image/x-png", "image/apng"]),
    ("image/svg+xml", &["image/svg"]),
    ("image/tiff", &["image/tif", "image/x-tiff", "image/x-tif"]),
    (
        "image/vnd.adobe.photoshop",
        &[
            "image/psd",
            "image/x-psd",
            "image/photoshop",
            "image/x-photoshop",
            "application/photoshop",
            "application/x-photoshop",
        ],
    ),
    ("image/vnd.djvu", &["image/x-djvu", "image/djvu"]),
    ("image/vnd.dwg", &["image/x-dwg", "application/acad", "application/x-acad"]),
    ("image/vnd.microsoft.icon", &["image/x-icon", "image/ico", "image/icon"]),
    ("image/vnd.ms-photo", &["image/jxr", "image/hdp", "image/wdp"]),
    ("text/csv", &["application/csv", "text/x-csv", "text/comma-separated-values"]),
    (
        "text/javascript",
        &["application/javascript", "application/x-javascript", "application/ecmascript", "text/ecmascript"],
    ),
    ("text/markdown", &["text/x-markdown"]),
    ("text/x-shellscript", &["application/x-sh", "application/x-shellscript", "text/x-sh"]),
    ("text/xml", &["application/xml"]),
    ("video/mp4", &["video/x-m4v", "video/m4v", "video/x-mp4", "application/mp4"]),
    ("video/mpeg", &["video/mpg", "video/x-mpeg", "video/mpeg2"]),
    ("video/ogg", &["video/x-ogg", "video/theora", "video/x-theora+ogg"]),
    ("video/quicktime", &["video/mov", "video/x-quicktime"]),
    ("video/x-flv", &["video/flv"]),
    ("video/x-matroska", &["video/matroska", "video/mkv", "video/x-mkv"]),
    ("video/x-ms-wmv", &["video/wmv", "video/x-ms-asf"]),
    ("video/x-msvideo", &["video/avi", "video/msvideo", "video/vnd.avi"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_type() {
        let mut names: Vec<&str> =
            ALIASES.iter().flat_map(|(name, aliases)| aliases.iter().copied().chain([*name])).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_type_that_no_content_can_have_is_found() {
        for possible in
            ["image/*", "image/jpg", "image/heic", "audio/vnd.wave", "application/x", "text/x-any", "model/gltf"]
        {
            assert_eq!(undetectable(possible), None, "{possible}");
        }
        assert!(undetectable("image/pgn").unwrap().contains("did you mean image/png?"));
        assert!(undetectable("video/x").unwrap().contains("video types"));
    }
}
