//! The description of the API: an OpenAPI 3.1 document, collected from the handlers.
//!
//! Everything that follows from an operation (problems, security) and from the settings of the server (URL, limits) is
//! added here, so that no handler repeats it.

pub mod headers;
mod problems;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi as Document, RefOr, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::cookie_name;
use super::compression::CompressedForms;
use crate::app::App;
use crate::config::Config;
use crate::cursor;
use crate::http::problem::{FieldErrorSchema, Problem};

/// The parts of the document that belong to no handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Strongroom",
        description = "Private files for apps and people. Every file belongs to one user; to anyone else it does not exist.\n\n\
            Every request may be answered with 421 (`misdirected`) if the host that it names is not one of this server.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact()
    ),
    components(schemas(Problem, FieldErrorSchema)),
    tags(
        (name = "auth", description = "Register, sign in, sign out"),
        (name = "me", description = "Your account, sessions and API tokens"),
        (name = "files", description = "Upload, list, download, change and delete files"),
        (name = "folders", description = "Create, list, rename, move and delete folders"),
        (name = "changes", description = "What happened to files, folders and links: pages, long polling, a stream"),
        (name = "trash", description = "Deleted files, until they expire"),
        (name = "uploads", description = "Resumable uploads over the tus protocol, and direct uploads to the store"),
        (name = "spaces", description = "Spaces that belong to their members"),
        (name = "sharing", description = "Files and folders shared with other users and teams"),
        (name = "links", description = "Share links: created by owners, used by anyone who has the URL"),
        (name = "avatars", description = "Public avatars of users"),
        (name = "admin", description = "For admins: users, the audit log, fsck and diagnostics"),
        (name = "health", description = "Probes and this document")
    )
)]
pub struct Base;

/// The route of the document.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(document))
}

/// The document as it is served by one server, as JSON.
#[derive(Debug, Clone)]
pub struct ServedDocument {
    text: Bytes,
    compressed: CompressedForms,
}

impl ServedDocument {
    pub fn new(document: Document, config: &Config) -> Self {
        let text = complete(document, config).to_json();
        let text = text.expect("a document that is written as JSON").into();
        Self { text, compressed: CompressedForms::default() }
    }
}

/// Get the OpenAPI document
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "getOpenApiDocument", security(()),
    responses((status = 200, description = "This document, with the URL and the limits of this server",
        body = HashMap<String, serde_json::Value>)))]
async fn document(Extension(ServedDocument { text, compressed }): Extension<ServedDocument>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Extension(compressed), text).into_response()
}

/// Adds to each operation what follows from it, and what the settings of the server decide.
pub fn complete(mut document: Document, config: &Config) -> Document {
    let mut components = document.components.take().unwrap_or_default();
    // A parameter with several segments has a mark in the router only.
    let paths = std::mem::take(&mut document.paths.paths).into_iter();
    document.paths.paths = paths.map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut document.paths.paths {
        for (operation, changes) in operations(item) {
            secure(operation);
            limit_pages(operation, config);
            never_null(operation);
            optional_body(operation);
            problems::add(path, operation, changes, &mut components);
        }
    }
    components
        .add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
    components
        .add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie_name(config)))));
    document.components = Some(components);
    document.servers = Some(vec![Server::new(config.public_url.as_str().trim_end_matches('/'))]);
    document
}

/// The operations of a path, and whether each changes something.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    let reading = [&mut item.get, &mut item.head, &mut item.options].map(|operation| (operation, false));
    let changing =
        [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete].map(|operation| (operation, true));
    reading.into_iter().chain(changing).filter_map(|(operation, changes)| Some((operation.as_mut()?, changes)))
}

/// An operation requires a session or an API token, unless it is public: `security(())`.
fn secure(operation: &mut Operation) {
    let none = Vec::<String>::new();
    operation.security = Some(match operation.security {
        None => vec![SecurityRequirement::new("bearer", none.clone()), SecurityRequirement::new("cookie", none)],
        Some(_) => Vec::new(),
    });
}

/// Sets the maximum page size of lists to that of the server.
fn limit_pages(operation: &mut Operation, config: &Config) {
    let limit = parameters(operation).find(|parameter| parameter.name == "limit");
    if let Some(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = limit {
        schema.maximum = Some(config.limits.page.into());
        schema.default = Some(cursor::page_size(None, config.limits.page).unwrap_or_default().into());
    }
}

/// An optional parameter may be absent. It is never null.
fn never_null(operation: &mut Operation) {
    for parameter in parameters(operation) {
        if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            && let SchemaType::Array(types) = &schema.schema_type
            && let [only, Type::Null] = types.as_slice()
        {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// An optional body may be absent. It is never null.
fn optional_body(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
            && let [schema @ RefOr::Ref(_), _] = either.items.as_slice()
        {
            content.schema = Some(schema.clone());
        }
    }
}

fn parameters(operation: &mut Operation) -> impl Iterator<Item = &mut Parameter> {
    operation.parameters.iter_mut().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}
