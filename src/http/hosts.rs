//! The hosts that the server answers for. A page of a foreign name that was made to resolve to this server (DNS
//! rebinding) is of the same origin as this server, for the browser; therefore a foreign name is refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, Uri, Version, header};
use ipnet::IpNet;

use crate::config::Config;
use crate::error::{Error, Result};

/// Paths that load balancers ask for by whatever name.
const PROBES: &[&str] = &["/healthz", "/readyz"];

/// The names of this server.
#[derive(Debug)]
pub struct Hosts {
    names: Vec<String>,
    /// Peers that may send any name: a browser cannot be tricked into connecting through them.
    trusted_proxies: Vec<IpNet>,
}

impl Hosts {
    /// The host of the public URL and the further ones.
    pub fn new(config: &Config) -> Arc<Self> {
        let own = config.public_url.host_str().map(str::to_owned);
        let names = own.into_iter().chain(config.allowed_hosts.iter().cloned()).collect();
        Arc::new(Self { names, trusted_proxies: config.trusted_proxies.clone() })
    }

    /// Whether this is a host of the server. An address cannot be rebound, and a name without a dot belongs to nobody in
    /// the public DNS.
    fn admit(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = !host.contains('.') || host.ends_with(".localhost");
        is_local || address.parse::<IpAddr>().is_ok() || self.names.contains(&host)
    }

    fn trusts(&self, request: &Request) -> bool {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        peer.is_some_and(|peer| self.trusted_proxies.iter().any(|network| network.contains(&peer)))
    }
}

/// Refuses requests for other hosts.
///
/// # Errors
/// [`Error::Malformed`] if the request names no host, or several; [`Error::Misdirected`].
pub async fn check_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Result<Response> {
    if let Some(host) = requested_host(request.version(), request.uri(), request.headers())? {
        let is_known = hosts.admit(host.host()) || PROBES.contains(&request.uri().path()) || hosts.trusts(&request);
        if !is_known {
            return Err(Error::Misdirected);
        }
    }
    Ok(next.run(request).await)
}

/// The host that a request is for (RFC 9112, section 3.2; RFC 9113, section 8.3.1). HTTP/1.0 needs none.
fn requested_host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>> {
    let malformed = |what: &str| Error::Malformed(format!("the request names {what}"));
    let mut fields = headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (_, Some(_)) => return Err(malformed("its host several times")),
        (field, None) => field,
    };
    let named = match field.map(|field| Authority::try_from(field.as_bytes())) {
        None => None,
        Some(Ok(host)) if !host.as_str().contains('@') => Some(host),
        Some(_) => return Err(malformed("a host that is not valid")),
    };
    match (uri.authority(), named) {
        (Some(target), Some(host))
            if version == Version::HTTP_2 && !target.host().eq_ignore_ascii_case(host.host()) =>
        {
            Err(malformed("two hosts"))
        }
        (Some(target), _) => Ok(Some(target.clone())),
        (None, Some(host)) => Ok(Some(host)),
        (None, None) if version < Version::HTTP_11 => Ok(None),
        (None, None) => Err(malformed("no host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_known_and_foreign_names_are_not() {
        let mut config =
            Config { public_url: "https://files.example.org".parse().expect("a URL"), ..Config::default() };
        config.allowed_hosts = vec!["other.example.net".to_owned()];
        let hosts = Hosts::new(&config);
        for known in [
            "files.example.org",
            "FILES.example.ORG.",
            "other.example.net",
            "localhost",
            "app.localhost",
            "127.0.0.1",
            "[::1]",
            "[2001:db8::7]",
            "192.0.2.7",
            "strongroom",
        ] {
            assert!(hosts.admit(known), "{known}");
        }
        for foreign in [
            "evil.example",
            "example.org",
            "x.files.example.org",
            "files.example.org.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.7.nip.example",
        ] {
            assert!(!hosts.admit(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let ask = |version, uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().expect("a value"));
            }
            let uri = uri.parse().expect("a URI");
            requested_host(version, &uri, &headers).map(|host| host.map(|host| host.host().to_owned()))
        };
        let (http10, http11, http2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, uri, hosts, expected) in [
            (http11, "/", &["a.example:80"][..], Some("a.example")),
            (http11, "http://b.example/", &["a.example"], Some("b.example")),
            (http2, "http://b.example/", &[], Some("b.example")),
            (http2, "http://b.example/", &["B.example:80"], Some("b.example")),
            (http2, "/", &["a.example"], Some("a.example")),
            (http11, "/", &["[::1]:3000"], Some("[::1]")),
            (http10, "/", &[], None),
        ] {
            assert_eq!(ask(version, uri, hosts).expect("one host").as_deref(), expected, "{version:?} {uri} {hosts:?}");
        }
        for (version, uri, hosts) in [
            (http11, "/", &[][..]),
            (http11, "/", &["a.example", "a.example"]),
            (http11, "/", &[""]),
            (http11, "/", &["a.example, b.example"]),
            (http11, "/", &["me@a.example"]),
            (http10, "/", &["a.example", "b.example"]),
            (http2, "http://b.example/", &["a.example"]),
            (http2, "/", &[]),
        ] {
            assert!(ask(version, uri, hosts).is_err(), "{version:?} {uri} {hosts:?}");
        }
    }
}
