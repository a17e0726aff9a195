use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_MATCH};
use hyper::http::request;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{self, Runtime};

use super::error::Error;
use super::refusal::Refusal;
use super::tls::{self, Trust};

/// How long an answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where a daemon is.
#[derive(Debug)]
pub(crate) enum Place {
    /// Here, at this socket.
    Socket(PathBuf),
    /// Elsewhere.
    Server(Server),
}

/// A daemon elsewhere.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its name or address, as a certificate has it.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) trust: Trust,
    /// What proves who asks.
    pub(crate) authorization: Option<HeaderValue>,
}

/// What can be sent as the body of a request.
pub(super) trait Sent:
    Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> Sent for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static
{
}

/// Talks to one causewayd.
pub(crate) struct Client {
    place: Place,
    patience: Duration,
}

impl Client {
    pub(crate) fn new(place: Place) -> Self {
        let patience = PATIENCE;
        Self { place, patience }
    }

    /// The same, waiting no longer than this.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The JSON at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Error> {
        self.get_tagged(path).map(|(json, _)| json)
    }

    /// The JSON at `path`, and its ETag.
    pub(crate) fn get_tagged(&self, path: &str) -> Result<(Value, String), Error> {
        let answer = self.request(Request::get(path), Bytes::new())?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let json = serde_json::from_slice(answer.body()).map_err(|cause| self.incomprehensible(&cause))?;
        Ok((json, tag.unwrap_or_default().to_owned()))
    }

    /// Has the daemon do what `path` says, and returns the JSON that comes back, if any does.
    pub(crate) fn post(&self, path: &str) -> Result<Value, Error> {
        self.send(Method::POST, path, None, Vec::new())
    }

    /// Sends a body with a verb, if need be on the condition that `tag` still holds, and returns the JSON that comes back,
    /// if any does.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        tag: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Value, Error> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag);
        }
        let answer = self.request(request, body.into())?;
        if answer.body().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(answer.body()).map_err(|cause| self.incomprehensible(&cause))
    }

    /// Puts JSON there, and returns the JSON that comes back.
    pub(crate) fn put_json(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let request = Request::put(path).header(CONTENT_TYPE, "application/json");
        let answer = self.request(request, body.to_string().into_bytes().into())?;
        serde_json::from_slice(answer.body()).map_err(|cause| self.incomprehensible(&cause))
    }

    /// The answer in types.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, Error> {
        T::deserialize(answer).map_err(|cause| self.incomprehensible(&cause))
    }

    fn request(&self, request: request::Builder, body: Bytes) -> Result<Response<Bytes>, Error> {
        let exchange = async { collected(self, self.open(request, Full::new(body)).await?).await };
        let answer = self.runtime()?.block_on(self.patiently(exchange))?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(self.failure(&answer))
        }
    }

    pub(super) fn runtime(&self) -> Result<Runtime, Error> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|cause| self.unusable(&cause))
    }

    /// What this comes to, if it does not take too long.
    pub(super) async fn patiently<T>(
        &self,
        done: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = tokio::time::timeout(self.patience, done).await;
        done.map_err(|_| Error::TooSlow { place: self.name() })?
    }

    /// What an answer that is no success says.
    pub(super) fn failure(&self, answer: &Response<Bytes>) -> Error {
        let (status, refusal) = (answer.status(), Refusal::read(answer.status(), answer.body()));
        match (status.is_client_error(), refusal) {
            (true, Some(refusal)) => Error::Refused(refusal),
            (false, Some(refusal)) => self.unusable(&refusal.detail()),
            (_, None) => self.unusable(&status),
        }
    }

    /// Sends a request; the body of the answer is still to come.
    pub(super) async fn open(
        &self,
        request: request::Builder,
        body: impl Sent,
    ) -> Result<Response<Incoming>, Error> {
        match &self.place {
            Place::Socket(socket) => {
                let stream = UnixStream::connect(socket).await;
                let stream = stream.map_err(|cause| self.unreachable(cause))?;
                self.ask(stream, request.header(HOST, "causewayd"), body).await
            }
            Place::Server(server) => {
                let stream = TcpStream::connect((server.host.as_str(), server.port)).await;
                let stream = stream.map_err(|cause| self.unreachable(cause))?;
                let stream = tls::connect(stream, &server.host, &server.trust, &self.name()).await?;
                let mut request = request.header(HOST, authority(&server.host, server.port));
                if let Some(authorization) = &server.authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                self.ask(stream, request, body).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        request: request::Builder,
        body: impl Sent,
    ) -> Result<Response<Incoming>, Error> {
        let unusable = |cause: hyper::Error| self.unusable(&cause);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unusable)?;
        // It ends by itself with the last octet of the answer, or with the runtime.
        tokio::spawn(connection);
        let request = request.body(body).map_err(|cause| self.unusable(&cause))?;
        sender.send_request(request).await.map_err(unusable)
    }

    fn name(&self) -> String {
        match &self.place {
            Place::Socket(socket) => socket.display().to_string(),
            Place::Server(server) => format!("https://{}", authority(&server.host, server.port)),
        }
    }

    fn unreachable(&self, cause: io::Error) -> Error {
        let place = self.name();
        match (&self.place, cause.kind()) {
            (Place::Server(_), _) => Error::NoServer { place, cause },
            (Place::Socket(_), io::ErrorKind::NotFound) => Error::NoSocket { place },
            (Place::Socket(_), io::ErrorKind::ConnectionRefused) => Error::NoListener { place },
            (Place::Socket(_), io::ErrorKind::PermissionDenied) => Error::NoPermission { place },
            (Place::Socket(_), _) => self.unusable(&cause),
        }
    }

    pub(super) fn unusable(&self, cause: &impl ToString) -> Error {
        Error::Unusable {
            place: self.name(),
            cause: cause.to_string(),
        }
    }

    pub(super) fn incomprehensible(&self, cause: &serde_json::Error) -> Error {
        Error::Incomprehensible {
            place: self.name(),
            cause: cause.to_string(),
        }
    }
}

/// An answer with its whole body.
pub(super) async fn collected(client: &Client, answer: Response<Incoming>) -> Result<Response<Bytes>, Error> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|cause| client.unusable(&cause))?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// Host and port as a URL has them (RFC 3986 §3.2).
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
