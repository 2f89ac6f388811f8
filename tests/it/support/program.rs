//! The compiled program, started in a folder of its own with only the environment that the test gives it.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use strongroom::config::{Config, StoreConfig};

use super::{Client, TestApp};

/// The longest that a test waits for the program.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Arguments and variables of one start.
#[derive(Debug, Default, Clone)]
pub struct Start {
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
    /// The limit of open files; absent: that of this process.
    pub open_files: Option<u64>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, or the negative number of the signal that ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running server.
pub struct Program {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// Without a trailing slash.
    pub url: String,
}

impl Start {
    pub fn with(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(|text| (*text).to_owned()).collect(), ..Self::default() }
    }

    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Limits the files that the program may open.
    pub fn open_files(self, limit: u64) -> Self {
        Self { open_files: Some(limit), ..self }
    }

    /// Uses the database, the store and the keys of this app.
    pub fn beside(self, app: &TestApp) -> Self {
        let config = &app.app.config;
        self.variable("STRONGROOM_DATA_DIR", config.data_dir.to_str().expect("a plain path")).on(config)
    }

    /// Uses the database and the store of this configuration.
    pub fn on(mut self, config: &Config) -> Self {
        self = self.variable("DATABASE_URL", config.database_url.expose_secret());
        match &config.store {
            StoreConfig::Disk { root } => self.variable("STORE_URL", format!("file://{}", root.display())),
            StoreConfig::S3(s3) => {
                let credentials = s3.credentials.as_ref().expect("credentials");
                self.variable("STORE_URL", format!("s3://{}/{}", s3.bucket, s3.prefix))
                    .variable("AWS_ENDPOINT_URL_S3", s3.endpoint.as_ref().expect("an endpoint").as_str())
                    .variable("AWS_REGION", &s3.region)
                    .variable("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
                    .variable("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose_secret())
            }
        }
    }

    /// Runs a command until it exits, with this text on its standard input.
    pub fn run(&self, folder: &Path, input: &str) -> Outcome {
        let mut child = self.spawn(folder);
        // A command that reads nothing may have exited already.
        let _ = child.stdin.take().expect("an input").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("an exit");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let signal = || output.status.signal().map(|signal| -signal);
        let status = output.status.code().or_else(signal).expect("a status");
        Outcome { status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts a server on a free port and waits until it listens.
    pub fn serve(self, folder: &Path) -> Program {
        let (mut program, stderr) = self.serve_unread(folder);
        let (text, reader) = collect(stderr);
        program.stderr = text;
        program.readers.push(reader);
        program
    }

    /// The same, but nobody reads its standard error unless the caller does.
    pub fn serve_unread(mut self, folder: &Path) -> (Program, ChildStderr) {
        // For the clients of this process, not for the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if !self.variables.iter().any(|(name, _)| name == "STRONGROOM_LISTEN") {
            self = self.variable("STRONGROOM_LISTEN", "127.0.0.1:0");
        }
        let mut child = self.spawn(folder);
        let (stdout, reader) = collect(child.stdout.take().expect("an output"));
        let stderr = child.stderr.take().expect("an output");
        let mut program = Program { child, stdout, stderr: Arc::default(), readers: vec![reader], url: String::new() };
        program.wait_for(|program| program.stdout().contains("listening on"));
        let banner = program.stdout();
        let url = banner.split_whitespace().find(|word| word.starts_with("http")).expect("a URL");
        program.url = url.trim_end_matches('/').to_owned();
        (program, stderr)
    }

    pub fn spawn(&self, folder: &Path) -> Child {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");
        let mut command = match self.open_files {
            None => Command::new(PROGRAM),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), PROGRAM]);
                shell
            }
        };
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }
}

impl Program {
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url)
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panics").clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it: nothing is dropped or flushed.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("a child");
    }

    /// A value of `/proc/PID/status` in KiB, such as `VmRSS`.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a value");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends SIGTERM, as service managers do.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Suspends all threads of the process. System calls in progress continue in the kernel.
    pub fn freeze(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.id());
        let is_running = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The state follows the name, which may contain anything. T: stopped; D: in a system call, and stopped
            // before it returns from it.
            stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['T', 'D', 'Z']) && !rest.is_empty())
        };
        while std::fs::read_dir(&tasks).expect("a process").flatten().any(is_running) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Resumes what [`freeze`](Self::freeze) has suspended.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits until it exits, and returns its status and its outputs.
    pub fn ended(mut self) -> (ExitStatus, String, String) {
        let mut status = None;
        self.wait_for(|program| {
            status = program.child.try_wait().expect("a child");
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        (status.expect("a status"), self.stdout(), self.stderr())
    }

    /// Stops it, and asserts that it exited with status 0 and without a panic.
    pub fn stop(self) -> (String, String) {
        self.terminate();
        let (status, stdout, stderr) = self.ended();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        (stdout, stderr)
    }

    /// Polls a condition.
    pub fn wait_for(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < TIMEOUT, "timeout: {}{}", self.stdout(), self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads an output in a thread, so that the program never blocks on a full pipe.
fn collect(mut output: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let reader = std::thread::spawn({
        let text = text.clone();
        move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                text.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    });
    (text, reader)
}
