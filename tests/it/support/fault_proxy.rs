//! A proxy in front of a bucket that behaves like a store with limitations or a wrong configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use url::Url;

/// What happens to a request.
pub enum Fault {
    Pass,
    /// The proxy responds itself; the request does not reach the bucket.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The bucket's response gets another value in one header.
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
    fault: Arc<dyn Fn(&Request) -> Fault + Send + Sync>,
}

impl FaultProxy {
    pub async fn before(endpoint: &Url, fault: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let requests = Arc::new(AtomicUsize::new(0));
        let inside = Inside {
            endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
            requests: requests.clone(),
            fault: Arc::new(fault),
        };
        let router = axum::Router::new().fallback(handle).with_state(inside);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn handle(State(inside): State<Inside>, request: Request) -> Response {
    inside.requests.fetch_add(1, Ordering::Relaxed);
    let fault = (inside.fault)(&request);
    if let Fault::Answer(status, headers, body) = fault {
        let answer = headers
            .iter()
            .fold(Response::builder().status(status), |answer, (name, value)| answer.header(*name, *value));
        return answer.body(Body::from(body)).expect("an answer");
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.expect("a body");
    // With the original Host, which is signed.
    let passed = inside.client.request(head.method, format!("{}{}", inside.endpoint, head.uri)).headers(head.headers);
    let passed = passed.body(body).send().await.expect("an answer");
    let (status, mut headers) = (passed.status(), passed.headers().clone());
    if let Fault::Header(name, value) = fault {
        headers.insert(name, value.parse().expect("a header"));
    }
    let mut answer = Response::new(Body::from(passed.bytes().await.expect("a body")));
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}
