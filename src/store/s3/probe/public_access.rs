//! The ways to the bucket that do not lead through the server: without a signature they must be
//! shut, and with one they must be open, from the public endpoint and for pages in browsers.

use object_store::path::Path;
use reqwest::Method;
use url::Url;

use super::client::ProbeResponse;
use super::{BODY, PLAIN, Probe, SIGNED};
use crate::health::check::Check;
use crate::store::{Key, Operation, SignRequest, SignedUrl};

const DISPOSITION: &str = "attachment; filename=\"doctor.txt\"";
/// The life of the signed URLs that are tried.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(60);

impl Probe<'_> {
    /// Whether foreign_entries are kept out, at both endpoints.
    pub(super) async fn private(&self) -> Check {
        let name = "store.private";
        let tried = "get the object and list the bucket without a signature";
        let mut silent = None;
        let mut endpoints = vec![self.store.clients.bucket(), self.store.presigner.bucket()];
        endpoints.dedup();
        for bucket in endpoints {
            let list = format!("{}?list-type=2&max-keys=1", at(bucket, &Path::default()));
            for (what, url) in [("read", at(bucket, &self.path(PLAIN))), ("listed", list)] {
                match self.asker.plain(Method::GET, &url, &[], b"").await {
                    Ok(answer) if answer.is_success() && is_of_the_bucket(&answer) => {
                        let came_back = format!("everything in it can be {what} by anybody, at {bucket}");
                        let what_to_do = "make the bucket private: take away its public policy, ACL or anonymous \
                                          identity, and treat what is in it as published";
                        return Check::failed(name, tried, came_back, what_to_do);
                    }
                    Ok(_) => {}
                    Err(why) => silent = Some(format!("{bucket} does not answer: {why}")),
                }
            }
        }
        match silent {
            Some(why) => Check::skipped(name, tried, why),
            None => Check::ok(name, tried, "both were refused"),
        }
    }

    /// Signed URLs as people use them: given by the server, taken by the public endpoint.
    pub(super) async fn signed_get(&self) -> Check {
        let name = "store.signed_get";
        let tried = format!("get the object by a signed URL at {}", self.store.presigner.bucket());
        let what_to_do = "correct STRONGROOM_S3_PUBLIC_ENDPOINT, or the proxy there: it must pass on Host, path and \
                          query as they are";
        let url = match self.sign(Operation::Get, PLAIN).await {
            Ok(url) => url,
            Err(why) => return Check::failed(name, tried, why, "correct the credentials"),
        };
        match self.asker.plain(Method::GET, &url.url, &[], b"").await {
            Ok(answer) if answer.is_success() && answer.body == BODY => match answer.header("content-disposition") {
                DISPOSITION => Check::ok(name, tried, "as it was written, under the name in the URL"),
                other => Check::warning(
                    name,
                    tried,
                    format!("the Content-Disposition is {other:?} instead of the one in the URL"),
                    "downloads by signed URLs will be named by their keys: serve them through this server",
                ),
            },
            Ok(answer) => Check::failed(name, tried, answer.describe(), what_to_do),
            Err(why) => Check::failed(name, tried, why, what_to_do),
        }
    }

    pub(super) async fn signed_put(&self) -> Check {
        let name = "store.signed_put";
        let tried = "put an object by a signed URL, twice";
        if !self.store.clients.quirks.conditions() {
            return Check::skipped(name, tried, "such URLs are not given out, for the store ignores their condition");
        }
        let url = match self.sign(Operation::Put, SIGNED).await {
            Ok(url) => url,
            Err(why) => return Check::failed(name, tried, why, "correct the credentials"),
        };
        let headers: Vec<_> = url.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let send = async || self.asker.plain(Method::PUT, &url.url, &headers, BODY).await;
        let what_to_do = "correct STRONGROOM_S3_PUBLIC_ENDPOINT, or the proxy there: it must pass on PUT, and the \
                          header If-None-Match";
        match (send().await, send().await) {
            (Ok(first), Ok(second)) if first.is_success() && matches!(second.status, 409 | 412) => {
                Check::ok(name, tried, format!("it was put once, and refused with {} then", second.status))
            }
            (Ok(first), Ok(second)) if first.is_success() => {
                Check::failed(name, tried, format!("the second time: {}", second.describe()), what_to_do)
            }
            (Ok(answer), _) => Check::failed(name, tried, answer.describe(), what_to_do),
            (Err(why), _) => Check::failed(name, tried, why, what_to_do),
        }
    }

    /// Whether a page of this server may use signed URLs (CORS).
    pub(super) async fn browsers(&self) -> Check {
        let name = "store.browsers";
        let origin = self.probing.public_url.origin().ascii_serialization();
        let tried = format!("ask, as a page of {origin} does, to put an object and to see its ETag");
        let signed = (self.sign(Operation::Put, SIGNED).await, self.sign(Operation::Get, PLAIN).await);
        let (Ok(put), Ok(get)) = signed else {
            return Check::skipped(name, tried, "nothing could be signed");
        };
        let needed: Vec<_> = ["content-type"].into_iter().chain(put.headers.iter().map(|(name, _)| *name)).collect();
        let preflight = [
            ("origin", origin.as_str()),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", &needed.join(",")),
        ];
        let preflight = self.asker.plain(Method::OPTIONS, &put.url, &preflight, b"").await;
        let seen = self.asker.plain(Method::GET, &get.url, &[("origin", &origin)], b"").await;
        let (Ok(preflight), Ok(seen)) = (preflight, seen) else {
            return Check::skipped(name, tried, "no answer");
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
        if !seen.lists("access-control-expose-headers", "ETag") {
            missing.push("ExposeHeaders ETag".into());
        }
        match missing.is_empty() {
            true => Check::ok(name, tried, "both are allowed"),
            false => Check::warning(
                name,
                tried,
                format!("not allowed: {}", missing.join(", ")),
                "if pages shall use signed URLs, put this into the bucket's CORS configuration",
            ),
        }
    }

    async fn sign(&self, operation: Operation, object: &str) -> Result<SignedUrl, String> {
        let credentials = self.store.clients.reader.credentials();
        let credential = credentials.get_credential().await.map_err(super::client::describe)?;
        let request = SignRequest {
            operation,
            // Of no account: the path is given beside it.
            key: &Key::random(),
            now: self.probing.clock.now(),
            expires_in: LIFETIME,
            disposition: (operation == Operation::Get).then_some(DISPOSITION),
            content_type: None,
            part: None,
            generation: 0,
        };
        Ok(self.store.presigner.sign(&credential, self.path(object).as_ref(), &request))
    }
}

/// The address of a path in a bucket. Ours need no escaping.
fn at(bucket: &Url, path: &Path) -> String {
    format!("{}/{path}", bucket.as_str().trim_end_matches('/'))
}

/// A page of welcome is no leak.
fn is_of_the_bucket(answer: &ProbeResponse) -> bool {
    answer.body == BODY || answer.xml::<super::Listed>().is_some()
}
