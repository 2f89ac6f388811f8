//! Characters that make a name look like another.

/// Whether this character changes the direction of the following text (the marks, embeddings, overrides and isolates of
/// UAX #9, which display `txt.exe` as `exe.txt`), or is invisible.
pub fn is_misleading(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{115f}' | '\u{1160}' | '\u{200b}' | '\u{2060}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}
