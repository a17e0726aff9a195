//! The command against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const MIXED: &str = include_str!("fixtures/mixed.json");
const UP: &str = include_str!("fixtures/up.json");

/// What the command printed and how it ended.
struct Ended {
    out: String,
    err: String,
    status: i32,
}

fn causeway(socket: &Path, arguments: &[&str]) -> Ended {
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

fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        out: text(output.stdout),
        err: text(output.stderr),
        status: output.status.code().unwrap(),
    }
}

/// Runs the command against a daemon that gives one answer; also tells the request line that it got.
fn against(status: &str, body: &str, arguments: &[&str]) -> (String, Ended) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap())
            .lines()
            .map(Result::unwrap);
        let request = lines.next().unwrap();
        lines.find(String::is_empty).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        request
    });
    let ended = causeway(&socket, arguments);
    (daemon.join().unwrap(), ended)
}

#[test]
fn what_is_down_is_told_first_with_reason_and_next_step() {
    let (request, ended) = against("200 OK", MIXED, &["status"]);
    assert_eq!(request, "GET /api/v1/status HTTP/1.1");
    assert_eq!(ended.out, include_str!("fixtures/mixed.txt"));
    assert_eq!((ended.err.as_str(), ended.status), ("", 1));
}

#[test]
fn all_up_is_success_also_with_fields_of_a_later_version() {
    let (_, ended) = against("200 OK", UP, &["status"]);
    assert!(
        ended.out.starts_with("Causeway 0.1.0: 1 of 1 connections up\n"),
        "{}",
        ended.out
    );
    assert_eq!(ended.status, 0);
}

#[test]
fn nothing_configured_is_said_and_is_no_fault() {
    let (_, ended) = against("200 OK", include_str!("fixtures/none.json"), &["status"]);
    assert!(ended.out.contains("no connection is configured"), "{}", ended.out);
    assert_eq!(ended.status, 0);
}

#[test]
fn one_connection_is_shown_alone() {
    let all: serde_json::Value = serde_json::from_str(MIXED).unwrap();
    let one = all["connections"]["to-c"].to_string();
    let (request, ended) = against("200 OK", &one, &["status", "to-c"]);
    assert_eq!(request, "GET /api/v1/status/connections/to-c HTTP/1.1");
    assert!(ended.out.starts_with("to-c: DOWN for 41 s"), "{}", ended.out);
    assert_eq!(ended.status, 1);
}

/// The last five with the status, all of them with what was offered and expected when asked for.
#[test]
fn events_are_told_with_their_times() {
    let body = include_str!("fixtures/events.json");
    let (request, ended) = against("200 OK", body, &["events", "to-b"]);
    assert_eq!(request, "GET /api/v1/status/connections/to-b HTTP/1.1");
    assert_eq!(ended.out, include_str!("fixtures/events.txt"));
    assert_eq!(ended.status, 0);
    let (_, ended) = against("200 OK", body, &["status", "to-b"]);
    assert_eq!(ended.out, include_str!("fixtures/lately.txt"));
    let (_, ended) = against("200 OK", body, &["events", "to-b", "--json"]);
    let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&ended.out), json(body)["events"]);
}

#[test]
fn json_is_passed_on_whole() {
    let (_, ended) = against("200 OK", UP, &["status", "--json"]);
    let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&ended.out), json(UP));
    assert_eq!(ended.status, 0);
    assert_eq!(against("200 OK", MIXED, &["status", "--json"]).1.status, 1);
}

#[test]
fn what_is_asked_for_a_connection_reaches_the_daemon() {
    for (arguments, action) in [
        (&["connect", "to-b"][..], "connect"),
        (&["rekey", "to-b"], "rekey"),
        (&["rekey", "to-b", "--ike"], "rekey-ike"),
    ] {
        let (request, ended) = against("202 Accepted", "", arguments);
        assert_eq!(
            request,
            format!("POST /api/v1/connections/to-b:{action} HTTP/1.1")
        );
        assert!(ended.out.contains("causeway status to-b"), "{}", ended.out);
        assert_eq!(ended.status, 0);
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_daemon() {
    let body = r#"{"reason":"unknown-connection","detail":"no enabled connection is named \"to-x\""}"#;
    let (_, ended) = against("404 Not Found", body, &["connect", "to-x"]);
    assert_eq!(ended.err, "causeway: no enabled connection is named \"to-x\"\n");
    assert_eq!((ended.out.as_str(), ended.status), ("", 2));
}

#[test]
fn wrong_usage_is_told_without_asking_the_daemon() {
    let nowhere = Path::new("/nonexistent/control.sock");
    for arguments in [&["status", "../b"][..], &["connect"], &["reboot"], &[]] {
        assert_eq!(causeway(nowhere, arguments).status, 2, "{arguments:?}");
    }
    assert_eq!(causeway(nowhere, &["--help"]).status, 0);
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let missing = causeway(&socket, &["status"]);
    assert!(missing.err.contains(socket.to_str().unwrap()), "{}", missing.err);
    assert!(
        missing.err.contains("not running") && missing.err.contains("--socket"),
        "{}",
        missing.err
    );
    assert_eq!(missing.status, 3);

    drop(UnixListener::bind(&socket).unwrap());
    let stopped = causeway(&socket, &["status"]);
    assert!(stopped.err.contains("has stopped"), "{}", stopped.err);
    assert_eq!(stopped.status, 3);
}

#[test]
fn answers_that_are_no_status_are_told_as_such() {
    for body in ["", "{}", "[1,2", "\u{1b}"] {
        let (_, ended) = against("200 OK", body, &["status"]);
        assert!(ended.err.contains("not understood"), "{}", ended.err);
        assert_eq!((ended.out.as_str(), ended.status), ("", 3));
    }
    let busy = r#"{"reason":"busy","detail":"the daemon is busy or stopping: try again"}"#;
    let (_, ended) = against("503 Service Unavailable", busy, &["connect", "to-b"]);
    assert!(ended.err.contains("busy or stopping"), "{}", ended.err);
    assert_eq!(ended.status, 3);
}

/// Copies a program that is then started. Had this process written it, what another test starts at that moment could
/// have inherited the file open for writing, and the kernel starts no such file (ETXTBSY).
fn copy(program: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg(program)
            .arg(to)
            .status()
            .unwrap()
            .success()
    );
}

/// Root may do everything, so it hands the command to another user.
#[test]
fn permission_denied_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = directory.path().join("causeway");
    copy(Path::new(env!("CARGO_BIN_EXE_causeway")), &binary);
    let mut command = Command::new(&binary);
    if std::fs::metadata(directory.path()).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    let ended = ended(
        command
            .arg("--socket")
            .arg(&socket)
            .arg("status")
            .output()
            .unwrap(),
    );
    assert!(
        ended.err.contains("permission denied") && ended.err.contains("as root"),
        "{}",
        ended.err
    );
    assert_eq!(ended.status, 3);
}
