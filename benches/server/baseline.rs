//! The baseline: the cost of only moving the same bytes, through a web server on the same disk, and to and from
//! the bucket without a server in between.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Connection, Request, member};
use crate::processes;
use crate::side::{Folder, Side, Slot};
use crate::strongroom::{Setup, Strongroom};

/// nginx with its WebDAV module. It computes no hash, authenticates no one, and does not wait for the disk.
pub struct Nginx {
    child: Child,
    address: String,
    folder: Folder,
}

impl Nginx {
    /// The path of an nginx that can receive files; `None` if there is none.
    pub fn find() -> Option<String> {
        let candidates = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];
        let with_dav = |program: &&str| {
            let output = Command::new(program).arg("-V").output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("--with-http_dav_module"))
        };
        candidates.into_iter().find(with_dav).map(str::to_owned)
    }

    pub fn start(program: &str) -> Self {
        let folder = Folder::fresh("nginx");
        // nginx cannot listen on an arbitrary free port.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        fs::create_dir(folder.path("files")).expect("a folder");
        fs::write(folder.path("nginx.conf"), configuration(&folder, &address)).expect("a file");
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path("")).arg("-c").arg(folder.path("nginx.conf"));
        command.arg("-e").arg(folder.path("log")).stdin(Stdio::null());
        let child = command.spawn().expect("nginx cannot be started");
        let nginx = Self { child, address, folder };
        let started = Instant::now();
        while TcpStream::connect(&nginx.address).is_err() {
            let log = nginx.folder.path("log");
            assert!(started.elapsed() < Duration::from_secs(10), "nginx did not start: see {}", log.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }
}

fn configuration(folder: &Folder, address: &str) -> String {
    let at = folder.path("");
    // By default the workers of root run as another user, who may not write here.
    let user = if fs::metadata(&at).is_ok_and(|folder| folder.uid() == 0) { "user root;" } else { "" };
    let at = at.display();
    // Bodies are received on their final filesystem, so that they are only renamed.
    format!(
        r#"{user}
daemon off;
worker_processes auto;
pid "{at}pid";
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path "{at}body";
    proxy_temp_path "{at}proxy";
    fastcgi_temp_path "{at}fastcgi";
    uwsgi_temp_path "{at}uwsgi";
    scgi_temp_path "{at}scgi";
    server {{
        listen {address};
        root "{at}files";
        location / {{ dav_methods PUT DELETE; }}
    }}
}}
"#
    )
}

impl Side for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn processes(&self) -> Vec<u32> {
        processes::family(self.child.id())
    }

    fn slot(&self, owner: usize, name: &str) -> Slot {
        Slot { put: Request::new("PUT", format!("/{name}"), 201), owner, file: name.to_owned(), upload: String::new() }
    }

    fn arrived(&self, _: &mut Slot, _: &str) {}

    fn get(&self, slot: &Slot) -> Request {
        Request::new("GET", slot.put.target.clone(), 200)
    }

    fn remove(&self, slots: &[Slot]) {
        for slot in slots {
            fs::remove_file(self.folder.path("files").join(&slot.file)).expect("the file is there");
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGKILL would leave its workers running.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The bucket, through signed URLs that Strongroom issues: direct access by clients.
pub struct Bucket<'a> {
    /// Not the server that is measured.
    signer: Strongroom<'a>,
    address: String,
}

impl<'a> Bucket<'a> {
    pub fn open(setup: &'a Setup) -> Self {
        // Each upload is open from the signing of its URL until its completion.
        let signer = Strongroom::start_with(setup, &[("STRONGROOM_OPEN_UPLOADS", "100000")]);
        let endpoint = setup.settings.get("AWS_ENDPOINT_URL_S3").expect("the address of the bucket");
        let address = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { signer, address }
    }

    /// The target of a signed URL, and the id of its upload.
    fn sign(&self, owner: usize, file: &str, operation: &str) -> (String, Option<String>) {
        let body = format!(r#"{{"operation":"{operation}","expires_in":86400}}"#);
        let request = self.signer.post_json(owner, format!("/v1/files/{file}/signed-urls"), 201);
        let signed = Connection::open(self.signer.address()).text(&request, body.as_bytes());
        let url = member(&signed, "url").expect("a URL");
        let target = url.split_once(&self.address).expect("a URL of the bucket").1;
        (target.to_owned(), member(&signed, "upload_id").map(str::to_owned))
    }
}

impl Side for Bucket<'_> {
    fn name(&self) -> &'static str {
        "bucket"
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Creates an empty file and signs a URL to replace its content.
    fn slot(&self, owner: usize, name: &str) -> Slot {
        let mut connection = Connection::open(self.signer.address());
        let created = connection.text(&self.signer.upload(owner, &format!("put-{name}")), &[]);
        let file = member(&created, "id").expect("an id").to_owned();
        let (target, upload) = self.sign(owner, &file, "put");
        let put = Request::new("PUT", target, 200).with("if-none-match", "*");
        Slot { put, owner, file, upload: upload.expect("an upload") }
    }

    fn arrived(&self, slot: &mut Slot, _: &str) {
        let request = self.signer.request(slot.owner, "POST", format!("/v1/uploads/{}/complete", slot.upload), 200);
        Connection::open(self.signer.address()).text(&request, &[]);
    }

    fn get(&self, slot: &Slot) -> Request {
        Request::new("GET", self.sign(slot.owner, &slot.file, "get").0, 200)
    }

    fn remove(&self, slots: &[Slot]) {
        self.signer.remove(slots);
    }
}
