//! The server that is compared with the model. It has a runtime of its own, which can be shut down at any moment: its tasks
//! stop wherever they are.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream;
use serde_json::json;
use strongroom::config::StoreConfig;
use tokio::runtime::{Builder, Runtime};

use super::{Model, PLACES, Step};
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client};
use crate::support::tcp_proxy::TcpProxy;
use crate::support::tcp_proxy::through_tcp_proxy;
use crate::support::{Setup, TestApp};

pub struct Server {
    /// The runtime of the server; none only between two servers.
    runtime: Option<Runtime>,
    app: Option<TestApp>,
    /// The runtime of the clients and of the proxy.
    clients: Runtime,
    network: Option<TcpProxy>,
    ann: Client,
    /// The server's ids of the model's files.
    ids: HashMap<usize, String>,
}

fn new_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

impl Server {
    pub fn start(setup: Setup) -> Self {
        let (runtime, clients) = (new_runtime(), new_runtime());
        let app = runtime.block_on(TestApp::start_with(setup, |config| {
            // Advancing the clock must not end the session.
            config.auth.session_lifetime = Duration::from_secs(100 * 365 * 86400);
            config.auth.session_idle = config.auth.session_lifetime;
        }));
        let (network, app) = match &app.app.config.store {
            StoreConfig::Disk { .. } => (None, app),
            StoreConfig::S3(s3) => {
                let endpoint = s3.endpoint.clone().expect("an endpoint");
                let (network, detour) = clients.block_on(through_tcp_proxy(&endpoint));
                let app = runtime.block_on(app.restart_with(|config| {
                    if let StoreConfig::S3(s3) = &mut config.store {
                        s3.endpoint = Some(detour);
                    }
                }));
                (Some(network), app)
            }
        };
        let ann = clients.block_on(app.sign_up("ann"));
        Self { runtime: Some(runtime), app: Some(app), clients, network, ann, ids: HashMap::new() }
    }

    /// Applies one step, after the model has applied it.
    pub fn apply(&mut self, model: &Model, step: &Step) {
        match step {
            Step::Upload { place, size, cut_first } => {
                if *cut_first {
                    self.cut(*place, *size);
                }
                if let Some(answer) = self.send(model.status, self.upload(*place, noise(*size)))
                    && answer.status == 201
                {
                    self.ids.insert(model.created - 1, answer.json()["id"].as_str().expect("an id").to_owned());
                }
            }
            Step::Cut { place, size } => self.cut(*place, *size),
            Step::Replace { file, size, matches } => {
                let known = self.ask(self.ann.head(&self.path(*file)));
                let etag = if *matches { known.header("etag") } else { "\"other bytes\"" };
                let etag = if etag.is_empty() { "*" } else { etag };
                let request = self.ann.put(&format!("{}/content", self.path(*file))).header("if-match", etag);
                self.send(model.status, request.body(noise(*size)));
            }
            Step::Delete { file, permanent } => {
                let path = format!("{}?permanent={permanent}", self.path(*file));
                self.expect(model.status, self.ann.delete(&path));
            }
            Step::Restore { file } => {
                let path = format!("/v1/trash/{}/restore", self.ids[file]);
                self.expect(model.status, self.ann.post(&path));
            }
            Step::Discard { file } => {
                self.expect(model.status, self.ann.delete(&format!("/v1/trash/{}", self.ids[file])));
            }
            Step::Read { file } => self.read(model, *file, model.status),
            Step::Range { file, from, length } => {
                let range = format!("bytes={from}-{}", from + length - 1);
                let request = self.ann.get(&format!("{}/content", self.path(*file))).header("range", range);
                let answer = self.expect(model.status, request);
                if answer.status == 206 {
                    let bytes = noise(model.files[file].size);
                    let end = (from + length).min(bytes.len());
                    assert!(answer.bytes == bytes[*from..end], "{step:?}");
                }
            }
            Step::Move { file, place } => {
                let (path, name) = PLACES[*place];
                let request = self.ann.patch(&self.path(*file)).json(&json!({"path": path, "name": name}));
                self.expect(model.status, request);
            }
            Step::List { prefix } => self.list(model, prefix),
            Step::Crash { size } => self.crash(*size),
            Step::Reap => self.reap(model),
            Step::Jump { minutes } => self.app().advance(Duration::from_secs(minutes * 60)),
            Step::Fault { file } => self.fault(model, *file),
        }
    }

    pub fn read(&self, model: &Model, file: usize, status: u16) {
        let answer = self.expect(status, self.ann.get(&format!("{}/content", self.path(file))));
        if status == 200 {
            assert!(answer.bytes == noise(model.files[&file].size), "wrong content in {:?}", model.files[&file]);
        }
    }

    /// Compares the whole list below a prefix with the model's.
    pub fn list(&self, model: &Model, prefix: &str) {
        let request = self.ann.get("/v1/files").query(&[("prefix", prefix), ("limit", "1000")]);
        let page = self.expect(200, request).json();
        let items = page["items"].as_array().expect("files").iter();
        let found: BTreeSet<_> = items
            .map(|file| {
                let text = |name: &str| file[name].as_str().expect("text").to_owned();
                (text("id"), text("path"), text("name"), file["size"].as_u64().expect("a size") as usize)
            })
            .collect();
        let kept = model.files.iter().map(|(id, file)| {
            let (path, name) = PLACES[file.place];
            (self.ids[id].clone(), path.to_owned(), name.to_owned(), file.size)
        });
        let location = |path: &str, name: &str| [path, "/", name].concat().trim_start_matches('/').to_owned();
        let kept: BTreeSet<_> = kept.filter(|(_, path, name, _)| location(path, name).starts_with(prefix)).collect();
        assert_eq!(found, kept, "below {prefix:?}");
    }

    /// Asserts that after all leases have expired, the reaper leaves the files of the model and nothing else.
    pub fn reap(&self, model: &Model) {
        let app = self.app();
        self.runtime().block_on(async {
            app.expire_leases().await;
            app.assert_nothing_but(model.kept()).await;
        });
    }

    pub fn stop(mut self) {
        drop(self.app.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts an upload and disconnects, and waits until the server has noticed.
    fn cut(&self, place: usize, size: usize) {
        let before = self.pending();
        let body = stream::iter([Ok(noise(size).split_off(size / 2)), Err(std::io::Error::other("gone"))]);
        let request = self.upload(place, reqwest::Body::wrap_stream(body));
        // If the path is taken, the server may respond early.
        let _ = self.clients.block_on(request.send());
        self.until(|| self.pending() <= before);
    }

    /// Stops the server during an upload, and starts another one on the same database and store.
    fn crash(&mut self, size: usize) {
        let before = self.pending();
        let (send, receive) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let body = stream::unfold(receive, |mut receive| async move {
            receive.recv().await.map(|chunk| (Ok::<_, std::io::Error>(chunk), receive))
        });
        let request = self.ann.post("/v1/files?name=crash.bin").body(reqwest::Body::wrap_stream(body));
        let upload = self.clients.spawn(request.send());
        self.clients.block_on(send.send(noise(size))).expect("the client listens");
        self.until(|| self.pending() > before);
        let (Some(runtime), Some(app)) = (self.runtime.take(), self.app.take()) else { unreachable!("it runs") };
        runtime.shutdown_timeout(Duration::from_secs(10));
        drop(send);
        let answer = self.clients.block_on(upload).expect("no panic");
        assert!(answer.as_ref().map_or(true, |answer| answer.status() == 500), "{answer:?}");

        let runtime = new_runtime();
        let app = runtime.block_on(app.start_again());
        self.ann = app.anonymous().with_token(self.ann.token.as_deref().expect("a token"), &json!(self.ann.id));
        (self.runtime, self.app) = (Some(runtime), Some(app));
    }

    /// Makes the store unavailable for a while. Operations that need it fail, and nothing changes.
    fn fault(&self, model: &Model, file: usize) {
        let away = self.break_store();
        let upload = self.ask(self.ann.post("/v1/files?name=fault.bin").body(noise(1000)));
        let read = self.ask(self.ann.get(&format!("{}/content", self.path(file))));
        self.restore_store(away);
        assert!([500, 503].contains(&upload.status), "{}", upload.text());
        match model.files.get(&file) {
            None => assert_eq!(read.status, 404),
            // Empty content does not need the store.
            Some(file) if file.size == 0 => {}
            Some(_) => assert!([500, 503].contains(&read.status), "{}", read.text()),
        }
        self.until(|| self.ask(self.ann.get("/readyz")).status == 200);
    }

    fn break_store(&self) -> Option<(PathBuf, PathBuf)> {
        if let Some(network) = &self.network {
            network.cut();
            return None;
        }
        let StoreConfig::Disk { root } = &self.app().app.config.store else { unreachable!("it is on disk") };
        let away = root.with_extension("away");
        std::fs::rename(root, &away).expect("the folder is renamed");
        Some((root.clone(), away))
    }

    fn restore_store(&self, away: Option<(PathBuf, PathBuf)>) {
        if let Some(network) = &self.network {
            network.restore();
        }
        if let Some((root, away)) = away {
            std::fs::rename(away, root).expect("the folder is renamed");
        }
    }

    fn upload(&self, place: usize, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let (path, name) = PLACES[place];
        let request = self.ann.post("/v1/files").query(&[("path", path), ("name", name)]);
        request.header("if-none-match", "*").body(body)
    }

    fn path(&self, file: usize) -> String {
        format!("/v1/files/{}", self.ids[&file])
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        self.clients.block_on(request.answer())
    }

    /// Sends an upload. If it is refused early, the connection may be closed before the response is read.
    #[track_caller]
    fn send(&self, status: u16, request: reqwest::RequestBuilder) -> Option<Answer> {
        match self.clients.block_on(request.header("connection", "close").try_answer()) {
            Err(_) if status >= 400 => None,
            answer => {
                let answer = answer.expect("an answer");
                assert_eq!(answer.status, status, "{}", answer.text());
                Some(answer)
            }
        }
    }

    #[track_caller]
    fn expect(&self, status: u16, request: reqwest::RequestBuilder) -> Answer {
        let answer = self.ask(request);
        assert_eq!(answer.status, status, "{}", answer.text());
        answer
    }

    fn pending(&self) -> i64 {
        self.runtime().block_on(self.app().count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'"))
    }

    fn until(&self, done: impl Fn() -> bool) {
        for _ in 0..2000 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("timeout");
    }

    fn app(&self) -> &TestApp {
        self.app.as_ref().expect("it runs")
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs")
    }
}
