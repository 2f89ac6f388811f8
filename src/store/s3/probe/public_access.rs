//! Checks of access to the bucket that bypasses the server: without a signature it must be denied,
//! and with one it must work, at the public endpoint and for pages in browsers.

use object_store::path::Path;
use reqwest::Method;
use url::Url;

use super::client::ProbeResponse;
use super::{BODY, PLAIN, Probe, SIGNED};
use crate::health::check::Check;
use crate::store::s3::xml::ListPage;
use crate::store::{Key, Operation, SignRequest, SignedUrl};

const DISPOSITION: &str = "attachment; filename=\"doctor.txt\"";
/// The lifetime of the signed URLs.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(60);

impl Probe<'_> {
    /// Whether anonymous requests are denied, at both endpoints.
    pub(super) async fn private(&self) -> Check {
        let name = "store.private";
        let action = "get the object and list the bucket without a signature";
        let mut unreachable = None;
        let mut endpoints = vec![self.store.clients.bucket(), self.store.presigner.bucket()];
        endpoints.dedup();
        for bucket in endpoints {
            let list = format!("{}?list-type=2&max-keys=1", at(bucket, &Path::default()));
            for (what, url) in [("read", at(bucket, &self.path(PLAIN))), ("listed", list)] {
                match self.client.plain(Method::GET, &url, &[], b"").await {
                    Ok(response) if response.is_success() && is_of_the_bucket(&response) => {
                        let observed = format!("its content can be {what} by anyone, at {bucket}");
                        let remedy = "make the bucket private: remove its public policy, ACL or anonymous identity, and \
                                      treat its content as published";
                        return Check::failed(name, action, observed, remedy);
                    }
                    Ok(_) => {}
                    Err(why) => unreachable = Some(format!("{bucket} does not respond: {why}")),
                }
            }
        }
        match unreachable {
            Some(why) => Check::skipped(name, action, why),
            None => Check::ok(name, action, "both were refused"),
        }
    }

    /// Whether signed URLs work as clients use them, at the public endpoint.
    pub(super) async fn signed_get(&self) -> Check {
        let name = "store.signed_get";
        let action = format!("get the object with a signed URL at {}", self.store.presigner.bucket());
        let remedy = "correct STRONGROOM_S3_PUBLIC_ENDPOINT, or the proxy there: it must forward Host, path and query \
                      unchanged";
        let url = match self.sign(Operation::Get, PLAIN).await {
            Ok(url) => url,
            Err(why) => return Check::failed(name, action, why, "correct the credentials"),
        };
        match self.client.plain(Method::GET, &url.url, &[], b"").await {
            Ok(response) if response.is_success() && response.body == BODY => {
                match response.header("content-disposition") {
                    DISPOSITION => Check::ok(name, action, "the content is as written, with the file name in the URL"),
                    other => Check::warning(
                        name,
                        action,
                        format!("the Content-Disposition is {other:?} instead of the one in the URL"),
                        "downloads with signed URLs are named after their keys: set STRONGROOM_SIGNED_URLS=server",
                    ),
                }
            }
            Ok(response) => Check::failed(name, action, response.describe(), remedy),
            Err(why) => Check::failed(name, action, why, remedy),
        }
    }

    /// Whether a signed URL accepts one PUT and refuses the second.
    pub(super) async fn signed_put(&self) -> Check {
        let name = "store.signed_put";
        let action = "put an object with a signed URL, twice";
        if !self.store.clients.quirks.conditions() {
            return Check::skipped(name, action, "such URLs are not issued, since the store ignores their condition");
        }
        let url = match self.sign(Operation::Put, SIGNED).await {
            Ok(url) => url,
            Err(why) => return Check::failed(name, action, why, "correct the credentials"),
        };
        let headers: Vec<_> = url.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let send = async || self.client.plain(Method::PUT, &url.url, &headers, BODY).await;
        let remedy = "correct STRONGROOM_S3_PUBLIC_ENDPOINT, or the proxy there: it must forward PUT and the header \
                      If-None-Match";
        match (send().await, send().await) {
            (Ok(first), Ok(second)) if first.is_success() && matches!(second.status, 409 | 412) => {
                Check::ok(name, action, format!("the first was accepted, the second refused with {}", second.status))
            }
            (Ok(first), Ok(second)) if first.is_success() => {
                Check::failed(name, action, format!("the second PUT: {}", second.describe()), remedy)
            }
            (Ok(response), _) => Check::failed(name, action, response.describe(), remedy),
            (Err(why), _) => Check::failed(name, action, why, remedy),
        }
    }

    /// Whether pages of this server may use signed URLs (CORS).
    pub(super) async fn browsers(&self) -> Check {
        let name = "store.browsers";
        let origin = self.options.public_url.origin().ascii_serialization();
        let action = format!("request permission for a page of {origin} to put an object and to read its ETag (CORS)");
        let signed = (self.sign(Operation::Put, SIGNED).await, self.sign(Operation::Get, PLAIN).await);
        let (Ok(put), Ok(get)) = signed else {
            return Check::skipped(name, action, "the URLs could not be signed");
        };
        let needed: Vec<_> = ["content-type"].into_iter().chain(put.headers.iter().map(|(name, _)| *name)).collect();
        let preflight = [
            ("origin", origin.as_str()),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", &needed.join(",")),
        ];
        let preflight = self.client.plain(Method::OPTIONS, &put.url, &preflight, b"").await;
        let read = self.client.plain(Method::GET, &get.url, &[("origin", &origin)], b"").await;
        let (Ok(preflight), Ok(read)) = (preflight, read) else {
            return Check::skipped(name, action, "no response");
        };
        let mut missing = Vec::new();
        if !preflight.is_success() || !preflight.lists("access-control-allow-origin", &origin) {
            missing.push(format!("AllowedOrigins {origin}"));
        }
        if !preflight.lists("access-control-allow-methods", "PUT") {
            missing.push("AllowedMethods PUT".into());
        }
        let refused = needed.iter().filter(|header| !preflight.lists("access-control-allow-headers", header));
        missing.extend(refused.map(|header| format!("AllowedHeaders {header}")));
        if !read.lists("access-control-expose-headers", "ETag") {
            missing.push("ExposeHeaders ETag".into());
        }
        match missing.is_empty() {
            true => Check::ok(name, action, "both are allowed"),
            false => Check::warning(
                name,
                action,
                format!("not allowed: {}", missing.join(", ")),
                "if pages are to use signed URLs, add this to the CORS configuration of the bucket",
            ),
        }
    }

    async fn sign(&self, operation: Operation, object: &str) -> Result<SignedUrl, String> {
        let credentials = self.store.clients.reader.credentials();
        let credential = credentials.get_credential().await.map_err(super::client::describe)?;
        let request = SignRequest {
            operation,
            // Not used: the path is passed separately.
            key: &Key::random(),
            now: self.options.clock.now(),
            expires_in: LIFETIME,
            disposition: (operation == Operation::Get).then_some(DISPOSITION),
            content_type: None,
            part: None,
            generation: 0,
        };
        Ok(self.store.presigner.sign(&credential, self.path(object).as_ref(), &request))
    }
}

/// The URL of a path in a bucket. The paths of a probe need no escaping.
fn at(bucket: &Url, path: &Path) -> String {
    format!("{}/{path}", bucket.as_str().trim_end_matches('/'))
}

/// Whether the response has content of the bucket, as opposed to a welcome page of the server.
fn is_of_the_bucket(response: &ProbeResponse) -> bool {
    response.body == BODY || response.xml::<ListPage>().is_some()
}
