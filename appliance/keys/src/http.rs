//! A client of HTTP for one server, with strict limits: no redirects, no proxies, no cookies.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// How large an answer may be.
const MOST_OCTETS: usize = 1 << 20;
/// How many connections are kept for later.
const MOST_IDLE: usize = 32;
/// How many connections are made at a time, as each costs a moment in which nothing else runs on its thread.
const MOST_CONNECTING: usize = 8;
/// How long one of several addresses is tried.
const ADDRESS: Duration = Duration::from_secs(3);

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    is_secure: bool,
    /// As it stands in a URI, so that of IPv6 in brackets.
    pub(crate) host: String,
    port: u16,
}

/// A server, and connections with it that nobody uses.
pub(crate) struct Server {
    origin: Origin,
    tls: TlsConnector,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    connecting: Semaphore,
    limit: Duration,
}

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// With what follows `?`.
    pub(crate) path: &'a str,
    /// What proves who asks.
    pub(crate) authorization: Option<SecretString>,
    /// Whether it is for a metadata service, which is told so, so that no other program is tricked into asking it.
    pub(crate) is_metadata: bool,
    /// JSON.
    pub(crate) body: String,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long to wait before asking again.
    pub(crate) retry_after: Option<Duration>,
    /// How the server wants to be shown who asks (RFC 9110 §11.6.1).
    pub(crate) challenge: Option<String>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The name has no address.
    Unresolved(String),
    /// No connection, or none that lasted.
    Unreachable(String),
    /// It is no HTTP, or too long.
    Malformed(String),
}

impl Origin {
    /// The origin of a URI, and its path with what follows `?`.
    pub(crate) fn of_uri(text: &str) -> Option<(Self, String)> {
        let uri = Uri::from_str(text).ok()?;
        let is_secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let origin = Self {
            is_secure,
            host,
            port,
        };
        Some((origin, path))
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Host and port, as a request names them.
    pub(crate) fn authority(&self) -> String {
        match (self.is_secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Without the brackets of IPv6.
    fn name(&self) -> &str {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(&self.host)
    }
}

impl Server {
    /// A server that proves itself by a certificate that goes back to one of the roots. Roots that cannot be read are left
    /// out.
    pub(crate) fn new(origin: Origin, roots: &[Vec<u8>], limit: Duration) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned().map(CertificateDer::from));
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let tls = builder.with_root_certificates(store).with_no_client_auth();
        Ok(Self {
            origin,
            tls: TlsConnector::from(Arc::new(tls)),
            idle: Mutex::default(),
            connecting: Semaphore::new(MOST_CONNECTING),
            limit,
        })
    }

    /// Asks, and waits for the whole answer.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Answer, NoAnswer> {
        let answer = timeout(self.limit, self.ask_in_time(question)).await;
        let slow = || NoAnswer::Unreachable(format!("no answer within {:?}", self.limit));
        answer.map_err(|_| slow())?
    }

    async fn ask_in_time(&self, question: &Question<'_>) -> Result<Answer, NoAnswer> {
        // A server closes connections that nobody uses: then it never saw the question.
        while let Some(mut connection) = self.take_idle() {
            if connection.ready().await.is_err() {
                continue;
            }
            if let Ok(response) = connection.send_request(self.request(question)?).await {
                return self.whole(connection, response).await;
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(self.request(question)?).await;
        let response = response.map_err(|error| failure(&error))?;
        self.whole(connection, response).await
    }

    fn request(&self, question: &Question<'_>) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut builder = Request::builder()
            .method(question.method.clone())
            .uri(question.path)
            .header(HOST, self.origin.authority())
            .header(ACCEPT, "application/json");
        if question.is_metadata {
            builder = builder.header("Metadata", "true");
        }
        if !question.body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &question.authorization {
            let value = HeaderValue::from_str(authorization.expose_secret());
            let mut value =
                value.map_err(|_| NoAnswer::Malformed("a token that no header can have".into()))?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        let body = Full::new(Bytes::from(question.body.clone()));
        builder
            .body(body)
            .map_err(|_| NoAnswer::Malformed("an address that no request can have".into()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        // It is never closed, so there is always a turn.
        let _turn = self.connecting.acquire().await;
        let stream = self.stream().await?;
        if !self.origin.is_secure {
            return spoken(stream).await;
        }
        let name = self.origin.name().to_owned();
        let name = match name.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => {
                let unusable = |_| NoAnswer::Unresolved(format!("{name} is no name of a host"));
                ServerName::try_from(name.clone()).map_err(unusable)?
            }
        };
        let secured = self.tls.connect(name, stream).await;
        let untrusted =
            |error| NoAnswer::Unreachable(format!("TLS with {}: {error}", self.origin.authority()));
        spoken(secured.map_err(untrusted)?).await
    }

    /// A connection with the first address that takes one.
    async fn stream(&self) -> Result<TcpStream, NoAnswer> {
        let name = self.origin.name();
        let unresolved = |error| NoAnswer::Unresolved(format!("{name}: {error}"));
        let addresses = lookup_host((name, self.origin.port)).await.map_err(unresolved)?;
        let mut last = NoAnswer::Unresolved(name.to_owned());
        for address in addresses {
            let why = match timeout(ADDRESS, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no connection within {ADDRESS:?}"),
            };
            last = NoAnswer::Unreachable(format!("{name} at {address}: {why}"));
        }
        Err(last)
    }

    /// Reads an answer to its end, and keeps the connection.
    async fn whole(
        &self,
        connection: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
    ) -> Result<Answer, NoAnswer> {
        let (head, mut incoming) = response.into_parts();
        // As large as it may become at once where that is known, so that no copies of a secret stay behind.
        let expected = hyper::body::Body::size_hint(&incoming).lower();
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        let long = || NoAnswer::Malformed(format!("an answer of more than {MOST_OCTETS} octets"));
        if expected > MOST_OCTETS {
            return Err(long());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(expected));
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| failure(&error))?;
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            if body.len() + data.len() > MOST_OCTETS {
                return Err(long());
            }
            body.extend_from_slice(data);
        }
        self.keep(connection);
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = text(RETRY_AFTER).and_then(|value| value.trim().parse().ok());
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            challenge: text(WWW_AUTHENTICATE).map(str::to_owned),
            body,
        })
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE && !connection.is_closed() {
            idle.push(connection);
        }
    }
}

impl Answer {
    /// What JSON says, if it is that.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// HTTP over a stream. The connection ends when nobody can ask by it any more.
async fn spoken(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| failure(&error))?;
    tokio::spawn(async move {
        // What becomes of it shows in the answer that is waited for.
        let _ = connection.await;
    });
    Ok(sender)
}

fn failure(error: &hyper::Error) -> NoAnswer {
    if error.is_parse() {
        NoAnswer::Malformed(format!("no HTTP: {error}"))
    } else {
        NoAnswer::Unreachable(format!("the connection failed: {error}"))
    }
}

/// A value for what follows `?` (RFC 3986 §2.1, §2.3).
pub(crate) fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_by_what_they_mean() {
        let origin = |text| Origin::of_uri(text).unwrap();
        let (a, path) = origin("https://A.vault.azure.net/keys/x?y=1");
        assert_eq!(path, "/keys/x?y=1");
        assert_eq!(a, origin("https://a.vault.azure.net:443/").0);
        assert_ne!(a, origin("https://a.vault.azure.net:8443/").0);
        assert_ne!(a, origin("http://a.vault.azure.net:443/").0);
        assert_eq!(origin("https://[::1]:8443/").0.name(), "::1");
        assert_eq!(Origin::of_uri("https://user@host/"), None);
        assert_eq!(Origin::of_uri("ftp://host/"), None);
    }

    #[test]
    fn values_are_encoded() {
        assert_eq!(
            encoded("https://vault.azure.net"),
            "https%3A%2F%2Fvault.azure.net"
        );
        assert_eq!(encoded("a&b=ä"), "a%26b%3D%C3%A4");
    }
}
