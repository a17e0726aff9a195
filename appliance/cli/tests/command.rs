//! The command against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use daemon::{against, causeway, ended, fed};

const MIXED: &str = include_str!("fixtures/mixed.json");
const UP: &str = include_str!("fixtures/up.json");

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
        (&["reauthenticate", "to-b"], "reauthenticate"),
        (&["disconnect", "to-b"], "disconnect"),
        (&["reset", "to-b"], "reset"),
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

const REPORT: &str = r#"{"generation":7,"unchanged":false,"confirm_within_s":60,
    "difference":[{"path":"/connections/to-b/mtu","before":1400,"after":1300},
                  {"path":"/sites/d","after":{"endpoint":"any"}},{"path":"/sites/c","before":[1]}],
    "impact":{"connections":{"reset":["to-b"],"changed_in_place":[],"added":["to-d"],"removed":[]},
              "bgp_peers":{"reset":["b"]}}}"#;

#[test]
fn a_commit_shows_what_it_does_and_how_to_keep_it() {
    let commit = [
        "config",
        "commit",
        "-",
        "--from",
        "6",
        "--confirm-within",
        "60",
        "--comment",
        "less & more",
    ];
    let (request, ended) = fed("200 OK", REPORT, &commit, "{}");
    let head = "PUT /api/v1/config?confirm_within_s=60&comment=less%20%26%20more HTTP/1.1";
    assert!(request.starts_with(head), "{request}");
    assert!(
        request.contains("if-match: \"6\"") && request.ends_with("\r\n\r\n{}"),
        "{request}"
    );
    assert_eq!(
        ended.out,
        "~ /connections/to-b/mtu: 1400 -> 1300\n+ /sites/d: {\"endpoint\":\"any\"}\n- /sites/c: [1]\n\
         connections reset: to-b\nconnections added: to-d\nBGP peers reset: b\n\
         Generation 7 runs for 60 s. To keep it: causeway config confirm\n"
    );
    assert_eq!(ended.status, 0);
    let same = r#"{"generation":7,"unchanged":true,"difference":[],"impact":{"connections":{}}}"#;
    let (request, ended) = fed("200 OK", same, &["config", "check", "-"], "{}");
    assert!(
        request.starts_with("POST /api/v1/config:check HTTP/1.1"),
        "{request}"
    );
    assert_eq!(ended.out, "Nothing changes: generation 7 says the same.\n");
}

#[test]
fn a_refused_document_is_told_with_every_violation() {
    let body = r#"{"reason":"invalid-document","detail":"the document has 2 problems","violations":[
        {"path":"/sites/b","reason":"missing-key","detail":"no endpoint"},{"path":"","reason":"x","detail":"y"}]}"#;
    let (_, ended) = fed("422 Unprocessable Entity", body, &["config", "check", "-"], "{}");
    assert_eq!(
        ended.err,
        "causeway: the document has 2 problems\n/sites/b: missing-key: no endpoint\n/: x: y\n"
    );
    assert_eq!(ended.status, 2);
    let (_, ended) = against("200 OK", "{}", &["config", "show"]);
    assert_eq!(ended.out, "{}\n");
    let missing = causeway(
        Path::new("/nonexistent/control.sock"),
        &["config", "check", "/nonexistent/file"],
    );
    assert!(missing.err.contains("/nonexistent/file"), "{}", missing.err);
    assert_eq!(missing.status, 2);
}

#[test]
fn history_differences_and_the_way_back_are_shown() {
    let body = r#"{"current":2,"startup":1,"trial":2,"generations":[
        {"generation":2,"at":"2026-01-02T03:04:05Z","author":"uid 0","source":"api","comment":"mtu"},
        {"generation":1,"at":"2026-01-02T03:04:04Z","author":"system","source":"seed","comment":""}]}"#;
    let (request, ended) = against("200 OK", body, &["config", "history"]);
    assert_eq!(request, "GET /api/v1/generations HTTP/1.1");
    assert_eq!(
        ended.out,
        "    2  2026-01-02T03:04:05Z  on trial  api       uid 0  mtu\n    \
             1  2026-01-02T03:04:04Z            seed      system\n"
    );
    let body = r#"{"from":1,"to":2,"difference":[{"path":"/x","after":1}]}"#;
    let (request, ended) = against("200 OK", body, &["config", "diff", "1", "2"]);
    assert_eq!(request, "GET /api/v1/generations/1..2 HTTP/1.1");
    assert_eq!(ended.out, "+ /x: 1\n");
    let (request, _) = fed("200 OK", REPORT, &["config", "rollback", "3"], "");
    assert!(request.starts_with("POST /api/v1/config:rollback"), "{request}");
    assert!(request.ends_with(r#"{"generation":3}"#), "{request}");
    let (request, ended) = against("200 OK", r#"{"generation":2}"#, &["config", "confirm"]);
    assert_eq!(request, "POST /api/v1/config:confirm HTTP/1.1");
    assert_eq!(ended.out, "Generation 2 is confirmed.\n");
}

#[test]
fn secrets_are_set_made_listed_and_removed() {
    let told = r#"{"set_at":"2026-01-02T03:04:05Z","set_by":"uid 0","fingerprint":"0123456789abcdef",
        "used_by":["/connections/to-b/authentication/secret"],"unchanged":false,"value":"made"}"#;
    let (request, ended) = fed("200 OK", told, &["secret", "set", "psk-b"], "Geheim1\n");
    assert!(
        request.starts_with("PUT /api/v1/secrets/psk-b HTTP/1.1"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\nGeheim1\n"), "{request}");
    assert_eq!(
        ended.out,
        "psk-b is set; used at /connections/to-b/authentication/secret\n"
    );
    let (request, ended) = against("200 OK", told, &["secret", "generate", "psk-b"]);
    assert_eq!(request, "POST /api/v1/secrets/psk-b:generate HTTP/1.1");
    assert_eq!(ended.out, "made\n");
    let all = format!(r#"{{"psk-b":{told}}}"#);
    let (_, ended) = against("200 OK", &all, &["secret", "list"]);
    assert_eq!(
        ended.out,
        "psk-b  0123456789abcdef  2026-01-02T03:04:05Z  uid 0  /connections/to-b/authentication/secret\n"
    );
    let (request, ended) = against("204 No Content", "", &["secret", "remove", "psk-b"]);
    assert_eq!(request, "DELETE /api/v1/secrets/psk-b HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), ("psk-b is removed.\n", 0));
}

#[test]
fn a_trial_and_a_damaged_store_are_told_with_the_status() {
    let mut status: serde_json::Value = serde_json::from_str(UP).unwrap();
    status["configuration"] = serde_json::json!({
        "generation": 3, "startup": 2, "trial": { "generation": 3, "remaining_s": 90 },
        "store": { "reason": "store-damaged", "detail": "set aside" },
        "machine_key": { "kept": "file", "reason": "machine-key-lost", "detail": "no TPM" }
    });
    let (_, ended) = against("200 OK", &status.to_string(), &["status"]);
    let trial = "trial      generation 3 goes back to 2 in 1 min 30 s, unless: causeway config confirm\n";
    assert!(ended.out.contains(trial), "{}", ended.out);
    assert!(
        ended.out.contains("store      store-damaged: set aside\n"),
        "{}",
        ended.out
    );
    let key = "key        the machine key is in a file\n           machine-key-lost: no TPM\n";
    assert!(ended.out.contains(key), "{}", ended.out);
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

#[test]
fn what_cuts_the_caller_off_and_what_is_not_done_is_told_before() {
    let report = r#"{"generation":7,"unchanged":false,"difference":[],
        "notices":[{"path":"/nat_rules/a","reason":"not-in-this-version","detail":"kept"}],
        "impact":{"connections":{},"bgp_peers":{"reset":["west"]},"interfaces":{"readdressed":["lan0"]},
                  "caller":{"path":"lan0","cut_off":true,"why":"its address goes"}}}"#;
    let (_, ended) = fed("200 OK", report, &["config", "check", "-"], "{}");
    assert_eq!(
        ended.out,
        "notice: /nat_rules/a: not-in-this-version: kept\nBGP peers reset: west\ninterfaces readdressed: lan0\n\
         THIS CUTS YOUR OWN ACCESS OFF, which goes by lan0: its address goes\n"
    );
}

#[test]
fn every_answer_is_json_where_that_is_asked_for() {
    let up = serde_json::from_str::<serde_json::Value>(UP).unwrap();
    let one = up["connections"].as_object().unwrap().values().next().unwrap();
    let secret = r#"{"set_at":"","set_by":"","fingerprint":"","value":"made"}"#;
    let history = r#"{"current":1,"trial":null,"generations":[]}"#;
    for (arguments, body) in [
        (&["status"][..], UP),
        (&["status", "to-b"], &one.to_string()),
        (&["status", "--interfaces"], "{}"),
        (&["events", "to-b"], &one.to_string()),
        (&["connect", "to-b"], ""),
        (&["rekey", "to-b"], ""),
        (&["disconnect", "to-b"], ""),
        (&["reset", "to-b"], ""),
        (&["logs"], r#"{"events":[]}"#),
        (&["claim-code"], r#"{"code":"A"}"#),
        (&["user", "list"], "{}"),
        (&["user", "password", "a"], ""),
        (&["token", "create", "a", "--role", "viewer"], "{}"),
        (&["token", "list"], "{}"),
        (&["token", "remove", "a"], ""),
        (&["audit"], r#"{"entries":[]}"#),
        (&["show", "connections", "to-b"], "{}"),
        (&["export", "-"], r#"{"generation":1}"#),
        (&["import", "-", "--from", "1"], REPORT),
        (&["config", "show"], "{}"),
        (&["config", "check", "-"], REPORT),
        (&["config", "commit", "-", "--from", "1"], REPORT),
        (&["config", "confirm"], r#"{"generation":7}"#),
        (&["config", "rollback", "1"], REPORT),
        (&["config", "history"], history),
        (&["config", "diff", "1", "2"], r#"{"difference":[]}"#),
        (&["secret", "set", "a"], secret),
        (&["secret", "generate", "a"], secret),
        (&["secret", "list"], "{}"),
        (&["secret", "remove", "a"], ""),
    ] {
        let arguments = [arguments, &["--json"]].concat();
        let (_, ended) = fed("200 OK", body, &arguments, "{}");
        let json = serde_json::from_str::<serde_json::Value>(&ended.out);
        assert!(json.is_ok(), "{arguments:?}: {:?} {}", ended.out, ended.err);
        let refused = r#"{"reason":"x","detail":"y"}"#;
        let (_, ended) = fed("404 Not Found", refused, &arguments, "{}");
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(
            (json(&ended.err), ended.status),
            (json(refused), 2),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_exit_status_says_what_kind_of_no_it_is() {
    for (status, expected) in [
        ("400 Bad Request", 2),
        ("401 Unauthorized", 5),
        ("403 Forbidden", 5),
        ("404 Not Found", 2),
        ("409 Conflict", 4),
        ("412 Precondition Failed", 4),
        ("413 Payload Too Large", 2),
        ("422 Unprocessable Entity", 2),
        ("428 Precondition Required", 2),
        ("429 Too Many Requests", 5),
        ("500 Internal Server Error", 3),
        ("503 Service Unavailable", 3),
    ] {
        let (_, ended) = against(status, r#"{"reason":"x","detail":"y"}"#, &["connect", "to-b"]);
        assert_eq!(ended.status, expected, "{status}");
    }
    let nowhere = Path::new("/nonexistent/control.sock");
    let ended = causeway(nowhere, &["status", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((told["reason"].as_str(), ended.status), (Some("no-socket"), 3));
}

#[test]
fn parts_of_the_document_are_shown() {
    for (arguments, path) in [
        (&["show"][..], "/api/v1/config"),
        (&["show", "connections"], "/api/v1/config/connections"),
        (
            &["show", "connections", "to-b"],
            "/api/v1/config/connections/to-b",
        ),
        (
            &["show", "sites", "b", "--defaults"],
            "/api/v1/config/sites/b?defaults=true",
        ),
    ] {
        let (request, ended) = against("200 OK", r#"{"mtu":1400}"#, arguments);
        assert_eq!(request, format!("GET {path} HTTP/1.1"));
        assert_eq!(ended.out, "{\n  \"mtu\": 1400\n}\n");
    }
}

#[test]
fn what_is_switched_off_is_no_fault() {
    let mut status: serde_json::Value = serde_json::from_str(UP).unwrap();
    status["connections"]["to-off"] =
        serde_json::json!({ "state": "disabled", "since_s": null, "outage": null });
    let (_, ended) = against("200 OK", &status.to_string(), &["status"]);
    assert!(
        ended
            .out
            .starts_with("Causeway 0.1.0: 1 of 2 connections up, 1 disabled\n"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("\nto-off: DISABLED\n"), "{}", ended.out);
    assert_eq!(ended.status, 0);
}

#[test]
fn interfaces_are_shown_with_what_they_lack() {
    let wan = r#"{"state":"down","role":"wan","device":"eth0","present":true,"carrier":true,"mtu":{"expected":1500,"present":1500},
        "addresses":[],"expected":["192.0.2.1/24"],"gateways":[],
        "dhcp":{"phase":"bound","lease":{"address":"192.0.2.5/24","server":"192.0.2.254","expires_in_s":7200}},
        "outage":{"reason":"address-missing","side":"we","stage":"link","next_step":"Wait."},
        "refused":[{"object":"address 192.0.2.1/24","attribute":null,"detail":"it is taken"}]}"#;
    let lan = r#"{"state":"up","role":"lan","device":"lan0","mtu":{"present":9000},"addresses":["10.1.0.1/24"],"refused":[]}"#;
    let body = format!(r#"{{"lan0":{lan},"wan0":{wan}}}"#);
    let (request, ended) = against("200 OK", &body, &["status", "--interfaces"]);
    assert_eq!(request, "GET /api/v1/status/interfaces HTTP/1.1");
    let down = "wan0: DOWN, wan, device eth0, MTU 1500\n  why      address-missing, said by this side at link\n  \
                do next  Wait.\n  lacks    192.0.2.1/24\n  DHCP     bound, 192.0.2.5/24 from 192.0.2.254 for 2 h 0 min\n  \
                refused  address 192.0.2.1/24: it is taken\n";
    let up = "lan0: UP, lan, MTU 9000\n  has      10.1.0.1/24\n";
    assert_eq!((ended.out, ended.status), (format!("{down}\n{up}"), 1));
    let (request, ended) = against("200 OK", lan, &["status", "--interfaces", "lan0"]);
    assert_eq!(request, "GET /api/v1/status/interfaces/lan0 HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), (up, 0));

    let mut status: serde_json::Value = serde_json::from_str(UP).unwrap();
    status["interfaces"] = serde_json::from_str(&body).unwrap();
    let (_, ended) = against("200 OK", &status.to_string(), &["status"]);
    let line = "interface  wan0: address-missing; see causeway status --interfaces\n";
    assert!(ended.out.contains(line), "{}", ended.out);
    assert_eq!(ended.status, 1);
}
