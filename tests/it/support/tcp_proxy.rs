//! A TCP proxy in front of a database or a bucket that a test can cut and restore.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Forwards connections to an address while it is not cut.
pub struct TcpProxy {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
    /// Each connection holds a clone.
    open: Arc<()>,
}

impl TcpProxy {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_cut, watched) = watch::channel(false);
        let open = Arc::new(());
        let counted = open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, watched, open) = (target.clone(), watched.clone(), counted.clone());
                tokio::spawn(async move {
                    forward(client, target, watched).await;
                    drop(open);
                });
            }
        });
        Self { address, is_cut, open }
    }

    /// Closes every connection, and every new one as soon as it is accepted.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        // One clone is ours, and one belongs to the accepting task.
        Arc::strong_count(&self.open) - 2
    }

    /// Lets new connections through again.
    pub fn restore(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn forward(mut client: TcpStream, target: String, mut watched: watch::Receiver<bool>) {
    let connected = async {
        let mut server = TcpStream::connect(target).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        biased;
        // An error means that the test is over.
        _ = watched.wait_for(|is_cut| *is_cut) => {}
        // Whichever side closed it, there is nothing left to forward.
        _ = connected => {}
    }
}

/// A proxy in front of the host of a URL, and the same URL through the proxy.
pub async fn through_tcp_proxy(url: &Url) -> (TcpProxy, Url) {
    let target = format!("{}:{}", url.host_str().expect("a host"), url.port_or_known_default().expect("a port"));
    let proxy = TcpProxy::to(target).await;
    let mut detour = url.clone();
    detour.set_ip_host(proxy.address.ip()).expect("a host");
    detour.set_port(Some(proxy.address.port())).expect("a port");
    (proxy, detour)
}
