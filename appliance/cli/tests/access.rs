//! Who may sign in, with what, and what they did.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::{against, fed};
use serde_json::{Value, json};

fn sent(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_code_of_a_machine_that_nobody_has_claimed_is_told() {
    let (request, ended) = against("200 OK", r#"{"code":"ABCD-EFGH"}"#, &["claim-code"]);
    assert_eq!(request, "GET /api/v1/claim HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), ("ABCD-EFGH\n", 0));
    let claimed = r#"{"reason":"already-claimed","detail":"the machine is claimed already"}"#;
    let (_, ended) = against("409 Conflict", claimed, &["claim-code"]);
    assert_eq!((ended.out.as_str(), ended.status), ("", 4));
}

#[test]
fn users_are_listed_and_a_password_goes_by_standard_input_alone() {
    let users = r#"{"alice":{"role":"admin","password_set_at":"2026-01-02T03:04:05Z","password_set_by":"uid 0"},
        "noc":{"role":"viewer","password_set_at":null,"password_set_by":null}}"#;
    let (request, ended) = against("200 OK", users, &["user", "list"]);
    assert_eq!(request, "GET /api/v1/users HTTP/1.1");
    assert_eq!(
        ended.out,
        "alice  admin  password set 2026-01-02T03:04:05Z by uid 0\nnoc  viewer  no password\n"
    );
    let (request, ended) = fed(
        "204 No Content",
        "",
        &["user", "password", "alice"],
        "a \"b\" c \n",
    );
    assert!(
        request.starts_with("PUT /api/v1/users/alice/password "),
        "{request}"
    );
    assert_eq!(sent(&request), json!({ "password": "a \"b\" c " }));
    assert_eq!(ended.out, "The password of alice is set.\n");
    assert!(!ended.err.contains("\"b\""), "{}", ended.err);
}

#[test]
fn tokens_are_made_listed_and_removed() {
    let made = r#"{"name":"backup","token":"cw_secret","user":"alice","role":"viewer"}"#;
    let create = ["token", "create", "backup", "--role", "viewer"];
    let more = [
        "--scope",
        "/status",
        "--scope",
        "/config",
        "--expires-in",
        "86400",
        "--user",
        "alice",
    ];
    let (request, ended) = fed("201 Created", made, &create, "");
    assert!(request.starts_with("POST /api/v1/tokens "), "{request}");
    assert_eq!(
        sent(&request),
        json!({ "name": "backup", "role": "viewer", "scope": [] })
    );
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("cw_secret\n", ""));
    let (request, _) = fed("201 Created", made, &[&create[..], &more].concat(), "");
    let whole = json!({ "name": "backup", "role": "viewer", "scope": ["/status", "/config"], "expires_in_s": 86400,
                        "user": "alice" });
    assert_eq!(sent(&request), whole);
    let list = r#"{"backup":{"user":"alice","role":"viewer","scope":["/status"],"made_at":"T1","expires_at":"T2"},
        "forever":{"user":"bob","role":"admin","scope":[],"made_at":"T1","expires_at":null}}"#;
    let (request, ended) = against("200 OK", list, &["token", "list"]);
    assert_eq!(request, "GET /api/v1/tokens HTTP/1.1");
    assert_eq!(
        ended.out,
        "backup  alice  viewer  /status  made T1  until T2\nforever  bob  admin  all paths  made T1  until removed\n"
    );
    let (request, ended) = against("204 No Content", "", &["token", "remove", "backup"]);
    assert_eq!(request, "DELETE /api/v1/tokens/backup HTTP/1.1");
    assert_eq!((ended.out.as_str(), ended.status), ("backup is removed.\n", 0));
}

#[test]
fn the_audit_log_is_told_newest_first_and_how_to_see_more() {
    let log = r#"{"more":true,"entries":[
        {"id":12,"at":"T2","who":"alice","source":"192.0.2.9","what":"config committed","result":"done"},
        {"id":11,"at":"T1","who":"uid 0","what":"secret set","result":"secret-invalid"}]}"#;
    let (request, ended) = against("200 OK", log, &["audit"]);
    assert_eq!(request, "GET /api/v1/audit?limit=100 HTTP/1.1");
    assert_eq!(
        ended.out,
        "T2  alice from 192.0.2.9  done  config committed\nT1  uid 0  secret-invalid  secret set\n\
         There are older ones: causeway audit --before 11\n"
    );
    let arguments = [
        "audit", "--who", "uid 0", "--result", "done", "--before", "11", "--limit", "5",
    ];
    let (request, _) = against("200 OK", r#"{"entries":[]}"#, &arguments);
    assert_eq!(
        request,
        "GET /api/v1/audit?who=uid%200&result=done&before=11&limit=5 HTTP/1.1"
    );
}
