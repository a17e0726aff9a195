//! The API of a daemon on its control socket, over one connection: for those who cannot start a program per request.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long an answer may take; an emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub struct Api(BufReader<UnixStream>);

impl Api {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request for a path below `/api/v1`, with `If-Match: *`, and returns the JSON that comes back.
    ///
    /// # Errors
    /// When it is refused or nothing comes.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: causewayd\r\nIf-Match: *\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all([&head, body].concat().as_bytes())?;
        let status = self.line()?;
        let mut length = 0;
        loop {
            let field = self.line()?.to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut content = vec![0; length];
        self.0.read_exact(&mut content)?;
        let content = String::from_utf8(content)?;
        ensure!(
            status.starts_with("HTTP/1.1 2"),
            "{method} {path}: {status}: {content}"
        );
        serde_json::from_str(&content).with_context(|| format!("not JSON: {content}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the daemon hung up");
        Ok(line.trim_end().to_owned())
    }
}
