//! What becomes of bytes that no row knows. Nothing is removed at once: a database that was
//! restored from yesterday does not know what came today, and whoever notices within the day loses
//! nothing. Whatever is known again, or gone, leaves the quarantine with the next pass of any kind.

use super::report::{FsckAction, FsckFindingKind, FsckReport};
use super::run::FsckRunner;
use super::{Repair, recheck};
use crate::app::App;
use crate::db::OrphanRow;
use crate::error::Result;
use crate::store::{Object, OpenUpload};

/// Strays that one pass takes care of, the first ones in order: they are held in memory.
pub(super) const AT_ONCE: usize = 10_000;
/// Of a hundred objects, how many may be unknown. More look like the wrong database or the wrong
/// bucket, and then a person has to look first; there is no way to insist.
const MOST: u64 = 5;

/// Bytes that no row knows.
pub(super) struct Orphan {
    what: What,
    /// Where the report names it.
    finding: Option<usize>,
}

enum What {
    Object(Object),
    Upload(OpenUpload),
}

impl Orphan {
    pub fn object(object: Object, finding: Option<usize>) -> Self {
        Self { what: What::Object(object), finding }
    }

    pub fn upload(upload: OpenUpload, finding: Option<usize>) -> Self {
        Self { what: What::Upload(upload), finding }
    }

    fn row(&self) -> OrphanRow {
        match &self.what {
            What::Object(object) => OrphanRow {
                kind: "object",
                key: object.key.to_string(),
                multipart_id: String::new(),
                size: Some(object.size as i64),
            },
            What::Upload(upload) => OrphanRow {
                kind: "upload",
                key: upload.key.to_string(),
                multipart_id: upload.id.clone().unwrap_or_default(),
                size: None,
            },
        }
    }

    /// Removes the bytes if nobody knows them still; `false` if somebody does, or they are gone.
    async fn remove(&self, app: &App) -> Result<bool> {
        match &self.what {
            What::Object(object) => {
                let unknown = recheck::unknown_object(app, object).await?.is_some();
                if unknown {
                    app.store.delete(&object.key, None).await?;
                }
                Ok(unknown)
            }
            What::Upload(upload) => {
                let unknown = recheck::unknown_upload(app, upload).await?.is_some();
                if unknown {
                    app.store.abort(&upload.key, upload.id.as_deref()).await?;
                }
                Ok(unknown)
            }
        }
    }
}

/// Does what the options allow with the strays of a pass.
pub(super) async fn settle(look: &mut FsckRunner<'_>) -> Result<()> {
    let (app, repair) = (look.app, look.options.repair);
    look.report.refused = refusal(look.report, repair);
    let repair = if look.report.refused.is_some() { Repair::Nothing } else { repair };
    let quarantine = app.config.fsck.quarantine.as_micros() as i64;
    for stray in std::mem::take(&mut look.strays) {
        let row = stray.row();
        let age = match repair {
            Repair::Everything => Some(app.db.insert_orphan(&row).await?),
            Repair::Nothing | Repair::Quarantined => app.db.touch_orphan(&row).await?,
        };
        let is_over = repair != Repair::Nothing && age.is_some_and(|age| age > quarantine);
        let mut action = age.map(|_| FsckAction::Quarantined);
        if is_over && stray.remove(app).await? {
            app.db.release_orphan(&row).await?;
            look.report.removed += 1;
            action = Some(FsckAction::Removed);
        }
        if let Some(place) = stray.finding {
            look.report.findings[place].action = action;
        }
        look.report_progress().await?;
    }
    app.db.release_unseen_orphans(look.pass).await?;
    look.report.quarantined = app.db.count_orphans().await?;
    Ok(())
}

/// Why nothing may be done, if so.
fn refusal(report: &FsckReport, repair: Repair) -> Option<String> {
    let (unknown, objects) = (report.count(FsckFindingKind::UnknownObject), report.objects);
    // Without a row nothing is known at all, not even whose uploads are half written.
    let nothing_known = report.rows == 0 && report.count(FsckFindingKind::UnknownUpload) > 0;
    let too_many = repair != Repair::Nothing && (unknown * 100 > objects * MOST || nothing_known);
    too_many.then(|| {
        format!(
            "{unknown} of {objects} objects are unknown, more than {MOST} in 100: nothing was put into quarantine or \
             removed; is this the right database, and the right store?"
        )
    })
}
