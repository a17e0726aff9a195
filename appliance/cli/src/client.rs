use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ETAG, IF_MATCH};
use hyper::http::request;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::net::UnixStream;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Why there is no answer, and what to do about it.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(
        "there is no {socket}: causewayd is not running here, or has another --runtime directory\n\
             Start causewayd, or say where its socket is with --socket PATH."
    )]
    NoSocket { socket: String },
    #[error(
        "nobody listens at {socket}: causewayd has stopped\nStart it, and look in its log for why it stopped."
    )]
    NoListener { socket: String },
    #[error("permission denied for {socket}: only its owner may talk to causewayd\nTry again as root.")]
    NoPermission { socket: String },
    #[error("cannot talk to causewayd at {socket}: {cause}\nLook in its log.")]
    Unusable { socket: String, cause: String },
    #[error("no answer from {socket} within {} s: causewayd hangs\nLook in its log.", PATIENCE.as_secs())]
    TooSlow { socket: String },
    #[error(
        "what {socket} answers is not understood: {cause}\nAre causeway and causewayd of the same version?"
    )]
    Incomprehensible { socket: String, cause: String },
    #[error("{detail}")]
    Refused { detail: String },
    #[error("{file}: {cause}")]
    Unreadable { file: String, cause: io::Error },
}

/// Talks to one causewayd.
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The JSON at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Error> {
        let answer = self.request(Request::get(path), Bytes::new())?;
        self.json(&answer)
    }

    /// The JSON at `path`, and its ETag.
    pub(crate) fn get_tagged(&self, path: &str) -> Result<(Value, String), Error> {
        let answer = self.request(Request::get(path), Bytes::new())?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        Ok((self.json(&answer)?, tag.unwrap_or_default().to_owned()))
    }

    /// Has the daemon do what `path` says.
    pub(crate) fn post(&self, path: &str) -> Result<(), Error> {
        self.request(Request::post(path), Bytes::new()).map(|_| ())
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
        self.json(&answer)
    }

    fn json(&self, answer: &Response<Bytes>) -> Result<Value, Error> {
        serde_json::from_slice(answer.body()).map_err(|cause| self.incomprehensible(&cause))
    }

    /// The answer in types.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, Error> {
        T::deserialize(answer).map_err(|cause| self.incomprehensible(&cause))
    }

    fn request(&self, request: request::Builder, body: Bytes) -> Result<Response<Bytes>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| self.unusable(&cause))?;
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(request, body)).await };
        let answer = runtime
            .block_on(exchange)
            .map_err(|_| Error::TooSlow { socket: self.place() })??;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(self.refusal(answer.status(), answer.body()))
        }
    }

    async fn exchange(&self, request: request::Builder, body: Bytes) -> Result<Response<Bytes>, Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        let unusable = |cause: hyper::Error| self.unusable(&cause);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unusable)?;
        let connection = tokio::spawn(connection);
        let request = request
            .header("host", "causewayd")
            .body(Full::new(body))
            .map_err(|cause| self.unusable(&cause))?;
        let response = sender.send_request(request).await.map_err(unusable)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        connection.abort();
        let body = body.map_err(|cause| self.unusable(&cause))?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    fn place(&self) -> String {
        self.socket.display().to_string()
    }

    fn unreachable(&self, cause: &io::Error) -> Error {
        let socket = self.place();
        match cause.kind() {
            io::ErrorKind::NotFound => Error::NoSocket { socket },
            io::ErrorKind::ConnectionRefused => Error::NoListener { socket },
            io::ErrorKind::PermissionDenied => Error::NoPermission { socket },
            _ => self.unusable(cause),
        }
    }

    fn unusable(&self, cause: &impl ToString) -> Error {
        Error::Unusable {
            socket: self.place(),
            cause: cause.to_string(),
        }
    }

    fn incomprehensible(&self, cause: &serde_json::Error) -> Error {
        Error::Incomprehensible {
            socket: self.place(),
            cause: cause.to_string(),
        }
    }

    /// What the daemon says against the request.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        #[derive(Deserialize)]
        struct Refusal {
            detail: String,
            #[serde(default)]
            violations: Vec<Violation>,
        }
        #[derive(Deserialize)]
        struct Violation {
            path: String,
            reason: String,
            detail: String,
        }
        match (status.is_client_error(), serde_json::from_slice::<Refusal>(body)) {
            (true, Ok(Refusal { detail, violations })) => {
                let mut text = detail;
                for violation in violations {
                    let path = Some(violation.path).filter(|path| !path.is_empty());
                    let (path, reason) = (path.unwrap_or_else(|| "/".to_owned()), violation.reason);
                    text += &format!("\n{path}: {reason}: {}", violation.detail);
                }
                Error::Refused { detail: text }
            }
            (false, Ok(Refusal { detail, .. })) => self.unusable(&detail),
            (_, Err(_)) => self.unusable(&status),
        }
    }
}
