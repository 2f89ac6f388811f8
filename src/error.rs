//! What can go wrong, in the domain's words. No HTTP here: `api/error.rs` holds the one table
//! from these kinds to a status and a stable code.

use std::time::Duration;

/// The result of everything the domain does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One kind for each answer a caller may need to tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in, or the session or token is dead.
    #[error("sign in first")]
    Unauthorized,
    /// The e-mail and password do not belong together, or the account is disabled.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// The request came with a cookie from another site's page.
    #[error("this request came from another site")]
    CrossSite,
    /// Sessions and tokens are managed from a session, never by an API token.
    #[error("an API token cannot do this; sign in with e-mail and password")]
    SessionRequired,
    /// The caller is signed in, but is no admin.
    #[error("only an admin may do this")]
    AdminRequired,
    /// A link shows nothing before its password, and this is not the one.
    #[error("this link wants its password")]
    LinkLocked,
    /// The link is not for the network that the request came from.
    #[error("this link cannot be used from here")]
    NetworkRefused,
    #[error("this link has expired")]
    LinkExpired,
    #[error("this link was revoked")]
    LinkRevoked,
    #[error("this link has been used as often as it may be")]
    LinkUsedUp,
    /// URLs that the bucket has signed cannot be taken back.
    #[error(
        "the bucket signed these URLs and will honour them until they expire; \
        with STRONGROOM_SIGNED_URLS=ours new ones are this server's own and can be revoked"
    )]
    NotRevocable,
    /// A signed URL was altered, or is used with another method than it was made for.
    #[error("the signature does not match this request")]
    BadSignature,
    /// A signed URL is past its time.
    #[error("this URL has expired")]
    UrlExpired,
    /// Not there, or not the caller's: the two are never told apart.
    #[error("there is no such thing here")]
    NotFound,
    /// An upload that was finished, given up or is past its time.
    #[error("this upload is over")]
    UploadGone,
    /// An upload cannot be completed as long as its bytes are missing.
    #[error("the bytes of this upload have not arrived")]
    UploadIncomplete,
    /// An upload cannot be completed as long as these of its parts are missing or not what they
    /// should be; they can still be sent.
    #[error("parts of this upload are missing or not complete")]
    PartsMissing(Vec<FieldError>),
    /// Somebody else appends to this upload at the moment.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// Bytes were to be appended elsewhere than at the end of what there is, `offset` bytes.
    #[error("this upload goes on at byte {offset}")]
    OffsetMismatch { offset: u64 },
    /// Some of the bytes of an upload do not have the checksum that came with them.
    #[error("the bytes received do not have the checksum that came with them")]
    ChecksumMismatch,
    /// The protocol is spoken here, but not in this version.
    #[error("this version of the protocol is not spoken here")]
    VersionRefused,
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    #[error("a file with this path and name exists")]
    PathTaken,
    /// Somebody has to be left who can manage the others.
    #[error("this is the last admin; make another one first")]
    LastAdmin,
    /// One pass of fsck at a time, on all servers together.
    #[error("a pass of fsck is running")]
    FsckRunning,
    #[error("the file is not in the state the request asked for")]
    PreconditionFailed,
    #[error("send If-Match with the ETag of the bytes to replace")]
    PreconditionRequired,
    /// More bytes than a limit allows. The limit is in bytes.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("this type of content is not accepted here")]
    TypeRefused,
    /// No byte of the asked range is in a content of `size` bytes.
    #[error("the range is malformed or outside of the content's {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    /// The request cannot be read at all.
    #[error("{0}")]
    Malformed(String),
    #[error("the cursor does not belong to this list")]
    BadCursor,
    /// The request can be read, but some of its values are wrong.
    #[error("some values are not acceptable")]
    Invalid(Vec<FieldError>),
    #[error("the bytes received do not have the digest that was announced")]
    DigestMismatch,
    #[error("the form has no part named `file`")]
    FileMissing,
    #[error("the form has more than one part named `file`")]
    TooManyFiles,
    /// The *client's* stream broke: no blame on the store or the disk.
    #[error("the request body broke off: {0}")]
    BodyBroken(String),
    /// The client sent nothing for longer than allowed.
    #[error("the request body stalled")]
    BodyStalled,
    /// Too many tries; the next one is accepted deadline `retry_after`.
    #[error("too many attempts")]
    Throttled { retry_after: Duration },
    #[error("registration is closed here")]
    RegistrationClosed,
    /// The database or the store does not answer; the cause is for the log alone.
    #[error("the {what} is not available")]
    Unavailable {
        what: &'static str,
        #[source]
        source: Cause,
    },
    /// The disk or the bucket has no space left.
    #[error("there is no space left")]
    StorageFull,
    /// The account's quota has no room for it. Used, allowed and needed are bytes or a count of
    /// files, as `resource` says.
    #[error("{needed} more {resource} do not fit: {used} of {quota} are used")]
    QuotaExceeded { resource: &'static str, used: u64, quota: u64, needed: u64 },
    /// The account has as many uploads under way as one may have.
    #[error("{limit} uploads are under way already; finish one first, or wait until it is over")]
    TooManyUploads { limit: u32 },
    /// The key came with another request before.
    #[error("this idempotency key belongs to another request")]
    IdempotencyMismatch,
    /// The request that has the key is still under way.
    #[error("the request with this idempotency key is still under way")]
    IdempotencyInProgress,
    /// Anything else: logged once, hidden from the caller.
    #[error("something went wrong on our side")]
    Internal(#[source] Cause),
}

/// The cause of an error, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One wrong value: where it is (an RFC 6901 JSON pointer), a stable code, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the value in the body, or `/name` of a query parameter.
    #[schema(example = "/expires_in")]
    pub pointer: String,
    #[schema(example = "too_large")]
    pub code: String,
    #[schema(example = "at most 604800 seconds")]
    pub detail: String,
}

impl Error {
    /// One wrong value.
    pub fn invalid(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError { pointer: pointer.into(), code: code.into(), detail: detail.into() }])
    }

    /// Something that should not have happened; the cause is logged, not shown.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Error::Internal(cause.into())
    }

    /// What is wrong in the words of its cause: for operators alone.
    pub fn cause(&self) -> String {
        match self {
            Error::Internal(cause) | Error::Unavailable { source: cause, .. } => cause.to_string(),
            error => error.to_string(),
        }
    }

    /// The store did not answer, or not as it should.
    pub fn store_unavailable(cause: impl Into<Cause>) -> Self {
        Error::Unavailable { what: "store", source: cause.into() }
    }
}

/// An error with its causes, for the log and for operators.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
