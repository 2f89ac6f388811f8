//! Hexadecimal encoding and decoding.

/// Encodes bytes as lower-case digits.
///
/// # Examples
/// ```
/// use strongroom::hex::{hex, unhex};
///
/// assert_eq!(hex(&[0x0f, 0xa0]), "0fa0");
/// assert_eq!(unhex("0FA0"), Some(vec![0x0f, 0xa0]));
/// assert_eq!(unhex("0fa"), None);
/// ```
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends the lower-case digits of bytes.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 64];
    for bytes in bytes.chunks(digits.len() / 2) {
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        text.push_str(std::str::from_utf8(&digits[..2 * bytes.len()]).unwrap_or_default());
    }
}

/// Decodes digits in either case; `None` if the text has other characters or an odd length.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|four_bits| four_bits as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = Vec::with_capacity(pairs.len());
    for &[high, low] in pairs {
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    rest.is_empty().then_some(bytes)
}
