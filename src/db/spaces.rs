//! Spaces: trees of folders with a quota, a trash and an audit log of their own.

use uuid::Uuid;

use super::folders::insert_top;
use super::{Micros, Tx, statements};
use crate::error::Result;

statements! {
    INSERT_PERSONAL_SPACE = "INSERT INTO spaces (id, user_id, name, created_at, updated_at) VALUES ($1, $1, '', $2, $2)";
}

/// Adds the personal space of a new account, with its top folder.
pub(super) async fn insert_personal_space(tx: &mut Tx<'_>, account: Uuid, now: Micros) -> Result<()> {
    tx.execute(INSERT_PERSONAL_SPACE, (account, now)).await?;
    insert_top(tx, account, now).await
}
