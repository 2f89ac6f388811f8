//! Request headers, for the description of the API. Handlers read them from the request.
#![allow(dead_code, reason = "describes headers")]

use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RangeHeaders {
    /// The bytes to send (RFC 9110, section 14.2); several ranges are sent as `multipart/byteranges`.
    #[param(rename = "Range", example = "bytes=0-1023")]
    range: Option<String>,
    /// Send the range only if the content still has this ETag or date; otherwise send all of it.
    #[param(rename = "If-Range")]
    if_range: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ConditionHeaders {
    /// 412 unless the content has one of these ETags.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// 304 if the content has one of these ETags.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
    /// 304 unless the content is newer than this date.
    #[param(rename = "If-Modified-Since", example = "Sun, 22 Nov 2026 09:30:00 GMT")]
    if_modified_since: Option<String>,
    /// 412 if the content is newer than this date.
    #[param(rename = "If-Unmodified-Since", example = "Sun, 22 Nov 2026 09:30:00 GMT")]
    if_unmodified_since: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// 412 unless the content has one of these ETags.
    #[param(rename = "If-Match", example = "*", pattern = r#"^\s*(\*|(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*)\s*$"#)]
    if_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchRequired {
    /// The ETag of the content to replace, or `*` for any.
    #[param(rename = "If-Match", example = "*", pattern = r#"^\s*(\*|(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*)\s*$"#)]
    if_match: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchAny {
    /// `*`: 412 if a file with this path and name exists.
    #[param(rename = "If-None-Match", example = "*", pattern = r"^\*$")]
    if_none_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct DigestHeaders {
    /// The digest of the content, `sha-256=:<base64>:` (RFC 9530). Other algorithms are ignored.
    #[param(rename = "Repr-Digest")]
    repr_digest: Option<String>,
    /// As `Repr-Digest`.
    #[param(rename = "Content-Digest")]
    content_digest: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct MetadataHeader {
    /// Metadata of the file: a JSON object, at most 8 KiB or as configured.
    #[param(rename = "Strongroom-Metadata", example = json!("{\"invoice\": 17}"))]
    metadata: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// A client-chosen key, unique within the account, that makes retries safe: visible ASCII characters.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$")]
    idempotency_key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct TusHeaders {
    /// The version of the protocol.
    #[param(rename = "Tus-Resumable", example = "1.0.0", pattern = r"^1\.0\.0$")]
    tus_resumable: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct TusCreationHeaders {
    /// The size of the file in bytes.
    #[param(rename = "Upload-Length", maximum = 9223372036854775807i64)]
    upload_length: Option<u64>,
    /// `1`: a later request declares the size.
    #[param(rename = "Upload-Defer-Length", pattern = "^1$")]
    upload_defer_length: Option<String>,
    /// Pairs of a key and a value in base64, separated by commas.
    #[param(rename = "Upload-Metadata", example = "filename cmVwb3J0LnBkZg==,path MjAyNg==")]
    upload_metadata: Option<String>,
    /// The name of an algorithm and the checksum of the body in base64.
    #[param(
        rename = "Upload-Checksum",
        example = "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=",
        pattern = r"^(sha1|sha256|crc32) [A-Za-z0-9+/]+={0,2}$"
    )]
    upload_checksum: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct TusAppendHeaders {
    /// The offset of the first byte of the body.
    #[param(rename = "Upload-Offset", maximum = 9223372036854775807i64)]
    upload_offset: u64,
    /// The size of the file in bytes, once, if it was deferred.
    #[param(rename = "Upload-Length", maximum = 9223372036854775807i64)]
    upload_length: Option<u64>,
    /// The name of an algorithm and the checksum of the body in base64.
    #[param(
        rename = "Upload-Checksum",
        example = "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=",
        pattern = r"^(sha1|sha256|crc32) [A-Za-z0-9+/]+={0,2}$"
    )]
    upload_checksum: Option<String>,
}
