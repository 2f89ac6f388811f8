//! The name of the file in a part of a form, as the clients of several standards write it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use encoding_rs::Encoding;
use percent_encoding::percent_decode;

/// The name in the value of `Content-Disposition`, without folders. An extended name (RFC 8187) counts before the plain
/// one, which may be encoded words (RFC 2047) or have the escapes of HTML forms (HTML, "multipart form data").
pub(super) fn file_name(disposition: &[u8]) -> Option<String> {
    let extended = parameter(disposition, "filename*").and_then(|value| extended(&value));
    let name = extended.or_else(|| {
        let plain = String::from_utf8(parameter(disposition, "filename")?).ok()?;
        Some(encoded_words(&plain).unwrap_or_else(|| unescaped(&plain)))
    })?;
    // Some clients send the whole path of the file on their own machine.
    Some(name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned())
}

/// The value of a parameter, without its quotes. Only a quote is escaped with a backslash: browsers send backslashes as
/// they are.
fn parameter(disposition: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut rest = disposition.splitn(2, |byte| *byte == b';').nth(1)?;
    loop {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let name = rest[..equals].trim_ascii();
        let (value, after) = value(rest[equals + 1..].trim_ascii_start());
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(value);
        }
        rest = after.splitn(2, |byte| *byte == b';').nth(1)?;
    }
}

/// The value at the beginning, and what follows it.
fn value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        return (text[..end].trim_ascii().to_vec(), &text[end..]);
    };
    let (mut value, mut at) = (Vec::new(), 0);
    while let Some(byte) = quoted.get(at).filter(|byte| **byte != b'"') {
        let is_escape = *byte == b'\\' && quoted.get(at + 1) == Some(&b'"');
        at += usize::from(is_escape);
        value.push(quoted[at]);
        at += 1;
    }
    (value, quoted.get(at + 1..).unwrap_or_default())
}

/// A value with its charset and its language (RFC 8187, section 3.2).
fn extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, encoded) = (parts.next()?, parts.nth(1)?);
    decode(charset, &percent_decode(encoded).collect::<Vec<u8>>())
}

/// A text of nothing but encoded words (RFC 2047, section 2).
fn encoded_words(text: &str) -> Option<String> {
    let words = text.split_ascii_whitespace().map(encoded_word);
    words.collect::<Option<String>>().filter(|name| !name.is_empty())
}

fn encoded_word(word: &str) -> Option<String> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (charset, encoding, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(encoded).ok()?,
        "Q" | "q" => {
            percent_decode(encoded.replace('%', "%25").replace('_', " ").replace('=', "%").as_bytes()).collect()
        }
        _ => return None,
    };
    // A language may follow the charset (RFC 2231, section 5).
    decode(charset.split('*').next().unwrap_or_default().as_bytes(), &bytes)
}

fn decode(charset: &[u8], bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label(charset)?;
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Into::into)
}

/// Forms escape three characters, and not the percent sign.
fn unescaped(name: &str) -> String {
    let name = name.replace("%22", "\"");
    [("%0D", "\r"), ("%0d", "\r"), ("%0A", "\n"), ("%0a", "\n")]
        .iter()
        .fold(name, |name, (escape, character)| name.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_name_is_read_as_each_standard_writes_it() {
        for (parameters, expected) in [
            (r#"filename="a b.txt""#, Some("a b.txt")),
            ("filename=plain.txt; x=y", Some("plain.txt")),
            (r#"filename="a%22b%0D%0Ac 100%.txt""#, Some("a\"b\r\nc 100%.txt")),
            (r#"filename="a\"b; filename*=x.txt""#, Some("a\"b; filename*=x.txt")),
            (r#"filename="C:\docs\a.txt""#, Some("a.txt")),
            (
                r#"filename="=?utf-8?B?0L7RgtGH0ZHRgi5wZGY=?="; filename*=utf-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.pdf"#,
                Some("отчёт.pdf"),
            ),
            (r#"filename*=UTF-8'de'%C3%BC.txt; filename="u.txt""#, Some("ü.txt")),
            (r#"filename*=iso-8859-1''%fc.txt; filename="u.txt""#, Some("ü.txt")),
            (r#"filename*=unknown''%fc.txt; filename="u.txt""#, Some("u.txt")),
            (r#"filename*=UTF-8''%fc.txt; filename="u.txt""#, Some("u.txt")),
            (r#"filename="=?utf-8?B?0L7RgtGH0ZHRgi5wZGY=?=""#, Some("отчёт.pdf")),
            (r#"filename="=?iso-8859-1?Q?gr=FC=DFe_1.txt?=""#, Some("grüße 1.txt")),
            (r#"filename="=?utf-8?B?0L7RgtGH?= =?utf-8?B?0ZHRgi5wZGY=?=""#, Some("отчёт.pdf")),
            (r#"filename="=?what?=""#, Some("=?what?=")),
            ("x=y", None),
        ] {
            let disposition = format!("form-data; name=\"file\"; {parameters}");
            assert_eq!(file_name(disposition.as_bytes()).as_deref(), expected, "{parameters}");
        }
        assert_eq!(file_name(b"form-data; filename=\"caf\xe9.txt\""), None);
    }
}
