//! Objects that are written and read, the condition that keeps them, and the checksum that guards them.

use object_store::path::Path;
use reqwest::Method;

use super::{BODY, CHECKED, PLAIN, Probe};
use crate::health::check::{Check, ProbeLevel};

/// Of [`BODY`], in base64, and what is not.
const CRC64NVME: &str = "NBPlLsPMgCw=";
const SHA256: &str = "VOk6PC/+q9KwE6NAeZNeuC681lhbqA8rCCWvWipJRRo=";
const WRONG_CRC64NVME: &str = "AAAAAAAAAAA=";
const WRONG_SHA256: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What a store makes of a checksum.
enum Taken {
    Verified,
    Ignored,
    Refused(String),
}

impl Probe<'_> {
    pub(super) async fn write(&self) -> Check {
        let (name, path) = ("store.write", self.path(PLAIN));
        let tried = format!("put {path}");
        match self.put(&path, &[]).await {
            Ok(answer) if answer.is_success() => Check::ok(name, tried, "it is there"),
            Ok(answer) => {
                let what_to_do = match answer.status {
                    401 | 403 => "give the key the right to write objects",
                    507 => "make room in the store",
                    _ => "see the store's own log; with encryption set, also STRONGROOM_S3_ENCRYPTION",
                };
                Check::failed(name, tried, answer.describe(), what_to_do)
            }
            Err(why) => Check::failed(name, tried, why, "see the store's own log"),
        }
    }

    /// Whole, in part, and no more than the head.
    pub(super) async fn read(&self) -> Check {
        let (name, path) = ("store.read", self.path(PLAIN));
        let tried = "get it, whole and in part, and its head";
        let ask = async |method, headers| self.asker.signed(method, &path, &[], headers, b"").await;
        match ask(Method::GET, &[]).await {
            Ok(whole) if whole.is_success() && whole.body == BODY => {}
            Ok(answer) if answer.is_success() => {
                return Check::failed(name, tried, "other bytes than were written", "do not use this store");
            }
            Ok(answer) => {
                return Check::failed(name, tried, answer.describe(), "give the key the right to read objects");
            }
            Err(why) => return Check::failed(name, tried, why, "see the store's own log"),
        }
        match ask(Method::GET, &[("range", "bytes=4-9")]).await {
            Ok(part) if part.status == 206 && part.body == BODY[4..10] => {}
            Ok(answer) => {
                let came_back = format!("{} and {} bytes for a range of 6", answer.status, answer.body.len());
                return Check::failed(name, tried, came_back, "a store without ranges cannot be used");
            }
            Err(why) => return Check::failed(name, tried, why, "see the store's own log"),
        }
        match ask(Method::HEAD, &[]).await {
            Ok(head) if head.is_success() && head.header("content-length") == BODY.len().to_string() => {
                Check::ok(name, tried, "as it was written")
            }
            Ok(head) => Check::failed(
                name,
                tried,
                format!("{} with the length {:?}", head.status, head.header("content-length")),
                "a store that does not tell sizes cannot be used",
            ),
            Err(why) => Check::failed(name, tried, why, "see the store's own log"),
        }
    }

    pub(super) async fn conditions(&self) -> Check {
        let name = "store.conditions";
        let tried = "put it again with If-None-Match: *";
        let what_to_do =
            "nothing must be done: the server looks before it puts, and gives out no signed URLs to write with";
        let (honoured, check) = match self.put(&self.path(PLAIN), &[("if-none-match", "*")]).await {
            Ok(answer) if matches!(answer.status, 409 | 412) => {
                (true, Check::ok(name, tried, format!("refused with {}, as it should be", answer.status)))
            }
            Ok(answer) if answer.is_success() => {
                (false, Check::warning(name, tried, "the condition was ignored", what_to_do))
            }
            Ok(answer) if answer.is_unknown() => {
                (false, Check::warning(name, tried, format!("not understood: {}", answer.describe()), what_to_do))
            }
            // Nothing was learned.
            Ok(answer) => return Check::skipped(name, tried, answer.describe()),
            Err(why) => return Check::skipped(name, tried, why),
        };
        self.store.clients.quirks.learn_conditions(honoured);
        check
    }

    pub(super) async fn checksums(&self) -> Check {
        let name = "store.checksums";
        let tried = "put an object with a wrong CRC64NVME";
        let mut check = match self.checksum("x-amz-checksum-crc64nvme", CRC64NVME, WRONG_CRC64NVME).await {
            Err(why) => return Check::skipped(name, tried, why),
            Ok(Taken::Verified) => Check::ok(name, tried, "it was refused, and a right one accepted"),
            Ok(Taken::Ignored) => Check::warning(
                name,
                tried,
                "it was accepted",
                "nothing must be done, but the store would not notice bytes that are altered on their way to it",
            ),
            Ok(Taken::Refused(why)) => {
                self.store.clients.quirks.learn_checksums(false);
                let came_back = format!("it was refused, and so was a right one: {why}");
                return Check::warning(name, tried, came_back, "nothing must be done: the server leaves checksums out");
            }
        };
        self.store.clients.quirks.learn_checksums(true);
        if self.probing.level >= ProbeLevel::Full {
            check.observed += match self.checksum("x-amz-checksum-sha256", SHA256, WRONG_SHA256).await {
                Ok(Taken::Verified) => "; SHA-256 is verified, too",
                Ok(Taken::Ignored) => "; SHA-256 is ignored",
                Ok(Taken::Refused(_)) => "; SHA-256 is not known",
                Err(_) => "",
            };
        }
        check
    }

    async fn checksum(&self, header: &'static str, right: &str, wrong: &str) -> Result<Taken, String> {
        let path = self.path(CHECKED);
        let wrong = self.put(&path, &[(header, wrong)]).await?;
        if wrong.is_success() {
            return Ok(Taken::Ignored);
        }
        let right = self.put(&path, &[(header, right)]).await?;
        match (wrong.is_unknown(), right.is_success(), right.is_unknown()) {
            (true, true, _) => Ok(Taken::Verified),
            (true, false, true) => Ok(Taken::Refused(right.describe())),
            // A store that is busy or in trouble says nothing about checksums.
            _ => Err(format!("{}, then {}", wrong.describe(), right.status)),
        }
    }

    /// Puts the body with the encryption that is set, and these headers.
    async fn put(&self, path: &Path, headers: super::client::Headers<'_>) -> Result<super::ProbeResponse, String> {
        let encryption = self.store.clients.encryption.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(encryption).collect();
        self.asker.signed(Method::PUT, path, &[], &headers, BODY).await
    }
}
