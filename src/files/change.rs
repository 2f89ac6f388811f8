//! Renaming, moving, describing and deleting files.

use serde_json::Value;
use uuid::Uuid;

use super::name::place;
use super::{Expected, File, FileName, FolderPath};
use crate::app::App;
use crate::db::ChangedFileRow;
use crate::error::{Error, Result};
use crate::users::User;

/// What shall be different; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub path: Option<FolderPath>,
    pub name: Option<FileName>,
    /// A merge patch (RFC 7396) on the metadata.
    pub metadata: Option<Value>,
}

/// Changes a file of this user.
///
/// # Errors
/// `NotFound`; `PreconditionFailed` if the file is not as `expected`; `PathTaken`; `Invalid` if the
/// metadata would be too large or no object.
pub async fn change(user: &User, app: &App, id: Uuid, expected: &Expected, change: Change) -> Result<File> {
    let file = super::find(user, app, id).await?;
    expected.check(&file)?;
    let path = change.path.map_or_else(|| FolderPath::new(&file.path, "/path"), Ok)?;
    let name = change.name.map_or_else(|| FileName::new(&file.name, "/name"), Ok)?;
    let mut metadata = file.metadata;
    if let Some(patch) = change.metadata {
        merge(&mut metadata, patch);
    }
    let changed = ChangedFileRow {
        id,
        owner: user.id,
        blob: file.blob_id,
        metadata: checked(app, &metadata)?,
        now: app.clock.now().as_microsecond(),
    };
    if !app.db.change_file(&changed, &place(&path, &name)).await? {
        return Err(Error::PreconditionFailed);
    }
    super::find(user, app, id).await
}

/// Deletes a file of this user. From now on it is not there; the reaper takes its bytes away.
///
/// # Errors
/// `NotFound`; `PreconditionFailed` if the file is not as `expected`.
pub async fn delete(user: &User, app: &App, id: Uuid, expected: &Expected) -> Result<()> {
    let file = super::find(user, app, id).await?;
    expected.check(&file)?;
    if app.db.delete_file(user.id, id, file.blob_id).await? {
        return Ok(());
    }
    // Between the two statements it was deleted, or got new bytes.
    super::find(user, app, id).await?;
    Err(Error::PreconditionFailed)
}

/// Applies a merge patch: null takes a member away, an object is merged, all else replaces (RFC 7396, section 2).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Default::default());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn checked(app: &App, metadata: &Value) -> Result<String> {
    let text = metadata.to_string();
    let limit = app.config.limits.metadata;
    // PostgreSQL keeps no NUL in text, so that neither do we.
    if !metadata.is_object() || text.contains("\\u0000") {
        return Err(Error::invalid("/metadata", "invalid", "a JSON object without NUL characters"));
    }
    if text.len() > limit {
        return Err(Error::invalid("/metadata", "too_large", format!("at most {limit} bytes of JSON")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn a_merge_patch_does_what_the_rfc_says() {
        // RFC 7396, appendix A.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!(["a", "b"]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        ];
        for (mut target, patch, expected) in cases {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
