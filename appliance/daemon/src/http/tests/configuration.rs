use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::machine::{Machine, document};
use crate::control::{Files, begin};
use crate::store::Store;

const CONFIG: &str = "/api/v1/config";

#[tokio::test]
async fn a_document_is_committed_and_the_same_again_changes_nothing() {
    let machine = Machine::new().await;
    let empty = machine.get(CONFIG).await;
    assert_eq!((empty.etag(), &empty.body), ("\"0\"", &json!({})));
    let lacking = machine.put(0, &document()).await;
    assert_eq!(
        lacking.violations(),
        [
            ("/connections/to-b/authentication/secret", "secret-missing"),
            ("/connections/to-c/authentication/secret", "secret-missing")
        ]
    );
    drop(machine);

    let machine = Machine::configured().await;
    let read = machine.get(CONFIG).await;
    assert_eq!((read.etag(), &read.body), ("\"1\"", &document()));
    let mut same = document();
    same["connections"]["to-b"]["mtu"] = json!(1400);
    same["policies"] = Value::Null;
    for same in [document(), same] {
        let again = machine.put(1, &same).await;
        assert_eq!((again.status, &again.body["unchanged"]), (200, &json!(true)));
        assert_eq!((again.etag(), &again.body["difference"]), ("\"1\"", &json!([])));
    }
    assert_eq!(machine.settings.lock().unwrap().len(), 2);
}

/// What this version cannot negotiate is kept, and nobody tries.
#[tokio::test]
async fn a_connection_that_this_version_cannot_negotiate_is_kept_and_held() {
    let machine = Machine::new().await;
    for name in ["psk-b", "psk-c"] {
        let path = format!("/api/v1/secrets/{name}");
        machine.ask("PUT", &path, None, "Geheim1").await;
    }
    let mut document = document();
    document["connections"]["to-b"]["protocol"] = json!("IKEv1");
    document["connections"]["to-b"]["policy"] = json!("modern");
    document["connections"]["to-c"]["enabled"] = json!(false);
    let put = machine.put(0, &document).await;
    assert_eq!(put.status, 200, "{put:?}");
    let told = |notices: &Value| {
        assert_eq!(notices.as_array().unwrap().len(), 1, "{notices}");
        let notice = &notices[0];
        assert_eq!(
            (&notice["path"], &notice["reason"]),
            (&json!("/connections/to-b/policy"), &json!("not-in-this-version"))
        );
        assert!(notice["detail"].as_str().unwrap().contains("IKEv1"), "{notice}");
    };
    told(&put.body["notices"]);
    assert_eq!(machine.connections(), [].into());
    let status = machine.get("/api/v1/status").await.body;
    told(&status["configuration"]["notices"]);
    let to_b = &machine.get("/api/v1/status/connections/to-b").await.body;
    assert_eq!(
        (&to_b["state"], &to_b["outage"]["reason"]),
        (&json!("down"), &json!("not-in-this-version"))
    );
    assert!(
        to_b["outage"]["next_step"].as_str().unwrap().contains("IKEv1"),
        "{to_b}"
    );
    let to_c = &status["connections"]["to-c"];
    assert_eq!(
        (&to_c["state"], &to_c["outage"]),
        (&json!("disabled"), &Value::Null)
    );
    let changed = machine
        .ask(
            "PATCH",
            "/api/v1/config/connections/to-b",
            Some(1),
            r#"{"protocol":"IKEv2"}"#,
        )
        .await;
    assert_eq!(
        changed.violations(),
        [("/connections/to-b/protocol", "protocol-immutable")]
    );
}

#[tokio::test]
async fn every_item_can_be_read_put_patched_and_deleted_with_its_impact_told() {
    let machine = Machine::configured().await;
    let to_b = "/api/v1/config/connections/to-b";
    assert_eq!(machine.get(to_b).await.body, document()["connections"]["to-b"]);
    let patched = machine
        .ask("PATCH", to_b, Some(1), r#"{"dpd_timeout_s":60}"#)
        .await;
    assert_eq!(
        patched.body,
        json!({
            "generation": 2, "unchanged": false,
            "difference": [{ "path": "/connections/to-b/dpd_timeout_s", "after": 60 }],
            "notices": [],
            "impact": {
                "connections": { "reset": [], "changed_in_place": ["to-b"], "added": [], "removed": [] },
                "bgp_peers": { "reset": [], "changed_in_place": [], "added": [], "removed": [] },
                "interfaces": { "readdressed": [], "added": [], "removed": [] }
            }
        })
    );
    let mut other = document()["connections"]["to-b"].clone();
    other["endpoint"] = json!("192.0.2.22");
    let put = machine.ask("PUT", to_b, Some(2), &other.to_string()).await;
    assert_eq!(put.body["impact"]["connections"]["reset"], json!(["to-b"]));
    let deleted = machine.ask("DELETE", to_b, Some(3), "").await;
    assert_eq!(deleted.body["impact"]["connections"]["removed"], json!(["to-b"]));
    assert_eq!(machine.connections(), ["to-c".to_owned()].into());
    assert_eq!(machine.get(to_b).await.reason(), (404, "unknown-item"));
    let again = machine.ask("DELETE", to_b, Some(4), "").await;
    assert_eq!(again.reason(), (404, "unknown-item"));
    let collection = machine.get("/api/v1/config/connections").await;
    assert_eq!(
        collection.body,
        json!({ "to-c": document()["connections"]["to-c"] })
    );
    assert_eq!(machine.get("/api/v1/config/policies").await.body, json!({}));
    for path in ["/api/v1/config/nonsense", "/api/v1/config/gateway/address_space"] {
        assert_eq!(machine.get(path).await.reason(), (404, "unknown-path"), "{path}");
    }
}

#[tokio::test]
async fn a_check_tells_what_would_happen_and_changes_nothing() {
    let machine = Machine::configured().await;
    let body = br#"{"connections":{"to-c":null}}"#;
    let media = "Content-Type: application/merge-patch+json\r\n";
    let checked = machine.send("POST", "/api/v1/config:check", media, body).await;
    assert_eq!((checked.status, checked.etag()), (200, "\"1\""));
    assert_eq!(checked.body["impact"]["connections"]["removed"], json!(["to-c"]));
    assert_eq!(machine.get(CONFIG).await.body, document());
    let mut wrong = document();
    wrong["sites"]["b"]["address_space"] = json!(["10.2.0.1/24"]);
    wrong["connections"]["to-c"]["policy"] = json!("gmc");
    let refused = machine
        .ask("POST", "/api/v1/config:check", None, &wrong.to_string())
        .await;
    assert_eq!(refused.reason(), (422, "invalid-document"));
    assert_eq!(
        refused.violations(),
        [
            ("/connections/to-c/policy", "dangling-reference"),
            ("/sites/b/address_space/0", "invalid-prefix")
        ]
    );
    assert!(
        refused.head.contains("application/problem+json"),
        "{}",
        refused.head
    );
}

#[tokio::test]
async fn a_write_says_what_it_changes_or_is_refused() {
    let machine = Machine::configured().await;
    let body = document().to_string();
    let without = machine.ask("PUT", CONFIG, None, &body).await;
    assert_eq!(without.reason(), (428, "if-match-needed"));
    let mut changed = document();
    changed["connections"]["to-b"]["mtu"] = json!(1300);
    assert_eq!(machine.put(0, &changed).await.reason(), (412, "stale"));
    for tag in ["W/\"1\"", "nonsense", "\"2\", \"3\""] {
        let header = format!("If-Match: {tag}\r\n");
        let refused = machine.send("PUT", CONFIG, &header, body.as_bytes()).await;
        assert_eq!(refused.reason(), (412, "stale"), "{tag}");
    }
    for tag in ["*", "\"7\", \"1\""] {
        let header = format!("If-Match: {tag}\r\n");
        let taken = machine.send("PUT", CONFIG, &header, body.as_bytes()).await;
        assert_eq!(taken.status, 200, "{tag}");
    }
}

/// Of two that begin from the same generation one wins.
#[tokio::test]
async fn of_two_commits_at_once_one_is_stale() {
    let machine = Machine::configured().await;
    let with_mtu = |mtu: u16| {
        let mut document = document();
        document["connections"]["to-b"]["mtu"] = json!(mtu);
        document
    };
    let (one, other) = (with_mtu(1300), with_mtu(1310));
    let (one, other) = tokio::join!(machine.put(1, &one), machine.put(1, &other));
    let mut codes = [one.status, other.status];
    codes.sort_unstable();
    assert_eq!(codes, [200, 412]);
    assert_eq!(machine.get(CONFIG).await.etag(), "\"2\"");
}

#[tokio::test]
async fn bodies_that_are_no_document_are_refused_with_a_reason() {
    let machine = Machine::configured().await;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(10 << 20));
    for (body, expected) in [
        (&b"{"[..], (400, "not-json")),
        (b"", (400, "not-json")),
        (b"{\"a\": \"\xff\"}", (400, "not-utf8")),
        (deep.as_bytes(), (400, "not-json")),
        (large.as_bytes(), (413, "too-large")),
        (b"[]", (422, "invalid-document")),
    ] {
        let refused = machine.send("PUT", CONFIG, "If-Match: \"1\"\r\n", body).await;
        assert_eq!(refused.reason(), expected, "{:?}", &body[..body.len().min(20)]);
    }
    let twice = r#"{"site":"b","site":"c"}"#;
    let refused = machine
        .ask("PUT", "/api/v1/config/connections/to-b", Some(1), twice)
        .await;
    assert_eq!(
        refused.violations(),
        [("/connections/to-b/site", "duplicate-key")]
    );
    let twice = document()
        .to_string()
        .replacen("\"sites\"", "\"bogus\":1,\"gateway\":{},\"sites\"", 1);
    let refused = machine.ask("PUT", CONFIG, Some(1), &twice).await;
    assert!(
        refused.violations().contains(&("/bogus", "unknown-key")),
        "{refused:?}"
    );
    assert!(
        refused.violations().contains(&("/gateway", "duplicate-key")),
        "{refused:?}"
    );
    let named = machine
        .ask("PUT", "/api/v1/config/sites/a%2Fb%0A", Some(1), "{}")
        .await;
    assert_eq!(named.reason(), (422, "invalid-document"));
    for query in [
        "confirm_within_s=86401",
        "confirm_within_s=x",
        "x=1",
        "comment=a%0Ab",
    ] {
        let path = format!("{CONFIG}?{query}");
        let refused = machine.ask("PUT", &path, Some(1), "{}").await;
        assert_eq!(refused.reason(), (400, "invalid-query"), "{query}");
    }
    assert_eq!(
        machine.ask("POST", CONFIG, None, "").await.reason(),
        (405, "method-not-allowed")
    );
    assert_eq!(machine.get(CONFIG).await.etag(), "\"1\"");
}

#[tokio::test]
async fn what_cannot_be_applied_is_rolled_back_whole() {
    let machine = Machine::configured().await;
    machine.objects.store(true, Ordering::Relaxed);
    let refused = machine
        .ask("DELETE", "/api/v1/config/connections/to-c", Some(1), "")
        .await;
    assert_eq!(refused.reason(), (409, "not-applied"));
    assert!(
        refused.body["detail"]
            .as_str()
            .unwrap()
            .contains("link cw-to-b: no"),
        "{refused:?}"
    );
    assert_eq!(
        machine.connections(),
        ["to-b".to_owned(), "to-c".to_owned()].into()
    );
    let machine = machine.killed().await;
    let read = machine.get(CONFIG).await;
    assert_eq!((read.etag(), &read.body), ("\"1\"", &document()));
    let known = machine.get("/api/v1/generations").await;
    assert_eq!(known.body["generations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn history_tells_who_did_what_and_any_generation_can_come_back() {
    let machine = Machine::configured().await;
    let path = format!("{CONFIG}/connections/to-b?comment=larger%20packets");
    assert_eq!(
        machine
            .ask("PATCH", &path, Some(1), r#"{"mtu":1500}"#)
            .await
            .status,
        200
    );
    let history = machine.get("/api/v1/generations").await.body;
    assert_eq!((&history["current"], &history["startup"]), (&json!(2), &json!(2)));
    let newest = &history["generations"][0];
    let author = format!("uid {}", nix::unistd::getuid());
    assert_eq!(
        (&newest["author"], &newest["source"]),
        (&json!(author), &json!("api"))
    );
    assert_eq!(
        (&newest["generation"], &newest["comment"]),
        (&json!(2), &json!("larger packets"))
    );
    let first = machine.get("/api/v1/generations/1").await.body;
    assert_eq!(first["document"], document());
    let difference = machine.get("/api/v1/generations/1..2").await.body;
    let expected = json!([{ "path": "/connections/to-b/mtu", "after": 1500 }]);
    assert_eq!(difference["difference"], expected);
    for (path, reason) in [
        ("9", "unknown-generation"),
        ("1..9", "unknown-generation"),
        ("x", "unknown-path"),
    ] {
        let refused = machine.get(&format!("/api/v1/generations/{path}")).await;
        assert_eq!(refused.reason(), (404, reason));
    }
    let rollback = |body: &'static str| machine.ask("POST", "/api/v1/config:rollback", None, body);
    let back = rollback(r#"{"generation":1}"#).await;
    assert_eq!((&back.body["generation"], back.etag()), (&json!(3), "\"3\""));
    assert_eq!(machine.get(CONFIG).await.body, document());
    assert_eq!(
        rollback(r#"{"generation":9}"#).await.reason(),
        (404, "unknown-generation")
    );
    assert_eq!(rollback("{}").await.reason(), (400, "invalid-body"));
}

#[tokio::test]
async fn a_file_as_the_only_source_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::over_files(files(folder.path())).await;
    let read = machine.get(CONFIG).await;
    assert_eq!((read.etag(), &read.body), ("\"1\"", &document()));
    let checked = machine
        .ask("POST", "/api/v1/config:check", None, &document().to_string())
        .await;
    assert_eq!(checked.body["unchanged"], json!(true));
    for (method, path) in [
        ("PUT", CONFIG),
        ("POST", "/api/v1/config:confirm"),
        ("PUT", "/api/v1/secrets/psk-b"),
        ("DELETE", "/api/v1/secrets/psk-b"),
    ] {
        let refused = machine.ask(method, path, Some(1), &document().to_string()).await;
        assert_eq!(refused.reason(), (403, "read-only"), "{method} {path}");
    }
    for path in ["/api/v1/generations", "/api/v1/secrets"] {
        assert_eq!(machine.get(path).await.reason(), (404, "no-store"), "{path}");
    }
}

/// The document and its secrets as files.
fn files(folder: &Path) -> Files {
    let files = Files {
        config: folder.join("config.json"),
        secrets: folder.to_owned(),
    };
    fs::write(&files.config, document().to_string()).unwrap();
    for name in ["psk-b", "psk-c"] {
        let path = folder.join(name);
        fs::write(&path, "Geheim1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    files
}

/// A start that fails before it is imported reads the file again; afterwards nobody does.
#[tokio::test]
async fn a_seed_becomes_the_first_generation_once() {
    let directory = tempfile::tempdir().unwrap();
    let (state, seed) = (directory.path().join("state"), files(directory.path()));
    drop(
        begin(
            Store::open(&state, Path::new("/nonexistent/tpm")).unwrap(),
            Some(seed.clone()),
        )
        .unwrap(),
    );
    let mut beginning = begin(
        Store::open(&state, Path::new("/nonexistent/tpm")).unwrap(),
        Some(seed.clone()),
    )
    .unwrap();
    let import = beginning.seed.take().unwrap();
    beginning.origin.import(&mut beginning.running, &import).unwrap();
    assert_eq!(beginning.running.generation, 1);
    drop(beginning);
    fs::write(&seed.config, "{}").unwrap();
    let beginning = begin(
        Store::open(&state, Path::new("/nonexistent/tpm")).unwrap(),
        Some(seed),
    )
    .unwrap();
    assert!(beginning.seed.is_none() && beginning.secrets.is_ok());
    assert_eq!(beginning.running.written, document());
}

#[tokio::test]
async fn the_document_is_shown_with_its_defaults_and_described_by_a_schema() {
    let machine = Machine::new().await;
    let nothing = machine.get("/api/v1/config?defaults=true").await.body;
    assert_eq!(nothing["system"]["management"]["confirm_within_s"], 120);
    drop(machine);
    let machine = Machine::configured().await;
    let whole = machine.get("/api/v1/config?defaults=true").await;
    assert_eq!(whole.etag(), "\"1\"");
    assert_eq!(whole.body["connections"]["to-b"]["dpd_timeout_s"], 45);
    assert_eq!(machine.get(CONFIG).await.body, document());
    let one = machine.get("/api/v1/config/connections/to-b?defaults=true").await;
    assert_eq!(one.body, whole.body["connections"]["to-b"]);
    let again = machine.put(1, &whole.body).await;
    assert_eq!(again.body["unchanged"], true, "defaults are no change");
    let schema = machine.get("/api/v1/schema.json").await.body;
    assert!(
        schema["$defs"]["Connection"]["properties"]["mtu"].is_object(),
        "{schema}"
    );
    let unknown = machine.get("/api/v1/config?default=true").await;
    assert_eq!(unknown.reason(), (400, "invalid-query"));
}
