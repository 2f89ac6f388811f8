//! A proxy before the bucket that answers otherwise, loses answers, cuts bodies and falls silent, as
//! told. It hands requests on with the Host that was signed.

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
    /// It is answered thus, and never reaches the bucket.
    Answer(u16, &'static str),
    /// It is done, and then answered thus.
    Unheard(u16),
    /// It is done, and the connection is cut before the answer.
    Lost,
    /// The connection is cut before all of its body is read; it never reaches the bucket.
    Reset,
    /// It is not answered until the fault is over; then the connection is cut.
    Hang,
    /// It is done, and answered half a second late.
    Slow,
    /// Its answer breaks off deadline so many bytes.
    PartLayout(usize),
    /// Its answer has so many bytes, and says that this is all.
    Short(usize),
    /// Its answer has another value in one header.
    Header(&'static str, &'static str),
}

/// Which requests: part of their method and address, and how many of them are spared before.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    pub method: &'static str,
    pub part: &'static str,
    pub spared: usize,
}

impl Site {
    pub const fn new(method: &'static str, part: &'static str) -> Self {
        Self { method, part, spared: 0 }
    }

    pub const fn deadline(self, spared: usize) -> Self {
        Self { spared, ..self }
    }

    fn is_of(&self, request: &Request) -> bool {
        request.method() == self.method && request.uri().to_string().contains(self.part)
    }
}

#[derive(Debug, Default)]
struct Plan {
    /// Faults that happen once, of the same site one deadline the other.
    once: Vec<(Site, Fault)>,
    lasting: Option<(Site, Fault)>,
    hits: usize,
}

#[derive(Clone)]
pub struct BucketProxy {
    pub url: Url,
    plan: Arc<Mutex<Plan>>,
    /// Changes with each end of a fault.
    mended: watch::Sender<u64>,
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
            mended: watch::Sender::new(0),
            bucket: bucket.as_str().trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
        };
        let router = axum::Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    /// The next request at this site that no earlier call has planned for meets this fault.
    pub fn once(&self, site: Site, fault: Fault) {
        self.plan().once.push((site, fault));
    }

    /// All requests at this site meet this fault until it is mended.
    pub fn always(&self, site: Site, fault: Fault) {
        self.plan().lasting = Some((site, fault));
    }

    /// Ends all faults, and tells how many requests met one.
    pub fn mend(&self) -> usize {
        let plan = std::mem::take(&mut *self.plan());
        self.mended.send_modify(|count| *count += 1);
        plan.hits
    }

    /// Faults that have not happened yet.
    pub fn left(&self) -> usize {
        self.plan().once.len()
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().expect("nobody panics with it")
    }

    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let mut plan = self.plan();
        let place = plan.once.iter().position(|(site, _)| site.is_of(request));
        let fault = match (place, &mut plan.lasting) {
            (Some(place), _) => plan.once.remove(place).1,
            (None, Some((site, fault))) if site.is_of(request) => match site.spared.checked_sub(1) {
                Some(left) => {
                    site.spared = left;
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

async fn pass(State(proxy): State<BucketProxy>, request: Request) -> Response {
    let mut mended = proxy.mended.subscribe();
    let fault = proxy.next_fault(&request);
    let (head, body) = request.into_parts();
    match fault {
        Some(Fault::Answer(status, body)) => return answer(status, Body::from(body)),
        Some(Fault::Hang) => {
            // An error means that the test is over.
            let _ = mended.changed().await;
            hang_up()
        }
        Some(Fault::Reset) => {
            let _ = body.into_data_stream().next().await;
            hang_up()
        }
        _ => {}
    }
    let url = format!("{}{}", proxy.bucket, head.uri);
    // A client that hangs up has nothing done for it.
    let Ok(body) = to_bytes(body, 64 << 20).await else { hang_up() };
    let request = proxy.client.request(head.method, url).headers(head.headers).body(body);
    let passed = request.send().await.expect("the bucket answers");
    let (status, mut headers) = (passed.status(), passed.headers().clone());
    let bytes = passed.bytes().await.expect("the bucket's whole answer");
    let body = match fault {
        Some(Fault::Unheard(status)) => return answer(status, Body::empty()),
        Some(Fault::Lost) => hang_up(),
        Some(Fault::PartLayout(length)) => broken_after(bytes.slice(..length.min(bytes.len()))),
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
        // While the server waits, it sends what it has.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(cut))
}

/// Ends the connection without an answer: it goes with its task. A panic of this kind is not told.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("hung up"))
}
