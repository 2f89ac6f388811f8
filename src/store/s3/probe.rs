//! Tries what the store needs of a bucket, with objects of its own that it takes away again, and
//! learns in what the bucket differs from S3.

mod bucket;
mod bytes;
mod client;
mod public_access;

use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;

use self::client::{ProbeClient, ProbeResponse};
use super::list::ObjectEntry;
use super::retry::attempts;
use super::{S3Store, gone};
use crate::health::check::{Check, ProbeLevel, ProbeOptions};
use crate::store::Key;

/// Names that no key looks like: whatever becomes of the process, nobody takes them for blobs.
const NAME: &str = "doctor-";
/// What is older was left by a probe whose process died, in seconds.
const LEFT_BEHIND: i64 = 3600;

/// The objects of one probe: their names' ends.
const PLAIN: &str = "plain";
const CHECKED: &str = "checked";
const SIGNED: &str = "signed";
const PARTS: &str = "parts";
const ABORTED: &str = "aborted";
const OBJECTS: [&str; 5] = [PLAIN, CHECKED, SIGNED, PARTS, ABORTED];

const BODY: &[u8] = b"The doctor of Strongroom was here, and takes this away with the next request.\n";

struct Probe<'a> {
    store: &'a S3Store,
    probing: &'a ProbeOptions,
    asker: ProbeClient,
    /// What all of its names begin with.
    name: String,
}

/// Tries the store's bucket; what is learned of it, the store uses from now on.
pub(super) async fn run(store: &S3Store, probing: &ProbeOptions) -> Vec<Check> {
    let asker = match ProbeClient::new(store.clients.reader.clone()) {
        Ok(asker) => asker,
        Err(error) => return vec![Check::failed("store.reach", "make a client", error, "report this")],
    };
    let probe = Probe { store, probing, asker, name: format!("{NAME}{}", Key::random()) };
    let mut checks = probe.reach().await;
    if !checks.iter().any(Check::has_failed) {
        checks.extend(probe.try_everything().await);
    }
    checks
}

impl Probe<'_> {
    async fn try_everything(&self) -> Vec<Check> {
        let mut checks = vec![self.write().await];
        let written = !checks[0].has_failed();
        if written {
            checks.extend(self.try_what_was_written().await);
        }
        let cleared = self.clear().await;
        // What was refused is not there; but who knows what a store in trouble has done.
        if written || self.remains().await {
            checks.push(cleared);
        }
        checks
    }

    async fn try_what_was_written(&self) -> Vec<Check> {
        let mut checks = vec![self.read().await, self.conditions().await, self.checksums().await, self.private().await];
        if self.probing.level >= ProbeLevel::Full {
            checks.extend([self.signed_get().await, self.signed_put().await, self.browsers().await]);
            checks.extend([self.multipart().await, self.open_uploads().await]);
            checks.extend([self.lifecycle().await, self.versioning().await]);
        }
        if self.probing.level >= ProbeLevel::Deep {
            checks.push(self.unequal_parts().await);
        }
        checks
    }

    /// Lists what a probe leaves: nothing, in a bucket that is there and knows us.
    async fn reach(&self) -> Vec<Check> {
        let name = "store.reach";
        let bucket = self.store.clients.bucket();
        let tried = format!("list {bucket}");
        let prefix = self.store.path_of(NAME).to_string();
        let query = [("list-type", "2"), ("max-keys", "100"), ("prefix", prefix.as_str())];
        let answer = match self.asker.signed(Method::GET, &Path::default(), &query, &[], b"").await {
            Ok(answer) => answer,
            Err(why) => {
                return vec![Check::failed(name, tried, why, "correct AWS_ENDPOINT_URL_S3, or start the store")];
            }
        };
        let clock =
            answer.date().map(|theirs| Check::clock("store.clock", "the store's", theirs, self.probing.clock.now()));
        if let Some(clock) = clock.clone().filter(|_| !answer.is_success()).filter(Check::has_failed) {
            return vec![clock];
        }
        let reached = match answer.xml::<Listed>() {
            Some(listed) if answer.is_success() => {
                self.sweep(listed, answer.date()).await;
                Check::ok(name, tried, "it answers")
            }
            _ => Check::failed(name, tried, answer.describe(), self.what_about(&answer)),
        };
        [Some(reached), clock].into_iter().flatten().collect()
    }

    /// What to do about a list that was refused.
    fn what_about(&self, answer: &ProbeResponse) -> String {
        let code = answer.code();
        match (answer.status, code.as_str()) {
            (_, "NoSuchBucket") => "make the bucket, or correct STORE_URL".into(),
            (301 | 307, _)
            | (
                _,
                "AuthorizationHeaderMalformed"
                | "AuthorizationQueryParametersError"
                | "IllegalLocationConstraintException"
                | "PermanentRedirect",
            ) => match answer.region() {
                Some(region) => format!("the bucket is in another region: set AWS_REGION={region}"),
                None => "the bucket is in another region: correct AWS_REGION and AWS_ENDPOINT_URL_S3".into(),
            },
            (_, "RequestTimeTooSkewed") => "the clocks are too far apart: keep this machine's right".into(),
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken") => {
                "the keys are not good: correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()
            }
            (401 | 403, _) => "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and give that key the rights \
                               to list the bucket and to read, write and delete its objects"
                .into(),
            (500.., _) => "the store is in trouble itself: see its own log".into(),
            _ => "this is no S3: correct AWS_ENDPOINT_URL_S3".into(),
        }
    }

    /// Takes away what probes left whose process died, by the store's own clock.
    async fn sweep(&self, listed: Listed, now: Option<Timestamp>) {
        let Some(now) = now else { return };
        for object in listed.contents {
            let old = now.as_second() - object.last_modified.as_second() > LEFT_BEHIND;
            if let Ok(path) = Path::parse(&object.key)
                && old
                && self.is_a_probes(&object.key)
            {
                tracing::debug!(%path, "taking away what an earlier probe left");
                // If it does not go, the next probe tries again.
                let _ = self.store.clients.reader.delete(&path).await;
            }
        }
    }

    /// Whether only a probe gives such a name. A bucket may be shared with somebody who likes doctors, too.
    fn is_a_probes(&self, name: &str) -> bool {
        let own = name.strip_prefix(self.store.path_of(NAME).as_ref()).and_then(|rest| rest.split_once('-'));
        own.is_some_and(|(key, object)| key.parse::<Key>().is_ok() && OBJECTS.contains(&object))
    }

    /// Takes away everything that was written.
    async fn clear(&self) -> Check {
        let (name, tried) = ("store.delete", "delete the probe's objects");
        for object in OBJECTS {
            let path = self.path(object);
            if let Err(error) = gone(attempts(|| self.store.clients.reader.delete(&path)).await) {
                let came_back = format!("{path} stays: {}", error.cause());
                return Check::failed(name, tried, came_back, "give the key the right to delete objects");
            }
        }
        match self.remains().await {
            true => Check::failed(name, tried, "they are still there", "find out why the store keeps them"),
            false => Check::ok(name, tried, "they are gone"),
        }
    }

    async fn remains(&self) -> bool {
        matches!(self.store.clients.size(&self.path(PLAIN)).await, Ok(Some(_)))
    }

    /// The place of one of the probe's objects.
    fn path(&self, object: &str) -> Path {
        self.store.path_of(&format!("{}-{object}", self.name))
    }
}

/// A list of objects.
#[derive(Deserialize)]
#[serde(rename = "ListBucketResult")]
struct Listed {
    /// The bucket's: without it, this is some other XML.
    #[serde(rename = "Name")]
    _name: String,
    #[serde(rename = "Contents", default)]
    contents: Vec<ObjectEntry>,
}
