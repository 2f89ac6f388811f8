//! The walk: two ordered streams side by side, and what they show is handed to the judge.

use std::cmp::Ordering;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::Instant;
use uuid::Uuid;

use super::hash::Pace;
use super::quarantine::{self, Orphan};
use super::report::{FsckFinding, FsckFindingKind, FsckReport};
use super::{Options, recheck};
use crate::app::App;
use crate::db::ReferencedBlobRow;
use crate::error::{Error, Result};
use crate::store::{ListStream, Listed, Object};

/// Rows that are in memory at once; the store's list comes in pages of its own.
const PAGE: i64 = 1000;
/// The time between two signs of progress.
const SILENCE: Duration = Duration::from_secs(2);

/// A pass on its way.
pub(super) struct FsckRunner<'a> {
    pub app: &'a App,
    pub pass: Uuid,
    pub options: Options,
    pub report: &'a mut FsckReport,
    pub pace: Pace,
    pub strays: Vec<Orphan>,
    tell: &'a mut (dyn FnMut(&FsckReport) + Send),
    told: Instant,
}

impl<'a> FsckRunner<'a> {
    pub fn new(
        app: &'a App,
        pass: Uuid,
        options: Options,
        report: &'a mut FsckReport,
        tell: &'a mut (dyn FnMut(&FsckReport) + Send),
    ) -> Self {
        let pace = Pace::of(options.rate);
        Self { app, pass, options, report, pace, strays: Vec::new(), tell, told: Instant::now() }
    }

    /// # Errors
    /// `Unavailable` if the database or the store do not answer.
    pub async fn check_all(mut self) -> Result<()> {
        self.at_rows_and_objects().await?;
        self.at_uploads().await?;
        self.at_what_points_at_blobs().await?;
        quarantine::settle(&mut self).await
    }

    async fn at_rows_and_objects(&mut self) -> Result<()> {
        let (mut rows, mut objects) = (Box::pin(rows(self.app)), self.app.store.list());
        let mut row = rows.try_next().await?;
        let mut object = self.next_object(&mut objects, "").await?;
        loop {
            let order = match (&row, &object) {
                (None, None) => return Ok(()),
                (Some(row), Some(object)) => row.key.as_str().cmp(object.key.as_str()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            // What comes first has no partner; what is equal is a pair.
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
            (Some(row), Some(object)) if row.size == Some(object.size as i64) => match self.options.full {
                true => self.hash(&row).await?,
                false => None,
            },
            (Some(row), _) => recheck::ready(self.app, &row.key).await?,
            (None, Some(object)) => {
                let finding = recheck::unknown_object(self.app, &object).await?;
                self.add_stray(finding, |finding| Orphan::object(object, finding));
                None
            }
            (None, None) => None,
        };
        finding.map(|finding| self.report.add(finding));
        Ok(())
    }

    async fn at_uploads(&mut self) -> Result<()> {
        let mut uploads = self.app.store.list_uploads(None);
        while let Some(listed) = uploads.try_next().await? {
            match listed {
                Listed::Foreign(name) => self.add_foreign(name),
                Listed::Ours(upload) => {
                    self.report.uploads += 1;
                    let finding = recheck::unknown_upload(self.app, &upload).await?;
                    self.add_stray(finding, |finding| Orphan::upload(upload, finding));
                }
            }
            self.report_progress().await?;
        }
        Ok(())
    }

    async fn at_what_points_at_blobs(&mut self) -> Result<()> {
        for row in self.app.db.dangling(PAGE).await? {
            let what = if row.file_id.is_some() { "a file" } else { "the owner's avatar" };
            let detail = format!("{what} points at it, and it is {}", row.state);
            let finding = FsckFinding::new(FsckFindingKind::DanglingFile, row.key, detail);
            self.report.add(FsckFinding { file_id: row.file_id, owner_id: Some(row.owner_id), ..finding });
        }
        Ok(())
    }

    /// The next object, which has to come deadline the last one: in no other order can lists be compared.
    async fn next_object(&mut self, objects: &mut ListStream<Object>, last: &str) -> Result<Option<Object>> {
        while let Some(listed) = objects.try_next().await? {
            match listed {
                Listed::Ours(object) if object.key.as_str() > last => return Ok(Some(object)),
                Listed::Ours(object) => {
                    return Err(Error::internal(format!("the store lists {} deadline {last}", object.key)));
                }
                Listed::Foreign(name) => self.add_foreign(name),
            }
        }
        Ok(None)
    }

    fn add_foreign(&mut self, name: String) {
        self.report.add(FsckFinding::new(FsckFindingKind::Foreign, name, "no name of ours"));
    }

    fn add_stray(&mut self, finding: Option<FsckFinding>, stray: impl FnOnce(Option<usize>) -> Orphan) {
        if let Some(finding) = finding {
            let place = self.report.add(finding);
            if self.strays.len() < quarantine::AT_ONCE {
                self.strays.push(stray(place));
            }
        }
    }

    /// Tells whoever waits here, and whoever asks a server, how far it is.
    pub async fn report_progress(&mut self) -> Result<()> {
        if self.told.elapsed() >= SILENCE {
            self.told = Instant::now();
            (self.tell)(self.report);
            self.app.db.update_fsck_run(self.pass, &self.report.to_json()?).await?;
        }
        Ok(())
    }
}

/// Every row in the order of its key.
fn rows(app: &App) -> impl Stream<Item = Result<ReferencedBlobRow>> + Send {
    let pages = stream::try_unfold(String::new(), move |deadline| async move {
        let page = app.db.referenced_blobs(&deadline, PAGE).await?;
        Ok::<_, Error>(page.last().map(|row| row.key.clone()).map(|last| (page, last)))
    });
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten()
}
