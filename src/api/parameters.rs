//! Refuses query parameters that an operation does not document: a misspelled filter must not select everything.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::v1::SIGNED_PREFIX;
use crate::error::{Error, FieldError};
use crate::http::query;
use crate::suggest::nearest;

/// Programs append parameters of their own, such as `fbclid` and `utm_source`, to the links that people share.
const LINK_PREFIX: &str = "/l/";
/// Maximum number of unknown parameters that one response names.
const MAX_NAMED: usize = 10;
/// Maximum length of an unknown name in a response, in characters.
const MAX_NAME: usize = 64;

/// The query parameters of each operation, by path and method, as the description of the API has them.
pub struct KnownParameters(HashMap<String, Vec<(Method, Vec<String>)>>);

impl KnownParameters {
    pub fn of(description: &OpenApi) -> Self {
        let paths = description.paths.paths.iter();
        Self(paths.map(|(path, item)| (path.clone(), operations(item))).collect())
    }

    /// The parameters that the request may have; `None` if it is not for an operation of the API, or for one that
    /// checks its parameters itself.
    fn of_request(&self, request: &Request) -> Option<&[String]> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        let operations =
            self.0.get(path).filter(|_| !path.starts_with(SIGNED_PREFIX) && !path.starts_with(LINK_PREFIX))?;
        let by = |wanted: &Method| operations.iter().find(|(method, _)| method == wanted);
        // HEAD is served as GET where it has no operation of its own.
        let found = by(request.method()).or_else(|| by(&Method::GET).filter(|_| request.method() == Method::HEAD));
        found.map(|(_, names)| names.as_slice())
    }
}

/// # Errors
/// [`Error::UnknownParameter`] as a response.
pub async fn refuse_unknown(State(known): State<Arc<KnownParameters>>, request: Request, next: Next) -> Response {
    let unknown = match (request.uri().query(), known.of_request(&request)) {
        (Some(query), Some(known)) => unknown(query, known),
        _ => Vec::new(),
    };
    match unknown.is_empty() {
        true => next.run(request).await,
        false => Error::UnknownParameter(unknown).into_response(),
    }
}

fn unknown(query: &str, known: &[String]) -> Vec<FieldError> {
    let names = query::pairs(query).map(|(name, _)| name).filter(|name| !known.iter().any(|known| admits(known, name)));
    names.take(MAX_NAMED).map(|name| unknown_parameter(&name, known)).collect()
}

/// Whether a documented parameter is this one, or the family that it belongs to: `metadata.*` is all parameters whose names
/// begin with `metadata.`.
fn admits(known: &str, name: &str) -> bool {
    match known.strip_suffix('*') {
        Some(family) => name.len() > family.len() && name.starts_with(family),
        None => known == name,
    }
}

fn unknown_parameter(name: &str, known: &[String]) -> FieldError {
    let name: String = name.chars().take(MAX_NAME).collect();
    let hint = match nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this operation has no query parameters".to_owned(),
        None => format!("this operation has `{}`", known.join("`, `")),
    };
    FieldError::parameter(&name, "unknown_parameter", format!("unknown query parameter `{name}`; {hint}"))
}

fn operations(item: &PathItem) -> Vec<(Method, Vec<String>)> {
    let by_method = [
        (Method::GET, &item.get),
        (Method::HEAD, &item.head),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
        (Method::OPTIONS, &item.options),
    ];
    let present = by_method.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)));
    present.map(|(method, operation)| (method, query_parameters(operation))).collect()
}

fn query_parameters(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let in_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query) => Some(parameter),
        _ => None,
    });
    in_query.map(|Parameter { name, .. }| name.clone()).collect()
}
