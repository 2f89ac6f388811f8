//! Characters that make a name look like another, and texts that people take for the same.

use std::fmt::Write as _;
use std::iter::once;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Whether this character changes the direction of the following text (the marks, embeddings, overrides and isolates of
/// UAX #9, which display `txt.exe` as `exe.txt`), or is invisible.
pub fn is_misleading(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{115f}' | '\u{1160}' | '\u{200b}' | '\u{2060}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether this is a mark that enters names unnoticed, when they are typed in a script written from right to left or
/// pasted: LRM, RLM and ALM (UAX #9, section 2.6), the zero width space, the word joiner and the byte order mark.
pub fn is_unseen_mark(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Whether a name of nothing but such characters can be seen: white space, the blank of Braille and what is displayed as
/// nothing (Default_Ignorable_Code_Point of UAX #44, and interlinear annotations) cannot.
pub fn is_visible(c: char) -> bool {
    let is_ignorable = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !is_ignorable && c != '\u{2800}' && !c.is_whitespace() && !c.is_control()
}

/// The text in the form in which search compares texts: without the difference between cases, accents, widths and
/// compatibility forms.
///
/// # Examples
/// ```
/// use strongroom::unicode::fold;
///
/// assert_eq!(fold("Straße ΟΔΟΣ Übung"), fold("STRASSE οδος ubung"));
/// ```
pub fn fold(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_accent(*c) && !is_unseen_mark(*c))
        .flat_map(folded_case)
        .flat_map(base_letters)
        .nfc()
        .collect()
}

/// The text in the form in which file systems that do not distinguish cases compare names: without the difference
/// between cases, and between composed and decomposed characters.
///
/// # Examples
/// ```
/// use strongroom::unicode::fold_case;
///
/// assert_eq!(fold_case("Straße ẞ ΟΔΟΣ \u{fb01}"), fold_case("STRASSE ss οδος FI"));
/// assert_ne!(fold_case("Übung"), fold_case("ubung"));
/// ```
pub fn fold_case(text: &str) -> String {
    text.nfd().flat_map(folded_case).nfd().collect()
}

/// By way of upper case, ß becomes ss, and ς becomes σ. The capital ẞ is its own upper case.
fn folded_case(c: char) -> impl Iterator<Item = char> {
    c.to_uppercase().flat_map(char::to_lowercase).flat_map(|c| match c {
        'ß' => once('s').chain(Some('s')),
        c => once(c).chain(None),
    })
}

/// Accents of alphabets, and the points of Hebrew and Arabic; not the vowel signs of Indic scripts or the voicing marks
/// of Japanese, which make other letters.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 1 | 10..=36 | 200..=255)
}

/// Letters with a stroke and ligatures, which have no decomposition.
fn base_letters(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ø' => ('o', None),
        'đ' => ('d', None),
        'ł' => ('l', None),
        'ħ' => ('h', None),
        'ŧ' => ('t', None),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        c => (c, None),
    };
    once(first).chain(second)
}

/// Maximum length of a [`natural_key`] in bytes, so that it fits into an index.
const KEY_BYTES: usize = 512;

/// A text whose order by bytes is the order in which people sort names: numbers by their value, letters in whatever case
/// and with whatever accent as one. Names that are otherwise equal are in the order of their bytes.
///
/// # Examples
/// ```
/// use strongroom::unicode::natural_key;
///
/// assert!(natural_key("file9") < natural_key("File10"));
/// ```
pub fn natural_key(name: &str) -> String {
    let folded = fold(name);
    let (mut key, mut rest) = (String::new(), folded.as_str());
    while let Some(c) = rest.chars().next() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = rest[..rest.len() - after.len()].trim_start_matches('0');
        if after.len() < rest.len() {
            // More digits are a greater number.
            let _ = write!(key, "0{:03x}{number}", number.len());
            rest = after;
        } else {
            key.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    // No name contains this character, so a name comes before those that begin with it.
    key.push('\u{1}');
    key.push_str(name);
    key.truncate(key.floor_char_boundary(KEY_BYTES));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_people_take_for_the_same_fold_to_one() {
        for (one, other) in [
            ("ΟΔΟΣ.txt", "οδος.TXT"),
            ("οδοσ", "οδος"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("Café", "cafe"),
            ("Übung", "ubung"),
            ("İstanbul", "istanbul"),
            ("ＡＢＣ１２", "abc12"),
            ("ﬁle", "file"),
            ("Łódź", "lodz"),
            ("Ærø", "aero"),
            ("ｶﾞ", "ガ"),
            ("שָׁלוֹם", "שלום"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        for (one, other) in [("か", "が"), ("कि", "का"), ("e", "o"), ("ss", "s")] {
            assert_ne!(fold(one), fold(other), "{one}");
        }
    }

    #[test]
    fn names_are_sorted_as_people_count() {
        let sorted = [
            "",
            "apple",
            "file",
            "file 2",
            "file007",
            "file7",
            "file8",
            "File9",
            "file10",
            "file10a",
            "file11",
            "image (2)",
            "image (10)",
            "Übung",
            "version 1.9",
            "version 1.10",
            "Zebra",
            "я",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by_key(|name| natural_key(name));
        assert_eq!(names, sorted);
        assert!(natural_key(&"𝔄9".repeat(200)).len() <= KEY_BYTES);
    }
}
