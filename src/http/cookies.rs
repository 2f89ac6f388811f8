//! The cookies of a request. Names and values are bytes, and are compared and returned as they are: a name that is decoded
//! first could be set by hosts that must not (RFC 6265bis, section 4.1.3), and a cookie of another application need not
//! be text.

use http::{HeaderMap, header};

/// What a request has under the name of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie<'a> {
    /// Nothing.
    Absent,
    /// One value.
    Value(&'a [u8]),
    /// Several. One of them is not from this server, and nothing says which.
    Ambiguous,
}

/// Finds a cookie by its name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Cookie<'a> {
    let pairs =
        headers.get_all(header::COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| value_of(pair, name));
    match (values.next(), values.next()) {
        (None, _) => Cookie::Absent,
        (Some(value), None) => Cookie::Value(value),
        (Some(_), Some(_)) => Cookie::Ambiguous,
    }
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
    rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_and_values_are_bytes() {
        for (text, expected) in [
            ("", Cookie::Absent),
            ("a=b; name=v", Cookie::Value(b"v")),
            ("name = v ;a=b", Cookie::Value(b"v")),
            ("name=a=b", Cookie::Value(b"a=b")),
            ("name=\"v%41\"", Cookie::Value(b"\"v%41\"")),
            ("name=", Cookie::Value(b"")),
            ("who=J\u{fc}rgen; name=v", Cookie::Value(b"v")),
            ("name; names=v; Name=v; n%61me=v; x-name=v; who=\u{fc}name=v", Cookie::Absent),
            ("name=v; name=v", Cookie::Ambiguous),
        ] {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap())]);
            assert_eq!(cookie(&headers, "name"), expected, "{text}");
        }
        let mut headers = HeaderMap::new();
        for value in [&b"\xff=\xfe"[..], b"name=1", b"\xffname=2"] {
            headers.append(header::COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(cookie(&headers, "name"), Cookie::Value(b"1"));
        // HTTP/2 sends each cookie in a line of its own.
        headers.append(header::COOKIE, HeaderValue::from_static("name=2"));
        assert_eq!(cookie(&headers, "name"), Cookie::Ambiguous);
    }
}
