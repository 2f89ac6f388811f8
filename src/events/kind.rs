//! The kinds of events, and their stable names.

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A user registered, or the operator created an account.
    AccountCreated,
    /// A user changed their name.
    AccountChanged,
    /// An account was disabled.
    AccountDisabled,
    /// A disabled account was enabled.
    AccountEnabled,
    /// An account was deleted. The event belongs to no account.
    AccountDeleted,
    /// A user exported their data.
    AccountExported,
    /// The quota of an account was changed.
    QuotaChanged,
    /// A user or the operator changed a password.
    PasswordChanged,
    /// A session began.
    SignedIn,
    /// A sign-in or a current password was refused.
    SignInRefused,
    /// A user ended their own session.
    SignedOut,
    /// A user ended another session of theirs.
    SessionEnded,
    /// An API token was created.
    TokenCreated,
    /// An API token was revoked.
    TokenRevoked,
    /// A file was created.
    FileUploaded,
    /// The content of a file was replaced.
    FileReplaced,
    /// The name, path or metadata of a file was changed.
    FileChanged,
    /// Content was read, wholly or in part.
    FileDownloaded,
    /// A file was moved to the trash.
    FileTrashed,
    /// A file was restored from the trash.
    FileRestored,
    /// A file was deleted permanently.
    FileDeleted,
    /// A folder was created by itself.
    FolderCreated,
    /// The name or the place of a folder was changed.
    FolderChanged,
    /// A folder was moved to the trash with all below it.
    FolderTrashed,
    /// A folder was restored from the trash.
    FolderRestored,
    /// A folder was deleted permanently with all below it.
    FolderDeleted,
    /// Files and folders were downloaded as an archive, wholly or in part.
    ArchiveDownloaded,
    /// A signed URL was issued.
    UrlSigned,
    /// A share link was created.
    LinkCreated,
    /// The options of a share link were changed.
    LinkChanged,
    /// A share link was revoked.
    LinkRevoked,
    /// Content was read through a share link.
    LinkDownloaded,
    /// A visitor of a share link was refused.
    LinkRefused,
    /// A file, a folder or a space was shared with an account, a team or an address.
    AccessGranted,
    /// The role or the end of a grant was changed.
    AccessChanged,
    /// A grant was ended, by a user who shares the target or by its holder.
    AccessEnded,
    /// A shared space was created.
    SpaceCreated,
    /// The name or the quota of a shared space was changed.
    SpaceChanged,
    /// A shared space was deleted; it can be restored for a while.
    SpaceDeleted,
    /// A deleted space was restored.
    SpaceRestored,
    /// A team was created.
    TeamCreated,
    /// A team was renamed, or its members were changed.
    TeamChanged,
    /// A team was deleted.
    TeamDeleted,
    /// An fsck run was started by an admin.
    FsckStarted,
}

impl EventKind {
    /// The name in the database and in the API. It must never change.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventKind::AccountCreated => "account_created",
            EventKind::AccountChanged => "account_changed",
            EventKind::AccountDisabled => "account_disabled",
            EventKind::AccountEnabled => "account_enabled",
            EventKind::AccountDeleted => "account_deleted",
            EventKind::AccountExported => "account_exported",
            EventKind::QuotaChanged => "quota_changed",
            EventKind::PasswordChanged => "password_changed",
            EventKind::SignedIn => "signed_in",
            EventKind::SignInRefused => "sign_in_refused",
            EventKind::SignedOut => "signed_out",
            EventKind::SessionEnded => "session_ended",
            EventKind::TokenCreated => "token_created",
            EventKind::TokenRevoked => "token_revoked",
            EventKind::FileUploaded => "file_uploaded",
            EventKind::FileReplaced => "file_replaced",
            EventKind::FileChanged => "file_changed",
            EventKind::FileDownloaded => "file_downloaded",
            EventKind::FileTrashed => "file_trashed",
            EventKind::FileRestored => "file_restored",
            EventKind::FileDeleted => "file_deleted",
            EventKind::FolderCreated => "folder_created",
            EventKind::FolderChanged => "folder_changed",
            EventKind::FolderTrashed => "folder_trashed",
            EventKind::FolderRestored => "folder_restored",
            EventKind::FolderDeleted => "folder_deleted",
            EventKind::ArchiveDownloaded => "archive_downloaded",
            EventKind::UrlSigned => "url_signed",
            EventKind::LinkCreated => "link_created",
            EventKind::LinkChanged => "link_changed",
            EventKind::LinkRevoked => "link_revoked",
            EventKind::LinkDownloaded => "link_downloaded",
            EventKind::LinkRefused => "link_refused",
            EventKind::AccessGranted => "access_granted",
            EventKind::AccessChanged => "access_changed",
            EventKind::AccessEnded => "access_ended",
            EventKind::SpaceCreated => "space_created",
            EventKind::SpaceChanged => "space_changed",
            EventKind::SpaceDeleted => "space_deleted",
            EventKind::SpaceRestored => "space_restored",
            EventKind::TeamCreated => "team_created",
            EventKind::TeamChanged => "team_changed",
            EventKind::TeamDeleted => "team_deleted",
            EventKind::FsckStarted => "fsck_started",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventKind::{self, *};

    /// Rows of earlier versions have these names, and clients filter by them.
    const PINNED: &[(EventKind, &str)] = &[
        (AccountCreated, "account_created"),
        (AccountChanged, "account_changed"),
        (AccountDisabled, "account_disabled"),
        (AccountEnabled, "account_enabled"),
        (AccountDeleted, "account_deleted"),
        (AccountExported, "account_exported"),
        (QuotaChanged, "quota_changed"),
        (PasswordChanged, "password_changed"),
        (SignedIn, "signed_in"),
        (SignInRefused, "sign_in_refused"),
        (SignedOut, "signed_out"),
        (SessionEnded, "session_ended"),
        (TokenCreated, "token_created"),
        (TokenRevoked, "token_revoked"),
        (FileUploaded, "file_uploaded"),
        (FileReplaced, "file_replaced"),
        (FileChanged, "file_changed"),
        (FileDownloaded, "file_downloaded"),
        (FileTrashed, "file_trashed"),
        (FileRestored, "file_restored"),
        (FileDeleted, "file_deleted"),
        (FolderCreated, "folder_created"),
        (FolderChanged, "folder_changed"),
        (FolderTrashed, "folder_trashed"),
        (FolderRestored, "folder_restored"),
        (FolderDeleted, "folder_deleted"),
        (ArchiveDownloaded, "archive_downloaded"),
        (UrlSigned, "url_signed"),
        (LinkCreated, "link_created"),
        (LinkChanged, "link_changed"),
        (LinkRevoked, "link_revoked"),
        (LinkDownloaded, "link_downloaded"),
        (LinkRefused, "link_refused"),
        (AccessGranted, "access_granted"),
        (AccessChanged, "access_changed"),
        (AccessEnded, "access_ended"),
        (SpaceCreated, "space_created"),
        (SpaceChanged, "space_changed"),
        (SpaceDeleted, "space_deleted"),
        (SpaceRestored, "space_restored"),
        (TeamCreated, "team_created"),
        (TeamChanged, "team_changed"),
        (TeamDeleted, "team_deleted"),
        (FsckStarted, "fsck_started"),
    ];

    #[test]
    fn the_names_are_stable_and_complete() {
        for (kind, name) in PINNED {
            assert_eq!(kind.as_str(), *name);
        }
        // Variants are numbered from 0, so the last one gives their count.
        assert_eq!(PINNED.len(), FsckStarted as usize + 1);
    }
}
