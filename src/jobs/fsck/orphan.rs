//! Orphans: objects and incomplete uploads in the store without a row.

use super::recheck;
use crate::app::App;
use crate::db::OrphanRow;
use crate::error::Result;
use crate::store::{Object, OpenUpload};

/// An orphan, as it was found in a list.
pub(super) enum Orphan {
    Object(Object),
    Upload(OpenUpload),
}

impl Orphan {
    /// The row of the orphan in the quarantine.
    pub fn row(&self) -> OrphanRow {
        match self {
            Orphan::Object(object) => OrphanRow {
                kind: "object",
                key: object.key.to_string(),
                multipart_id: String::new(),
                size: Some(object.size),
            },
            Orphan::Upload(upload) => OrphanRow {
                kind: "upload",
                key: upload.key.to_string(),
                multipart_id: upload.id.clone().unwrap_or_default(),
                size: None,
            },
        }
    }

    /// Deletes it if it still is an orphan; `false` if it has a row or is gone.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn delete(&self, app: &App) -> Result<bool> {
        let is_orphan = match self {
            Orphan::Object(object) => recheck::orphaned_object(app, object).await?.is_some(),
            Orphan::Upload(upload) => recheck::orphaned_upload(app, upload).await?.is_some(),
        };
        match self {
            _ if !is_orphan => {}
            Orphan::Object(object) => app.store.delete(&object.key, None).await?,
            Orphan::Upload(upload) => app.store.abort(&upload.key, upload.id.as_deref()).await?,
        }
        Ok(is_orphan)
    }
}
