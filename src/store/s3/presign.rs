//! Signed URLs of the bucket: Signature Version 4 in the query, as AWS documents it under
//! "Authenticating Requests: Using Query Parameters".
//!
//! The object-store library can also sign, but only for the current time, and it derives the signing
//! key again for each URL. A list of a thousand files requires stable URLs, quickly.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use jiff::tz::Offset;
use object_store::aws::AwsCredential;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::{Position, Url};

use super::{Operation, SignRequest, SignedUrl};
use crate::hex::{hex, push_hex};
use crate::store::sign::{QUERY, hmac_sha256, push_parameter};

/// What SigV4 escapes in a path: as in a query, but not the slash.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Signs URLs of one bucket.
pub(super) struct Presigner {
    bucket: Url,
    region: String,
    /// The headers of all requests but the PUT of a whole object.
    bare: SignedHeaders,
    /// The headers of the PUT of a whole object.
    writing: SignedHeaders,
    /// The latest context, which the URLs of a list share.
    latest: Mutex<Option<Arc<SigningContext>>>,
}

impl Presigner {
    /// `bucket` is the URL of the bucket as clients use it; every PUT must carry `put_headers`, whose
    /// names are in lower case.
    pub fn new(bucket: Url, region: String, put_headers: Vec<(&'static str, String)>) -> Self {
        let host = &bucket[Position::BeforeHost..Position::AfterPort];
        let bare = SignedHeaders::new(host, Vec::new());
        let writing = SignedHeaders::new(host, put_headers);
        Self { region, bare, writing, latest: Mutex::default(), bucket }
    }

    /// The URL of the bucket, as clients use it.
    pub fn bucket(&self) -> &Url {
        &self.bucket
    }

    /// Signs a URL for the object at `path`. One signed with temporary credentials expires with them
    /// at the latest.
    pub fn sign(&self, credential: &Arc<AwsCredential>, path: &str, request: &SignRequest<'_>) -> SignedUrl {
        let headers = match (request.operation, request.part) {
            (Operation::Put, None) => &self.writing,
            // A part carries none: they were sent when the upload was created.
            _ => &self.bare,
        };
        let context = self.context(credential, request);
        let mut url = String::with_capacity(1024);
        url.push_str(self.bucket[..Position::AfterPath].trim_end_matches('/'));
        url.push('/');
        url.extend(utf8_percent_encode(path, PATH));
        let path_end = url.len();
        url.push('?');
        context.push_query(&mut url, &headers.names, request);

        let mut canonical = Sha256::new();
        let (path, query) = (&url[self.bucket[..Position::BeforePath].len()..path_end], &url[path_end + 1..]);
        for part in
            [request.operation.method(), "\n", path, "\n", query, "\n", &headers.canonical, "\n", &headers.names]
        {
            canonical.update(part);
        }
        canonical.update("\nUNSIGNED-PAYLOAD");
        let mut mac = context.mac.clone();
        mac.update(hex(&canonical.finalize()).as_bytes());
        url.push_str("&X-Amz-Signature=");
        push_hex(&mut url, &mac.finalize().into_bytes());
        SignedUrl {
            url,
            method: request.operation.method(),
            headers: headers.to_send.clone(),
            expires_at: request.expiry(),
        }
    }

    /// The context of this request: the latest one if it applies.
    fn context(&self, credential: &Arc<AwsCredential>, request: &SignRequest<'_>) -> Arc<SigningContext> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some(context) if context.applies(credential, request) => context.clone(),
            before => {
                let context = SigningContext::new(credential, &self.region, request, before.as_deref());
                latest.insert(Arc::new(context)).clone()
            }
        }
    }
}

impl fmt::Debug for Presigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigner").field("bucket", &self.bucket.as_str()).finish_non_exhaustive()
    }
}

/// The headers that a signature covers, in the order of SigV4.
struct SignedHeaders {
    names: String,
    canonical: String,
    to_send: Vec<(&'static str, String)>,
}

impl SignedHeaders {
    fn new(host: &str, to_send: Vec<(&'static str, String)>) -> Self {
        let mut all = vec![("host", host)];
        all.extend(to_send.iter().map(|(name, value)| (*name, value.trim())));
        all.sort_unstable();
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        let canonical = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        Self { names: names.join(";"), canonical, to_send }
    }
}

/// The parts that URLs signed with one credential, in one second and for one lifetime have in common.
struct SigningContext {
    credential: Arc<AwsCredential>,
    second: i64,
    lifetime: u64,
    day: String,
    /// The signing key of the day.
    key: Hmac<Sha256>,
    /// The same key after the part of the input that precedes the hash of the request.
    mac: Hmac<Sha256>,
    /// The query up to the names of the headers.
    query: String,
}

impl SigningContext {
    /// Reuses the signing key of `before` if it is of the same day.
    fn new(credential: &Arc<AwsCredential>, region: &str, request: &SignRequest<'_>, before: Option<&Self>) -> Self {
        let (day, instant) = stamps(request.now);
        let key = match before {
            Some(before) if before.day == day && before.credential == *credential => before.key.clone(),
            _ => signing_key(credential, &day, region),
        };
        let scope = format!("{day}/{region}/s3/aws4_request");
        let mac = key.clone().chain_update(format!("AWS4-HMAC-SHA256\n{instant}\n{scope}\n"));
        let lifetime = request.lifetime();
        let mut query = String::from("X-Amz-Algorithm=AWS4-HMAC-SHA256");
        push_parameter(&mut query, "X-Amz-Credential", &format!("{}/{scope}", credential.key_id));
        push_parameter(&mut query, "X-Amz-Date", &instant);
        push_parameter(&mut query, "X-Amz-Expires", &lifetime.to_string());
        credential.token.iter().for_each(|token| push_parameter(&mut query, "X-Amz-Security-Token", token));
        let second = request.now.as_second();
        Self { credential: credential.clone(), second, lifetime, day, key, mac, query }
    }

    fn applies(&self, credential: &Arc<AwsCredential>, request: &SignRequest<'_>) -> bool {
        self.second == request.now.as_second()
            && self.lifetime == request.lifetime()
            && (Arc::ptr_eq(&self.credential, credential) || self.credential == *credential)
    }

    /// Appends the query without the signature, its parameters in the order of SigV4.
    fn push_query(&self, url: &mut String, header_names: &str, request: &SignRequest<'_>) {
        url.push_str(&self.query);
        push_parameter(url, "X-Amz-SignedHeaders", header_names);
        if let Some(part) = request.part {
            push_parameter(url, "partNumber", &part.number.to_string());
        }
        request.disposition.into_iter().for_each(|value| push_parameter(url, "response-content-disposition", value));
        request.content_type.into_iter().for_each(|value| push_parameter(url, "response-content-type", value));
        if let Some(id) = request.part.and_then(|part| part.multipart_id) {
            push_parameter(url, "uploadId", id);
        }
    }
}

/// Derives the signing key for one day and one region.
fn signing_key(credential: &AwsCredential, day: &str, region: &str) -> Hmac<Sha256> {
    let mut mac = hmac_sha256(format!("AWS4{}", credential.secret_key).as_bytes());
    for step in [day, region, "s3", "aws4_request"] {
        mac = hmac_sha256(&mac.chain_update(step).finalize().into_bytes());
    }
    mac
}

/// `20261122` and `20261122T150405Z`.
fn stamps(now: Timestamp) -> (String, String) {
    let time = Offset::UTC.to_datetime(now);
    let day = format!("{:04}{:02}{:02}", time.year(), time.month(), time.day());
    let instant = format!("{day}T{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second());
    (day, instant)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue, Method};
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path;
    use object_store::signer::{SignedUrlOptions, Signer};

    use super::super::Key;
    use super::*;

    fn credential(token: Option<&str>) -> Arc<AwsCredential> {
        Arc::new(AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: token.map(str::to_owned),
        })
    }

    fn parameter(url: &Url, name: &str) -> String {
        url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned()).unwrap()
    }

    /// The example in the documentation of AWS.
    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let bucket = "https://examplebucket.s3.amazonaws.com".parse().unwrap();
        let signer = Presigner::new(bucket, "us-east-1".into(), Vec::new());
        let request = SignRequest {
            operation: Operation::Get,
            key: &Key::random(),
            now: "2013-05-24T00:00:00Z".parse().unwrap(),
            expires_in: Duration::from_secs(86400),
            disposition: None,
            content_type: None,
            part: None,
            generation: 0,
        };
        let signed = signer.sign(&credential(None), "test.txt", &request);
        assert_eq!(
            parameter(&signed.url.parse().unwrap(), "X-Amz-Signature"),
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[tokio::test]
    async fn signatures_are_those_of_the_library() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (bucket, region, token) in [
            ("https://s3.eu-north-1.amazonaws.com/rooms", "eu-north-1", None),
            ("https://rooms.s3.us-east-1.amazonaws.com", "us-east-1", Some("a/b+c==")),
            ("http://127.0.0.1:8333/rooms", "", None),
            ("https://gateway.example:8443/s3/v1/rooms", "mars/1", Some("t")),
        ] {
            for (operation, method) in
                [(Operation::Get, Method::GET), (Operation::Head, Method::HEAD), (Operation::Put, Method::PUT)]
            {
                same_as_library(bucket, region, token, operation, method).await;
            }
        }
    }

    async fn same_as_library(bucket: &str, region: &str, token: Option<&str>, operation: Operation, method: Method) {
        let credential = credential(token);
        let mut library = AmazonS3Builder::new()
            .with_endpoint(bucket)
            .with_virtual_hosted_style_request(true)
            .with_bucket_name("rooms")
            .with_region(region)
            .with_allow_http(true)
            .with_access_key_id(&credential.key_id)
            .with_secret_access_key(&credential.secret_key);
        if let Some(token) = token {
            library = library.with_token(token);
        }
        let put_headers = vec![
            ("x-amz-server-side-encryption", "aws:kms".to_owned()),
            ("if-none-match", "*".to_owned()),
            ("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu:1:key/2".to_owned()),
        ];
        let mut options = SignedUrlOptions::default();
        let (disposition, content_type) = match operation {
            Operation::Put => {
                for (name, value) in &put_headers {
                    let value = HeaderValue::from_str(value).unwrap();
                    options = options.with_signed_header(HeaderName::from_static(name), value);
                }
                (None, None)
            }
            _ => (Some("attachment; filename=\"a'b (1)*.txt\"; filename*=UTF-8''%C3%BC~"), Some("text/plain+x")),
        };
        let overrides = [("response-content-disposition", disposition), ("response-content-type", content_type)];
        options = options.with_query(overrides.into_iter().filter_map(|(name, value)| Some((name, value?))));

        let path = Path::parse("a folder/ü&+%/0123456789abcdef0123456789abcdef").unwrap();
        let lifetime = Duration::from_secs(900);
        let theirs = library.build().unwrap().signed_url_opts(method, &path, lifetime, &options).await.unwrap();
        let date = parameter(&theirs, "X-Amz-Date");
        let now = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &date).unwrap();

        let signer = Presigner::new(bucket.parse().unwrap(), region.into(), put_headers);
        let request = SignRequest {
            operation,
            key: &Key::random(),
            now: Offset::UTC.to_timestamp(now).unwrap(),
            expires_in: lifetime,
            disposition,
            content_type,
            part: None,
            generation: 0,
        };
        // The second time the signing key is reused.
        for _ in 0..2 {
            let ours = signer.sign(&credential, path.as_ref(), &request);
            let own: Url = ours.url.parse().unwrap();
            assert_eq!(parameter(&own, "X-Amz-Signature"), parameter(&theirs, "X-Amz-Signature"), "{own}");
            assert_eq!(own.path(), theirs.path());
        }
    }
}
