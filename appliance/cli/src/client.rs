use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
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
        let body = self.request(Method::GET, path)?;
        serde_json::from_slice(&body).map_err(|cause| self.incomprehensible(&cause))
    }

    /// Has the daemon do what `path` says.
    pub(crate) fn post(&self, path: &str) -> Result<(), Error> {
        self.request(Method::POST, path).map(|_| ())
    }

    /// The answer in types.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, Error> {
        T::deserialize(answer).map_err(|cause| self.incomprehensible(&cause))
    }

    fn request(&self, method: Method, path: &str) -> Result<Bytes, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| self.unusable(&cause))?;
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(method, path)).await };
        let (status, body) = runtime
            .block_on(exchange)
            .map_err(|_| Error::TooSlow { socket: self.place() })??;
        if status.is_success() {
            Ok(body)
        } else {
            Err(self.refusal(status, &body))
        }
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        let unusable = |cause: hyper::Error| self.unusable(&cause);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unusable)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "causewayd");
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|cause| self.unusable(&cause))?;
        let response = sender.send_request(request).await.map_err(unusable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        connection.abort();
        Ok((status, body.map_err(|cause| self.unusable(&cause))?.to_bytes()))
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
        }
        match (status.is_client_error(), serde_json::from_slice::<Refusal>(body)) {
            (true, Ok(Refusal { detail })) => Error::Refused { detail },
            (false, Ok(Refusal { detail })) => self.unusable(&detail),
            (_, Err(_)) => self.unusable(&status),
        }
    }
}
