//! The HTML pages of a share link: the file, the password form, and errors.

use axum::response::Response;
use bytesize::ByteSize;
use http::StatusCode;

use crate::api::html::{allow_form_action, escaped, page};
use crate::app::App;
use crate::config::Via;
use crate::error::Error;
use crate::files::links::OpenedLink;
use crate::http::problem::{Problem, log};

/// The page of a link that is active. A link with a download limit has buttons that send forms, which programs that check
/// links do not.
pub fn about(app: &App, url: &str, opened: &OpenedLink) -> Response {
    let (name, content) = (escaped(opened.name()), &opened.file.content);
    let size = escaped(&ByteSize::b(content.size).display().si().to_string());
    let (url, content_type) = (escaped(url), escaped(&content.content_type));
    let button = |class: &str, query: &str, text: &str| match opened.has_limit() {
        true => format!("<form method=\"post\" action=\"{url}?{query}=1\"><button{class}>{text}</button></form>"),
        false => format!("<a{class} href=\"{url}?{query}=1\">{text}</a>"),
    };
    let open = if opened.is_inline() { button(" class=\"second\"", "open", "Open") } else { String::new() };
    let download = button("", "download", "Download");
    let mut response =
        page(StatusCode::OK, &name, &format!("<h1>{name}</h1><p>{size}, {content_type}</p>{download}{open}"));
    let redirects = opened.has_limit() && app.config.links.delivery == Via::Redirect;
    if let Some(bucket) = app.store.public_bucket().filter(|_| redirects) {
        // The form leads to the bucket.
        allow_form_action(&mut response, &bucket.origin().ascii_serialization());
    }
    response
}

/// The page of an error. It asks for the password where that is missing.
pub fn problem(url: &str, error: &Error) -> Response {
    log(error);
    let problem = Problem::from(error);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, text) = words(error, &problem);
    let form = match error {
        Error::LinkLocked => format!(
            "<form method=\"post\" action=\"{}/unlock\"><label for=\"password\">Password</label>\
            <input id=\"password\" name=\"password\" type=\"password\" required autofocus autocomplete=\"off\">\
            <button>Open</button></form>",
            escaped(url)
        ),
        _ => String::new(),
    };
    page(status, &title, &format!("<h1>{title}</h1><p>{text}</p>{form}"))
}

/// The heading and the explanation, as HTML.
fn words(error: &Error, problem: &Problem) -> (String, String) {
    match error {
        Error::LinkLocked => ("This file is protected".into(), "Enter the password to open it.".into()),
        Error::LinkUsedUp => ("Download limit reached".into(), "Ask the sender for a new link.".into()),
        _ => (escaped(problem.title), sentence(&escaped(&problem.detail))),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(letters.clone()).collect::<String>() + end
}
