//! A daemon that gives the answers it is told to give, one for each connection.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

/// What the command printed and how it ended.
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: i32,
}

/// A daemon at a socket of its own.
pub(crate) struct Daemon {
    directory: TempDir,
    served: JoinHandle<Vec<String>>,
}

impl Daemon {
    /// Gives these answers, each a status with further header lines if need be, and a body.
    pub(crate) fn giving(answers: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
        let answers: Vec<String> = answers.iter().map(|(head, body)| answer(head, body)).collect();
        let served = thread::spawn(move || {
            let serve = |answer: String| serve(listener.accept().unwrap().0, &answer);
            answers.into_iter().map(serve).collect()
        });
        Self { directory, served }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// The requests that came, once every answer was given.
    pub(crate) fn requests(self) -> Vec<String> {
        // Whoever waits for a request that will not come sees an empty one.
        let _ = UnixStream::connect(self.socket());
        self.served.join().unwrap()
    }
}

/// An answer as it goes over the wire.
pub(crate) fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request and answers it.
pub(crate) fn serve(mut stream: impl Read + Write, answer: &str) -> String {
    let mut reader = BufReader::new(&mut stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(
            reader.read_line(&mut request).unwrap(),
            0,
            "no whole request: {request:?}"
        );
    }
    let mut lines = request
        .lines()
        .filter_map(|line| line.strip_prefix("content-length: "));
    let length: usize = lines.next().map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    request + &String::from_utf8(body).unwrap()
}

pub(crate) fn causeway(socket: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    ended(
        command
            .arg("--socket")
            .arg(socket)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        out: text(output.stdout),
        err: text(output.stderr),
        status: output.status.code().unwrap(),
    }
}

/// Runs a command with this on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Ended {
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A command that reads nothing may have ended by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child.wait_with_output().unwrap())
}

/// Runs the command against a daemon that gives one answer; also tells the request line that it got.
pub(crate) fn against(status: &str, body: &str, arguments: &[&str]) -> (String, Ended) {
    let (request, ended) = fed(status, body, arguments, "");
    let line = request.lines().next().unwrap_or_default().to_owned();
    (line, ended)
}

/// The same with something on standard input; tells the whole request.
pub(crate) fn fed(status: &str, body: &str, arguments: &[&str], input: &str) -> (String, Ended) {
    let daemon = Daemon::giving(&[(status, body)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.arg("--socket").arg(daemon.socket()).args(arguments);
    let ended = run(&mut command, input);
    (daemon.requests().remove(0), ended)
}
