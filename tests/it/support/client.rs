//! An HTTP client of the server, and direct access to its bucket.

use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use strongroom::config::S3Config;
use tokio::sync::mpsc;

/// A client of one server, with a token after sign-in.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    pub token: Option<String>,
    /// The user's id.
    pub id: String,
}

/// A response with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { http, url: url.to_owned(), token: None, id: String::new() }
    }

    pub fn with_token(self, token: &str, id: &Value) -> Self {
        Self { token: Some(token.to_owned()), id: id.as_str().unwrap_or_default().to_owned(), ..self }
    }

    /// A request to a path of the server, or to a whole URL without this client's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        if path.starts_with("http") {
            return self.http.request(method, path);
        }
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn head(&self, path: &str) -> RequestBuilder {
        self.request(Method::HEAD, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Uploads bytes under a name and returns the file as the server describes it.
    pub async fn upload(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let request = self.post("/v1/files").query(&[("name", name)]).body(bytes.into());
        let answer = request.answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// The bytes of a file.
    pub async fn download(&self, file: &Value) -> Vec<u8> {
        let answer = self.get(&content(file)).answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.bytes
    }

    /// Deletes a file without moving it to the trash.
    pub fn delete_permanently(&self, file: &Value) -> RequestBuilder {
        self.delete(&format!("{}?permanent=true", path(file)))
    }

    /// Polls `/readyz` until it responds with this status. A response may be a second old.
    pub async fn until_readyz(&self, status: u16) -> Answer {
        loop {
            let answer = self.get("/readyz").answer().await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// A signed URL for one operation.
    pub async fn sign(&self, file: &Value, operation: &str) -> Value {
        let path = format!("{}/signed-urls", path(file));
        let answer = self.post(&path).json(&json!({"operation": operation})).answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }
}

/// Sends a request and reads its whole response.
pub trait Ask {
    async fn answer(self) -> Answer;

    /// The same for a request that may fail.
    async fn try_answer(self) -> reqwest::Result<Answer>;
}

impl Ask for RequestBuilder {
    async fn answer(self) -> Answer {
        self.try_answer().await.expect("an answer")
    }

    async fn try_answer(self) -> reqwest::Result<Answer> {
        let response = self.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, bytes: response.bytes().await?.to_vec() })
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }

    /// Asserts that this is a problem document with this status and code, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with(&format!("/errors/{code}"))), "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem
    }
}

/// The sender of a body's chunks.
pub type Feed = mpsc::Sender<Result<Vec<u8>, std::io::Error>>;

/// A body of the chunks that the test sends. It ends when the sender is dropped, and breaks with an error.
pub fn fed() -> (Feed, reqwest::Body) {
    let (send, receive) = mpsc::channel(1);
    let stream = futures_util::stream::unfold(receive, |mut receive: mpsc::Receiver<_>| async move {
        receive.recv().await.map(|chunk| (chunk, receive))
    });
    (send, reqwest::Body::wrap_stream(stream))
}

/// The path of a file.
pub fn path(file: &Value) -> String {
    format!("/v1/files/{}", file["id"].as_str().expect("an id"))
}

/// The path of a file's content.
pub fn content(file: &Value) -> String {
    format!("{}/content", path(file))
}

/// The bucket, past the server.
pub fn bucket(s3: &S3Config) -> object_store::aws::AmazonS3 {
    let credentials = s3.credentials.as_ref().expect("credentials");
    object_store::aws::AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_endpoint(s3.endpoint.as_ref().expect("an endpoint").as_str().trim_end_matches('/'))
        .with_allow_http(true)
        .with_access_key_id(&credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key.expose_secret())
        .build()
        .expect("a bucket")
}

/// The objects below the prefix.
pub async fn objects(s3: &S3Config) -> Vec<object_store::ObjectMeta> {
    use futures_util::TryStreamExt;
    use object_store::ObjectStore;
    let prefix = object_store::path::Path::from(s3.prefix.as_str());
    bucket(s3).list(Some(&prefix)).try_collect().await.expect("a list of objects")
}

/// The path and the id of each open multipart upload below the prefix.
pub async fn open_multipart_uploads(s3: &S3Config) -> Vec<(String, String)> {
    use object_store::signer::{SignedUrlOptions, Signer};
    // Signed for the bucket itself: the list of multipart uploads has no key.
    let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", s3.prefix.as_str())]);
    let root = object_store::path::Path::default();
    let url = bucket(s3)
        .signed_url_opts(Method::GET, &root, std::time::Duration::from_secs(60), &options)
        .await
        .expect("a signed URL");
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("XML");
    assert!(text.contains("ListMultipartUploadsResult"), "{text}");
    let inside = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>")).expect("a tag");
        rest.split('<').next().unwrap_or_default().to_owned()
    };
    text.split("<Upload>").skip(1).map(|upload| (inside(upload, "Key"), inside(upload, "UploadId"))).collect()
}
