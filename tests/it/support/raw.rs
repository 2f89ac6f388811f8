//! HTTP/1.1 by hand: bytes on a connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::TestApp;

/// The longest that a test waits for the server.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends raw bytes and returns everything that is received until the server closes the connection.
pub async fn raw(app: &TestApp, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(app).await;
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    rest(stream).await
}

/// Opens a connection.
pub async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.app.config.listen).await.expect("a connection")
}

/// Opens a connection from another address of this machine.
pub async fn connect_from(app: &TestApp, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("an address of this machine");
    socket.connect(app.app.config.listen).await.expect("a connection")
}

/// Everything that is received until the server closes the connection.
pub async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await;
    // A reset also ends the connection.
    let _ = end.expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one response with its body, and leaves the connection open; `Err` if the connection breaks before its end.
pub async fn response(stream: &mut TcpStream) -> std::io::Result<String> {
    let reading = async {
        let mut bytes = Vec::new();
        while !is_whole(&bytes) {
            let mut space = [0; 4096];
            match stream.read(&mut space).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => bytes.extend_from_slice(&space[..length]),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    tokio::time::timeout(TIMEOUT, reading).await.expect("the server responds")
}

/// Whether these bytes are a response with an announced length, and its body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length = length.map_or(0, |length| length.trim().parse().expect("a length"));
    bytes.len() >= head.len() + 4 + length
}

/// The status of a raw response.
pub fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().expect("a status")
}
