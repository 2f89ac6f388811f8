//! HTTP/2 frame by frame, without TLS.

use axum::body::Bytes;
use h2::client::SendRequest;
use http::Request;

use super::TestApp;
use super::raw;

/// Opens a connection and lets it run.
pub async fn connect(app: &TestApp) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(raw::connect(app).await).await.expect("HTTP/2");
    tokio::spawn(connection);
    client.ready().await.expect("a connection")
}

/// A request without a body.
pub fn request(app: &TestApp, method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(app.url(path)).body(()).expect("a request")
}
