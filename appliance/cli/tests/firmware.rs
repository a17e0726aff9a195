//! Updates, and whom the firmware image asks, against a Unix socket that answers what a daemon would.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::{Daemon, against, causeway};

const ROOM: &str =
    r#""room_bytes": 201326592, "root": "aa", "build": 1764324000, "built": "2025-11-28T10:00:00Z""#;

fn status(trial: &str, failure: &str) -> String {
    planned(trial, failure, "null")
}

fn planned(trial: &str, failure: &str, scheduled: &str) -> String {
    format!(
        r#"{{ "running": "b", "slots": {{
          "a": {{ "state": "good", "version": "0.1.0", {ROOM} }},
          "b": {{ "state": "trial", "version": "0.2.0", {ROOM} }} }},
          "trial": {trial}, "last_failure": {failure}, "scheduled": {scheduled},
          "storage": {{ "size_bytes": 1, "free_bytes": 1, "reason": "state-repaired", "detail": "it was repaired" }},
          "window": {{ "automatic_updates": false, "zone": "Europe/Berlin",
                       "opens": "2026-07-01T23:00:00Z", "opens_local": "2026-07-02T01:00:00+02:00",
                       "closes": "2026-07-02T04:00:00Z", "closes_local": "2026-07-02T06:00:00+02:00", "reason": null }},
          "upload": {{ "state": "ready", "received_bytes": 64000000, "size_bytes": 64000000, "version": "0.2.0" }} }}"#
    )
}

#[test]
fn a_trial_says_what_it_waits_for() {
    let trial = r#"{ "slot": "b", "tries_left": 1, "waits_for": ["no default gateway answers"] }"#;
    let failure = r#"{ "at": "2025-11-27T10:00:00Z", "version": "0.1.9", "build": 1, "reason": "trial-timed-out",
                       "detail": "causewayd did not come so far as to judge it" }"#;
    let (request, ended) = against("200 OK", &status(trial, failure), &["firmware"]);
    assert_eq!(request, "GET /api/v1/firmware HTTP/1.1");
    for line in [
        "slot a   good: 0.1.0 of 2025-11-28T10:00:00Z",
        "slot b   trial, runs: 0.2.0 of 2025-11-28T10:00:00Z",
        "trial    slot b has to show that it works; starts left: 1",
        "  waits  no default gateway answers",
        "upload   ready, 64.0 MB of 64.0 MB",
        "storage  state-repaired: it was repaired",
    ] {
        assert!(
            ended.out.lines().any(|other| other == line),
            "{line} in {}",
            ended.out
        );
    }
    assert!(
        ended
            .out
            .contains("trial-timed-out: causewayd did not come so far")
    );
    assert_eq!(ended.status, 1);
}

/// The file goes as it is, whole, and only then is the machine asked to start again.
#[test]
fn an_update_is_uploaded_and_installed() {
    let daemon = Daemon::giving(&[("200 OK", &status("null", "null")), ("202 Accepted", "")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.bundle");
    std::fs::write(&file, "x".repeat(200_000)).unwrap();
    let socket = daemon.socket();
    let ended = causeway(&socket, &["update", file.to_str().unwrap(), "--allow-downgrade"]);
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.out.contains("Version 0.2.0 is written"), "{}", ended.out);
    let requests = daemon.requests();
    let (upload, install) = (&requests[0], &requests[1]);
    assert!(upload.starts_with("POST /api/v1/firmware:upload?allow_downgrade=true HTTP/1.1"));
    assert!(upload.ends_with(&"x".repeat(200_000)));
    assert!(install.starts_with("POST /api/v1/firmware:install?allow_downgrade=true HTTP/1.1"));
}

/// Both clocks are told, and that nothing starts again now.
#[test]
fn an_update_waits_for_the_window_if_told_to() {
    let scheduled = r#"{ "slot": "a", "version": "0.2.0", "by": "alice" }"#;
    let planned = planned("null", "null", scheduled);
    let daemon = Daemon::giving(&[("200 OK", &status("null", "null")), ("200 OK", &planned)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.bundle");
    std::fs::write(&file, "x").unwrap();
    let ended = causeway(
        &daemon.socket(),
        &["update", file.to_str().unwrap(), "--in-window"],
    );
    assert_eq!(ended.status, 0, "{}", ended.err);
    let line = "planned  0.2.0 in slot a, in the window from 2026-07-02T01:00:00+02:00 to 2026-07-02T06:00:00+02:00 \
                (Europe/Berlin), 2026-07-01T23:00:00Z in UTC; by alice";
    assert!(ended.out.lines().any(|other| other == line), "{}", ended.out);
    assert!(!ended.out.contains("starts again"), "{}", ended.out);
    assert!(daemon.requests()[1].starts_with("POST /api/v1/firmware:schedule HTTP/1.1"));

    let (request, ended) = against("200 OK", &status("null", "null"), &["firmware", "cancel"]);
    assert_eq!(
        (request.as_str(), ended.status),
        ("POST /api/v1/firmware:cancel HTTP/1.1", 0)
    );
}

/// The name goes as it was typed, and what is refused says which name it should have been.
#[test]
fn a_factory_reset_names_the_machine() {
    let daemon = Daemon::giving(&[("202 Accepted", "")]);
    let ended = causeway(&daemon.socket(), &["factory-reset", "edge-1"]);
    assert_eq!(ended.status, 0, "{}", ended.err);
    let request = &daemon.requests()[0];
    assert!(
        request.starts_with("POST /api/v1/system:factory-reset HTTP/1.1"),
        "{request}"
    );
    assert!(request.ends_with(r#"{"name":"edge-1"}"#), "{request}");
}

#[test]
fn a_refusal_is_told_and_nothing_is_installed() {
    let body =
        r#"{ "title": "", "status": 422, "reason": "bundle-signature", "detail": "it is not signed" }"#;
    let daemon = Daemon::giving(&[("422 Unprocessable Entity", body)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.bundle");
    std::fs::write(&file, "x").unwrap();
    let ended = causeway(&daemon.socket(), &["update", file.to_str().unwrap()]);
    assert_eq!(ended.status, 2);
    assert!(ended.err.contains("it is not signed"), "{}", ended.err);
    assert_eq!(daemon.requests().len(), 1);
}

/// Who keeps the clock, how well, and what to do where nobody does.
#[test]
fn the_clock_and_whom_the_machine_asks_are_told_with_the_status() {
    let told = |clock: serde_json::Value| {
        let status = serde_json::json!({
            "version": "1", "datapath": { "kind": "kernel", "why": "it can" }, "connections": {},
            "clock": clock, "name_servers": { "source": "dhcp", "hosts": ["192.0.2.53"] }
        });
        against("200 OK", &status.to_string(), &["status"]).1.out
    };
    let out = told(serde_json::json!({
        "state": "synchronised", "error_ms": 12, "servers": { "source": "document", "hosts": ["ntp.example", "192.0.2.1"] }, "outage": null
    }));
    let right = "clock      synchronised, off by 12 ms at most; asks ntp.example, 192.0.2.1, as the document has it\n\
                 names      asks 192.0.2.53, as DHCP has it\n";
    assert!(out.contains(right), "{out}");
    let out = told(serde_json::json!({
        "state": "not-synchronised", "error_ms": null, "servers": { "source": "none", "hosts": [] },
        "outage": { "reason": "clock-not-synchronised", "side": "we", "stage": "idle", "offered": "no time server is known",
                    "expected": "a time server that answers", "next_step": "Name servers." }
    }));
    let wrong = "clock      NOT synchronised; nobody is asked\n           \
                 clock-not-synchronised: no time server is known, should be a time server that answers: Name servers.\n";
    assert!(out.contains(wrong), "{out}");
}
