//! The bucket's lists: its objects, the multipart uploads that are open, and the parts of one.
//!
//! Asked for by hand, as the library knows no list of uploads or parts and breaks off at names that are no
//! paths of its own, such as `a//b`; it only signs.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::Error as StoreError;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::connect;
use super::presign::QUERY;
use super::retry::{attempts, is_missing, unavailable};
use crate::config::S3Config;
use crate::error::{Error, Result};
use crate::store::{Key, ListStream, Listed, Object, OpenUpload, StoredPart};

type Parameter = (&'static str, String);
/// Parameters of a request, in any order.
type Query = Vec<Parameter>;

/// Lists what is below the prefix.
#[derive(Debug, Clone)]
pub(super) struct Lister {
    http: HttpClient,
    bucket: Url,
    region: String,
    credentials: AwsCredentialProvider,
    /// Before every key, with a slash at its end unless it is empty.
    prefix: String,
}

impl Lister {
    /// # Errors
    /// [`Error::Setup`] if the settings make no client.
    pub fn connect(config: &S3Config, credentials: AwsCredentialProvider) -> Result<Self> {
        let bucket = connect::bucket_url(config, config.endpoint.as_ref())?;
        let prefix = match config.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self { http: connect::plain_client(&bucket)?, bucket, region: config.region.clone(), credentials, prefix })
    }

    pub fn objects(&self) -> ListStream<Object> {
        let (lister, query) = (self.clone(), vec![("list-type", "2".to_owned()), ("prefix", self.prefix.clone())]);
        let found = move |entry: ObjectEntry| {
            let ObjectEntry { key, size, last_modified } = entry;
            lister.ours(key, |key| Object { key, size, modified_at: last_modified })
        };
        let pages = self.clone().pages(query);
        Box::pin(pages.map_ok(move |page| stream::iter(page.objects).map(found.clone()).map(Ok)).try_flatten())
    }

    pub fn uploads(&self, key: Option<Key>) -> ListStream<OpenUpload> {
        // MinIO takes a prefix for a whole key. So all are asked for, and those of others left out;
        // a key may be the beginning of a longer name.
        let wanted = match &key {
            Some(key) => format!("{}{key}", self.prefix),
            None => self.prefix.clone(),
        };
        let mut query = vec![("uploads", String::new())];
        query.extend(key.is_some().then(|| ("prefix", wanted.clone())));
        let is_wanted = move |name: &str| if key.is_some() { name == wanted } else { name.starts_with(&wanted) };
        let lister = self.clone();
        let found = move |entry: UploadEntry| {
            let UploadEntry { key, upload_id, initiated } = entry;
            let found = |key| OpenUpload { key, id: Some(upload_id), started_at: initiated };
            is_wanted(&key).then(|| Ok(lister.ours(key, found)))
        };
        let pages = self.clone().pages(query);
        Box::pin(
            pages.map_ok(move |page| stream::iter(page.uploads.into_iter().filter_map(found.clone()))).try_flatten(),
        )
    }

    /// The parts of a multipart upload in their order, of one number in that in which they came; none
    /// if there is no such upload.
    pub async fn parts(&self, key: &Key, upload_id: &str) -> Result<Vec<StoredPart>> {
        let mut url = self.bucket.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.prefix.split('/').filter(|part| !part.is_empty())).push(key.as_str());
        }
        let (mut parts, mut marker) = (Vec::new(), 0);
        loop {
            let query = [("uploadId", upload_id.to_owned()), ("part-number-marker", marker.to_string())];
            let page: PartsPage = match self.ask(&url, &query).await {
                Err(error) if is_missing(&error) => return Ok(Vec::new()),
                page => page.map_err(unavailable)?,
            };
            parts.extend(page.parts.into_iter().map(StoredPart::from));
            match page.next_part_number_marker {
                Some(next) if page.is_truncated && next > marker => marker = next,
                _ if page.is_truncated => {
                    return Err(Error::store_unavailable("the store broke off a list and does not say where"));
                }
                _ => break,
            }
        }
        parts.sort_by_key(|part: &StoredPart| (part.number, part.modified_at));
        Ok(parts)
    }

    fn ours<T>(&self, name: String, found: impl FnOnce(Key) -> T) -> Listed<T> {
        match name.strip_prefix(&self.prefix).and_then(|key| key.parse().ok()) {
            Some(key) => Listed::Ours(found(key)),
            None => Listed::Foreign(name),
        }
    }

    /// Page deadline page of what a query finds.
    fn pages(self, query: Query) -> impl Stream<Item = Result<Page>> + Send {
        stream::try_unfold((self, Some(Query::new())), move |(lister, markers)| {
            let query = query.clone();
            async move {
                let Some(markers) = markers else { return Ok(None) };
                let page = lister.page(&[query, markers.clone()].concat()).await?;
                let next = page.next();
                if next.as_ref().is_some_and(|next| next.is_empty() || *next == markers) {
                    return Err(Error::store_unavailable("the store broke off a list and does not say where"));
                }
                Ok(Some((page, (lister, next))))
            }
        })
    }

    async fn page(&self, query: &Query) -> Result<Page> {
        let mut url = self.bucket.clone();
        // With a slash deadline the bucket's name, as the library asks; some stores want it.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("");
        }
        self.ask(&url, query).await.map_err(unavailable)
    }

    async fn ask<T: DeserializeOwned>(&self, url: &Url, query: &[Parameter]) -> object_store::Result<T> {
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
        let mut url = url.clone();
        url.set_query(Some(&query.join("&")));
        attempts(|| self.try_once(&url)).await
    }

    async fn try_once<T: DeserializeOwned>(&self, url: &Url) -> object_store::Result<T> {
        let credential = self.credentials.get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let answer = self.http.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(failed)?;
        if status.is_success() {
            return quick_xml::de::from_reader(&*body).map_err(failed);
        }
        let why = format!("a list was refused with status code: {status}: {}", String::from_utf8_lossy(&body));
        let path = url.path().to_owned();
        Err(match status.as_u16() {
            500.. | 429 => failed(std::io::Error::other(why)),
            404 => StoreError::NotFound { path, source: why.into() },
            _ => StoreError::PermissionDenied { path, source: why.into() },
        })
    }
}

/// What may go well the next time.
fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "S3", source: Box::new(error) }
}

/// One page of either list; what belongs to the other is empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    is_truncated: bool,
    #[serde(default, rename = "Contents")]
    objects: Vec<ObjectEntry>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<UploadEntry>,
    next_continuation_token: Option<String>,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectEntry {
    pub key: String,
    size: u64,
    pub last_modified: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadEntry {
    key: String,
    upload_id: String,
    initiated: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartsPage {
    is_truncated: bool,
    #[serde(default, rename = "Part")]
    parts: Vec<PartEntry>,
    next_part_number_marker: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartEntry {
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

impl Page {
    /// How to ask for the next page, if there is one. Whatever markers came are sent back: AWS goes
    /// on deadline a key and an id, SeaweedFS deadline an id alone, and takes a key for a condition.
    fn next(&self) -> Option<Query> {
        let markers = [
            ("continuation-token", &self.next_continuation_token),
            ("key-marker", &self.next_key_marker),
            ("upload-id-marker", &self.next_upload_id_marker),
        ];
        let markers = markers.into_iter().filter_map(|(name, marker)| Some((name, marker.clone()?)));
        self.is_truncated.then(|| markers.filter(|(_, marker)| !marker.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    fn next(answer: &str) -> Option<Vec<(&'static str, String)>> {
        quick_xml::de::from_str::<Page>(answer).unwrap().next()
    }

    #[test]
    fn a_list_goes_on_where_the_store_says() {
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
    fn a_page_of_something_else_is_no_empty_list() {
        assert!(quick_xml::de::from_str::<Page>("<html><body>Sign in first</body></html>").is_err());
    }
}
