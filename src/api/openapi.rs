//! The description of this API (OpenAPI 3.1), gathered from the handlers.
//!
//! A handler names the problem codes of its own in the extension `x-problem-codes`; those that follow
//! from what it reads and asks for are added here. The statuses and titles come from the one table in `error.rs`, so they cannot disagree with what is answered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};

use crate::http::problem::{CODES, FieldErrorSchema, Problem};

/// What no handler says by itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Strongroom",
        description = "Private files for apps and people. Every file belongs to one owner; to anybody else it does not exist.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact()
    ),
    components(schemas(Problem, FieldErrorSchema)),
    tags(
        (name = "auth", description = "Register, sign in, sign out"),
        (name = "me", description = "Your account, sessions and API tokens"),
        (name = "files", description = "Upload, list, read, change and delete files"),
        (name = "trash", description = "Deleted files, until they go for good"),
        (name = "uploads", description = "Uploads that can be resumed, by the tus protocol or straight to the store"),
        (name = "links", description = "Share links: made by owners, used by anybody who has one"),
        (name = "avatars", description = "Pictures of people, public"),
        (name = "admin", description = "For admins"),
        (name = "operations", description = "For those who run the server")
    )
)]
pub struct Base;

/// Problem codes that any operation may answer with.
const EVERYWHERE: &[&str] = &["internal", "unavailable"];
/// Of those who must be signed in.
const SIGNED_IN: &[&str] = &["unauthorized"];
/// Of those who must be signed in and change something.
const CHANGING: &[&str] = &["cross_site", "storage_full"];
/// Of those who read a JSON body.
const JSON: &[&str] =
    &["malformed", "body_incomplete", "body_stalled", "too_large", "unsupported_media_type", "invalid"];
/// Of those who take in bytes.
const BYTES: &[&str] = &[
    "malformed",
    "body_incomplete",
    "body_stalled",
    "upload_gone",
    "too_large",
    "invalid",
    "digest_mismatch",
    "storage_full",
];
/// Of those who take in forms.
const FORM: &[&str] = &["malformed", "invalid", "file_missing", "too_many_files"];

/// Adds what is derived: problem responses, security schemes.
pub fn complete(mut document: Document) -> Document {
    let components = document.components.get_or_insert_default();
    components
        .add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
    components
        .add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-strongroom"))));
    for item in document.paths.paths.values_mut() {
        let reading = [&mut item.get, &mut item.head];
        reading.into_iter().flatten().for_each(|operation| add_problems(operation, false));
        let changing = [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        changing.into_iter().flatten().for_each(|operation| add_problems(operation, true));
    }
    document
}

/// The codes that an operation names, and those that follow from what it reads and asks for.
fn codes(operation: &Operation, changes: bool) -> BTreeSet<String> {
    let named = operation.extensions.as_ref().and_then(|extensions| extensions.get("x-problem-codes"));
    let mut codes: BTreeSet<String> =
        named.and_then(|codes| serde_json::from_value(codes.clone()).ok()).unwrap_or_default();
    let reads = |media: fn(&str) -> bool| matches!(&operation.request_body, Some(RefOr::T(body)) if body.content.keys().any(|kind| media(kind)));
    let signed_in = operation.security.is_some();
    for (applies, derived) in [
        (true, EVERYWHERE),
        (signed_in, SIGNED_IN),
        (signed_in && changes, CHANGING),
        (reads(|media| media.ends_with("json")), JSON),
        (reads(|media| media == "application/octet-stream"), BYTES),
        (reads(|media| media == "multipart/form-data"), FORM),
    ] {
        codes.extend(derived.iter().filter(|_| applies).map(|code| (*code).to_owned()));
    }
    codes
}

fn add_problems(operation: &mut Operation, changes: bool) {
    let codes = codes(operation, changes);
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in &codes {
        let (known, status, _) = CODES
            .iter()
            .find(|(known, ..)| known == code)
            .unwrap_or_else(|| panic!("{code} is in no row of the table of problems"));
        by_status.entry(*status).or_default().push(known);
    }
    for (status, codes) in by_status {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .example(Some(example(codes[0])))
            .build();
        let response = ResponseBuilder::new()
            .description(codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "))
            .content("application/problem+json", content)
            .build();
        operation.responses.responses.insert(status.to_string(), response.into());
    }
    operation.extensions = None;
}

fn example(code: &str) -> serde_json::Value {
    let (code, status, title) = CODES.iter().find(|(known, ..)| *known == code).expect("a code of the table");
    json!({
        "type": format!("http://127.0.0.1:3000/errors/{code}"),
        "title": title,
        "status": status,
        "code": code,
        "detail": title,
        "instance": "/v1/files",
        "request_id": "019ab0c2-7b11-7d02-9c0e-5d3a7c1f2e90"
    })
}
