//! A piece of network between the server and what it needs, which a test can cut and mend.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Hands connections on to an address, as long as it is not cut.
pub struct TcpProxy {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
    /// Held once by each connection.
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
                    hand_on(client, target, watched).await;
                    drop(open);
                });
            }
        });
        Self { address, is_cut, open }
    }

    /// Ends every connection, and every new one as soon as it is made.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        // One is ours, one that of the task that accepts.
        Arc::strong_count(&self.open) - 2
    }

    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn hand_on(mut client: TcpStream, target: String, mut watched: watch::Receiver<bool>) {
    let connected = async {
        let mut server = TcpStream::connect(target).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        biased;
        // An error means that the test is over.
        _ = watched.wait_for(|is_cut| *is_cut) => {}
        // Whoever ended it, there is nothing left to hand on.
        _ = connected => {}
    }
}

/// The place of a URL, and the same URL by way of the proxy.
pub async fn through_tcp_proxy(url: &Url) -> (TcpProxy, Url) {
    let target = format!("{}:{}", url.host_str().expect("a host"), url.port_or_known_default().expect("a port"));
    let proxy = TcpProxy::to(target).await;
    let mut detour = url.clone();
    detour.set_ip_host(proxy.address.ip()).expect("a host");
    detour.set_port(Some(proxy.address.port())).expect("a port");
    (proxy, detour)
}
