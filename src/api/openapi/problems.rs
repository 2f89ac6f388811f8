//! The problem responses of each operation.
//!
//! A handler names the problem codes of its own in the extension `x-problem-codes`; those that follow from what it reads
//! and requires are derived here. Statuses and titles come from the table of problems, so that the document always
//! matches the responses. Operations with the same problems share a response of the components.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::api::v1::SIGNED_PREFIX;
use crate::http::problem::CODES;

const EXTENSION: &str = "x-problem-codes";

/// Of every operation.
const EVERY: &[&str] = &["internal", "unavailable", "statement_timeout"];
const JSON: &[&str] =
    &["malformed", "body_incomplete", "body_stalled", "too_large", "unsupported_media_type", "invalid"];
const BYTES: &[&str] =
    &["malformed", "body_incomplete", "body_stalled", "upload_gone", "too_large", "invalid", "digest_mismatch"];

/// Adds the problems of an operation to its responses, and the responses to the components.
pub fn add(path: &str, operation: &mut Operation, changes: bool, components: &mut Components) {
    let mut codes = derived(path, operation, changes);
    let own = operation.extensions.as_mut().and_then(|extensions| extensions.remove(EXTENSION));
    codes.extend(own.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).map(known));
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (code, status, _) in CODES.iter().filter(|(code, ..)| codes.contains(code)) {
        by_status.entry(*status).or_default().push(code);
    }
    for (status, codes) in by_status {
        let name = name(&codes);
        operation.responses.responses.insert(status.to_string(), RefOr::Ref(Ref::from_response_name(&name)));
        components.responses.entry(name).or_insert_with(|| response(&codes).into());
    }
}

/// The codes that follow from what an operation reads and requires.
fn derived(path: &str, operation: &Operation, changes: bool) -> BTreeSet<&'static str> {
    let reads = |suffix: &str| match &operation.request_body {
        Some(RefOr::T(body)) => body.content.keys().any(|media| media.ends_with(suffix)),
        _ => false,
    };
    let signed_in = operation.security.as_ref().is_some_and(|security| !security.is_empty());
    let by_signed_url = path.starts_with(SIGNED_PREFIX);
    let rules: [(bool, &[&'static str]); 16] = [
        (true, EVERY),
        (!by_signed_url, &["unknown_parameter"]),
        (signed_in, &["unauthorized"]),
        (signed_in && !with_any_password(operation), &["password_change_required"]),
        (path.starts_with("/v1/admin/"), &["session_required", "admin_required"]),
        (path.contains('{'), &["not_found"]),
        (has(operation, "root") || has(operation, "space_id"), &["not_found", "right_required"]),
        (changes, &["storage_full"]),
        (changes && !by_signed_url, &["cross_site"]),
        (reads("json"), JSON),
        (reads("/octet-stream"), BYTES),
        (has(operation, "cursor"), &["bad_cursor"]),
        (has_query(operation), &["invalid"]),
        (has(operation, "If-Match") || has(operation, "If-None-Match"), &["invalid", "precondition_failed"]),
        (has(operation, "Range"), &["range_not_satisfiable"]),
        (has(operation, "Idempotency-Key"), &["invalid", "idempotency_in_progress", "idempotency_mismatch"]),
    ];
    rules.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, codes)| codes.iter().copied()).collect()
}

/// Whether a user whose password must be changed may request this: to see who they are, change it, or sign out.
fn with_any_password(operation: &Operation) -> bool {
    matches!(operation.operation_id.as_deref(), Some("getMe" | "logOut"))
}

fn has(operation: &Operation, name: &str) -> bool {
    operation.parameters.iter().flatten().any(|parameter| matches!(parameter, RefOr::T(known) if known.name == name))
}

fn has_query(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| matches!(parameter, RefOr::T(known) if matches!(known.parameter_in, ParameterIn::Query)))
}

/// The code in the table of problems.
fn known(code: &str) -> &'static str {
    let row = CODES.iter().find(|(known, ..)| *known == code);
    row.unwrap_or_else(|| panic!("{code} is not in the table of problems")).0
}

/// `["not_found", "unknown_parameter"]` as `NotFoundUnknownParameter`.
fn name(codes: &[&str]) -> String {
    let words = codes.iter().flat_map(|code| code.split('_'));
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn response(codes: &[&str]) -> Response {
    let rows: Vec<_> = CODES.iter().filter(|(code, ..)| codes.contains(code)).collect();
    let description: Vec<_> = rows.iter().map(|(code, _, title)| format!("`{code}`: {title}")).collect();
    let example = rows.first().map(|(code, status, title)| {
        json!({
            "type": format!("http://127.0.0.1:3000/errors/{code}"), "title": title, "status": status, "code": code,
            "detail": title, "instance": "/v1/files", "request_id": "019ab0c2-7b11-7d02-9c0e-5d3a7c1f2e90"
        })
    });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(example).build();
    ResponseBuilder::new()
        .description(description.join("; "))
        .content("application/problem+json", content)
        .extensions(Some(Extensions::from_iter([(EXTENSION, json!(codes))])))
        .build()
}
