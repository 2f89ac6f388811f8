//! Something that stands before the bucket and bends what passes: a store with a will of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use url::Url;

/// What becomes of a request.
pub enum Fault {
    Pass,
    /// It is answered thus, and never reaches the bucket.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The bucket's answer gets another header.
    Header(&'static str, String),
}

pub struct FaultProxy {
    pub url: Url,
    requests: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Inside {
    endpoint: String,
    client: reqwest::Client,
    requests: Arc<AtomicUsize>,
    bend: Arc<dyn Fn(&Request) -> Fault + Send + Sync>,
}

impl FaultProxy {
    pub async fn before(endpoint: &Url, bend: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let requests = Arc::new(AtomicUsize::new(0));
        let inside = Inside {
            endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
            requests: requests.clone(),
            bend: Arc::new(bend),
        };
        let router = axum::Router::new().fallback(pass).with_state(inside);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn pass(State(inside): State<Inside>, request: Request) -> Response {
    inside.requests.fetch_add(1, Ordering::Relaxed);
    let bend = (inside.bend)(&request);
    if let Fault::Answer(status, headers, body) = bend {
        let answer = headers
            .iter()
            .fold(Response::builder().status(status), |answer, (name, value)| answer.header(*name, *value));
        return answer.body(Body::from(body)).expect("an answer");
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.expect("a body");
    // With the Host that was signed.
    let passed = inside.client.request(head.method, format!("{}{}", inside.endpoint, head.uri)).headers(head.headers);
    let passed = passed.body(body).send().await.expect("an answer");
    let (status, mut headers) = (passed.status(), passed.headers().clone());
    if let Fault::Header(name, value) = bend {
        headers.insert(name, value.parse().expect("a header"));
    }
    let mut answer = Response::new(Body::from(passed.bytes().await.expect("a body")));
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}
