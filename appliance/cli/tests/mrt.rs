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

/// Packed by bzip2 or not, four routes with communities of both kinds.
#[test]
fn what_bzip2_packed_is_shown() {
    let file = format!("{}/tests/fixtures/table.mrt.bz2", env!("CARGO_MANIFEST_DIR"));
    let nowhere = std::path::Path::new("/nonexistent");
    let shown = daemon::causeway(nowhere, &["bgp", "mrt", "show", &file]);
    let line = |number| {
        format!(
            "100.64.{number}.0/24  via 169.254.21.1  from 169.254.21.1  path 65020  \
             communities 65020:7 65020:1:2  table\n"
        )
    };
    assert_eq!(shown.out, (0..4).map(line).collect::<String>(), "{}", shown.err);
    // Cut off in its only block.
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.bz2");
    let octets = fs::read(file).unwrap();
    fs::write(&cut, &octets[..octets.len() / 2]).unwrap();
    let ended = daemon::causeway(nowhere, &["bgp", "mrt", "show", cut.to_str().unwrap()]);
    assert_ne!(ended.status, 0, "{}", ended.out);
    assert!(ended.err.contains("octet 0 of the file"), "{}", ended.err);
}

/// The number of a path is told of tables too (RFC 8050 §4), and what a route does not bear is not told as 0.
#[test]
fn numbered_paths_of_a_table_are_told_by_their_numbers() {
    let file = format!(
        "{}/../../tests/fuzz/corpus/mrt_record/table-numbered",
        env!("CARGO_MANIFEST_DIR")
    );
    let nowhere = std::path::Path::new("/nonexistent");
    let shown = daemon::causeway(nowhere, &["bgp", "mrt", "show", &file, "--json"]);
    let routes: Vec<serde_json::Value> = shown
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<_> = routes.iter().map(|route| &route["path"]).collect();
    assert_eq!(numbers, [7, 8, 9], "{}{}", shown.out, shown.err);
    assert!(
        routes
            .iter()
            .all(|route| route["med"].is_null() && route["local_preference"].is_null()),
        "{}",
        shown.out
    );
}

/// A recording has both ways of a session (RFC 6396 §4.4.3): what was sent is not shown as what came.
#[test]
fn what_went_to_a_neighbour_is_told_apart() {
    let hexadecimal = |text: &str| -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    // BGP4MP, from 65010 at 169.254.21.2, whose neighbour is 65020 at 169.254.21.1.
    let session = "0000fdfc 0000fdf2 0000 0001 a9fe1501 a9fe1502";
    let announces = "ffffffffffffffffffffffffffffffff 002f 02 0000 0014 40010100 400206 0201 0000fdf2 400304 a9fe1502 \
                     18 0a0100";
    let withdraws = "ffffffffffffffffffffffffffffffff 001b 02 0004 18 0a0100 0000";
    let records = format!(
        "69280000 0010 0007 00000043 {session} {announces} 69280001 0010 0007 0000002f {session} {withdraws} \
         69280002 0010 0004 0000002f {session} {withdraws}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.mrt");
    fs::write(&file, hexadecimal(&records)).unwrap();
    let shown = daemon::causeway(folder.path(), &["bgp", "mrt", "show", file.to_str().unwrap()]);
    assert_eq!(
        shown.out,
        "10.1.0.0/24  via 169.254.21.2  to 169.254.21.1  path 65010  announced\n\
         10.1.0.0/24  to 169.254.21.1  withdrawn\n10.1.0.0/24  from 169.254.21.1  withdrawn\n",
        "{}",
        shown.err
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
