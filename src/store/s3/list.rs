//! Lists of the bucket: its objects, its multipart uploads, and the parts of an upload.
//!
//! The object-store library has no lists of uploads and parts, and its list of objects fails at names
//! that are not valid paths, such as `a//b`. So it only signs these requests.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::Error as StoreError;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use percent_encoding::utf8_percent_encode;
use serde::de::DeserializeOwned;
use url::Url;

use super::connect;
use super::retry::{attempts, is_missing, unavailable};
use super::xml::{ListPage, ObjectEntry, PartsPage, UploadEntry};
use crate::config::S3Config;
use crate::error::{Error, Result};
use crate::store::sign::QUERY;
use crate::store::{Key, ListStream, Listed, Object, OpenUpload, StoredPart};

type Parameter = (&'static str, String);
/// The parameters of a request, in any order.
type Query = Vec<Parameter>;

/// Lists what is below the prefix.
#[derive(Debug, Clone)]
pub(super) struct Lister {
    http: HttpClient,
    bucket: Url,
    region: String,
    credentials: AwsCredentialProvider,
    /// The start of every key: empty, or with a slash at its end.
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

    /// All objects, ordered by key.
    pub fn objects(&self) -> ListStream<Object> {
        let (lister, query) = (self.clone(), vec![("list-type", "2".to_owned()), ("prefix", self.prefix.clone())]);
        let listed = move |entry: ObjectEntry| {
            let ObjectEntry { key, size, last_modified } = entry;
            lister.listed(key, |key| Object { key, size, modified_at: last_modified })
        };
        let pages = self.clone().pages(query);
        Box::pin(pages.map_ok(move |page| stream::iter(page.objects).map(listed.clone()).map(Ok)).try_flatten())
    }

    /// All multipart uploads, or those of one key.
    pub fn uploads(&self, key: Option<Key>) -> ListStream<OpenUpload> {
        // MinIO returns nothing for a prefix that is not a whole key, so that a list of all uploads
        // is filtered here. A key may also be the start of a longer name.
        let wanted = match &key {
            Some(key) => format!("{}{key}", self.prefix),
            None => self.prefix.clone(),
        };
        let mut query = vec![("uploads", String::new())];
        query.extend(key.is_some().then(|| ("prefix", wanted.clone())));
        let is_wanted = move |name: &str| if key.is_some() { name == wanted } else { name.starts_with(&wanted) };
        let lister = self.clone();
        let listed = move |entry: UploadEntry| {
            let UploadEntry { key, upload_id, initiated } = entry;
            let upload = |key| OpenUpload { key, id: Some(upload_id), started_at: initiated };
            is_wanted(&key).then(|| Ok(lister.listed(key, upload)))
        };
        let pages = self.clone().pages(query);
        Box::pin(
            pages.map_ok(move |page| stream::iter(page.uploads.into_iter().filter_map(listed.clone()))).try_flatten(),
        )
    }

    /// The parts of a multipart upload ordered by number, and those of one number by time; empty if
    /// there is no such upload.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn parts(&self, key: &Key, upload_id: &str) -> Result<Vec<StoredPart>> {
        let mut url = self.bucket.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.prefix.split('/').filter(|part| !part.is_empty())).push(key.as_str());
        }
        let (mut parts, mut marker) = (Vec::new(), 0);
        loop {
            let query = [("uploadId", upload_id.to_owned()), ("part-number-marker", marker.to_string())];
            let page: PartsPage = match self.request(&url, &query).await {
                Err(error) if is_missing(&error) => return Ok(Vec::new()),
                page => page.map_err(unavailable)?,
            };
            parts.extend(page.parts.into_iter().map(StoredPart::from));
            match page.next_part_number_marker {
                Some(next) if page.is_truncated && next > marker => marker = next,
                _ if page.is_truncated => return Err(truncated()),
                _ => break,
            }
        }
        parts.sort_by_key(|part: &StoredPart| (part.number, part.modified_at));
        Ok(parts)
    }

    fn listed<T>(&self, name: String, entry: impl FnOnce(Key) -> T) -> Listed<T> {
        match name.strip_prefix(&self.prefix).and_then(|key| key.parse().ok()) {
            Some(key) => Listed::Ours(entry(key)),
            None => Listed::Foreign(name),
        }
    }

    /// All pages of a list.
    fn pages(self, query: Query) -> impl Stream<Item = Result<ListPage>> + Send {
        stream::try_unfold((self, Some(Query::new())), move |(lister, markers)| {
            let query = query.clone();
            async move {
                let Some(markers) = markers else { return Ok(None) };
                let page = lister.page(&[query, markers.clone()].concat()).await?;
                let next = page.next();
                if next.as_ref().is_some_and(|next| next.is_empty() || *next == markers) {
                    return Err(truncated());
                }
                Ok(Some((page, (lister, next))))
            }
        })
    }

    async fn page(&self, query: &Query) -> Result<ListPage> {
        let mut url = self.bucket.clone();
        // With a slash after the name of the bucket, as the library requests it; some servers require it.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("");
        }
        self.request(&url, query).await.map_err(unavailable)
    }

    async fn request<T: DeserializeOwned>(&self, url: &Url, query: &[Parameter]) -> object_store::Result<T> {
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
        let mut url = url.clone();
        url.set_query(Some(&query.join("&")));
        attempts(|| self.request_once(&url)).await
    }

    async fn request_once<T: DeserializeOwned>(&self, url: &Url) -> object_store::Result<T> {
        let credential = self.credentials.get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(transient)?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let response = self.http.execute(request).await.map_err(transient)?;
        let status = response.status();
        let body = response.into_body().bytes().await.map_err(transient)?;
        if status.is_success() {
            return quick_xml::de::from_reader(&*body).map_err(transient);
        }
        let why = format!("a list was refused with status code: {status}: {}", String::from_utf8_lossy(&body));
        let path = url.path().to_owned();
        Err(match status.as_u16() {
            500.. | 429 => transient(std::io::Error::other(why)),
            404 => StoreError::NotFound { path, source: why.into() },
            _ => StoreError::PermissionDenied { path, source: why.into() },
        })
    }
}

fn truncated() -> Error {
    Error::store_unavailable("the store truncated a list without a marker for the rest")
}

/// An error that is retried.
fn transient(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "S3", source: Box::new(error) }
}
