//! Small HTML pages without scripts and external resources.

use std::sync::OnceLock;

use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --accent: #1a5fb4; --on-accent: #fff }
@media (prefers-color-scheme: dark) { :root { --accent: #99c1f1; --on-accent: #111 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 28rem; border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem }
h1 { margin: 0 0 .25rem; font-size: 1.25rem; overflow-wrap: anywhere }
p { margin: 0 0 1.25rem; overflow-wrap: anywhere }
label { display: block; margin-bottom: .25rem }
input, a, button { display: block; width: 100%; font: inherit; border-radius: .5rem; padding: .625rem }
input { border: 1px solid var(--line); margin-bottom: 1rem }
a, button { border: 2px solid var(--accent); background: var(--accent); color: var(--on-accent); text-align: center; text-decoration: none; cursor: pointer; margin-top: .5rem }
a.second, button.second { background: none; color: inherit }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
";

/// A page with this body, which is HTML.
pub fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
        <body><main>{body}</main></body></html>"
    );
    let policy = [(header::CONTENT_SECURITY_POLICY, policy().clone())];
    (status, policy, [(header::CACHE_CONTROL, "private, no-store")], Html(html)).into_response()
}

/// Lets the forms of a page lead to this origin, too.
pub fn allow_form_action(page: &mut Response, origin: &str) {
    let Some(policy) = page.headers_mut().get_mut(header::CONTENT_SECURITY_POLICY) else { return };
    let text =
        policy.to_str().unwrap_or_default().replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    if let Ok(wider) = HeaderValue::try_from(text) {
        *policy = wider;
    }
}

/// Only the style of the page itself may be used, and forms lead back here.
fn policy() -> &'static HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).expect("a policy is plain ASCII")
    })
}

/// The text, escaped for HTML content and attributes.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
