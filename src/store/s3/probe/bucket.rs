//! Checks of multipart uploads and of the configuration of the bucket.

use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;

use super::{ABORTED, BODY, PARTS, Probe};
use crate::health::check::Check;
use crate::store::s3::xml::ListPage;

const MIB: usize = 1024 * 1024;

impl Probe<'_> {
    /// Creates an upload, sends a part, and completes it, with checksums as real uploads do.
    pub(super) async fn multipart(&self) -> Check {
        let name = "store.multipart";
        let action = "assemble an object from parts";
        match self.assemble(vec![Bytes::from_static(BODY)]).await {
            Ok(size) if size == Some(BODY.len() as u64) => Check::ok(name, action, "it has the right size"),
            Ok(size) => Check::failed(name, action, format!("it has the size {size:?}"), "do not use this store"),
            Err(why) => {
                let remedy = "grant the access key permission for multipart uploads; large files require them";
                Check::failed(name, action, why, remedy)
            }
        }
    }

    /// Whether incomplete uploads can be listed and aborted.
    pub(super) async fn open_uploads(&self) -> Check {
        let name = "store.open_uploads";
        let action = "create a multipart upload, find it in the list, and abort it";
        let remedy = "grant the access key permission to list and to abort multipart uploads; without it, what a crash \
                      leaves may remain and cost money";
        let path = self.path(ABORTED);
        let clients = &self.store.clients;
        let id = match clients.writer().create_multipart(&path).await {
            Ok(id) => id,
            Err(error) => return Check::failed(name, action, super::client::describe(error), remedy),
        };
        let before = self.count_uploads(&path).await;
        let aborted = clients.reader.abort_multipart(&path, &id).await;
        let after = self.count_uploads(&path).await;
        match (before, aborted, after) {
            (_, Err(error), _) => Check::failed(name, action, super::client::describe(error), remedy),
            (Err(why), ..) | (_, _, Err(why)) => Check::warning(name, action, why, remedy),
            (Ok(1), _, Ok(0)) => Check::ok(name, action, "it was listed, and no longer is"),
            (Ok(before), _, Ok(after)) => {
                let observed = format!("listed {before} times before the abort and {after} times after it");
                Check::warning(name, action, observed, "abort incomplete multipart uploads with a lifecycle rule")
            }
        }
    }

    pub(super) async fn lifecycle(&self) -> Check {
        let name = "store.lifecycle";
        let action = "look for a rule that aborts incomplete multipart uploads";
        let remedy = "add one (AbortIncompleteMultipartUpload after 7 days): the reaper aborts uploads that have a row, \
                      such a rule also those that have none";
        match self.client.signed(Method::GET, &Path::default(), &[("lifecycle", "")], &[], b"").await {
            Ok(response) if response.is_success() => {
                match String::from_utf8_lossy(&response.body).contains("<AbortIncompleteMultipartUpload>") {
                    true => Check::ok(name, action, "there is one"),
                    false => Check::warning(name, action, "none of the rules does", remedy),
                }
            }
            Ok(response) if response.code() == "NoSuchLifecycleConfiguration" => {
                Check::warning(name, action, "there is none", remedy)
            }
            Ok(response) => Check::warning(name, action, format!("not reported: {}", response.describe()), remedy),
            Err(why) => Check::skipped(name, action, why),
        }
    }

    pub(super) async fn versioning(&self) -> Check {
        let name = "store.versioning";
        let action = "check whether the bucket keeps deleted objects";
        match self.client.signed(Method::GET, &Path::default(), &[("versioning", "")], &[], b"").await {
            Ok(response) if response.is_success() => {
                match response.xml::<Versioning>().is_some_and(|found| found.status == "Enabled") {
                    false => Check::ok(name, action, "it does not"),
                    true => Check::warning(
                        name,
                        action,
                        "versioning is enabled: deleted content remains as old versions",
                        "disable versioning, or add a rule that deletes noncurrent versions, so that deleted content is deleted",
                    ),
                }
            }
            Ok(response) => Check::skipped(name, action, format!("not reported: {}", response.describe())),
            Err(why) => Check::skipped(name, action, why),
        }
    }

    /// Some stores require all parts but the last to have the same size. Strongroom's have; this is informative.
    pub(super) async fn unequal_parts(&self) -> Check {
        let name = "store.unequal_parts";
        let action = "assemble an object from parts of 5 MiB, 6 MiB and 1 byte";
        let parts = [5 * MIB, 6 * MIB, 1].map(|length| Bytes::from(vec![0x5a; length]));
        match self.assemble(parts.into()).await {
            Ok(Some(size)) if size == 11 * MIB as u64 + 1 => Check::ok(name, action, "it has the right size"),
            Ok(size) => Check::failed(name, action, format!("it has the size {size:?}"), "do not use this store"),
            Err(why) => Check::ok(name, action, format!("refused, which is harmless: parts have one size ({why})")),
        }
    }

    /// Returns the size of the object. After an error the upload is aborted.
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
                tracing::warn!(%error, %path, "could not abort the multipart upload of a probe");
            }
            return Err(super::client::describe(error));
        }
        clients.size(&path).await.map_err(|error| error.cause())
    }

    async fn count_uploads(&self, path: &Path) -> Result<usize, String> {
        let query = [("uploads", ""), ("prefix", path.as_ref())];
        let response = self.client.signed(Method::GET, &Path::default(), &query, &[], b"").await?;
        match response.xml::<ListPage>() {
            Some(page) if response.is_success() => Ok(page.uploads.len()),
            _ => Err(response.describe()),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename = "VersioningConfiguration", rename_all = "PascalCase", default)]
struct Versioning {
    status: String,
}
