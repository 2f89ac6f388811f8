//! Objects that are put together from parts, and how the bucket itself is set up.

use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;

use super::{ABORTED, BODY, PARTS, Probe};
use crate::health::check::Check;
use crate::store::s3::list::UploadEntry;

const MIB: usize = 1024 * 1024;

impl Probe<'_> {
    /// As uploads do it, checksums included: create, send a part, complete.
    pub(super) async fn multipart(&self) -> Check {
        let name = "store.multipart";
        let tried = "put an object together from parts";
        match self.assemble(vec![Bytes::from_static(BODY)]).await {
            Ok(size) if size == Some(BODY.len() as u64) => Check::ok(name, tried, "it has the right size"),
            Ok(size) => {
                Check::failed(name, tried, format!("it came out with the size {size:?}"), "do not use this store")
            }
            Err(why) => {
                Check::failed(name, tried, why, "give the key the rights for multipart uploads; large files need them")
            }
        }
    }

    /// Whether what is half done can be seen and given up.
    pub(super) async fn open_uploads(&self) -> Check {
        let name = "store.open_uploads";
        let tried = "open a multipart upload, find it in the list of them, and abort it";
        let what_to_do = "give the key the rights to list and to abort multipart uploads; without, what a crash left open \
             may stay, and cost";
        let path = self.path(ABORTED);
        let clients = &self.store.clients;
        let id = match clients.writer().create_multipart(&path).await {
            Ok(id) => id,
            Err(error) => return Check::failed(name, tried, super::client::describe(error), what_to_do),
        };
        let before = self.count_uploads(&path).await;
        let aborted = clients.reader.abort_multipart(&path, &id).await;
        let deadline = self.count_uploads(&path).await;
        match (before, aborted, deadline) {
            (_, Err(error), _) => Check::failed(name, tried, super::client::describe(error), what_to_do),
            (Err(why), ..) | (_, _, Err(why)) => Check::warning(name, tried, why, what_to_do),
            (Ok(1), _, Ok(0)) => Check::ok(name, tried, "it was there, and is gone"),
            (Ok(before), _, Ok(deadline)) => {
                let came_back = format!("the list had {before} of them before, and {deadline} deadline");
                Check::warning(name, tried, came_back, "see to open multipart uploads yourself now and then")
            }
        }
    }

    pub(super) async fn lifecycle(&self) -> Check {
        let name = "store.lifecycle";
        let tried = "look for a rule that aborts multipart uploads nobody finished";
        let what_to_do = "add one (AbortIncompleteMultipartUpload deadline 7 days): the reaper ends what rows know of, \
                          such a rule also what they do not";
        match self.asker.signed(Method::GET, &Path::default(), &[("lifecycle", "")], &[], b"").await {
            Ok(answer) if answer.is_success() => {
                match String::from_utf8_lossy(&answer.body).contains("<AbortIncompleteMultipartUpload>") {
                    true => Check::ok(name, tried, "there is one"),
                    false => Check::warning(name, tried, "there are rules, but not this one", what_to_do),
                }
            }
            Ok(answer) if answer.code() == "NoSuchLifecycleConfiguration" => {
                Check::warning(name, tried, "there is none", what_to_do)
            }
            Ok(answer) => Check::warning(name, tried, format!("it does not tell: {}", answer.describe()), what_to_do),
            Err(why) => Check::skipped(name, tried, why),
        }
    }

    pub(super) async fn versioning(&self) -> Check {
        let name = "store.versioning";
        let tried = "ask whether the bucket keeps what is deleted";
        match self.asker.signed(Method::GET, &Path::default(), &[("versioning", "")], &[], b"").await {
            Ok(answer) if answer.is_success() => {
                match answer.xml::<Versioning>().is_some_and(|found| found.status == "Enabled") {
                    false => Check::ok(name, tried, "it does not"),
                    true => Check::warning(
                        name,
                        tried,
                        "versioning is on: deleted files stay as old versions",
                        "switch it off, or add a rule that ends noncurrent versions, if deleted shall mean deleted",
                    ),
                }
            }
            Ok(answer) => Check::skipped(name, tried, format!("it does not tell: {}", answer.describe())),
            Err(why) => Check::skipped(name, tried, why),
        }
    }

    /// Some stores want all parts but the last to have one size. Ours have; this is to know.
    pub(super) async fn unequal_parts(&self) -> Check {
        let name = "store.unequal_parts";
        let tried = "put an object together from parts of 5 MiB, 6 MiB and 1 byte";
        let parts = [5 * MIB, 6 * MIB, 1].map(|length| Bytes::from(vec![0x5a; length]));
        match self.assemble(parts.into()).await {
            Ok(Some(size)) if size == 11 * MIB as u64 + 1 => Check::ok(name, tried, "it has the right size"),
            Ok(size) => {
                Check::failed(name, tried, format!("it came out with the size {size:?}"), "do not use this store")
            }
            Err(why) => Check::ok(name, tried, format!("refused, which does not matter: our parts are equal ({why})")),
        }
    }

    /// Gives the object's size. What fails is aborted.
    async fn assemble(&self, parts: Vec<Bytes>) -> Result<Option<u64>, String> {
        let (path, clients) = (self.path(PARTS), &self.store.clients);
        let writer = clients.writer();
        let id = writer.create_multipart(&path).await.map_err(super::client::describe)?;
        let sending = async {
            let mut sent: Vec<PartId> = Vec::new();
            for (index, part) in parts.into_iter().enumerate() {
                sent.push(writer.put_part(&path, &id, index, PutPayload::from_bytes(part)).await?);
            }
            writer.complete_multipart(&path, &id, sent).await
        };
        if let Err(error) = sending.await {
            if let Err(error) = clients.reader.abort_multipart(&path, &id).await {
                tracing::warn!(%error, %path, "a probe's multipart upload stays open");
            }
            return Err(super::client::describe(error));
        }
        clients.size(&path).await.map_err(|error| error.cause())
    }

    async fn count_uploads(&self, path: &Path) -> Result<usize, String> {
        let query = [("uploads", ""), ("prefix", path.as_ref())];
        let answer = self.asker.signed(Method::GET, &Path::default(), &query, &[], b"").await?;
        match answer.xml::<Uploads>() {
            Some(uploads) if answer.is_success() => Ok(uploads.upload.len()),
            _ => Err(answer.describe()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename = "VersioningConfiguration", rename_all = "PascalCase", default)]
#[derive(Default)]
struct Versioning {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename = "ListMultipartUploadsResult", rename_all = "PascalCase")]
struct Uploads {
    #[serde(rename = "Bucket")]
    _bucket: String,
    #[serde(default)]
    upload: Vec<UploadEntry>,
}
