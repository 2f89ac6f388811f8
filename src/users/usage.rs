//! What accounts use and may use, and how admins see and change them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::User;
use crate::app::App;
use crate::config;
use crate::cursor;
use crate::db::{AccountPatchRow, AccountRow, UNLIMITED, UsageRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// What an account uses and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub used: UsageCounts,
    pub quota: Quotas,
    /// Uploads under way, those through signed URLs included.
    pub open_uploads: u64,
}

/// What counts toward the quota, with what is reserved for uploads under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    /// Of files and the avatar.
    pub bytes: u64,
    pub files: u64,
}

/// The quota in force; null: without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quotas {
    pub bytes: Option<u64>,
    pub files: Option<u64>,
}

/// What one account was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<QuotaLimit>", into = "Option<QuotaLimit>")]
pub enum Quota {
    /// What the settings say.
    Default,
    Unlimited,
    /// Bytes or files.
    Most(u64),
}

/// A quota as it is written: a number, or `unlimited`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub enum QuotaLimit {
    Most(u64),
    Word(QuotaUnlimited),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaUnlimited {
    Unlimited,
}

impl From<Option<QuotaLimit>> for Quota {
    fn from(limit: Option<QuotaLimit>) -> Self {
        match limit {
            None => Quota::Default,
            Some(QuotaLimit::Word(QuotaUnlimited::Unlimited)) => Quota::Unlimited,
            Some(QuotaLimit::Most(most)) => Quota::Most(most),
        }
    }
}

impl From<Quota> for Option<QuotaLimit> {
    fn from(quota: Quota) -> Self {
        match quota {
            Quota::Default => None,
            Quota::Unlimited => Some(QuotaLimit::Word(QuotaUnlimited::Unlimited)),
            Quota::Most(most) => Some(QuotaLimit::Most(most)),
        }
    }
}

impl Quota {
    fn of_row(row: Option<i64>) -> Self {
        match row {
            None => Quota::Default,
            Some(UNLIMITED) => Quota::Unlimited,
            Some(most) => Quota::Most(most as u64),
        }
    }

    fn into_row(self) -> Option<i64> {
        match self {
            Quota::Default => None,
            Quota::Unlimited => Some(UNLIMITED),
            Quota::Most(most) => Some(i64::try_from(most).unwrap_or(UNLIMITED)),
        }
    }

    /// What it comes to where this is the default.
    fn or(self, default: Option<u64>) -> Option<u64> {
        match self {
            Quota::Default => default,
            Quota::Unlimited => None,
            Quota::Most(most) => Some(most),
        }
    }
}

/// An account as admins see it.
#[derive(Debug, Serialize)]
pub struct AdminUser {
    #[serde(flatten)]
    pub user: User,
    pub usage: Usage,
    pub quota: QuotaOverrides,
}

/// What this account was given: a number, `unlimited`, or null for what the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuotaOverrides {
    pub bytes: Quota,
    pub files: Quota,
}

/// What the operator changes about an account; what is absent stays.
#[derive(Debug, Default, Clone, Copy)]
pub struct AccountPatch {
    pub bytes: Option<Quota>,
    pub files: Option<Quota>,
    pub disabled: Option<bool>,
}

/// Some accounts, and where to go on.
#[derive(Debug)]
pub struct AdminUserPage {
    pub accounts: Vec<AdminUser>,
    pub next_cursor: Option<String>,
}

impl Usage {
    fn of(row: &UsageRow, quotas: &config::Quotas) -> Self {
        let own = QuotaOverrides::of(row);
        Self {
            used: UsageCounts { bytes: row.used_bytes as u64, files: row.used_files as u64 },
            quota: Quotas { bytes: own.bytes.or(quotas.bytes), files: own.files.or(quotas.files) },
            open_uploads: row.open_uploads as u64,
        }
    }
}

impl QuotaOverrides {
    fn of(row: &UsageRow) -> Self {
        Self { bytes: Quota::of_row(row.quota_bytes), files: Quota::of_row(row.quota_files) }
    }
}

impl AdminUser {
    fn of(row: AccountRow, quotas: &config::Quotas) -> Self {
        Self { user: row.user.into(), usage: Usage::of(&row.usage, quotas), quota: QuotaOverrides::of(&row.usage) }
    }
}

/// What this user uses and may use.
///
/// # Errors
/// `NotFound` if the account is gone.
pub async fn usage(user: &User, app: &App) -> Result<Usage> {
    Ok(Usage::of(&app.db.usage(user.id).await?, &app.config.quotas))
}

/// The account with this id, for admins.
///
/// # Errors
/// `NotFound` if there is none.
pub async fn account(app: &App, id: Uuid) -> Result<AdminUser> {
    let row = app.db.find_account(id).await?.ok_or(Error::NotFound)?;
    Ok(AdminUser::of(row, &app.config.quotas))
}

/// One page of the accounts, oldest first, for admins.
///
/// # Errors
/// `BadCursor`; `Invalid` if the limit is out of bounds.
pub async fn list_page(app: &App, limit: Option<u32>, cursor: Option<&str>) -> Result<AdminUserPage> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let deadline = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let rows = app.db.list_accounts(deadline, limit as i64 + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |last| cursor::encode_id(last.user.id));
    let accounts = rows.into_iter().map(|row| AdminUser::of(row, &app.config.quotas)).collect();
    Ok(AdminUserPage { accounts, next_cursor })
}

/// Every account, oldest first.
pub async fn list_accounts(app: &App) -> Result<Vec<AdminUser>> {
    let rows = app.db.list_accounts(Uuid::nil(), i64::MAX).await?;
    Ok(rows.into_iter().map(|row| AdminUser::of(row, &app.config.quotas)).collect())
}

/// Changes an account by order of the operator. A quota below what is used takes nothing away: it
/// admits no upload until there is room again. A disabled account's sessions end, and its API
/// tokens are useless until it is enabled again.
///
/// # Errors
/// `NotFound` if there is none with this id.
pub async fn patch_account(app: &App, id: Uuid, patch: AccountPatch) -> Result<AdminUser> {
    let row = AccountPatchRow {
        quota_bytes: patch.bytes.map(Quota::into_row),
        quota_files: patch.files.map(Quota::into_row),
        disabled: patch.disabled,
    };
    let disabled = patch.disabled.map(|disabled| {
        Event::new(if disabled { EventKind::AccountDisabled } else { EventKind::AccountEnabled }, id).row(&app.clock)
    });
    let quota = (patch.bytes.is_some() || patch.files.is_some()).then(|| {
        let quotas = [("bytes", patch.bytes), ("files", patch.files)].into_iter();
        let told = quotas.filter_map(|(name, quota)| Some((name, serde_json::to_value(quota?).ok()?)));
        told.fold(Event::new(EventKind::QuotaChanged, id), |event, (name, quota)| event.with(name, quota))
            .row(&app.clock)
    });
    let events: Vec<_> = disabled.into_iter().chain(quota).collect();
    let changed =
        app.db.patch_account(id, &row, app.clock.now().as_microsecond(), &events).await?.ok_or(Error::NotFound)?;
    tracing::info!(user = %id, ?patch, "account changed by the operator");
    Ok(AdminUser::of(changed, &app.config.quotas))
}

/// Counts anew what every account uses; tells for how many the numbers were wrong.
pub async fn recount(app: &App) -> Result<u64> {
    app.db.recalculate_usage().await
}
