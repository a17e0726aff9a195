//! Files of routes and messages, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

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

fn recorded(name: &str) -> String {
    format!("{}/../../bgp/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_file_is_shown_in_the_columns_of_routes() {
    let file = recorded("routeviews-jinx-updates-20150401.0000.gz");
    let nowhere = std::path::Path::new("/nonexistent");
    let all = daemon::causeway(nowhere, &["bgp", "mrt", "show", &file]);
    assert_eq!(all.status, 0, "{}", all.err);
    let line = all.out.lines().find(|line| line.ends_with("announced")).unwrap();
    let words: Vec<&str> = line.split("  ").collect();
    let (prefix, from) = (words[0], words[2].strip_prefix("from ").unwrap());
    assert!(
        words[1].starts_with("via ") && words[3].starts_with("path "),
        "{line}"
    );
    let some = daemon::causeway(
        nowhere,
        &[
            "bgp",
            "mrt",
            "show",
            &file,
            "--prefix",
            prefix,
            "--neighbour",
            from,
        ],
    );
    assert!(some.out.contains(line) && some.out.len() < all.out.len());
    let other = format!("from {from}");
    assert!(some.out.lines().all(|line| line.contains(&other)), "{}", some.out);
    let json = daemon::causeway(
        nowhere,
        &["--json", "bgp", "mrt", "show", &file, "--prefix", prefix],
    );
    assert!(
        json.out
            .lines()
            .all(|line| line.starts_with('{') && line.contains("\"standing\":")),
        "{}",
        json.out
    );
}

#[test]
fn a_file_that_is_none_is_refused_with_the_octet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.mrt");
    fs::write(&file, b"no file at all").unwrap();
    let ended = daemon::causeway(folder.path(), &["bgp", "mrt", "show", file.to_str().unwrap()]);
    assert_ne!(ended.status, 0);
    assert!(ended.err.contains("octet 0 of the file"), "{}", ended.err);
}

#[test]
fn a_trial_tells_what_decided() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.mrt");
    fs::write(&file, b"a table").unwrap();
    let body = r#"{ "records": 3, "announced": 5, "withdrawn": 1, "malformed": 0, "faults": [], "accepted": 3, "refused": 1,
        "decisions": [ { "accepted": true, "by": "default", "routes": 3, "examples": ["10.8.0.0/16"] },
                       { "accepted": false, "by": "policy", "term": 2, "routes": 1, "examples": ["10.9.0.0/16"] } ],
        "limits": [ { "family": "ipv4", "limit": 3, "received": 4, "exceeded": true, "exceeded_at": "10.9.0.0/16" } ] }"#;
    let arguments = ["bgp", "mrt", "try", file.to_str().unwrap(), "--neighbour", "to-b"];
    let (request, ended) = fed("200 OK", body, &arguments, "");
    assert!(
        request.starts_with("POST /api/v1/bgp/table:try?neighbour=to-b HTTP/1.1"),
        "{request}"
    );
    assert!(request.ends_with("a table"), "{request}");
    assert_eq!(
        ended.out,
        "5 routes announced and 1 withdrawn, 0 updates malformed\n3 let in, 1 not\n  \
         3 let in, by default: 10.8.0.0/16\n  1 not let in, by policy (term 2): 10.9.0.0/16\n\
         ipv4: 4 prefixes; the session would end at 10.9.0.0/16, the first one above 3\n"
    );
}
