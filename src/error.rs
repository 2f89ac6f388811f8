//! Errors of the domain, without status codes: one table, in [`crate::http::problem`], assigns each variant a
//! status and a stable code.

use std::time::Duration;

use serde::Serialize;

/// The result of every operation of the domain.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each outcome that a caller may need to distinguish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no credential, or its session or token has expired or was revoked.
    #[error("authentication required")]
    Unauthorized,
    /// The email address and the password do not match, or the account is disabled.
    #[error("the email address or the password is incorrect")]
    BadCredentials,
    /// The request has a cookie and comes from the page of another site.
    #[error("the request comes from another site")]
    CrossSite,
    /// Sessions and tokens are managed with a session, never with an API token.
    #[error("API tokens are not accepted here; sign in with email address and password")]
    SessionRequired,
    /// The operator has set the password of the caller, who must change it before anything else.
    #[error("the password must be changed first: PATCH /v1/me")]
    PasswordChangeRequired,
    /// The caller is signed in, but is not an admin.
    #[error("admin access required")]
    AdminRequired,
    /// The caller sees the target, but does not have this right to it.
    #[error("this requires the right to {right} here")]
    RightRequired {
        /// The name of the right.
        right: &'static str,
    },
    /// The target is shared with the same account, team or address already.
    #[error("it is shared with them already")]
    AlreadyShared,
    /// The target has as many grants as it may have.
    #[error("it is shared {limit} times, the maximum")]
    TooManyGrants {
        /// The maximum number of grants to one file or folder.
        limit: u64,
    },
    /// Another team has this name.
    #[error("this name is in use")]
    NameTaken,
    /// The account has created as many shared spaces as it may.
    #[error("at most {limit} shared spaces")]
    TooManySpaces {
        /// The maximum number of shared spaces that one account may create.
        limit: u32,
    },
    /// A shared space must have a manager.
    #[error("a shared space needs a manager: name another one first")]
    LastManager,
    /// The link has a password, and the request has none or a wrong one.
    #[error("this link requires a password")]
    LinkLocked,
    /// The options of the link exclude the network of the client.
    #[error("this link is not available from your network")]
    NetworkRefused,
    /// The link has expired.
    #[error("this link has expired")]
    LinkExpired,
    /// The owner revoked the link.
    #[error("this link was revoked")]
    LinkRevoked,
    /// The link has no downloads left.
    #[error("this link has reached its download limit")]
    LinkUsedUp,
    /// URLs that the bucket has signed are valid until they expire.
    #[error(
        "the bucket signed these URLs and accepts them until they expire; \
        with STRONGROOM_SIGNED_URLS=server new URLs can be revoked"
    )]
    NotRevocable,
    /// A signed URL was altered, or is used with a different method from the signed one.
    #[error("the signature does not match this request")]
    BadSignature,
    /// The signed URL has expired.
    #[error("this URL has expired")]
    UrlExpired,
    /// It does not exist, or belongs to another user: the two are indistinguishable.
    #[error("not found")]
    NotFound,
    /// The upload was completed or canceled, or has expired.
    #[error("this upload no longer exists (completed, canceled or expired)")]
    UploadGone,
    /// An upload cannot be completed before all its content has arrived.
    #[error("the upload is incomplete")]
    UploadIncomplete,
    /// A direct upload cannot be completed before these parts are sent, or sent again.
    #[error("parts of the upload are missing or incomplete")]
    PartsMissing(Vec<FieldError>),
    /// Another request appends to this upload or completes it.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// An append must start at the end of the received content, `offset` bytes.
    #[error("wrong offset: the upload continues at byte {offset}")]
    OffsetMismatch {
        /// Received bytes.
        offset: u64,
    },
    /// The bytes of an append do not match the checksum of its request.
    #[error("the checksum of the received bytes does not match")]
    ChecksumMismatch,
    /// The body of a part of a direct upload does not have the size of the part.
    #[error("part {number} must have {size} bytes")]
    PartSizeMismatch {
        /// The number of the part, from 1.
        number: u64,
        /// The size of the part in bytes.
        size: u64,
    },
    /// The client uses another version of tus, or names none.
    #[error("unsupported tus version")]
    UnsupportedProtocolVersion,
    /// The email address of a registration or of a new account is in use.
    #[error("an account with this email address exists")]
    EmailTaken,
    /// The path and name of a new, renamed or restored file are in use.
    #[error("a file or a folder with this path and name exists")]
    PathTaken,
    /// A file has the name of a folder in the path.
    #[error("a part of the path is a file")]
    NotAFolder,
    /// A folder cannot be moved into itself, or into a folder below it.
    #[error("a folder cannot be moved into itself or below itself")]
    IntoItself,
    /// Of the folder or one below it.
    #[error("too deep or too long: a path has at most {depth} folders and {bytes} bytes")]
    TooDeep {
        /// Folders in a path.
        depth: usize,
        /// Bytes of a path.
        bytes: usize,
    },
    /// There must always be a user who can manage the others.
    #[error("cannot delete or disable the last admin; create another admin first")]
    LastAdmin,
    /// One run of fsck at a time, on all servers together.
    #[error("fsck is already running")]
    FsckRunning,
    /// An account has one export in progress at a time.
    #[error("an export of this account is in progress; wait for it or cancel it")]
    ExportRunning,
    /// The server writes as many exports as it may at the same time.
    #[error("too many exports are in progress on this server; try again later")]
    TooManyExports,
    /// The server sends as many archives as it may at the same time, or as many as it may to this client.
    #[error("too many archives are in progress; try again later")]
    TooManyArchives,
    /// An archive would have more entries than it may.
    #[error("too many files and folders for one archive (limit {limit})")]
    TooManyEntries {
        /// Files and folders of one archive.
        limit: u64,
    },
    /// The content has changed since the caller read it, or exists where it must not.
    #[error("precondition failed: the content of the file has changed")]
    PreconditionFailed,
    /// Replacing content requires the ETag of what is replaced.
    #[error("send If-Match with the ETag of the content to replace")]
    PreconditionRequired,
    /// More bytes than a limit allows.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content type of the request, or the detected type of the content, is not allowed.
    #[error("this content type is not allowed")]
    TypeRefused,
    /// The route does not accept the content type of the body.
    #[error("expected the content type `{expected}`, got {received}")]
    UnexpectedContentType {
        /// The content type that the route accepts.
        expected: &'static str,
        /// The content type of the request, quoted, or `none`.
        received: String,
    },
    /// The range is malformed, or outside of the content.
    #[error("the range is malformed or outside of the content ({size} bytes)")]
    RangeNotSatisfiable {
        /// The size of the content in bytes.
        size: u64,
    },
    /// The request is not readable.
    #[error("{0}")]
    Malformed(String),
    /// The cursor is not one that this list returned.
    #[error("the cursor does not belong to this list")]
    BadCursor,
    /// Changes after the cursor may have been deleted, or the log is another one since a restore.
    #[error("changes after this cursor are no longer known: list everything again, and continue with a new cursor")]
    ChangesExpired,
    /// The account has as many requests that wait for changes as it may have.
    #[error("too many requests of this account wait for changes, at most {limit} at the same time")]
    TooManyWaiters {
        /// The limit of one account.
        limit: usize,
    },
    /// The request is readable, but some of its values are not valid.
    #[error("some values are not valid")]
    Invalid(Vec<FieldError>),
    /// The query string has parameters that the route does not know.
    #[error("unknown query parameter")]
    UnknownParameter(Vec<FieldError>),
    /// The received content does not match the digest of the request.
    #[error("the received bytes do not match the digest of the request")]
    DigestMismatch,
    /// A form without a file.
    #[error("the form has no part named `file`")]
    FileMissing,
    /// A form with several files.
    #[error("the form has more than one part named `file`")]
    TooManyFiles,
    /// The stream of the *client* ended early; neither the store nor the disk is to blame.
    #[error("the request body ended early: {0}")]
    BodyBroken(String),
    /// The client sent nothing for longer than allowed.
    #[error("the request body stalled")]
    BodyStalled,
    /// Too many attempts; the next one is accepted after `retry_after`.
    #[error("too many attempts")]
    Throttled {
        /// The time until the next attempt is accepted.
        retry_after: Duration,
    },
    /// Only the operator creates accounts.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The body has a content coding, such as `gzip`.
    #[error("a body must not have a content coding: send it without Content-Encoding ({coding})")]
    EncodedBody {
        /// The coding.
        coding: String,
    },
    /// The database or the store does not respond. The cause is only logged.
    #[error("the {what} is not available")]
    Unavailable {
        /// `database`, `store` or another component.
        what: &'static str,
        /// What failed.
        #[source]
        source: Cause,
    },
    /// The database needs longer for a request than a request may take.
    #[error("the request exceeded the time limit of {limit:?} in the database")]
    StatementTimeout {
        /// The time limit.
        limit: Duration,
    },
    /// The server works on as many requests as it can.
    #[error("the server is busy")]
    Overloaded,
    /// The request has more headers than any client needs.
    #[error("the request has more than {limit} headers")]
    TooManyHeaders {
        /// The maximum number.
        limit: usize,
    },
    /// The request is for a host that this server does not answer for.
    #[error("this server does not answer for the requested host")]
    Misdirected,
    /// The disk or the bucket is full.
    #[error("no space left")]
    StorageFull,
    /// The request does not fit into the quota of the account. The numbers are bytes or files, as
    /// `resource` says.
    #[error(
        "quota exceeded: {needed} more {resource} requested, {used} of {quota} used, {trashed} of them in the trash"
    )]
    QuotaExceeded {
        /// `bytes` or `files`.
        resource: &'static str,
        /// In use, including what is reserved for open uploads.
        used: u64,
        /// The quota.
        quota: u64,
        /// The minimum that the request needs.
        needed: u64,
        /// The part of the usage that is in the trash; a lower bound if the trash is large.
        trashed: u64,
    },
    /// The account has as many open uploads as it may have.
    #[error("too many open uploads (limit {limit})")]
    TooManyUploads {
        /// Open uploads of one account.
        limit: u32,
    },
    /// The account has as many active API tokens as it may have.
    #[error("too many API tokens (limit {limit}); revoke one first")]
    TooManyTokens {
        /// Active API tokens of one account.
        limit: u32,
    },
    /// The account has as many links as it may have.
    #[error("too many links (limit {limit}, including those revoked in the last 30 days)")]
    TooManyLinks {
        /// Links of one account.
        limit: u32,
    },
    /// The idempotency key was used by a different request.
    #[error("this idempotency key belongs to another request")]
    IdempotencyMismatch,
    /// The first request with this idempotency key has not finished.
    #[error("the first request with this idempotency key is still running")]
    IdempotencyInProgress,
    /// A configuration or an environment that the program cannot run with. It is found at the start
    /// or by a command, and only an operator may read the text: see [`Error::cause`].
    #[error("internal server error")]
    Setup(String),
    /// Everything else: logged once, hidden from the caller.
    #[error("internal server error")]
    Internal(#[source] Cause),
}

/// The cause of an error, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One value that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The location of the value.
    #[serde(flatten)]
    pub location: Location,
    /// The stable code.
    pub code: &'static str,
    /// A sentence about this value.
    pub detail: String,
}

/// The location of a value in a request; serialized as one member with the name of the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// A JSON pointer (RFC 6901) into the body, or `/name` of a form field.
    Pointer(String),
    /// The name of a query parameter.
    Parameter(String),
    /// The name of a header, in lower case.
    Header(String),
}

impl Location {
    /// The pointer without its leading slash, or the name.
    pub fn name(&self) -> &str {
        match self {
            Location::Pointer(pointer) => pointer.trim_start_matches('/'),
            Location::Parameter(name) | Location::Header(name) => name,
        }
    }
}

/// A JSON pointer.
impl From<&str> for Location {
    fn from(pointer: &str) -> Self {
        Location::Pointer(pointer.to_owned())
    }
}

impl FieldError {
    /// A value of the body, at a JSON pointer.
    pub fn at(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { location: Location::Pointer(pointer.into()), code, detail: detail.into() }
    }

    /// The value of a query parameter.
    pub fn parameter(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { location: Location::Parameter(name.into()), code, detail: detail.into() }
    }

    /// The value of a header.
    pub fn header(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { location: Location::Header(name.into()), code, detail: detail.into() }
    }
}

impl Error {
    /// The same for a caller who must not learn that the target exists: without the right to it, it is not found.
    #[must_use]
    pub fn concealed(self) -> Self {
        if matches!(self, Error::RightRequired { .. }) { Error::NotFound } else { self }
    }

    /// One value of the body is not valid.
    pub fn invalid(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError::at(pointer, code, detail)])
    }

    /// The value of one query parameter is not valid.
    pub fn invalid_parameter(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError::parameter(name, code, detail)])
    }

    /// The value of one header is not valid.
    pub fn invalid_header(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError::header(name, code, detail)])
    }

    /// The same error about the value of a query parameter.
    pub fn in_parameter(self, name: &str) -> Self {
        let relocated = |error| FieldError { location: Location::Parameter(name.to_owned()), ..error };
        match self {
            Error::Invalid(errors) => Error::Invalid(errors.into_iter().map(relocated).collect()),
            other => other,
        }
    }

    /// An unexpected error; the cause is logged, and not shown.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Error::Internal(cause.into())
    }

    /// The store did not respond, or not as expected.
    pub fn store_unavailable(cause: impl Into<Cause>) -> Self {
        Error::Unavailable { what: "store", source: cause.into() }
    }

    /// The text of the cause. Only for operators: it may name paths and hosts.
    pub fn cause(&self) -> String {
        match self {
            Error::Setup(why) => why.clone(),
            Error::Internal(cause) | Error::Unavailable { source: cause, .. } => cause.to_string(),
            error => error.to_string(),
        }
    }
}

/// Both values, or all field errors of either, so that the client can correct them together.
///
/// # Errors
/// [`Error::Invalid`] with the field errors of both; otherwise the first error.
pub fn both<A, B>(one: Result<A>, other: Result<B>) -> Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Error::Invalid(mut errors)), Err(Error::Invalid(more))) => {
            errors.extend(more);
            Err(Error::Invalid(errors))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// An error with its causes, for the log and for operators.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_value_has_exactly_one_location() {
        for (error, expected) in [
            (FieldError::at("/name", "required", "x"), json!({"pointer": "/name", "code": "required", "detail": "x"})),
            (FieldError::parameter("limit", "a", "x"), json!({"parameter": "limit", "code": "a", "detail": "x"})),
            (FieldError::header("if-match", "a", "x"), json!({"header": "if-match", "code": "a", "detail": "x"})),
        ] {
            assert_eq!(serde_json::to_value(error).expect("JSON"), expected);
        }
    }

    #[test]
    fn only_the_operator_reads_what_is_wrong_with_the_configuration() {
        let error = Error::Setup("DATABASE_URL: /srv/secret-place".into());
        assert_eq!(
            (error.to_string(), error.cause()),
            ("internal server error".into(), "DATABASE_URL: /srv/secret-place".into())
        );
    }
}
