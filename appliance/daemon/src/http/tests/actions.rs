use ike::{ConnectionName, Input};
use serde_json::json;

use super::machine::{Machine, document};

/// What the engine was told.
fn told(machine: &Machine) -> Vec<String> {
    machine.told.lock().unwrap().clone()
}

#[tokio::test]
async fn actions_reach_the_engine_and_the_audit_log() {
    let machine = Machine::configured().await;
    let act = async |action: &str| {
        let path = format!("/api/v1/connections/{action}");
        machine.send("POST", &path, "", b"").await
    };
    let verbs = [
        "connect",
        "disconnect",
        "reset",
        "rekey",
        "rekey-ike",
        "reauthenticate",
    ];
    for verb in verbs {
        assert_eq!(act(&format!("to-b:{verb}")).await.status, 202, "{verb}");
    }
    let name = || ConnectionName("to-b".into());
    let expected = [
        Input::Connect(name()),
        Input::Disconnect(name()),
        Input::Reset(name()),
        Input::RekeyChild(name()),
        Input::RekeyIke(name()),
        Input::Reauthenticate(name()),
    ];
    assert_eq!(told(&machine), expected.map(|input| format!("{input:?}")));
    let unknown = act("nope:reset").await;
    assert_eq!(unknown.reason(), (404, "unknown-connection"));
    let audit = machine.get("/api/v1/audit?limit=7").await;
    let entries = audit.body["entries"].as_array().unwrap();
    let lines = entries.iter().map(|entry| (&entry["what"], &entry["result"]));
    let expected = verbs.map(|verb| (json!(format!("{verb} to-b")), json!("done")));
    let mut lines = lines.map(|(what, result)| (what.clone(), result.clone()));
    assert_eq!(
        lines.next(),
        Some((
            json!("POST /api/v1/connections/nope:reset"),
            json!("unknown-connection")
        ))
    );
    assert!(lines.eq(expected.into_iter().rev()), "{entries:?}");
    assert!(entries[0]["who"].as_str().unwrap().starts_with("uid "));
}

/// Only a connection of IKEv1 has something to try, and only when somebody asks.
#[tokio::test]
async fn ikev2_is_tried_with_peers_of_ikev1_alone() {
    let machine = Machine::configured().await;
    let mut older = document();
    let mut connection = older["connections"]["to-c"].take();
    connection["protocol"] = json!("IKEv1");
    older["connections"] = json!({ "to-b": older["connections"]["to-b"], "older": connection });
    assert_eq!(machine.put(1, &older).await.status, 200);
    let ask = async |name: &str| {
        let path = format!("/api/v1/connections/{name}:try-ikev2");
        machine.send("POST", &path, "", b"").await
    };
    assert_eq!(ask("to-b").await.reason(), (409, "speaks-ikev2"));
    assert!(told(&machine).is_empty());
    assert_eq!(ask("older").await.status, 202);
    let expected = Input::TryVersion2(ConnectionName("older".into()));
    assert_eq!(told(&machine), [format!("{expected:?}")]);
    let audit = machine.get("/api/v1/audit?limit=1").await;
    assert_eq!(audit.body["entries"][0]["what"], "try-ikev2 older");
}

#[tokio::test]
async fn a_disabled_connection_is_shown_and_not_started() {
    let machine = Machine::configured().await;
    let mut off = document();
    off["connections"]["to-c"]["enabled"] = json!(false);
    assert_eq!(machine.put(1, &off).await.status, 200);
    let one = machine.get("/api/v1/status/connections/to-c").await;
    assert_eq!((one.status, &one.body["state"]), (200, &json!("disabled")));
    let connect = machine
        .send("POST", "/api/v1/connections/to-c:connect", "", b"")
        .await;
    assert_eq!(connect.reason(), (409, "connection-disabled"));
    assert!(told(&machine).is_empty());
}

#[tokio::test]
async fn the_audit_log_is_read_page_by_page_and_by_whom() {
    let machine = Machine::configured().await;
    let stale = machine.put(0, &document()).await;
    assert_eq!(stale.status, 412);
    let mut path = "/api/v1/audit?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = machine.get(&path).await;
        let entries = page.body["entries"].as_array().unwrap().clone();
        assert!(!entries.is_empty() && entries.len() <= 2);
        seen.extend(
            entries
                .iter()
                .map(|entry| entry["what"].as_str().unwrap().to_owned()),
        );
        let Some(link) = page.head.lines().find_map(|line| line.strip_prefix("link: <")) else {
            assert_eq!(page.body["more"], false);
            break;
        };
        let (query, _) = link.split_once('>').unwrap();
        path = format!("/api/v1/audit{query}");
    }
    assert_eq!(
        seen,
        [
            "PUT /api/v1/config",
            "commit by api",
            "set secret psk-c",
            "set secret psk-b"
        ]
    );
    let refused = machine.get("/api/v1/audit?result=stale").await;
    assert_eq!(refused.body["entries"].as_array().unwrap().len(), 1);
    let nobody = machine.get("/api/v1/audit?who=nobody").await;
    assert_eq!(nobody.body["entries"], json!([]));
    for wrong in ["limit=0", "limit=1001", "before=x", "other=1"] {
        let answer = machine.get(&format!("/api/v1/audit?{wrong}")).await;
        assert_eq!(answer.reason(), (400, "invalid-query"), "{wrong}");
    }
}

#[tokio::test]
async fn connections_are_told_page_by_page_and_by_state() {
    let machine = Machine::configured().await;
    let mut off = document();
    for name in ["to-b", "to-c"] {
        off["connections"][name]["enabled"] = json!(false);
    }
    assert_eq!(machine.put(1, &off).await.status, 200);
    let names = async |query: &str| {
        let answer = machine.get(&format!("/api/v1/status/connections{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let names: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
        let more = answer.head.contains("link: <?limit=1&after=to-b>; rel=\"next\"");
        (names, more)
    };
    let both = vec!["to-b".to_owned(), "to-c".to_owned()];
    assert_eq!(names("").await, (both.clone(), false));
    assert_eq!(names("?state=up,disabled").await, (both, false));
    assert_eq!(names("?state=up").await, (vec![], false));
    assert_eq!(names("?limit=1").await, (vec!["to-b".to_owned()], true));
    assert_eq!(
        names("?limit=1&after=to-b").await,
        (vec!["to-c".to_owned()], false)
    );
    let wrong = machine.get("/api/v1/status/connections?state=sideways").await;
    assert_eq!(wrong.reason(), (400, "invalid-query"));
}

#[tokio::test]
async fn the_system_is_told_apart_and_in_metrics() {
    let machine = Machine::configured().await;
    let system = machine.get("/api/v1/status/system").await;
    assert_eq!(system.body["configuration"]["generation"], 1);
    assert!(system.body["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(system.body.get("connections"), None);
    assert_eq!(system.body["clock"]["state"], "synchronised");
    let metrics = machine.get_text("/api/v1/metrics").await;
    let (head, text) = metrics.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    for line in [
        "# TYPE causeway_configuration_generation gauge",
        "causeway_configuration_generation 1",
        "causeway_configuration_on_trial 0",
        "causeway_clock_synchronised 1",
        "causeway_clock_error_seconds 0.012",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

/// Who may take packets takes those of a connection that there is, within bounds; what cannot be is said at once.
#[tokio::test]
async fn packets_are_taken_of_a_connection_with_a_way_and_within_bounds() {
    let machine = Machine::configured().await;
    let take = async |name: &str, body: &str| {
        let path = format!("/api/v1/connections/{name}/capture");
        machine.send("POST", &path, "", body.as_bytes()).await
    };
    for (name, body, expected) in [
        ("nope", "", (404, "unknown-connection")),
        ("to-b", r#"{ "seconds": 0 }"#, (400, "invalid-body")),
        ("to-b", r#"{ "seconds": 61 }"#, (400, "invalid-body")),
        ("to-b", r#"{ "max_bytes": 4095 }"#, (400, "invalid-body")),
        ("to-b", r#"{ "what": "all" }"#, (400, "invalid-body")),
        ("to-b", r#"{ "what": "inner" }"#, (409, "no-interface")),
    ] {
        assert_eq!(take(name, body).await.reason(), expected, "{name} {body}");
    }
    let audit = machine.get("/api/v1/audit?limit=1").await.body.to_string();
    assert!(audit.contains("POST /api/v1/connections/to-b/capture"), "{audit}");
}
