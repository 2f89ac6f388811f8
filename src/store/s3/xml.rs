//! The XML of S3's lists: objects, multipart uploads, and the parts of one upload.

use jiff::Timestamp;
use serde::Deserialize;

use crate::store::StoredPart;

/// A page of the list of objects (`ListBucketResult`) or of uploads (`ListMultipartUploadsResult`).
/// Both require `IsTruncated`, so that no other document is mistaken for an empty list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListPage {
    is_truncated: bool,
    #[serde(default, rename = "Contents")]
    pub objects: Vec<ObjectEntry>,
    #[serde(default, rename = "Upload")]
    pub uploads: Vec<UploadEntry>,
    next_continuation_token: Option<String>,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectEntry {
    pub key: String,
    /// In bytes.
    pub size: u64,
    pub last_modified: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadEntry {
    pub key: String,
    pub upload_id: String,
    pub initiated: Timestamp,
}

impl ListPage {
    /// The parameters that request the next page; `None` after the last one. All markers of the
    /// response are sent back: AWS continues after a key and an id, SeaweedFS after an id alone, and
    /// takes a key for a filter.
    pub fn next(&self) -> Option<Vec<(&'static str, String)>> {
        let markers = [
            ("continuation-token", &self.next_continuation_token),
            ("key-marker", &self.next_key_marker),
            ("upload-id-marker", &self.next_upload_id_marker),
        ];
        let markers = markers.into_iter().filter_map(|(name, marker)| Some((name, marker.clone()?)));
        self.is_truncated.then(|| markers.filter(|(_, marker)| !marker.is_empty()).collect())
    }
}

/// A page of the parts of an upload (`ListPartsResult`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartsPage {
    pub is_truncated: bool,
    #[serde(default, rename = "Part")]
    pub parts: Vec<PartEntry>,
    pub next_part_number_marker: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartEntry {
    part_number: u64,
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
    last_modified: Option<Timestamp>,
}

impl From<PartEntry> for StoredPart {
    fn from(entry: PartEntry) -> Self {
        Self { number: entry.part_number, size: entry.size, receipt: entry.etag, modified_at: entry.last_modified }
    }
}

#[cfg(test)]
mod tests {
    use super::ListPage;

    fn next(response: &str) -> Option<Vec<(&'static str, String)>> {
        quick_xml::de::from_str::<ListPage>(response).unwrap().next()
    }

    #[test]
    fn the_next_page_is_requested_with_the_markers_of_the_store() {
        let aws = "<ListMultipartUploadsResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><KeyMarker/>
            <NextKeyMarker>a b</NextKeyMarker><NextUploadIdMarker>7&amp;8</NextUploadIdMarker><IsTruncated>true</IsTruncated>
            <Upload><Key>a b</Key><UploadId>7&amp;8</UploadId><Initiator><ID>x</ID></Initiator>
            <Initiated>2026-11-22T17:52:34.000Z</Initiated></Upload></ListMultipartUploadsResult>";
        assert_eq!(next(aws), Some(vec![("key-marker", "a b".into()), ("upload-id-marker", "7&8".into())]));
        let seaweed =
            "<ListMultipartUploadsResult><NextKeyMarker></NextKeyMarker><NextUploadIdMarker>9</NextUploadIdMarker>
            <IsTruncated>true</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(next(seaweed), Some(vec![("upload-id-marker", "9".into())]));
        let last = "<ListBucketResult><NextContinuationToken>t</NextContinuationToken><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(next(last), None);
    }

    #[test]
    fn another_document_is_not_an_empty_list() {
        assert!(quick_xml::de::from_str::<ListPage>("<html><body>Sign in first</body></html>").is_err());
    }
}
