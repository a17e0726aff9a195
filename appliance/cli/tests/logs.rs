//! What happened, and what happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::path::Path;

use daemon::{Daemon, against, causeway};

const LATELY: &str = r#"{"gap":null,"more":true,"events":[
    {"id":7,"at":"2026-01-02T03:04:05Z","event":"committed","generation":3,"author":"alice"},
    {"id":8,"at":"2026-01-02T03:04:06Z","event":"down","connection":"to-b","lasted_s":65,"reason":"peer-dead",
     "side":"we","stage":"up","offered":"","expected":"","next_step":"Look."}]}"#;
const SHOWN: &str = "2026-01-02T03:04:05Z  committed, generation 3, by alice\n\
    2026-01-02T03:04:06Z  to-b: down after 1 min 5 s up: peer-dead, said by this side at up\n";

#[test]
fn what_happened_is_told_with_whom_it_happened_to_and_who_did_it() {
    let (request, ended) = against("200 OK", LATELY, &["logs"]);
    assert_eq!(request, "GET /api/v1/events?limit=1000 HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), (SHOWN, 0));
    let arguments = ["logs", "--connection", "to-b", "--since", "2026-01-02T03:04:05Z"];
    let (request, ended) = against("200 OK", LATELY, &arguments);
    let query = "connection=to-b&since=2026-01-02T03%3A04%3A05Z&limit=1000";
    assert_eq!(request, format!("GET /api/v1/events?{query} HTTP/1.1"));
    assert!(ended.out.starts_with("(only the last 1000)\n"), "{}", ended.out);
    let restarted = r#"{"gap":"restarted","more":false,"events":[]}"#;
    let (request, ended) = against("200 OK", restarted, &["logs", "--since", "15m"]);
    assert!(
        request.contains("?since=20") && request.contains("Z&limit"),
        "{request}"
    );
    assert_eq!(ended.out, "(some are missing: restarted)\n");
    for wrong in ["yesterday", "15", "m", "99999999999999999d", "-5m"] {
        let since = format!("--since={wrong}");
        let ended = causeway(Path::new("/nonexistent"), &["logs", &since]);
        assert_eq!(ended.status, 2, "{wrong}: {}", ended.err);
    }
}

/// The stream breaks off once; it goes on after the last event that came, until the daemon no longer lets the caller in.
#[test]
fn what_happens_is_told_as_it_comes_and_after_a_break_nothing_twice() {
    let first = "retry: 10\n: events\n\nid: 9\ndata: {\"id\":9,\"at\":\"T9\",\"event\":\"up\",\"connection\":\"to-b\"}\n\n";
    let second = "event: gap\ndata: {\"event\":\"gap\",\"reason\":\"too-slow\"}\n\nid: 12\ndata: {\"id\":12,\"at\":\"T12\",\"event\":\"clock\"}\n\n";
    let expired = r#"{"reason":"token-expired","detail":"this token has expired"}"#;
    for json in [false, true] {
        let daemon = Daemon::giving(&[
            ("200 OK", LATELY),
            ("200 OK", first),
            ("200 OK", second),
            ("401 Unauthorized", expired),
        ]);
        let arguments = ["logs", "-f", "--connection", "to-b", "--json"];
        let arguments = arguments.get(..if json { 5 } else { 4 }).unwrap();
        let ended = causeway(&daemon.socket(), arguments);
        assert_eq!(ended.status, 5, "{}", ended.err);
        if json {
            let lines = ended.out.lines().map(serde_json::from_str::<serde_json::Value>);
            let ids: Vec<_> = lines.map(|line| line.unwrap()["id"].as_u64()).collect();
            assert_eq!(ids, [Some(7), Some(8), Some(9), None, Some(12)]);
        } else {
            let then = "T9  to-b: up\n(some are missing: too-slow)\nT12  clock\n";
            assert_eq!(ended.out, format!("{SHOWN}{then}"));
        }
        let requests = daemon.requests();
        assert!(
            requests[0].starts_with("GET /api/v1/events?connection=to-b&limit=10 "),
            "{}",
            requests[0]
        );
        for (request, last) in requests.iter().skip(1).zip(["8", "9", "12"]) {
            assert!(
                request.starts_with("GET /api/v1/events?connection=to-b "),
                "{request}"
            );
            assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
            assert!(
                request.contains(&format!("last-event-id: {last}\r\n")),
                "{request}"
            );
        }
    }
}

#[test]
fn a_daemon_that_is_not_there_ends_it() {
    let ended = causeway(Path::new("/nonexistent/control.sock"), &["logs", "-f"]);
    assert_eq!(ended.status, 3, "{}", ended.err);
}

/// What IKE did, and with -f what it does: after the last line that was there.
#[test]
fn the_log_of_ike_is_told_line_by_line() {
    let lines = r#"{"gap":false,"lines":[
        {"id":4,"at":"T4","side":"we","exchange":"IKE_AUTH","message":"request 1","says":"IDi a.example"},
        {"id":5,"at":"T5","event":"up"}]}"#;
    let shown = "T4  we   IKE_AUTH request 1: IDi a.example\nT5       up\n";
    let (request, ended) = against("200 OK", lines, &["log", "to-b"]);
    assert_eq!(request, "GET /api/v1/status/connections/to-b/log HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), (shown, 0), "{}", ended.err);
    let next = "id: 6\ndata: {\"id\":6,\"at\":\"T6\",\"side\":\"peer\",\"exchange\":\"IKE_AUTH\",\"message\":\"response 1\",\"event\":\"dropped\",\"reason\":\"integrity-failed\"}\n\n";
    let gone = r#"{"reason":"unknown-connection","detail":"no connection has this name"}"#;
    let daemon = Daemon::giving(&[("200 OK", lines), ("200 OK", next), ("404 Not Found", gone)]);
    let ended = causeway(&daemon.socket(), &["log", "-f", "to-b"]);
    let then = "T6  peer IKE_AUTH response 1: dropped: integrity-failed\n";
    assert_eq!(
        (ended.out, ended.status),
        (format!("{shown}{then}"), 2),
        "{}",
        ended.err
    );
    assert!(daemon.requests()[1].contains("last-event-id: 5\r\n"));
}
