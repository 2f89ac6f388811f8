//! The hosts that the server answers for.

use serde_json::json;

use crate::support::client::{Ask, content, path};
use crate::support::raw::{raw, status};
use crate::support::{Setup, TestApp, both};

both! {
    async fn a_request_names_one_host_of_the_server(app: TestApp) {
        let own = app.app.config.listen;
        for (hosts, expected) in [
            (format!("Host: {own}\r\n"), 401),
            ("Host: localhost:99\r\n".to_owned(), 401),
            ("Host: 192.0.2.7\r\n".to_owned(), 401),
            ("Host: [2001:db8::7]:3000\r\n".to_owned(), 401),
            ("Host: strongroom:3000\r\n".to_owned(), 401),
            ("Host: evil.example\r\n".to_owned(), 421),
            ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 421),
            (String::new(), 400),
            (format!("Host: {own}\r\nHost: {own}\r\n"), 400),
            (format!("Host: {own}\r\nHost: evil.example\r\n"), 400),
            ("Host:\r\n".to_owned(), 400),
            (format!("Host: evil.example@{own}\r\n"), 400),
        ] {
            let answer = raw(&app, format!("GET /v1/me HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
            assert_eq!(status(&answer), expected, "{hosts}: {answer}");
            assert!(answer.contains("application/problem+json"), "{hosts}: {answer}");
        }
        // The target counts, not the field (RFC 9112, section 3.2.2).
        let absolute = |host: &str| format!("GET http://{host}/v1/me HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&raw(&app, absolute("evil.example")).await), 421);
        assert_eq!(status(&raw(&app, absolute(&own.to_string())).await), 401);
        // HTTP/1.0 needs none.
        let old = raw(&app, "GET /v1/me HTTP/1.0\r\n\r\n").await;
        assert!(old.starts_with("HTTP/1.0 401") || old.starts_with("HTTP/1.1 401"), "{old}");
    }

    async fn a_foreign_name_is_refused_on_every_route(app: TestApp) {
        let app = app.restart_with(|config| config.signed_urls = strongroom::config::SignedUrls::Server).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "a").await;
        let link = ann.post(&format!("{}/links", path(&file))).json(&json!({})).answer().await.json();
        let signed = ann.post(&format!("{}/signed-urls", path(&file))).json(&json!({"operation": "get"})).answer().await.json();
        for url in [
            app.url("/v1/me"), app.url(&content(&file)), app.url("/nowhere"), app.url("/openapi.json"),
            link["url"].as_str().unwrap().to_owned(), signed["url"].as_str().unwrap().to_owned(),
        ] {
            let token = ann.token.as_deref().unwrap();
            for http in [reqwest::Client::builder(), reqwest::Client::builder().http2_prior_knowledge()] {
                let http = http.build().unwrap();
                let ask = |host: &str| http.get(&url).bearer_auth(token).header("host", host);
                let refused = ask("evil.example").answer().await;
                // HTTP/2 has the authority of the URL as well, and the two differ.
                let expected = if refused.status == 400 { "malformed" } else { "misdirected" };
                refused.problem(if expected == "malformed" { 400 } else { 421 }, expected);
            }
        }
        for probe in ["/healthz", "/readyz"] {
            assert_eq!(app.anonymous().get(probe).header("host", "evil.example").answer().await.status, 200);
        }
    }

    async fn further_hosts_and_proxies_are_named_in_the_settings(app: TestApp) {
        let ask = async |app: &TestApp| app.anonymous().get("/v1/me").header("host", "files.internal.example").answer().await.status;
        assert_eq!(ask(&app).await, 421);
        let app = app.restart_with(|config| config.public_url = "https://files.internal.example".parse().unwrap()).await;
        assert_eq!(ask(&app).await, 401);
        let app = app.restart_with(|config| config.public_url = "https://other.example".parse().unwrap()).await;
        assert_eq!(ask(&app).await, 421);
        let app = app.restart_with(|config| config.allowed_hosts = vec!["files.internal.example".to_owned()]).await;
        assert_eq!(ask(&app).await, 401);
        let app = app
            .restart_with(|config| {
                config.allowed_hosts.clear();
                config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            })
            .await;
        assert_eq!(ask(&app).await, 401);
    }
}
