//! The page that the `type` of a problem leads to: the section about its code in `docs/errors.md`.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;

use super::html::{escaped, page};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::Name;
use crate::http::problem::CODES;

const DOCUMENT: &str = include_str!("../../docs/errors.md");

/// The routes of this file. They are for people, and not part of the API document.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/errors/{code}", get(show))
}

async fn show(Name(code): Name) -> Result<Response> {
    let (code, _, title) = CODES.iter().find(|(known, ..)| **known == code).ok_or(Error::NotFound)?;
    let paragraphs = section(code).unwrap_or_default().split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    let text: String = paragraphs.map(|paragraph| format!("<p>{}</p>", html(paragraph))).collect();
    let body = format!("<h1>{}</h1><p><code>{code}</code></p>{text}", escaped(title));
    Ok(page(StatusCode::OK, &escaped(title), &body))
}

/// The text below the heading of a code.
fn section(code: &str) -> Option<&'static str> {
    let (_, text) = DOCUMENT.split_once(&format!("\n### `{code}`\n"))?;
    text.split("\n#").next()
}

/// A paragraph of Markdown as HTML: code and strong emphasis; a link is its text.
fn html(paragraph: &str) -> String {
    let text = between(&escaped(paragraph), "**", "<strong>", "</strong>");
    let text = between(&text, "`", "<code>", "</code>");
    match text.split_once("](") {
        Some((before, after)) => {
            let after = after.split_once(')').map_or(after, |(_, after)| after);
            format!("{}{after}", before.replacen('[', "", 1))
        }
        None => text,
    }
}

/// Replaces every second delimiter by `open`, and those between by `close`.
fn between(text: &str, delimiter: &str, open: &str, close: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split(delimiter).enumerate() {
        match index {
            0 => {}
            odd if odd % 2 == 1 => html.push_str(open),
            _ => html.push_str(close),
        }
        html.push_str(part);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_section_with_its_status() {
        for (code, status, _) in CODES {
            let section = section(code).unwrap_or_else(|| panic!("docs/errors.md has no section `{code}`"));
            assert!(section.trim_start().starts_with(&format!("**{status}.** ")), "{code}: {section}");
        }
        let sections = DOCUMENT.matches("\n### `").count();
        assert_eq!(sections, CODES.len(), "docs/errors.md has sections about unknown codes");
    }

    #[test]
    fn emphasis_and_code_of_a_section_are_html() {
        assert_eq!(html("**400.** Send `a < b`."), "<strong>400.</strong> Send <code>a &lt; b</code>.");
        assert_eq!(html("See ([Uploads](uploads.md#a)) then."), "See (Uploads) then.");
    }
}
