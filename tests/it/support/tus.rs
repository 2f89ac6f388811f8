//! A minimal tus client.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TestApp;
use super::client::{Answer, Ask, Client};

pub const CHUNK_TYPE: &str = "application/offset+octet-stream";

/// An upload, identified by its path.
pub struct Tus {
    pub path: String,
}

impl Tus {
    /// Creates an upload. The metadata is a file name, optionally followed by more pairs.
    pub async fn create(client: &Client, size: Option<usize>, metadata: &str) -> Self {
        let answer = create(client, size, metadata).answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Self::located(&answer)
    }

    pub fn located(answer: &Answer) -> Self {
        let url: url::Url = answer.header("location").parse().expect("a URL");
        Self { path: url.path().to_owned() }
    }

    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().expect("an id")
    }

    /// The request that appends these bytes.
    pub fn append_request(&self, client: &Client, offset: usize, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = tus(client, Method::PATCH, &self.path).header("upload-offset", offset.to_string());
        request.header("content-type", CHUNK_TYPE).body(bytes)
    }

    pub async fn append(&self, client: &Client, offset: usize, bytes: impl Into<reqwest::Body>) -> Answer {
        self.append_request(client, offset, bytes).answer().await
    }

    pub async fn head(&self, client: &Client) -> Answer {
        tus(client, Method::HEAD, &self.path).answer().await
    }

    pub async fn offset(&self, client: &Client) -> usize {
        let answer = self.head(client).await;
        assert_eq!(answer.status, 200);
        answer.header("upload-offset").parse().expect("a number")
    }

    /// Starts an append of one byte more than these, sends only these, and closes the connection once they are received.
    pub async fn interrupt(&self, app: &TestApp, client: &Client, offset: usize, bytes: &[u8], header: &str) {
        let mut stream = TcpStream::connect(app.app.config.listen).await.expect("a connection");
        let token = client.token.as_deref().expect("a token");
        let head = format!(
            "PATCH {} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\ntus-resumable: 1.0.0\r\n\
             content-type: {CHUNK_TYPE}\r\nupload-offset: {offset}\r\ncontent-length: {}\r\n{header}\r\n",
            self.path,
            bytes.len() + 1
        );
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        stream.write_all(bytes).await.expect("the server reads");
        stream.shutdown().await.expect("the server reads");
        let mut answer = Vec::new();
        // There is no response, or an error.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }

    /// The content of the completed file.
    pub async fn file(&self, client: &Client) -> Answer {
        let head = self.head(client).await;
        let id = head.header("strongroom-file-id");
        assert_eq!((head.status, head.header("upload-offset")), (200, head.header("upload-length")));
        client.get(&format!("/v1/files/{id}/content")).answer().await
    }
}

pub fn tus(client: &Client, method: Method, path: &str) -> RequestBuilder {
    client.request(method, path).header("tus-resumable", "1.0.0")
}

pub fn create(client: &Client, size: Option<usize>, metadata: &str) -> RequestBuilder {
    let (name, more) = metadata.split_once(',').unwrap_or((metadata, ""));
    let mut pairs = format!("filename {}", BASE64_STANDARD.encode(if name.is_empty() { "a.bin" } else { name }));
    if !more.is_empty() {
        pairs += &format!(",{more}");
    }
    let request = tus(client, Method::POST, "/v1/tus").header("upload-metadata", pairs);
    match size {
        Some(size) => request.header("upload-length", size.to_string()),
        None => request.header("upload-defer-length", "1"),
    }
}
