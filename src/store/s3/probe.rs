//! Checks what the store requires of a bucket, with objects that it deletes again, and records how
//! the server of the bucket differs from S3.

mod bucket;
mod bytes;
mod client;
mod public_access;

use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use reqwest::Method;

use self::client::{ProbeClient, ProbeResponse};
use super::retry::attempts;
use super::xml::ListPage;
use super::{S3Store, ignore_missing};
use crate::health::check::{Check, ProbeLevel, ProbeOptions};
use crate::store::Key;

/// The start of names that are not keys: even if the process dies, nothing mistakes the objects for blobs.
const NAME: &str = "doctor-";
/// The age in seconds from which an object was left by a probe whose process has died.
const ABANDONED_AFTER: i64 = 3600;

/// The ends of the names of one probe's objects.
const PLAIN: &str = "plain";
const CHECKED: &str = "checked";
const SIGNED: &str = "signed";
const PARTS: &str = "parts";
const ABORTED: &str = "aborted";
const OBJECTS: [&str; 5] = [PLAIN, CHECKED, SIGNED, PARTS, ABORTED];

const BODY: &[u8] = b"Written by strongroom doctor, which deletes it with one of the next requests.\n";

struct Probe<'a> {
    store: &'a S3Store,
    options: &'a ProbeOptions,
    client: ProbeClient,
    /// The start of the names of its objects.
    name: String,
}

/// Runs the checks; the store adapts to their results from now on.
pub(super) async fn run(store: &S3Store, options: &ProbeOptions) -> Vec<Check> {
    let client = match ProbeClient::new(store.clients.reader.clone()) {
        Ok(client) => client,
        Err(error) => return vec![Check::failed("store.reach", "create a client", error, "report this as a bug")],
    };
    let probe = Probe { store, options, client, name: format!("{NAME}{}", Key::random()) };
    let mut checks = probe.reach().await;
    if !checks.iter().any(Check::has_failed) {
        checks.extend(probe.check_all().await);
    }
    checks
}

impl Probe<'_> {
    async fn check_all(&self) -> Vec<Check> {
        let mut checks = vec![self.write().await];
        let written = !checks[0].has_failed();
        if written {
            checks.extend(self.check_written().await);
        }
        let deleted = self.delete().await;
        // A refused object should not exist, but a failing store may have created it.
        if written || self.remains().await {
            checks.push(deleted);
        }
        checks
    }

    async fn check_written(&self) -> Vec<Check> {
        let mut checks = vec![self.read().await, self.conditions().await, self.checksums().await, self.private().await];
        if self.options.level >= ProbeLevel::Full {
            checks.extend([self.signed_get().await, self.signed_put().await, self.browsers().await]);
            checks.extend([self.multipart().await, self.open_uploads().await]);
            checks.extend([self.lifecycle().await, self.versioning().await]);
        }
        if self.options.level >= ProbeLevel::Deep {
            checks.push(self.unequal_parts().await);
        }
        checks
    }

    /// Lists what earlier probes left, which shows whether the bucket exists and accepts the credentials.
    async fn reach(&self) -> Vec<Check> {
        let name = "store.reach";
        let bucket = self.store.clients.bucket();
        let proxy = self.client.proxy().await;
        let action = match &proxy {
            Some(proxy) => format!("list {bucket} through the proxy {proxy}"),
            None => format!("list {bucket}"),
        };
        let remedy = |remedy: String| match &proxy {
            Some(_) => {
                format!("unset HTTP_PROXY and HTTPS_PROXY, or add the host of the store to NO_PROXY; else {remedy}")
            }
            None => remedy,
        };
        let prefix = self.store.path_of(NAME).to_string();
        let query = [("list-type", "2"), ("max-keys", "100"), ("prefix", prefix.as_str())];
        let response = match self.client.signed(Method::GET, &Path::default(), &query, &[], b"").await {
            Ok(response) => response,
            Err(why) => {
                let start = "correct AWS_ENDPOINT_URL_S3, or start the store";
                return vec![Check::failed(name, action, why, remedy(start.into()))];
            }
        };
        let clock =
            response.date().map(|theirs| Check::clock("store.clock", "the store's", theirs, self.options.clock.now()));
        if let Some(clock) = clock.clone().filter(|_| !response.is_success()).filter(Check::has_failed) {
            return vec![clock];
        }
        let reached = match response.xml::<ListPage>() {
            Some(page) if response.is_success() => {
                self.delete_abandoned(page, response.date()).await;
                Check::ok(name, action, "it responds")
            }
            _ => Check::failed(name, action, response.describe(), remedy(self.remedy(&response))),
        };
        [Some(reached), clock].into_iter().flatten().collect()
    }

    /// The remedy for a list that was refused.
    fn remedy(&self, response: &ProbeResponse) -> String {
        let code = response.code();
        match (response.status, code.as_str()) {
            (_, "NoSuchBucket") => "create the bucket, or correct STORE_URL".into(),
            (301 | 307, _)
            | (
                _,
                "AuthorizationHeaderMalformed"
                | "AuthorizationQueryParametersError"
                | "IllegalLocationConstraintException"
                | "PermanentRedirect",
            ) => match response.region() {
                Some(region) => format!("the bucket is in another region: set AWS_REGION={region}"),
                None => "the bucket is in another region: correct AWS_REGION and AWS_ENDPOINT_URL_S3".into(),
            },
            (_, "RequestTimeTooSkewed") => "the clocks differ too much: synchronize the clock of this machine".into(),
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken") => {
                "the credentials are invalid: correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()
            }
            (401 | 403, _) => "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and grant the access key \
                               permission to list the bucket and to read, write and delete its objects"
                .into(),
            (500.., _) => "the store itself fails: see its own log".into(),
            _ => "this is not an S3 server: correct AWS_ENDPOINT_URL_S3".into(),
        }
    }

    /// Deletes what was left by probes whose process has died, by the store's own clock.
    async fn delete_abandoned(&self, page: ListPage, now: Option<Timestamp>) {
        let Some(now) = now else { return };
        for object in page.objects {
            let old = now.as_second() - object.last_modified.as_second() > ABANDONED_AFTER;
            if let Ok(path) = Path::parse(&object.key)
                && old
                && self.is_probe_object(&object.key)
            {
                tracing::debug!(%path, "deleting what an earlier probe left");
                // If that fails, the next probe tries again.
                let _ = self.store.clients.reader.delete(&path).await;
            }
        }
    }

    /// Whether an object has the name of a probe's. Other users of the bucket may use similar names.
    fn is_probe_object(&self, name: &str) -> bool {
        let own = name.strip_prefix(self.store.path_of(NAME).as_ref()).and_then(|rest| rest.split_once('-'));
        own.is_some_and(|(key, object)| key.parse::<Key>().is_ok() && OBJECTS.contains(&object))
    }

    /// Deletes everything that was written.
    async fn delete(&self) -> Check {
        let (name, action) = ("store.delete", "delete the probe's objects");
        for object in OBJECTS {
            let path = self.path(object);
            if let Err(error) = ignore_missing(attempts(|| self.store.clients.reader.delete(&path)).await) {
                let observed = format!("{path} could not be deleted: {}", error.cause());
                return Check::failed(name, action, observed, "grant the access key permission to delete objects");
            }
        }
        match self.remains().await {
            true => Check::failed(name, action, "they still exist", "find out why the store keeps them"),
            false => Check::ok(name, action, "they no longer exist"),
        }
    }

    async fn remains(&self) -> bool {
        matches!(self.store.clients.size(&self.path(PLAIN)).await, Ok(Some(_)))
    }

    /// The path of one of the probe's objects.
    fn path(&self, object: &str) -> Path {
        self.store.path_of(&format!("{}-{object}", self.name))
    }
}
