//! Types that begin with a signature.

use infer::MatcherType;

use crate::media::canonical;

/// The type that the signature at the beginning proves. A signature of a few letters proves nothing if everything is
/// text (`is_text`), or if what must follow it is not there.
pub(super) fn content_type(head: &[u8], is_text: bool) -> Option<&'static str> {
    if let Some(name) = iso_media(head) {
        return Some(name);
    }
    let kind = infer::get(head)?;
    if is_text && !is_textual(kind) || !is_confirmed(head, kind, is_text) {
        return None;
    }
    Some(match (kind.mime_type(), kind.extension()) {
        (_, "woff2") => "font/woff2",
        (_, "ttf") => "font/ttf",
        (_, "otf") => "font/otf",
        (_, "eot") => "application/vnd.ms-fontobject",
        ("audio/ogg", _) if head.get(28..35) == Some(b"\x80theora") => "video/ogg",
        (name, _) => canonical(name),
    })
}

/// Formats whose content can be nothing but text.
fn is_textual(kind: infer::Type) -> bool {
    kind.matcher_type() == MatcherType::Text
        || matches!(
            kind.mime_type(),
            "application/pdf"
                | "application/rtf"
                | "application/postscript"
                | "application/x-x509-ca-cert"
                | "application/x-unix-archive"
                | "application/x-bzip2"
                | "application/zstd"
        )
}

/// Whether the bytes after a short signature are what its format has there.
fn is_confirmed(head: &[u8], kind: infer::Type, is_text: bool) -> bool {
    let at = |index: usize| head.get(index).copied().unwrap_or_default();
    match head {
        _ if kind.mime_type() == "application/pdf" => is_pdf(head, is_text),
        [b'B', b'M', ..] => at(14) >= 12 && head.get(15..18) == Some(&[0; 3]) && at(13) == 0,
        [b'G', b'I', b'F', ..] => head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a"),
        [b'M', b'Z', ..] => at(3) < 2,
        [b'I', b'D', b'3', ..] => matches!(at(3), 2..=4) && head.iter().skip(6).take(4).all(|byte| *byte < 0x80),
        [b'F' | b'C', b'W', b'S', ..] => matches!(at(3), 1..=31 | 33..=43),
        [b'B', b'Z', b'h', ..] => matches!(head.get(4..10), Some(b"1AY&SY" | b"\x17\x72\x45\x38\x50\x90")),
        [b'%', b'!', ..] => head.starts_with(b"%!PS"),
        [b'#', b'!', ..] if kind.mime_type() == "text/x-shellscript" => {
            head[2..].iter().find(|byte| **byte != b' ') == Some(&b'/')
        }
        _ => is_long_signature_confirmed(head),
    }
}

/// [`is_confirmed`], for signatures of four letters.
fn is_long_signature_confirmed(head: &[u8]) -> bool {
    let at = |index: usize| head.get(index).copied().unwrap_or_default();
    match head.get(..4) {
        Some(b"fLaC") => at(4) & 0x7f == 0 && head.get(5..8) == Some(&[0, 0, 34]),
        Some(b"SQLi") => head.starts_with(b"SQLite format 3\0"),
        Some(b"LZIP") => at(4) < 2,
        Some(b"MThd" | b"MSCF") => head.get(4..7) == Some(&[0; 3]),
        Some(b"Cr24") => matches!(head.get(4..8), Some([2 | 3, 0, 0, 0])),
        Some(b"OggS") => at(4) == 0,
        Some(b"8BPS") => matches!(head.get(4..6), Some([0, 1 | 2])),
        Some(b"{\\rt") => at(5).is_ascii_digit(),
        Some([0xff, 0xd8, 0xff, marker]) => *marker >= 0xc0,
        _ => true,
    }
}

/// Readers accept a PDF file with something in front of it; a text may mention the signature.
fn is_pdf(head: &[u8], is_text: bool) -> bool {
    let is_header = |bytes: &[u8]| bytes.starts_with(b"%PDF-") && bytes.get(5).is_some_and(u8::is_ascii_digit);
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    is_header(start) || !is_text && head.windows(6).take(1024).any(is_header)
}

/// The type of an ISO base media file, by the brands in its first box (ISO/IEC 14496-12, section 4.3), where the brands
/// decide better than [`infer`] does.
fn iso_media(head: &[u8]) -> Option<&'static str> {
    let [0, 0, high, low, b'f', b't', b'y', b'p', major @ ..] = head else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let major: &[u8; 4] = major.first_chunk()?;
    let brands = head.get(16..length.min(head.len())).unwrap_or_default();
    let has = |brand: &[u8; 4]| major == brand || brands.chunks_exact(4).any(|known| known == brand);
    match major {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some("image/heic"),
        b"avif" | b"avis" => Some("image/avif"),
        b"mif1" | b"mif2" | b"msf1" if has(b"avif") || has(b"avis") => Some("image/avif"),
        b"mif1" | b"mif2" | b"msf1" if has(b"heic") || has(b"heix") => Some("image/heic"),
        b"mif1" | b"mif2" | b"msf1" => Some("image/heif"),
        b"qt  " => Some("video/quicktime"),
        b"crx " => Some("image/x-canon-cr3"),
        [b'M', b'4', b'A' | b'B' | b'P', _] => Some("audio/mp4"),
        [b'3', b'g', b'2', _] => Some("video/3gpp2"),
        [b'3', b'g', _, _] => Some("video/3gpp"),
        [b'M', b'4', b'V', _] => Some("video/mp4"),
        _ if has(b"mp41") || has(b"mp42") || has(b"isom") || has(b"iso2") => Some("video/mp4"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn a_signature_with_the_right_bytes_after_it_is_proof() {
        let bmp = [b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0".as_slice(), &[0; 30]].concat();
        let dos = [b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff".as_slice(), &[0; 60]].concat();
        for (head, expected) in [
            (bmp.as_slice(), "image/bmp"),
            (&dos, "application/vnd.microsoft.portable-executable"),
            (b"GIF89a\x01\0\x01\0\0\0\0;", "image/gif"),
            (b"ID3\x03\0\0\0\0\0\x0f", "audio/mpeg"),
            (b"fLaC\0\0\0\x22\x10\0\x10\0", "audio/flac"),
            (b"SQLite format 3\0\x10\0", "application/vnd.sqlite3"),
            (b"BZh91AY&SY\xd9\xb2", "application/x-bzip2"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "image/heic"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0isomiso2", "audio/mp4"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", "video/mp4"),
            (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "audio/wav"),
            (b"wOF2\0\x01\0\0\0\0\0\x10", "font/woff2"),
            (b"%!PS-Adobe-3.0\n", "application/postscript"),
            (b"#!/bin/sh\n", "text/x-shellscript"),
            (b"  %PDF-1.7\n", "application/pdf"),
        ] {
            let is_text = super::super::text::encoding(head).is_some();
            assert_eq!(content_type(head, is_text), Some(expected), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn letters_of_a_signature_with_other_bytes_after_them_prove_nothing() {
        for head in [b"GIF<script>\0".as_slice(), b"BMW builds cars\0", b"MZ,name\0", b"ID3 tags\0", b"RIFF\0\0\0\0"] {
            assert_eq!(content_type(head, false), None, "{}", head.escape_ascii());
        }
    }
}
