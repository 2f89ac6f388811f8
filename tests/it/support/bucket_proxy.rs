//! A proxy in front of the bucket that injects faults: error responses, lost responses, truncated bodies, silence. It
//! forwards requests with the Host that was signed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::HeaderValue;
use tokio::sync::watch;
use url::Url;

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The proxy responds itself; the request does not reach the bucket.
    Answer(u16, &'static str),
    /// The bucket performs the request, and the response has this status instead.
    FalseStatus(u16),
    /// The bucket performs the request, and the connection is closed without a response.
    Lost,
    /// The connection is closed before the whole body is read; the request does not reach the bucket.
    Reset,
    /// There is no response; the connection is closed when the faults are cleared.
    Hang,
    /// The bucket performs the request, and the response is half a second late.
    Slow,
    /// The connection is closed after this many bytes of the response body.
    Cut(usize),
    /// The response body ends after this many bytes, with a matching Content-Length.
    Short(usize),
    /// The response has another value in one header.
    Header(&'static str, &'static str),
}

/// The method and a part of the URL of requests, and the fault of one of them.
pub type Script = Vec<(&'static str, &'static str, Fault)>;

pub const BUSY: Fault = Fault::Answer(503, "<Error><Code>SlowDown</Code></Error>");
pub const REFUSED: Fault = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
/// S3 responds like this if it fails after it has sent the status.
pub const FAILED_200: Fault = Fault::Answer(200, "<Error><Code>InternalError</Code></Error>");

/// The requests with this method and this text in their URL, except the first `skipped` ones.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    pub method: &'static str,
    pub part: &'static str,
    pub skipped: usize,
}

impl Site {
    pub const fn new(method: &'static str, part: &'static str) -> Self {
        Self { method, part, skipped: 0 }
    }

    pub const fn after(self, skipped: usize) -> Self {
        Self { skipped, ..self }
    }

    fn matches(&self, request: &Request) -> bool {
        request.method() == self.method && request.uri().to_string().contains(self.part)
    }
}

#[derive(Debug, Default)]
struct Plan {
    /// Faults that happen once; those of the same site happen in this order.
    once: Vec<(Site, Fault)>,
    lasting: Option<(Site, Fault)>,
    hits: usize,
}

#[derive(Clone)]
pub struct BucketProxy {
    pub url: Url,
    plan: Arc<Mutex<Plan>>,
    /// Changes whenever the faults are cleared.
    cleared: watch::Sender<u64>,
    bucket: String,
    client: reqwest::Client,
}

impl BucketProxy {
    pub async fn before(bucket: &Url) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let proxy = Self {
            url: format!("http://{address}").parse().expect("a URL"),
            plan: Arc::default(),
            cleared: watch::Sender::new(0),
            bucket: bucket.as_str().trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
        };
        let router = axum::Router::new().fallback(handle).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    /// Injects a fault into one request at this site. Several calls apply to successive requests.
    pub fn once(&self, site: Site, fault: Fault) {
        self.plan().once.push((site, fault));
    }

    /// Injects each fault of the script once. Those of the same requests happen in this order.
    pub fn follow(&self, script: Script) {
        for (method, part, fault) in script {
            self.once(Site::new(method, part), fault);
        }
    }

    /// Injects a fault into all requests at this site until the faults are cleared.
    pub fn always(&self, site: Site, fault: Fault) {
        self.plan().lasting = Some((site, fault));
    }

    /// Ends all faults and returns the number of requests that met one.
    pub fn clear(&self) -> usize {
        let plan = std::mem::take(&mut *self.plan());
        self.cleared.send_modify(|count| *count += 1);
        plan.hits
    }

    /// Faults that have not happened yet.
    pub fn left(&self) -> usize {
        self.plan().once.len()
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().expect("no holder panics")
    }

    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let mut plan = self.plan();
        let place = plan.once.iter().position(|(site, _)| site.matches(request));
        let fault = match (place, &mut plan.lasting) {
            (Some(place), _) => plan.once.remove(place).1,
            (None, Some((site, fault))) if site.matches(request) => match site.skipped.checked_sub(1) {
                Some(left) => {
                    site.skipped = left;
                    return None;
                }
                None => *fault,
            },
            _ => return None,
        };
        plan.hits += 1;
        Some(fault)
    }
}

async fn handle(State(proxy): State<BucketProxy>, request: Request) -> Response {
    let mut cleared = proxy.cleared.subscribe();
    let fault = proxy.next_fault(&request);
    let (head, body) = request.into_parts();
    match fault {
        Some(Fault::Answer(status, body)) => return answer(status, Body::from(body)),
        Some(Fault::Hang) => {
            // An error means that the test has ended.
            let _ = cleared.changed().await;
            disconnect()
        }
        Some(Fault::Reset) => {
            let _ = body.into_data_stream().next().await;
            disconnect()
        }
        _ => {}
    }
    let url = format!("{}{}", proxy.bucket, head.uri);
    // The request of a client that disconnected is not forwarded.
    let Ok(body) = to_bytes(body, 64 << 20).await else { disconnect() };
    let request = proxy.client.request(head.method, url).headers(head.headers).body(body);
    let passed = request.send().await.expect("the bucket answers");
    let (status, mut headers) = (passed.status(), passed.headers().clone());
    let bytes = passed.bytes().await.expect("the bucket's whole answer");
    let body = match fault {
        Some(Fault::FalseStatus(status)) => return answer(status, Body::empty()),
        Some(Fault::Lost) => disconnect(),
        Some(Fault::Cut(length)) => broken_after(bytes.slice(..length.min(bytes.len()))),
        Some(Fault::Short(length)) => {
            let length = length.min(bytes.len());
            headers.insert("content-length", HeaderValue::from(length));
            Body::from(bytes.slice(..length))
        }
        Some(Fault::Header(name, value)) => {
            headers.insert(name, HeaderValue::from_static(value));
            Body::from(bytes)
        }
        Some(Fault::Slow) => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Body::from(bytes)
        }
        _ => Body::from(bytes),
    };
    let mut response = answer(status.as_u16(), body);
    *response.headers_mut() = headers;
    response
}

fn answer(status: u16, body: Body) -> Response {
    Response::builder().status(status).body(body).expect("a response")
}

fn broken_after(bytes: Bytes) -> Body {
    let cut = stream::once(async {
        // While the server waits for more, it sends what it has.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(cut))
}

/// Closes the connection without a response by ending its task. The panic hook is not called.
fn disconnect() -> ! {
    std::panic::resume_unwind(Box::new("disconnected"))
}
