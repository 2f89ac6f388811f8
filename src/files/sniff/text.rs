//! Tells text from other bytes.

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// UTF-16 with a byte order mark.
    Utf16,
    /// An encoding that the bytes do not show, such as Windows-1252 or Shift JIS.
    Other,
}

/// The encoding if this is the beginning of a text. It may end in the middle of a character.
pub(super) fn encoding(head: &[u8]) -> Option<Encoding> {
    if is_utf16(head) {
        return Some(Encoding::Utf16);
    }
    if controls(head) > 0 {
        return None;
    }
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    Some(if is_utf8 { Encoding::Utf8 } else { Encoding::Other })
}

/// Whether this can be a text with a few control characters, as logs have them.
pub(super) fn is_mostly_text(head: &[u8]) -> bool {
    let controls = controls(head);
    controls <= (head.len() / 32).max(1) && 3 * controls < head.len()
}

/// Whether this can be an SVG picture.
pub(super) fn contains_svg(head: &[u8]) -> bool {
    head.windows(4).any(|window| window.eq_ignore_ascii_case(b"<svg"))
        || is_utf16(head) && head.windows(7).any(|window| window == b"<\0s\0v\0g" || window == b"\0<\0s\0v\0")
}

/// The number of control characters that no text contains.
fn controls(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count()
}

fn is_utf16(head: &[u8]) -> bool {
    let decode: fn([u8; 2]) -> u16 = match head {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return false,
    };
    let units = head.chunks_exact(2).map(|pair| decode([pair[0], pair[1]]));
    let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}');
    let mut ends = char::decode_utf16(units).peekable();
    while let Some(decoded) = ends.next() {
        // The last unit may be the first half of a pair.
        if decoded.as_ref().map_or(ends.peek().is_some(), |c| !is_text(*c)) {
            return false;
        }
    }
    true
}
