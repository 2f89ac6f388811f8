//! Checks of writing and reading objects, of conditional writes, and of checksums.

use object_store::path::Path;
use reqwest::Method;

use super::{BODY, CHECKED, PLAIN, Probe};
use crate::health::check::{Check, ProbeLevel};

/// Correct and wrong checksums of [`BODY`], in base64.
const CRC64NVME: &str = "c4Qwq1nENSA=";
const SHA256: &str = "eLsqhfLt8y+RUENuAuP64BLa86DWMVVjjQa/nz8gh0Q=";
const WRONG_CRC64NVME: &str = "AAAAAAAAAAA=";
const WRONG_SHA256: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How a store treats a checksum.
enum ChecksumSupport {
    Verified,
    Ignored,
    Refused(String),
}

impl Probe<'_> {
    pub(super) async fn write(&self) -> Check {
        let (name, path) = ("store.write", self.path(PLAIN));
        let action = format!("put {path}");
        match self.put(&path, &[]).await {
            Ok(response) if response.is_success() => Check::ok(name, action, "it was written"),
            Ok(response) => {
                let remedy = match response.status {
                    401 | 403 => "grant the access key permission to write objects",
                    507 => "free space in the store",
                    _ => "see the store's own log; with encryption set, also STRONGROOM_S3_ENCRYPTION",
                };
                Check::failed(name, action, response.describe(), remedy)
            }
            Err(why) => Check::failed(name, action, why, "see the store's own log"),
        }
    }

    /// Reads the whole object, a range of it, and its headers.
    pub(super) async fn read(&self) -> Check {
        let (name, path) = ("store.read", self.path(PLAIN));
        let action = "get the object, a range of it, and its headers";
        let get = async |method, headers| self.client.signed(method, &path, &[], headers, b"").await;
        match get(Method::GET, &[]).await {
            Ok(whole) if whole.is_success() && whole.body == BODY => {}
            Ok(response) if response.is_success() => {
                return Check::failed(
                    name,
                    action,
                    "the content differs from what was written",
                    "do not use this store",
                );
            }
            Ok(response) => {
                return Check::failed(
                    name,
                    action,
                    response.describe(),
                    "grant the access key permission to read objects",
                );
            }
            Err(why) => return Check::failed(name, action, why, "see the store's own log"),
        }
        match get(Method::GET, &[("range", "bytes=4-9")]).await {
            Ok(part) if part.status == 206 && part.body == BODY[4..10] => {}
            Ok(response) => {
                let observed = format!("{} and {} bytes for a range of 6", response.status, response.body.len());
                return Check::failed(name, action, observed, "a store without ranges cannot be used");
            }
            Err(why) => return Check::failed(name, action, why, "see the store's own log"),
        }
        match get(Method::HEAD, &[]).await {
            Ok(head) if head.is_success() && head.header("content-length") == BODY.len().to_string() => {
                Check::ok(name, action, "the content is as written")
            }
            Ok(head) => Check::failed(
                name,
                action,
                format!("{} with the length {:?}", head.status, head.header("content-length")),
                "a store that does not report sizes cannot be used",
            ),
            Err(why) => Check::failed(name, action, why, "see the store's own log"),
        }
    }

    pub(super) async fn conditions(&self) -> Check {
        let name = "store.conditions";
        let action = "put the object again with If-None-Match: *";
        let remedy = "no action needed: the server checks before it writes, and signs no URLs for writing";
        let (supported, check) = match self.put(&self.path(PLAIN), &[("if-none-match", "*")]).await {
            Ok(response) if matches!(response.status, 409 | 412) => {
                (true, Check::ok(name, action, format!("refused with {}, as expected", response.status)))
            }
            Ok(response) if response.is_success() => {
                (false, Check::warning(name, action, "the condition was ignored", remedy))
            }
            Ok(response) if response.is_unknown() => {
                (false, Check::warning(name, action, format!("not supported: {}", response.describe()), remedy))
            }
            // The response says nothing about conditions.
            Ok(response) => return Check::skipped(name, action, response.describe()),
            Err(why) => return Check::skipped(name, action, why),
        };
        self.store.clients.quirks.set_conditional_writes(supported);
        check
    }

    pub(super) async fn checksums(&self) -> Check {
        let name = "store.checksums";
        let action = "put an object with a wrong CRC64NVME";
        let mut check = match self.checksum("x-amz-checksum-crc64nvme", CRC64NVME, WRONG_CRC64NVME).await {
            Err(why) => return Check::skipped(name, action, why),
            Ok(ChecksumSupport::Verified) => Check::ok(name, action, "it was refused, and a correct one accepted"),
            Ok(ChecksumSupport::Ignored) => Check::warning(
                name,
                action,
                "it was accepted",
                "no action needed, but the store does not detect content that is corrupted in transit",
            ),
            Ok(ChecksumSupport::Refused(why)) => {
                self.store.clients.quirks.learn_checksums(false);
                let observed = format!("it was refused, and so was a correct one: {why}");
                return Check::warning(name, action, observed, "no action needed: the server omits checksums");
            }
        };
        self.store.clients.quirks.learn_checksums(true);
        if self.options.level >= ProbeLevel::Full {
            check.observed += match self.checksum("x-amz-checksum-sha256", SHA256, WRONG_SHA256).await {
                Ok(ChecksumSupport::Verified) => "; SHA-256 is verified as well",
                Ok(ChecksumSupport::Ignored) => "; SHA-256 is ignored",
                Ok(ChecksumSupport::Refused(_)) => "; SHA-256 is not supported",
                Err(_) => "",
            };
        }
        check
    }

    /// Puts the body with a wrong checksum and then with the correct one.
    async fn checksum(&self, header: &'static str, correct: &str, wrong: &str) -> Result<ChecksumSupport, String> {
        let path = self.path(CHECKED);
        let wrong = self.put(&path, &[(header, wrong)]).await?;
        if wrong.is_success() {
            return Ok(ChecksumSupport::Ignored);
        }
        let correct = self.put(&path, &[(header, correct)]).await?;
        match (wrong.is_unknown(), correct.is_success(), correct.is_unknown()) {
            (true, true, _) => Ok(ChecksumSupport::Verified),
            (true, false, true) => Ok(ChecksumSupport::Refused(correct.describe())),
            // A store that is busy or failing says nothing about checksums.
            _ => Err(format!("{}, then {}", wrong.describe(), correct.status)),
        }
    }

    /// Puts the body with these headers and the configured encryption.
    async fn put(&self, path: &Path, headers: super::client::Headers<'_>) -> Result<super::ProbeResponse, String> {
        let encryption = self.store.clients.encryption.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(encryption).collect();
        self.client.signed(Method::PUT, path, &[], &headers, BODY).await
    }
}
