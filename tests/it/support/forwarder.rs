//! A piece of network between the server and what it needs, which a test can cut and mend.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Hands connections on to an address, as long as it is not cut.
pub struct Forwarder {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Forwarder {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_cut, watched) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, watched) = (target.clone(), watched.clone());
                tokio::spawn(hand_on(client, target, watched));
            }
        });
        Self { address, is_cut }
    }

    /// Ends every connection, and every new one as soon as it is made.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
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
