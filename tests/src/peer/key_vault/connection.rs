//! Requests of HTTP/1.1, one after the other on each connection, and answers that fail as they are told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::answers::{self, Answer};
use super::{Failure, Part, State, locked};

/// How much of a request is read.
const MOST_OCTETS: u64 = 1 << 16;

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Takes connections until the socket is shut down.
pub(super) fn listen(
    listener: TcpListener,
    part: Part,
    tls: Option<Arc<ServerConfig>>,
    state: &Arc<Mutex<State>>,
) -> JoinHandle<()> {
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (tls, state) = (tls.clone(), Arc::clone(&state));
            std::thread::spawn(move || {
                // However a connection ends, it is the client that sees to it.
                let _ = match tls {
                    Some(tls) => secured(stream, tls, part, &state),
                    None => serve(stream, part, &state),
                };
            });
        }
    })
}

fn secured(stream: TcpStream, tls: Arc<ServerConfig>, part: Part, state: &Mutex<State>) -> Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(tls)?;
    serve(StreamOwned::new(connection, stream), part, state)
}

fn serve(stream: impl Read + Write, part: Part, state: &Mutex<State>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let (failure, delay) = {
            let mut state = locked(state);
            state.asked.push(format!("{} {}", request.method, request.path));
            let failures = state.failures.entry(part).or_default();
            (failures.pop_front(), state.delay)
        };
        if part == Part::Vault && delay > Duration::ZERO {
            sleep(delay);
        }
        let answer = match failure {
            None => answers::answer(&request, part, &mut locked(state), false),
            Some(Failure::Damage) => answers::answer(&request, part, &mut locked(state), true),
            Some(Failure::Status(status, retry_after)) => Answer::failed(status, retry_after),
            Some(Failure::Garbage) => Answer::text("<html>Sign in to the hotel's network</html>".to_owned()),
            Some(Failure::Flood) => Answer::text("x".repeat(2 << 20)),
            Some(Failure::Hangup) => return Ok(()),
            Some(Failure::Silence) => {
                // Until the client has had enough.
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
        };
        stream.get_mut().write_all(&answer.octets())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// The next request; none when the client is done.
fn read(stream: &mut impl BufRead) -> Result<Option<Request>> {
    let Some(first) = line(stream)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (method, target) = (
        words.next().context("a method")?,
        words.next().context("a target")?,
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    while let Some(line) = line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').context("a header")?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Ok(0), |(_, value)| value.parse())?;
    if length > 1 << 16 {
        bail!("a body of {length} octets");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    }))
}

fn line(stream: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if stream.take(MOST_OCTETS).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}
