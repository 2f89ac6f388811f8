//! Formats that are ZIP archives: the entries at the beginning of the archive show which, in whatever order they come.

use std::iter;

const ENTRY: &[u8; 4] = b"PK\x03\x04";
/// The bytes of an entry before its name.
const ENTRY_BYTES: usize = 30;
/// General purpose bit 3: the size follows the content.
const SIZE_FOLLOWS: u16 = 1 << 3;

/// Whether this is the beginning of a ZIP archive.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(ENTRY) || head.starts_with(b"PK\x05\x06\0\0") || head.starts_with(b"PK\x07\x08PK\x03\x04")
}

/// Whether more bytes of this archive may show its type.
pub(super) fn is_undecided(head: &[u8]) -> bool {
    is_zip(head) && Contents::of(head).content_type().is_none()
}

/// The type of the archive that begins with `head`. The declared type decides only between types that its entries do not
/// tell apart.
pub(super) fn content_type<'a>(head: &'a [u8], hint: Option<&'a str>) -> &'a str {
    let contents = Contents::of(head);
    let proved = contents.content_type();
    match hint.map(str::trim).filter(|hint| contents.can_be(hint)) {
        Some(hint) => hint,
        None if contents.is_java => proved.unwrap_or("application/java-archive"),
        None => proved.unwrap_or("application/zip"),
    }
}

/// How the names of parts begin that only office packages have (ISO/IEC 29500-2).
const OFFICE_PARTS: &[&[u8]] = &[
    b"[Content_Types].xml",
    b"_rels/",
    b"docProps/",
    b"customXml/",
    b"word/document.xml",
    b"xl/workbook.xml",
    b"xl/worksheets/",
    b"ppt/presentation.xml",
    b"ppt/slides/",
];

/// An entry at the beginning of an archive.
struct Entry<'a> {
    name: &'a [u8],
    /// The beginning of the content, if it is stored uncompressed.
    stored: Option<&'a [u8]>,
}

/// What the first entries of an archive show.
#[derive(Debug, Default)]
struct Contents<'a> {
    /// The content of the entry `mimetype` (OpenDocument 1.3, part 2, section 3.3; EPUB 3.3, section 4.2.5.2).
    mimetype: Option<&'a str>,
    is_office_package: bool,
    office: Option<Office>,
    has_macros: bool,
    is_open_document: bool,
    is_epub: bool,
    is_android: bool,
    is_java: bool,
    is_kml: bool,
    is_3mf: bool,
}

/// The folder of the main part of an office package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Office {
    Word,
    Excel,
    PowerPoint,
    Visio,
}

impl<'a> Contents<'a> {
    fn of(head: &'a [u8]) -> Self {
        let mut contents = Self::default();
        for entry in entries(head) {
            contents.add(&entry);
        }
        contents
    }

    fn add(&mut self, entry: &Entry<'a>) {
        let name = entry.name;
        if name == b"mimetype" {
            self.mimetype = entry.stored.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim);
        }
        self.is_office_package |= OFFICE_PARTS.iter().any(|part| name.starts_with(part));
        for (folder, office) in [
            (b"word/".as_slice(), Office::Word),
            (b"xl/", Office::Excel),
            (b"ppt/", Office::PowerPoint),
            (b"visio/", Office::Visio),
        ] {
            if name.starts_with(folder) {
                self.office.get_or_insert(office);
            }
        }
        self.has_macros |= name.ends_with(b"/vbaProject.bin");
        self.is_open_document |= matches!(name, b"META-INF/manifest.xml" | b"content.xml" | b"styles.xml");
        self.is_epub |= matches!(name, b"META-INF/container.xml");
        self.is_android |= matches!(name, b"AndroidManifest.xml" | b"classes.dex" | b"resources.arsc");
        self.is_java |= name == b"META-INF/MANIFEST.MF";
        self.is_kml |= name == b"doc.kml";
        self.is_3mf |= name.starts_with(b"3D/") && name.ends_with(b".model");
    }

    /// The type, if the entries show it.
    fn content_type(&self) -> Option<&'a str> {
        if let Some(declared) = self.mimetype.filter(|name| is_declared_inside(name)) {
            return Some(declared);
        }
        if self.is_office_package
            && let Some(office) = self.office
        {
            return Some(office.content_type(self.has_macros));
        }
        match self {
            Self { is_3mf: true, .. } => Some("model/3mf"),
            Self { is_android: true, .. } => Some("application/vnd.android.package-archive"),
            Self { is_kml: true, .. } => Some("application/vnd.google-earth.kmz"),
            Self { is_epub: true, .. } => Some("application/epub+zip"),
            _ => None,
        }
    }

    /// Whether the entries agree with this type, and do not show another.
    fn can_be(&self, hint: &str) -> bool {
        if self.mimetype.is_some_and(is_declared_inside) {
            return false;
        }
        let family = Office::of(hint);
        if let Some(office) = family {
            let is_plain = office.content_type(false) == hint;
            return (self.is_office_package || self.office.is_some())
                && self.office.is_none_or(|shown| shown == office)
                && !(is_plain && self.has_macros);
        }
        if self.content_type().is_some() {
            return false;
        }
        match hint {
            "application/vnd.android.package-archive" => self.is_java,
            hint if hint.starts_with("application/vnd.oasis.opendocument.") => self.is_open_document,
            hint => is_archive_type(hint),
        }
    }
}

impl Office {
    /// The kind of document that a type belongs to: templates and files with macros have types of their own.
    fn of(hint: &str) -> Option<Self> {
        let rest = hint.strip_prefix("application/vnd.")?;
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| rest.starts_with(prefix));
        if starts(&[
            "openxmlformats-officedocument.wordprocessingml.",
            "ms-word.document.macro",
            "ms-word.template.macro",
        ]) {
            Some(Self::Word)
        } else if starts(&[
            "openxmlformats-officedocument.spreadsheetml.",
            "ms-excel.sheet",
            "ms-excel.template",
            "ms-excel.addin",
        ]) {
            Some(Self::Excel)
        } else if starts(&[
            "openxmlformats-officedocument.presentationml.",
            "ms-powerpoint.presentation.macro",
            "ms-powerpoint.slideshow.macro",
            "ms-powerpoint.template.macro",
        ]) {
            Some(Self::PowerPoint)
        } else if starts(&["ms-visio."]) {
            Some(Self::Visio)
        } else {
            None
        }
    }

    fn content_type(self, has_macros: bool) -> &'static str {
        match (self, has_macros) {
            (Self::Word, false) => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            (Self::Word, true) => "application/vnd.ms-word.document.macroenabled.12",
            (Self::Excel, false) => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            (Self::Excel, true) => "application/vnd.ms-excel.sheet.macroenabled.12",
            (Self::PowerPoint, false) => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            (Self::PowerPoint, true) => "application/vnd.ms-powerpoint.presentation.macroenabled.12",
            (Self::Visio, _) => "application/vnd.ms-visio.drawing",
        }
    }
}

/// The types that an archive may declare in its entry `mimetype`.
fn is_declared_inside(name: &str) -> bool {
    let is_token =
        name.len() <= 127 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte));
    is_token
        && (name.starts_with("application/vnd.oasis.opendocument.")
            || name.starts_with("application/vnd.sun.xml.")
            || matches!(name, "application/epub+zip" | "image/openraster" | "application/x-krita"))
}

/// Types of archives that have no entry to know them by.
fn is_archive_type(hint: &str) -> bool {
    hint.ends_with("+zip")
        || hint.starts_with("application/x-iwork-")
        || matches!(
            hint,
            "application/oxps"
                | "application/vnd.ms-xpsdocument"
                | "application/vnd.apple.keynote"
                | "application/vnd.apple.numbers"
                | "application/vnd.apple.pages"
                | "application/vnd.google-earth.kmz"
                | "application/x-cbz"
                | "application/x-ipynb+zip"
                | "application/x-xpinstall"
                | "model/3mf"
        )
}

/// The entries that begin in the head of an archive. An entry whose size follows its content is searched for its end if
/// it is compressed; stored content could contain the entries of another archive.
fn entries(head: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = head.strip_prefix(b"PK\x07\x08").unwrap_or(head);
    iter::from_fn(move || {
        let fixed = rest.get(..ENTRY_BYTES).filter(|fixed| fixed.starts_with(ENTRY))?;
        let number = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let name_end = ENTRY_BYTES + usize::from(number(26));
        let name = rest.get(ENTRY_BYTES..name_end)?;
        let content = rest.get(name_end + usize::from(number(28))..).unwrap_or_default();
        let size = usize::from(number(18)) | usize::from(number(20)) << 16;
        let (is_stored, size_follows) = (number(8) == 0, number(6) & SIZE_FOLLOWS > 0);
        let stored = (is_stored && !size_follows).then(|| &content[..size.min(content.len())]);
        rest = match (is_stored, size_follows) {
            (_, false) => content.get(size..).unwrap_or_default(),
            (false, true) => next_entry(content),
            (true, true) => &[],
        };
        Some(Entry { name, stored })
    })
}

/// From the next entry on.
fn next_entry(bytes: &[u8]) -> &[u8] {
    bytes.windows(ENTRY.len()).position(|window| window == ENTRY).map_or(&[], |start| &bytes[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

    fn zip(names: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(name, content): &(&str, &str)| {
            let mut bytes = [ENTRY.as_slice(), &[20, 0, 0, 0, 0, 0], &[0; 8]].concat();
            let length = u32::try_from(content.len()).unwrap().to_le_bytes();
            bytes.extend([length, length].concat());
            bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend([0, 0]);
            [&bytes, name.as_bytes(), content.as_bytes()].concat()
        };
        names.iter().flat_map(entry).collect()
    }

    #[test]
    fn an_office_file_is_known_in_whatever_order_its_parts_come() {
        for names in [
            ["docProps/app.xml", "docProps/core.xml", "word/document.xml", "[Content_Types].xml"],
            ["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/styles.xml"],
            ["word/document.xml", "word/styles.xml", "_rels/.rels", "[Content_Types].xml"],
        ] {
            let archive = zip(&names.map(|name| (name, "<xml/>")));
            assert_eq!(content_type(&archive, None), DOCX);
            assert_eq!(content_type(&archive, Some(XLSX)), DOCX);
            let template = "application/vnd.openxmlformats-officedocument.wordprocessingml.template";
            assert_eq!(content_type(&archive, Some(template)), template);
            assert!(!is_undecided(&archive));
        }
    }

    #[test]
    fn the_declared_type_decides_when_the_main_part_is_out_of_sight() {
        let package = zip(&[("docProps/thumbnail.jpeg", "a large picture")]);
        assert_eq!(content_type(&package, Some(XLSX)), XLSX);
        assert_eq!(content_type(&package, None), "application/zip");
        let other = zip(&[("words.txt", "hello")]);
        assert_eq!(content_type(&other, Some(XLSX)), "application/zip");
        assert_eq!(content_type(&other, Some("application/json")), "application/zip");
        assert_eq!(content_type(&other, Some("application/vnd.comicbook+zip")), "application/vnd.comicbook+zip");
        let folder = zip(&[("word/list.txt", "hello")]);
        assert_eq!(content_type(&folder, None), "application/zip");
    }

    #[test]
    fn macros_are_not_a_plain_document() {
        let archive = zip(&[("[Content_Types].xml", ""), ("word/vbaProject.bin", "")]);
        assert_eq!(content_type(&archive, Some(DOCX)), "application/vnd.ms-word.document.macroenabled.12");
    }

    #[test]
    fn other_archives_are_known_by_their_entries() {
        for (entries, expected) in [
            (vec![("mimetype", "application/epub+zip")], "application/epub+zip"),
            (vec![("META-INF/container.xml", ""), ("mimetype", "application/epub+zip")], "application/epub+zip"),
            (
                vec![("content.xml", ""), ("mimetype", "application/vnd.oasis.opendocument.text")],
                "application/vnd.oasis.opendocument.text",
            ),
            (vec![("mimetype", "image/png")], "application/zip"),
            (
                vec![("META-INF/MANIFEST.MF", ""), ("AndroidManifest.xml", "")],
                "application/vnd.android.package-archive",
            ),
            (vec![("META-INF/", ""), ("META-INF/MANIFEST.MF", "")], "application/java-archive"),
            (vec![("doc.kml", "")], "application/vnd.google-earth.kmz"),
        ] {
            assert_eq!(content_type(&zip(&entries), Some("application/zip")), expected);
        }
    }

    #[test]
    fn an_archive_inside_another_shows_nothing() {
        let inner = zip(&[("[Content_Types].xml", ""), ("word/document.xml", "")]);
        let mut outer = zip(&[("inner.docx", "")]);
        outer[6] = 8; // The size follows the content.
        assert_eq!(content_type(&[outer, inner].concat(), None), "application/zip");
    }
}
