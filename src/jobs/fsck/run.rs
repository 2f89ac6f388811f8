//! The steps of an fsck run. The main one compares two ordered streams, rows and objects.

use std::cmp::Ordering;

use futures_util::{Stream, TryStreamExt, stream};

use super::orphan::Orphan;
use super::report::{FsckFinding, FsckFindingKind};
use super::runner::FsckRunner;
use super::{quarantine, recheck};
use crate::app::App;
use crate::db::{ByteCount, ReferencedBlobRow};
use crate::error::{Error, Result};
use crate::store::{ListStream, Listed, Object};

/// Rows that are in memory at the same time; the store's list comes in pages of its own.
const PAGE: usize = 1000;

impl FsckRunner<'_> {
    /// Performs all steps.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database or the store does not respond.
    pub async fn check_all(mut self) -> Result<()> {
        self.check_rows_and_objects().await?;
        self.check_uploads().await?;
        self.check_references().await?;
        quarantine::process_orphans(&mut self).await
    }

    async fn check_rows_and_objects(&mut self) -> Result<()> {
        let (mut rows, mut objects) = (Box::pin(rows(self.app)), self.app.store.list());
        let mut row = rows.try_next().await?;
        let mut object = self.next_object(&mut objects, "").await?;
        loop {
            let order = match (&row, &object) {
                (None, None) => return self.record_verified().await,
                (Some(row), Some(object)) => row.key.as_str().cmp(object.key.as_str()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            // The lower key has no counterpart; equal keys are a pair.
            let this_row = if order.is_le() { row.take() } else { None };
            let this_object = if order.is_ge() { object.take() } else { None };
            if this_row.is_some() {
                row = rows.try_next().await?;
            }
            if let Some(this) = &this_object {
                object = self.next_object(&mut objects, this.key.as_str()).await?;
            }
            self.compare(this_row, this_object).await?;
            self.report_progress().await?;
        }
    }

    async fn compare(&mut self, row: Option<ReferencedBlobRow>, object: Option<Object>) -> Result<()> {
        self.report.rows += u64::from(row.is_some());
        self.report.objects += u64::from(object.is_some());
        let finding = match (row, object) {
            (Some(row), _) if recheck::is_stale(self.app, &row) => recheck::stale(self.app, &row.key).await?,
            (Some(row), _) if row.state != "ready" => None,
            (Some(row), _) if !recheck::is_known_format(&row) => Some(recheck::unknown_format(&row)),
            (Some(row), Some(object)) if row.size == Some(ByteCount(object.size)) => match self.options.full {
                true => self.check_hash(&row).await?,
                false => None,
            },
            (Some(row), _) => recheck::ready(self.app, &row.key).await?,
            (None, Some(object)) => {
                if let Some(finding) = recheck::orphaned_object(self.app, &object).await? {
                    self.add_orphan(Orphan::Object(object), finding);
                }
                None
            }
            (None, None) => None,
        };
        finding.map(|finding| self.report.add(finding));
        Ok(())
    }

    async fn check_uploads(&mut self) -> Result<()> {
        let mut uploads = self.app.store.list_uploads(None);
        while let Some(listed) = uploads.try_next().await? {
            match listed {
                Listed::Foreign(name) => self.add_foreign(name),
                Listed::Ours(upload) => {
                    self.report.uploads += 1;
                    if let Some(finding) = recheck::orphaned_upload(self.app, &upload).await? {
                        self.add_orphan(Orphan::Upload(upload), finding);
                    }
                }
            }
            self.report_progress().await?;
        }
        Ok(())
    }

    async fn check_references(&mut self) -> Result<()> {
        for row in self.app.db.dangling(PAGE).await? {
            let what = if row.file_id.is_some() { "a file" } else { "the owner's avatar" };
            let detail = format!("{what} references this blob, whose state is {}", row.state);
            let finding = FsckFinding::new(FsckFindingKind::DanglingReference, row.key, detail);
            self.report.add(FsckFinding { file_id: row.file_id, space_id: Some(row.space_id), ..finding });
        }
        Ok(())
    }

    /// The next object. Its key must be greater than the last one: unordered lists cannot be compared.
    async fn next_object(&mut self, objects: &mut ListStream<Object>, last: &str) -> Result<Option<Object>> {
        while let Some(listed) = objects.try_next().await? {
            match listed {
                Listed::Ours(object) if object.key.as_str() > last => return Ok(Some(object)),
                Listed::Ours(object) => {
                    return Err(Error::internal(format!("the store lists {} after {last}", object.key)));
                }
                Listed::Foreign(name) => self.add_foreign(name),
            }
        }
        Ok(None)
    }
}

/// All rows in the order of their keys.
fn rows(app: &App) -> impl Stream<Item = Result<ReferencedBlobRow>> + Send {
    let pages = stream::try_unfold(String::new(), move |after| async move {
        let page = app.db.referenced_blobs(&after, PAGE).await?;
        Ok::<_, Error>(page.last().map(|row| row.key.clone()).map(|last| (page, last)))
    });
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten()
}
