//! Accounts as admins and the operator see and change them.

use serde::Serialize;
use uuid::Uuid;

use super::User;
use super::profile::email_key;
use super::quota::{Quota, QuotaOverrides};
use super::usage::Usage;
use crate::app::App;
use crate::config::Quotas;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{AccountPatchRow, AccountRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// An account as admins see it.
#[derive(Debug, Serialize)]
pub struct AdminUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The usage of the account, and its effective quota.
    pub usage: Usage,
    /// The quota of this account, where it overrides the default.
    pub quota: QuotaOverrides,
}

/// Fields of an account to change; absent fields are unchanged.
#[derive(Debug, Default, Clone, Copy)]
pub struct UpdateUser {
    /// The quota of bytes.
    pub bytes: Option<Quota>,
    /// The quota of files.
    pub files: Option<Quota>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
}

impl AdminUser {
    fn from_row(row: AccountRow, defaults: &Quotas) -> Self {
        let quota = QuotaOverrides::from(&row.usage);
        Self { usage: Usage::from_row(&row.usage, defaults), quota, user: row.user.into() }
    }
}

/// The account with this id.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist.
pub async fn find_user(app: &App, id: Uuid) -> Result<AdminUser> {
    let row = app.db.find_account(id).await?.ok_or(Error::NotFound)?;
    Ok(AdminUser::from_row(row, &app.config.quotas))
}

/// The id of the account with this email address.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist.
pub async fn user_id(app: &App, email: &str) -> Result<Uuid> {
    Ok(app.db.find_user_by_email(&email_key(email)).await?.ok_or(Error::NotFound)?.user.id)
}

/// One page of the accounts, oldest first.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list_users(app: &App, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<AdminUser>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let after = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(after, |last: &AccountRow| last.user.id);
        let bytes_of = |row: &AccountRow| 512 + row.user.email.len() + row.user.name.len();
        page.add(app.db.list_accounts(after, count).await?, bytes_of);
    }
    let page = page.finish(|last| cursor::encode_id(last.user.id));
    Ok(page.map(|row| AdminUser::from_row(row, &app.config.quotas)))
}

/// All accounts, oldest first.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn all_users(app: &App) -> Result<Vec<AdminUser>> {
    let rows = app.db.list_accounts(Uuid::nil(), usize::MAX).await?;
    Ok(rows.into_iter().map(|row| AdminUser::from_row(row, &app.config.quotas)).collect())
}

/// Changes an account for an admin, or for the operator without one. A quota below the current usage deletes nothing: it
/// refuses uploads until there is room again. Disabling an account ends its sessions, and suspends its API tokens until
/// it is enabled again.
///
/// # Errors
/// [`Error::NotFound`] if there is no account with this id; [`Error::Invalid`] if a quota is too large, or the admin
/// would disable their own account, which only the operator could undo; [`Error::LastAdmin`] if it is the last admin, and
/// would be disabled.
pub async fn update_user(app: &App, admin: Option<&User>, id: Uuid, patch: UpdateUser) -> Result<AdminUser> {
    if patch.disabled == Some(true) && admin.is_some_and(|admin| admin.id == id) {
        return Err(Error::invalid("/disabled", "unsupported", "you cannot disable your own account"));
    }
    let (quota_bytes, quota_files) = Quota::checked_rows(patch.bytes, patch.files)?;
    let row = AccountPatchRow { quota_bytes, quota_files, disabled: patch.disabled };
    let events: Vec<_> = events(id, patch).iter().map(|event| event.row(&app.clock)).collect();
    let now = app.clock.now();
    let changed = app.db.patch_account(id, &row, now, &events).await?.ok_or(Error::NotFound)?;
    tracing::info!(user = %id, ?patch, "account changed by an admin or the operator");
    Ok(AdminUser::from_row(changed, &app.config.quotas))
}

/// The events of a change: one if the account is disabled or enabled, one if a quota changes.
fn events(id: Uuid, patch: UpdateUser) -> Vec<Event> {
    let state = patch
        .disabled
        .map(|disabled| Event::new(if disabled { EventKind::AccountDisabled } else { EventKind::AccountEnabled }, id));
    let quotas: Vec<_> = [("bytes", patch.bytes), ("files", patch.files)]
        .into_iter()
        .filter_map(|(name, quota)| Some((name, serde_json::to_value(quota?).ok()?)))
        .collect();
    let quota = (!quotas.is_empty()).then(|| {
        let event = Event::new(EventKind::QuotaChanged, id);
        quotas.into_iter().fold(event, |event, (name, quota)| event.with(name, quota))
    });
    state.into_iter().chain(quota).collect()
}

/// Disables the account with this email address, or enables it; see [`update_user`].
///
/// # Errors
/// [`Error::NotFound`] if it does not exist; [`Error::LastAdmin`].
pub async fn set_disabled(app: &App, email: &str, disabled: bool) -> Result<User> {
    let patch = UpdateUser { disabled: Some(disabled), ..UpdateUser::default() };
    Ok(update_user(app, None, user_id(app, email).await?, patch).await?.user)
}

/// Recalculates the usage of every account; returns how many accounts were corrected.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn recalculate_usage(app: &App) -> Result<u64> {
    app.db.recalculate_usage().await
}
