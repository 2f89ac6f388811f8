//! Errors as HTTP responses (RFC 9457 problem details): one table gives each its code, status and title.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::config::Config;
use crate::error::{Error, FieldError, chain};

/// Every problem code with its status and its title. The code is the stable contract.
pub const CODES: &[(&str, u16, &str)] = &[
    ("malformed", 400, "Malformed request"),
    ("bad_cursor", 400, "Invalid cursor"),
    ("part_size_mismatch", 400, "Part size mismatch"),
    ("body_incomplete", 400, "Request body incomplete"),
    ("unauthorized", 401, "Authentication required"),
    ("bad_credentials", 401, "Incorrect credentials"),
    ("password_required", 401, "Password required"),
    ("cross_site", 403, "Cross-site request"),
    ("session_required", 403, "Session required"),
    ("password_change_required", 403, "Password change required"),
    ("admin_required", 403, "Admin access required"),
    ("right_required", 403, "Right required"),
    ("registration_closed", 403, "Registration closed"),
    ("bad_signature", 403, "Invalid signature"),
    ("url_expired", 403, "Signed URL expired"),
    ("network_refused", 403, "Network not allowed"),
    ("not_found", 404, "Not found"),
    ("method_not_allowed", 405, "Method not allowed"),
    ("body_stalled", 408, "Request body stalled"),
    ("email_taken", 409, "Email address in use"),
    ("path_taken", 409, "Path in use"),
    ("name_taken", 409, "Name in use"),
    ("not_a_folder", 409, "Not a folder"),
    ("into_itself", 409, "Folder into itself"),
    ("already_shared", 409, "Already shared"),
    ("last_admin", 409, "Last admin"),
    ("last_manager", 409, "Last manager"),
    ("fsck_running", 409, "fsck already running"),
    ("export_running", 409, "Export already running"),
    ("upload_incomplete", 409, "Upload incomplete"),
    ("too_many_tokens", 409, "Too many API tokens"),
    ("too_many_links", 409, "Too many links"),
    ("too_many_spaces", 409, "Too many shared spaces"),
    ("too_many_grants", 409, "Too many grants"),
    ("too_many_entries", 409, "Too many entries"),
    ("not_revocable", 409, "Not revocable"),
    ("idempotency_in_progress", 409, "Request with this key still in progress"),
    ("offset_mismatch", 409, "Offset mismatch"),
    ("upload_gone", 410, "Upload gone"),
    ("link_expired", 410, "Link expired"),
    ("changes_expired", 410, "Changes no longer known"),
    ("link_revoked", 410, "Link revoked"),
    ("link_used_up", 410, "Download limit reached"),
    ("precondition_failed", 412, "Precondition failed"),
    ("unsupported_protocol_version", 412, "Unsupported protocol version"),
    ("too_large", 413, "Too large"),
    ("unsupported_media_type", 415, "Unsupported media type"),
    ("range_not_satisfiable", 416, "Range not satisfiable"),
    ("misdirected", 421, "Misdirected request"),
    ("invalid", 422, "Validation failed"),
    ("unknown_parameter", 422, "Unknown query parameter"),
    ("too_deep", 422, "Path too deep or too long"),
    ("digest_mismatch", 422, "Digest mismatch"),
    ("file_missing", 422, "File missing"),
    ("too_many_files", 422, "Too many files"),
    ("idempotency_mismatch", 422, "Key used by another request"),
    ("upload_busy", 423, "Upload busy"),
    ("precondition_required", 428, "Precondition required"),
    ("too_many_attempts", 429, "Too many attempts"),
    ("too_many_uploads", 429, "Too many open uploads"),
    ("too_many_waiters", 429, "Too many waiting requests"),
    ("headers_too_large", 431, "Request headers too large"),
    ("checksum_mismatch", 460, "Checksum mismatch"),
    ("internal", 500, "Internal server error"),
    ("unavailable", 503, "Temporarily unavailable"),
    ("statement_timeout", 503, "Database statement timed out"),
    ("too_many_exports", 503, "Too many exports in progress"),
    ("too_many_archives", 503, "Too many archives in progress"),
    ("storage_full", 507, "No space left"),
    ("quota_exceeded", 507, "Quota exceeded"),
];

/// `Retry-After` when the database or the store did not respond, or after a conflict with another request.
const RETRY_AFTER: Duration = Duration::from_secs(5);

fn code(error: &Error) -> &'static str {
    match error {
        Error::Malformed(_) => "malformed",
        Error::BadCursor => "bad_cursor",
        Error::ChangesExpired => "changes_expired",
        Error::TooManyWaiters { .. } => "too_many_waiters",
        Error::BodyBroken(_) => "body_incomplete",
        Error::Unauthorized => "unauthorized",
        Error::BadCredentials => "bad_credentials",
        Error::CrossSite => "cross_site",
        Error::SessionRequired => "session_required",
        Error::PasswordChangeRequired => "password_change_required",
        Error::AdminRequired => "admin_required",
        Error::RightRequired { .. } => "right_required",
        Error::AlreadyShared => "already_shared",
        Error::TooManyGrants { .. } => "too_many_grants",
        Error::LastManager => "last_manager",
        Error::NameTaken => "name_taken",
        Error::TooManySpaces { .. } => "too_many_spaces",
        Error::RegistrationClosed => "registration_closed",
        Error::LinkLocked => "password_required",
        Error::NetworkRefused => "network_refused",
        Error::LinkExpired => "link_expired",
        Error::LinkRevoked => "link_revoked",
        Error::LinkUsedUp => "link_used_up",
        Error::NotRevocable => "not_revocable",
        Error::BadSignature => "bad_signature",
        Error::UrlExpired => "url_expired",
        Error::NotFound => "not_found",
        Error::BodyStalled => "body_stalled",
        Error::EmailTaken => "email_taken",
        Error::PathTaken => "path_taken",
        Error::NotAFolder => "not_a_folder",
        Error::IntoItself => "into_itself",
        Error::TooDeep { .. } => "too_deep",
        Error::LastAdmin => "last_admin",
        Error::FsckRunning => "fsck_running",
        Error::ExportRunning => "export_running",
        Error::TooManyExports => "too_many_exports",
        Error::TooManyArchives => "too_many_archives",
        Error::TooManyEntries { .. } => "too_many_entries",
        Error::UploadIncomplete | Error::PartsMissing(_) => "upload_incomplete",
        Error::UploadGone => "upload_gone",
        Error::UploadBusy => "upload_busy",
        Error::OffsetMismatch { .. } => "offset_mismatch",
        Error::ChecksumMismatch => "checksum_mismatch",
        Error::PartSizeMismatch { .. } => "part_size_mismatch",
        Error::UnsupportedProtocolVersion => "unsupported_protocol_version",
        Error::PreconditionFailed => "precondition_failed",
        Error::TooLarge { .. } => "too_large",
        Error::TypeRefused | Error::UnexpectedContentType { .. } | Error::EncodedBody { .. } => {
            "unsupported_media_type"
        }
        Error::RangeNotSatisfiable { .. } => "range_not_satisfiable",
        Error::Invalid(_) => "invalid",
        Error::UnknownParameter(_) => "unknown_parameter",
        Error::DigestMismatch => "digest_mismatch",
        Error::FileMissing => "file_missing",
        Error::TooManyFiles => "too_many_files",
        Error::PreconditionRequired => "precondition_required",
        Error::Throttled { .. } => "too_many_attempts",
        Error::Internal(_) | Error::Setup(_) => "internal",
        Error::TooManyHeaders { .. } => "headers_too_large",
        Error::Misdirected => "misdirected",
        Error::Unavailable { .. } | Error::Overloaded => "unavailable",
        Error::StatementTimeout { .. } => "statement_timeout",
        Error::StorageFull => "storage_full",
        Error::QuotaExceeded { .. } => "quota_exceeded",
        Error::TooManyUploads { .. } => "too_many_uploads",
        Error::TooManyTokens { .. } => "too_many_tokens",
        Error::TooManyLinks { .. } => "too_many_links",
        Error::IdempotencyMismatch => "idempotency_mismatch",
        Error::IdempotencyInProgress => "idempotency_in_progress",
    }
}

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "http://127.0.0.1:3000/errors/not_found", "title": "Not found", "status": 404, "code": "not_found",
    "detail": "not found", "instance": "/v1/files/019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11",
    "request_id": "019ab0c2-7b11-7d02-9c0e-5d3a7c1f2e90"
}))]
pub struct Problem {
    /// The page that explains `code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The stable name of the kind of problem.
    #[schema(value_type = ProblemCode)]
    pub code: &'static str,
    /// A sentence about this occurrence.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// Identifies the request in the log of the server.
    pub request_id: String,
    /// The invalid values, or the missing parts of an upload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<FieldErrorSchema>)]
    pub errors: Vec<FieldError>,
    /// The shortage of a quota.
    #[serde(flatten)]
    pub shortage: Shortage,
}

/// The schema of `code`: every code of the table.
pub struct ProblemCode;

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let codes = CODES.iter().map(|(code, ..)| *code);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)).into()
    }
}

impl ToSchema for ProblemCode {}

/// The schema of a [`FieldError`]: exactly one of `pointer`, `parameter` and `header` says where the value is.
#[derive(Debug, ToSchema)]
#[schema(as = FieldError)]
pub struct FieldErrorSchema {
    /// A JSON pointer to a value of the body, or `/name` of a form field.
    #[schema(example = "/expires_in", nullable = false)]
    pub pointer: Option<String>,
    /// The name of a query parameter.
    #[schema(nullable = false)]
    pub parameter: Option<String>,
    /// The name of a header.
    #[schema(nullable = false)]
    pub header: Option<String>,
    /// The stable code.
    #[schema(example = "out_of_range")]
    pub code: String,
    /// What would be valid.
    #[schema(example = "from 1 to 604800 seconds")]
    pub detail: String,
}

/// The quota that is exceeded, if the code is `quota_exceeded`.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
#[schema(as = QuotaShortage)]
pub struct Shortage {
    /// The exhausted resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = QuotaResource, inline, required = false)]
    pub resource: Option<&'static str>,
    /// In use, including what is reserved for unfinished uploads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub used: Option<u64>,
    /// The quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub quota: Option<u64>,
    /// What the request needs in addition, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub needed: Option<u64>,
    /// What of `used` is in the trash; of a trash with more than 10,000 files, a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trashed: Option<u64>,
}

/// What the numbers of a [`Shortage`] count.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes `resource`")]
enum QuotaResource {
    Bytes,
    Files,
}

impl Problem {
    /// The problem with this code. `type`, `instance` and `request_id` are filled in by
    /// [`complete`](Self::complete), which knows the request.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let &(code, status, title) =
            CODES.iter().find(|(known, ..)| *known == code).unwrap_or(&("internal", 500, "Internal server error"));
        Self {
            kind: String::new(),
            title,
            status,
            code,
            detail: detail.into(),
            instance: String::new(),
            request_id: String::new(),
            errors: Vec::new(),
            shortage: Shortage::default(),
        }
    }

    /// Fills in what only the request knows, and serializes the body.
    pub fn complete(mut self, base: &str, instance: &str, request_id: &str) -> (HeaderValue, String) {
        self.kind = format!("{base}{}", self.code);
        self.instance = instance.to_owned();
        self.request_id = request_id.to_owned();
        let body = serde_json::to_string(&self).unwrap_or_default();
        (HeaderValue::from_static("application/problem+json"), body)
    }

    /// The response as bytes of HTTP/1.1, for clients whose request is not read. It ends the connection. `headers` is
    /// added to the head.
    pub fn raw_response(self, config: &Config, headers: &str) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let status_line = format!("HTTP/1.1 {} {}", self.status, reason.unwrap_or_default());
        let (content_type, body) = self.complete(&config.url("/errors/"), "", "");
        let (content_type, length) = (content_type.to_str().unwrap_or_default(), body.len());
        format!(
            "{status_line}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
             cache-control: no-store\r\n{headers}connection: close\r\n\r\n{body}"
        )
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let mut problem = Problem::new(code(error), error.to_string());
        if let Error::UnknownParameter(errors) = error
            && let Some(first) = errors.first()
        {
            problem.detail.clone_from(&first.detail);
        }
        match *error {
            Error::Invalid(ref errors) | Error::UnknownParameter(ref errors) | Error::PartsMissing(ref errors) => {
                problem.errors.clone_from(errors)
            }
            Error::QuotaExceeded { resource, used, quota, needed, trashed } => {
                let [used, quota, needed, trashed] = [used, quota, needed, trashed].map(Some);
                problem.shortage = Shortage { resource: Some(resource), used, quota, needed, trashed };
            }
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    /// The body is written by [`observe`](super::middleware::observe), which finds the problem in the extensions.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        log(&self);
        let mut response = Problem::from(&self).into_response();
        if let Some((name, value)) = header_of(&self) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The header that belongs to a status.
fn header_of(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    // Rounded up, so that a client that retries on time is accepted.
    let seconds = |time: Duration| HeaderValue::from(time.as_secs() + u64::from(time.subsec_nanos() > 0));
    Some(match error {
        Error::Unauthorized | Error::BadCredentials => {
            (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"strongroom\""))
        }
        Error::LinkLocked => {
            (header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"link\", charset=\"UTF-8\""))
        }
        Error::RangeNotSatisfiable { size } => {
            (header::CONTENT_RANGE, HeaderValue::from_str(&format!("bytes */{size}")).ok()?)
        }
        // RFC 9110, section 15.5.16.
        Error::EncodedBody { .. } => (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        Error::Throttled { retry_after } => (header::RETRY_AFTER, seconds(*retry_after)),
        Error::Unavailable { .. }
        | Error::StatementTimeout { .. }
        | Error::TooManyExports
        | Error::TooManyArchives
        | Error::Overloaded
        | Error::TooManyUploads { .. }
        | Error::TooManyWaiters { .. }
        | Error::IdempotencyInProgress
        | Error::UploadBusy => (header::RETRY_AFTER, seconds(RETRY_AFTER)),
        // The rest of the body may never arrive, so that the connection cannot be used again.
        Error::BodyStalled => (header::CONNECTION, HeaderValue::from_static("close")),
        _ => return None,
    })
}

/// Logs faults of the server, once, with their causes; the client sees neither.
pub fn log(error: &Error) {
    match error {
        Error::Internal(cause) => tracing::error!(cause = %chain(cause.as_ref()), "request failed"),
        Error::Setup(cause) => tracing::error!(cause, "request failed"),
        Error::Unavailable { what, source } => {
            tracing::warn!(what, cause = %chain(source.as_ref()), "temporarily unavailable");
        }
        Error::StatementTimeout { limit } => tracing::warn!(?limit, "a statement was stopped at its time limit"),
        Error::StorageFull => tracing::error!("no space left"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_configuration_is_not_shown_to_clients() {
        let problem = Problem::from(&Error::Setup("STORE_URL: /srv/secret-place".into()));
        assert_eq!((problem.status, problem.code), (500, "internal"));
        assert!(!serde_json::to_string(&problem).expect("JSON").contains("secret-place"));
    }

    #[test]
    fn every_error_code_is_in_the_table() {
        let source = include_str!("problem.rs");
        let start = source.find("fn code(").expect("the match");
        let arms = &source[start..source[start..].find("\n}").map_or(source.len(), |end| start + end)];
        let codes: Vec<&str> = arms.split('"').skip(1).step_by(2).collect();
        assert!(codes.len() > 25, "{codes:?}");
        for code in codes {
            assert!(CODES.iter().any(|(known, ..)| *known == code), "{code}");
        }
        for (code, status, _) in CODES {
            assert!(StatusCode::from_u16(*status).is_ok(), "{code}");
        }
    }
}
