//! Packets of a connection, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;

use daemon::fed;

const PROBLEM: &str = r#"{ "title": "Conflict", "status": 409, "reason": "capture-runs", "detail": "packets are being taken" }"#;

#[test]
fn packets_are_written_to_a_file_or_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("to-b.pcapng");
    let out = file.to_str().unwrap();
    let arguments = [
        "capture",
        "to-b",
        "--what",
        "inner",
        "--seconds",
        "3",
        "--out",
        out,
    ];
    let (_, ended) = fed("409 Conflict", PROBLEM, &arguments, "");
    assert_ne!(ended.status, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let (request, ended) = fed("200 OK", "packets", &arguments, "");
    assert!(
        request.starts_with("POST /api/v1/connections/to-b/capture HTTP/1.1"),
        "{request}"
    );
    assert!(
        request.ends_with(r#"{"max_bytes":10485760,"seconds":3,"what":"inner"}"#),
        "{request}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"packets");
    assert_eq!(ended.out, format!("7 octets are in {out}.\n"));
    let (_, ended) = fed("200 OK", "packets", &["capture", "to-b"], "");
    assert_eq!(ended.out, "packets");
}
