//! The leftovers of a crashed writer.

use std::sync::Arc;
use std::time::Duration;

use strongroom::db::NewBlobRow;
use strongroom::store::{Key, MultipartObserver};

use super::TestApp;
use super::bytes::noise;

/// Records an upload and writes its bytes to the store, but neither commits nor cleans up, like a writer that crashed.
pub async fn abandon(app: &TestApp, owner: &str, lease: Duration, size: usize) {
    let (id, key) = (uuid::Uuid::now_v7(), Key::random());
    let now = app.app.clock.now();
    let owner = owner.parse().unwrap();
    let row = NewBlobRow {
        id,
        space: owner,
        key: key.to_string(),
        lease,
        reserve: size as u64,
        new_file: true,
        aside: false,
        claim: None,
        now,
    };
    app.app.db.insert_pending_blob(&row, &app.app.config.quotas).await.unwrap();
    let bytes = noise(size);
    let body = Box::pin(futures_util::stream::iter([Ok(bytes.into())]));
    app.app.store.put(&key, None, body, &Row(app.app.clone(), id)).await.unwrap();
}

struct Row(Arc<strongroom::app::App>, uuid::Uuid);

#[async_trait::async_trait]
impl MultipartObserver for Row {
    async fn multipart_opened(&self, upload_id: &str) -> strongroom::error::Result<()> {
        self.0.db.set_multipart_id(self.1, upload_id).await.map(drop)
    }

    fn owner(&self) -> uuid::Uuid {
        self.1
    }
}
