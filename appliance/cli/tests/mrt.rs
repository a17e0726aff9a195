//! Files of routes and messages, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;

use daemon::{against, fed};

const PROBLEM: &str = r#"{ "title": "Service Unavailable", "status": 503, "reason": "too-many-readers", "detail": "others read" }"#;

#[test]
fn a_table_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.mrt");
    let out = file.to_str().unwrap();
    let arguments = ["bgp", "mrt", "table", "--out", out];
    let (_, ended) = against("503 Service Unavailable", PROBLEM, &arguments);
    assert_ne!(ended.status, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let (request, ended) = against(
        "200 OK",
        "octets",
        &[&arguments[..], &["--kind", "best"]].concat(),
    );
    assert_eq!(request, "GET /api/v1/bgp/table.mrt?kind=best HTTP/1.1");
    assert_eq!(fs::read(&file).unwrap(), b"octets");
    assert_eq!(ended.out, format!("6 octets are in {out}.\n"));
    let (request, ended) = against("200 OK", "octets", &["bgp", "mrt", "table"]);
    assert_eq!(request, "GET /api/v1/bgp/table.mrt?kind=received HTTP/1.1");
    assert_eq!(ended.out, "octets");
}

#[test]
fn a_recording_is_begun_looked_at_ended_and_saved() {
    let body = r#"{ "state": "full", "neighbour": "to-b", "since": "2026-11-27T06:00:00Z", "messages": 7, "bytes": 1000,
        "dropped": 3, "max_bytes": 1024, "max_seconds": 60 }"#;
    let arguments = [
        "bgp",
        "mrt",
        "record",
        "start",
        "--neighbour",
        "to-b",
        "--max-bytes",
        "1024",
        "--max-seconds",
        "60",
    ];
    let (request, ended) = fed("200 OK", body, &arguments, "");
    assert!(
        request.starts_with("POST /api/v1/bgp/recording:start HTTP/1.1"),
        "{request}"
    );
    assert!(
        request.ends_with(r#"{"max_bytes":1024,"max_seconds":60,"neighbour":"to-b"}"#),
        "{request}"
    );
    assert_eq!(
        ended.out,
        "FULL, of to-b, since 2026-11-27T06:00:00Z\n  \
         written 7 messages, 1000 of at most 1024 bytes, for at most 60 s\n  dropped 3\n"
    );
    let (request, _) = fed("200 OK", body, &["bgp", "mrt", "record", "start"], "");
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
    let (request, _) = against("200 OK", body, &["bgp", "mrt", "record", "stop"]);
    assert_eq!(request, "POST /api/v1/bgp/recording:stop HTTP/1.1");
    let none = r#"{ "state": "none", "messages": 0, "bytes": 0, "dropped": 0 }"#;
    let (request, ended) = against("200 OK", none, &["bgp", "mrt", "record", "status"]);
    assert_eq!(request, "GET /api/v1/bgp/recording HTTP/1.1");
    assert_eq!(ended.out, "nothing was recorded since the daemon started\n");
    let (request, ended) = against("200 OK", "octets", &["bgp", "mrt", "record", "save"]);
    assert_eq!(request, "GET /api/v1/bgp/recording.mrt HTTP/1.1");
    assert_eq!(ended.out, "octets");
}
