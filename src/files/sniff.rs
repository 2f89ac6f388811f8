//! Detects content types. The declared type is only a hint: what the bytes can prove, they prove.

/// The number of bytes at the start of a file that its type depends on.
pub(super) const SNIFFED_BYTES: usize = 4096;

/// The content type of a file that starts with `head`; `hint` is the declared type.
pub(super) fn content_type(head: &[u8], hint: Option<&str>) -> String {
    if let Some(kind) = infer::get(head) {
        return kind.mime_type().to_owned();
    }
    let hint = hint.and_then(|hint| hint.parse::<mime::Mime>().ok()).filter(is_believable);
    match hint {
        // A text type is accepted only for text.
        Some(hint) if hint.type_() == mime::TEXT && !is_text(head) => "application/octet-stream".into(),
        // The bytes are valid UTF-8, whatever charset was declared.
        Some(hint) if hint.type_() == mime::TEXT => format!("{}; charset=utf-8", hint.essence_str()),
        Some(hint) => hint.to_string(),
        None if is_text(head) && !head.is_empty() => "text/plain; charset=utf-8".into(),
        None => "application/octet-stream".into(),
    }
}

/// A type that the bytes would have shown is not accepted as a hint.
fn is_believable(hint: &mime::Mime) -> bool {
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

fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The head may end in the middle of a character.
        Err(error) => error.error_len().is_none() && head.len() >= SNIFFED_BYTES,
    };
    valid && !head.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
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
                | "audio/mpeg"
                | "audio/ogg"
                | "audio/opus"
                | "audio/x-flac"
                | "audio/x-wav"
                | "audio/m4a"
                | "video/mp4"
                | "video/webm"
                | "video/ogg"
                | "video/x-m4v"
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
    fn what_the_bytes_show_counts_before_the_hint() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(content_type(png, Some("text/html")), "image/png");
        assert_eq!(content_type(b"hello", Some("image/png")), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"hello", Some("application/pdf; a=b")), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"{}", Some("application/json")), "application/json");
        assert_eq!(content_type(b"\0\x01\x02", Some("text/csv")), "application/octet-stream");
        assert_eq!(content_type(b"", None), "application/octet-stream");
    }
}
