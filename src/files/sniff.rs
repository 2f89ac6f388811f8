//! Detects content types. The declared type is only a hint for types that bytes cannot prove.

mod containers;
mod signatures;
mod text;

use mime::Mime;

use self::text::Encoding;

/// The number of bytes at the start of a file that its type depends on, unless it is a ZIP archive.
const SNIFFED_BYTES: usize = 4096;
/// The number of bytes at the start of a ZIP archive whose entries are inspected.
pub(super) const MOST_SNIFFED_BYTES: usize = 64 * 1024;

/// The number of bytes that the type of a file depends on. `head` is what is known of its beginning, [`SNIFFED_BYTES`] at
/// least if the file has that many.
pub(super) fn sniffed_bytes(head: &[u8]) -> usize {
    if containers::is_undecided(head) { MOST_SNIFFED_BYTES } else { SNIFFED_BYTES }
}

/// The content type of a file that starts with `head`; `hint` is the declared type.
pub(super) fn content_type(head: &[u8], hint: Option<&str>) -> String {
    let hint = hint.and_then(|hint| hint.parse::<Mime>().ok()).filter(is_believable);
    if containers::is_zip(head) {
        return containers::content_type(head, hint.as_ref().map(Mime::essence_str)).to_owned();
    }
    let head = &head[..head.len().min(SNIFFED_BYTES)];
    let encoding = text::encoding(head);
    let is_declared_text = hint.as_ref().is_some_and(|hint| hint.type_() == mime::TEXT);
    let is_text = encoding.is_some() || is_declared_text && text::is_mostly_text(head);
    if let Some(proved) = signatures::content_type(head, is_text) {
        return proved.to_owned();
    }
    match hint.filter(|hint| hint.subtype() != mime::SVG || text::contains_svg(head)) {
        Some(hint) if hint.type_() == mime::TEXT => declared_text(head, encoding, &hint),
        Some(hint) => hint.to_string(),
        None => undeclared(head, encoding).to_owned(),
    }
}

/// A text type is accepted only for text.
fn declared_text(head: &[u8], encoding: Option<Encoding>, hint: &Mime) -> String {
    let declared = hint.get_param(mime::CHARSET).filter(|charset| !charset.as_str().eq_ignore_ascii_case("utf-8"));
    let essence = hint.essence_str();
    let charset = match encoding {
        // Bytes that are ASCII so far may become anything.
        Some(Encoding::Utf8) if !head.is_ascii() => Some("utf-8"),
        Some(Encoding::Utf8) => declared.as_ref().map(|charset| charset.as_str()).or(Some("utf-8")),
        Some(Encoding::Utf16) => declared.as_ref().map(|charset| charset.as_str()).or(Some("utf-16")),
        Some(Encoding::Other) => declared.as_ref().map(|charset| charset.as_str()),
        None if text::is_mostly_text(head) => declared.as_ref().map(|charset| charset.as_str()),
        None => return "application/octet-stream".into(),
    };
    charset.map_or_else(|| essence.to_owned(), |charset| format!("{essence}; charset={charset}"))
}

fn undeclared(head: &[u8], encoding: Option<Encoding>) -> &'static str {
    match encoding {
        Some(Encoding::Utf8) if !head.is_empty() => "text/plain; charset=utf-8",
        Some(Encoding::Utf16) => "text/plain; charset=utf-16",
        _ => "application/octet-stream",
    }
}

/// A hint is not accepted if the type is detectable and was not detected.
fn is_believable(hint: &Mime) -> bool {
    let essence = hint.essence_str();
    let proved = matches!(hint.type_(), mime::IMAGE | mime::AUDIO | mime::VIDEO | mime::FONT)
        && hint.subtype() != mime::SVG
        || essence == mime::APPLICATION_PDF.essence_str();
    let is_generic = [mime::APPLICATION_OCTET_STREAM, mime::APPLICATION_WWW_FORM_URLENCODED]
        .iter()
        .any(|nothing| nothing.essence_str() == essence);
    let is_a_pattern = hint.type_() == mime::STAR || hint.subtype() == mime::STAR;
    !proved && !is_generic && !is_a_pattern && hint.type_() != "multipart" && hint.as_ref().len() <= 127
}

/// Whether a browser may display content of this type. Types that can carry a script are excluded: HTML, SVG, XML; and
/// PDF, whose scripts the reader of a browser runs in spite of a sandboxing policy, so that they could open dialogs in the
/// name of this server.
pub fn is_inline(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    is_picture(essence)
        || matches!(
            essence,
            "text/plain"
                | "image/heic"
                | "image/heif"
                | "audio/aac"
                | "audio/flac"
                | "audio/mp4"
                | "audio/mpeg"
                | "audio/ogg"
                | "audio/wav"
                | "video/mp4"
                | "video/ogg"
                | "video/quicktime"
                | "video/webm"
        )
}

/// Whether this is a picture that every browser can display.
pub fn is_picture(content_type: &str) -> bool {
    matches!(content_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif")
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn detected_types_take_precedence_over_the_hint() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(content_type(png, Some("text/html")), "image/png");
        assert_eq!(content_type(b"hello", Some("image/png")), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"hello", Some("image/svg+xml")), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"hello", Some("application/pdf; a=b")), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"{}", Some("application/json")), "application/json");
        assert_eq!(content_type(b"\0\x01\x02", Some("text/csv")), "application/octet-stream");
        assert_eq!(content_type(b"", None), "application/octet-stream");
    }

    #[test]
    fn a_text_that_begins_like_a_signature_is_a_text() {
        for text in [
            "BMI,weight\n22,70\n",
            "MZ,name\n",
            "ID3 tags\n",
            "GIF files\n",
            "GIF89a is a format\n",
            "RIFF....WAVE\n",
            "RIFF....WEBPVP\n",
            "SQLite is small\n",
            "FWS,CWS\n",
            "LZIP\n",
            "MThd\n",
            "Cr24\n",
            "fLaC\n",
            "BZh\n",
            "BZh91\n",
            "....ftypisom\n",
            "....ftypheic0000\n",
            "....moov,mdat\n",
            "OggS\n",
            "8BPS\n",
            "MSCF\n",
            "FORM....AIFF\n",
            "%! a comment\n",
            "%PDF is a format\n",
            "see %PDF-1.7 for more\n",
            "070701,1\n",
            "#!AMR\n",
            "#! note\n",
            "wOFF\n",
            "OTTO 4\n",
            "II*\n",
            "PK is a name\n",
            "AC1015 a drawing",
            "AT&TFORM....DJVU",
            "dex\n035",
            "Rar! is loud",
            "DSD \n",
            "MAC \n",
            "{\\rtf is a word\n",
        ] {
            assert_eq!(content_type(text.as_bytes(), Some("text/csv")), "text/csv; charset=utf-8", "{text}");
            assert_eq!(content_type(text.as_bytes(), None), "text/plain; charset=utf-8", "{text}");
            let log = format!("{text} and a lost byte \0 in a longer line");
            assert_eq!(content_type(log.as_bytes(), Some("text/csv")), "text/csv", "{text}");
        }
    }

    #[test]
    fn a_text_keeps_its_type_in_any_charset() {
        let utf16: Vec<u8> = "\u{feff}Größe;1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, hint, expected) in [
            (b"Gr\xf6\xdfe;1\n".as_slice(), "text/csv", "text/csv"),
            (b"Gr\xf6\xdfe;1\n", "text/csv; charset=windows-1252", "text/csv; charset=windows-1252"),
            (b"Gr\xf6\xdfe;1\n", "text/csv; charset=utf-8", "text/csv"),
            (b"\x93\xfa\x96{\x8c\xea,1\n", "text/csv;charset=shift_jis", "text/csv; charset=shift_jis"),
            (b"\xd6\xd0\xce\xc4\n", "text/plain; charset=gbk", "text/plain; charset=gbk"),
            (&utf16, "text/csv", "text/csv; charset=utf-16"),
            ("Größe\n".as_bytes(), "text/csv; charset=windows-1252", "text/csv; charset=utf-8"),
            (b"a\x08b\n", "text/plain", "text/plain"),
            (b"[error] a NUL \0 in a log\n", "text/plain", "text/plain"),
        ] {
            assert_eq!(content_type(bytes, Some(hint)), expected);
        }
        assert_eq!(content_type(&utf16, None), "text/plain; charset=utf-16");
        assert_eq!(content_type(b"Gr\xf6\xdfe", None), "application/octet-stream");
    }
}
