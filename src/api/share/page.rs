//! The pages that a share link shows to people: the file, the form for its password, and errors.

use axum::response::Response;
use bytesize::ByteSize;
use http::StatusCode;

use crate::api::html::{escaped, page};
use crate::error::Error;
use crate::files::links::OpenedLink;
use crate::http::problem::{Problem, log};

/// The page of a link that is active.
pub fn about(url: &str, opened: &OpenedLink) -> Response {
    let (name, content) = (escaped(opened.name()), &opened.file.content);
    let size = escaped(&ByteSize::b(content.size).display().si().to_string());
    let (url, content_type) = (escaped(url), escaped(&content.content_type));
    let open = match opened.is_inline() {
        true => format!("<a class=\"second\" href=\"{url}?open=1\">Open</a>"),
        false => String::new(),
    };
    let body = format!("<h1>{name}</h1><p>{size}, {content_type}</p><a href=\"{url}?download=1\">Download</a>{open}");
    page(StatusCode::OK, &name, &body)
}

/// The page of an error. It asks for the password where that is missing.
pub fn problem(url: &str, error: &Error) -> Response {
    log(error);
    let problem = Problem::from(error);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, detail) = (escaped(problem.title), escaped(&problem.detail));
    let form = match error {
        Error::LinkLocked => format!(
            "<form method=\"post\" action=\"{}/unlock\"><label for=\"password\">Password</label>\
            <input id=\"password\" name=\"password\" type=\"password\" required autofocus autocomplete=\"off\">\
            <button>Continue</button></form>",
            escaped(url)
        ),
        _ => String::new(),
    };
    page(status, &title, &format!("<h1>{title}</h1><p>{detail}</p>{form}"))
}
