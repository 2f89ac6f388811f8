//! This server's own signed URLs, for stores that cannot sign: HMAC-SHA256 over all parameters.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use url::Url;

use super::sign::{hmac_sha256, push_parameter};
use super::{Key, Operation, SignRequest, SignedUrl};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Signs and verifies URLs below `/v1/signed/`.
#[derive(Clone)]
pub struct UrlSigner {
    mac: Hmac<Sha256>,
    base: Url,
    clock: Clock,
}

/// The permission that a verified signed URL grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key of the object.
    pub key: Key,
    /// The permitted operation.
    pub operation: Operation,
    /// The `Content-Disposition` of the response.
    pub disposition: Option<String>,
    /// The `Content-Type` of the response.
    pub content_type: Option<String>,
    /// The part of a direct upload that may be written, from 1.
    pub part: Option<u64>,
    /// When the URL expires.
    pub expires_at: Timestamp,
    /// As in [`SignRequest::generation`].
    pub generation: i64,
}

impl UrlSigner {
    /// The purpose is part of the key, so that no signature made for anything else is valid here.
    const PURPOSE: &[u8] = b"strongroom signed url v1";

    /// A signer with keys derived from `secret`. `public_url` is the base of the URLs, and may have a path.
    pub fn new(secret: &[u8; 32], public_url: Url, clock: Clock) -> Self {
        let purpose_key = hmac_sha256(secret).chain_update(Self::PURPOSE).finalize().into_bytes();
        let mut base = public_url;
        base.set_query(None);
        base.set_fragment(None);
        Self { mac: hmac_sha256(&purpose_key), base, clock }
    }

    /// Signs a URL, which expires on a whole second.
    pub fn sign(&self, request: &SignRequest<'_>) -> SignedUrl {
        let expires_at = request.expiry();
        let part = request.part.map(|part| part.number.to_string());
        let generation = request.generation.to_string();
        let fields = Fields {
            operation: request.operation.as_str(),
            expires: &expires_at.as_second().to_string(),
            disposition: request.disposition,
            content_type: request.content_type,
            part: part.as_deref(),
            generation: (request.generation != 0).then_some(generation.as_str()),
        };
        let signature = self.signature(request.key, &fields).finalize().into_bytes();

        let mut url = String::with_capacity(512);
        for part in
            [self.base.as_str().trim_end_matches('/'), "/v1/signed/", request.key.as_str(), "?op=", fields.operation]
        {
            url.push_str(part);
        }
        push_parameter(&mut url, "expires", fields.expires);
        let optional = [
            ("disposition", fields.disposition),
            ("type", fields.content_type),
            ("part", fields.part),
            ("generation", fields.generation),
        ];
        for (name, value) in optional {
            value.into_iter().for_each(|value| push_parameter(&mut url, name, value));
        }
        push_parameter(&mut url, "signature", &URL_SAFE_NO_PAD.encode(signature));
        // As on S3: an object is never overwritten, while a part may be sent again.
        let headers = match (request.operation, request.part) {
            (Operation::Put, None) => vec![("if-none-match", "*".to_owned())],
            _ => Vec::new(),
        };
        SignedUrl { url, method: request.operation.method(), headers, expires_at }
    }

    /// Verifies a request with this method, key and (decoded) query; returns what it permits.
    ///
    /// # Errors
    /// [`Error::BadSignature`] if anything was changed, added or removed, or the method is another
    /// one, except HEAD for GET; [`Error::UrlExpired`] if a valid URL has expired.
    pub fn verify(&self, method: &str, key: &str, query: &[(String, String)]) -> Result<Grant> {
        let (fields, signature) = Fields::read(query).ok_or(Error::BadSignature)?;
        let key: Key = key.parse().map_err(|_| Error::BadSignature)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Error::BadSignature)?;
        self.signature(&key, &fields).verify_slice(&signature).map_err(|_| Error::BadSignature)?;

        let operation = Operation::parse(fields.operation).ok_or(Error::BadSignature)?;
        // HEAD asks for the headers of what GET may read (RFC 9110, section 9.3.2).
        let is_head = (operation, method) == (Operation::Get, "HEAD");
        if operation.method() != method && !is_head {
            return Err(Error::BadSignature);
        }
        let seconds = fields.expires.parse().map_err(|_| Error::BadSignature)?;
        let expires_at = Timestamp::from_second(seconds).map_err(|_| Error::BadSignature)?;
        if self.clock.now() >= expires_at {
            return Err(Error::UrlExpired);
        }
        let part = fields.part.map(str::parse).transpose().map_err(|_| Error::BadSignature)?;
        let disposition = fields.disposition.map(str::to_owned);
        let content_type = fields.content_type.map(str::to_owned);
        let generation = fields.generation.unwrap_or("0").parse().map_err(|_| Error::BadSignature)?;
        Ok(Grant { key, operation, disposition, content_type, part, expires_at, generation })
    }

    /// Each field is preceded by its length, so that no two sets of fields give the same input.
    fn signature(&self, key: &Key, fields: &Fields<'_>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        let required = [fields.operation, key.as_str(), fields.expires].map(Some);
        for field in
            required.into_iter().chain([fields.disposition, fields.content_type, fields.part, fields.generation])
        {
            let length = field.map_or(u64::MAX, |text| text.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(field.unwrap_or_default().as_bytes());
        }
        mac
    }
}

impl fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlSigner").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The signed parameters of a URL, as text.
struct Fields<'a> {
    operation: &'a str,
    expires: &'a str,
    disposition: Option<&'a str>,
    content_type: Option<&'a str>,
    part: Option<&'a str>,
    /// Absent if it is zero.
    generation: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields and the signature; `None` if a parameter is missing, repeated or unknown.
    fn read(query: &'a [(String, String)]) -> Option<(Self, &'a str)> {
        let known = ["op", "expires", "disposition", "type", "part", "generation", "signature"];
        let mut values = [None; 7];
        for (name, value) in query {
            let index = known.iter().position(|known| known == name)?;
            if values[index].replace(value.as_str()).is_some() {
                return None;
            }
        }
        let [operation, expires, disposition, content_type, part, generation, signature] = values;
        let fields = Self { operation: operation?, expires: expires?, disposition, content_type, part, generation };
        Some((fields, signature?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn signer(clock: &Clock) -> UrlSigner {
        UrlSigner::new(&[7; 32], "https://host.example:8443/files/".parse().unwrap(), clock.clone())
    }

    fn signed(signer: &UrlSigner, clock: &Clock, key: &Key) -> Url {
        let request = SignRequest {
            operation: Operation::Get,
            key,
            now: clock.now(),
            expires_in: Duration::from_secs(60),
            disposition: Some("attachment; filename=\"a b&c=ü.txt\""),
            content_type: Some("text/plain"),
            part: None,
            generation: 3,
        };
        signer.sign(&request).url.parse().unwrap()
    }

    fn query(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    #[test]
    fn a_url_is_valid_for_its_method_until_it_expires() {
        let clock = Clock::movable();
        let (signer, key) = (signer(&clock), Key::random());
        let url = signed(&signer, &clock, &key);
        assert!(url.as_str().starts_with(&format!("https://host.example:8443/files/v1/signed/{key}?op=get&")));

        let grant = signer.verify("GET", key.as_str(), &query(&url)).unwrap();
        assert_eq!((grant.key, grant.operation), (key.clone(), Operation::Get));
        assert_eq!(grant.disposition.as_deref(), Some("attachment; filename=\"a b&c=ü.txt\""));
        assert!(signer.verify("HEAD", key.as_str(), &query(&url)).is_ok());
        for method in ["PUT", "get", "head"] {
            let outcome = signer.verify(method, key.as_str(), &query(&url));
            assert!(matches!(outcome, Err(Error::BadSignature)), "{method}");
        }

        clock.advance(Duration::from_secs(61));
        assert!(matches!(signer.verify("GET", key.as_str(), &query(&url)), Err(Error::UrlExpired)));
    }

    #[test]
    fn a_url_with_any_other_query_is_refused() {
        let clock = Clock::default();
        let (signer, key) = (signer(&clock), Key::random());
        let good = query(&signed(&signer, &clock, &key));
        let mut altered = Vec::new();
        for place in 0..good.len() {
            let (mut missing, mut changed, mut doubled) = (good.clone(), good.clone(), good.clone());
            missing.remove(place);
            changed[place].1.push('0');
            doubled.push(good[place].clone());
            altered.extend([missing, changed, doubled]);
        }
        let mut unknown = good.clone();
        unknown.push(("x".into(), String::new()));
        // One field loses a character, and the next one gains it.
        let mut moved = good.clone();
        let end = moved[2].1.pop().unwrap();
        moved[3].1.insert(0, end);
        altered.extend([unknown, moved]);
        for query in altered {
            let outcome = signer.verify("GET", key.as_str(), &query);
            assert!(matches!(outcome, Err(Error::BadSignature)), "{query:?}");
        }
        let elsewhere = Key::random();
        assert!(matches!(signer.verify("GET", elsewhere.as_str(), &good), Err(Error::BadSignature)));
    }
}
