use serde_json::{Value, json};

use super::machine::{Machine, document};

/// [`document`] with a BGP session over `to-b`.
pub(super) fn routed() -> Value {
    let mut document = document();
    document["gateway"]["bgp"] = json!({ "asn": 65010, "addresses": ["169.254.21.2"], "advertise": ["10.1.0.0/24", "10.1.1.0/24", "fd01::/64"] });
    document["sites"]["b"]["bgp"] = json!({ "asn": 65515, "address": "169.254.21.1" });
    document["connections"]["to-b"]["bgp"] = json!({ "hold_time_s": 240 });
    document
}

pub(super) async fn speaking() -> Machine {
    let machine = Machine::configured().await;
    let put = machine.put(1, &routed()).await;
    assert_eq!(put.status, 200, "{put:?}");
    machine
}

#[tokio::test]
async fn a_session_is_shown_up_or_not() {
    let machine = speaking().await;
    let peers = machine.get("/api/v1/status/bgp/peers").await;
    let names: Vec<&String> = peers.body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["to-b"]);
    let peer = machine.get("/api/v1/status/bgp/peers/to-b").await.body;
    assert_eq!(peer["state"], "idle");
    assert_eq!((&peer["site"], &peer["asn"]), (&json!("b"), &json!(65515)));
    assert_eq!(
        (&peer["local"], &peer["remote"]),
        (&json!("169.254.21.2"), &json!("169.254.21.1"))
    );
    assert_eq!(peer["tunnel_up"], false);
    assert_eq!(peer["prefixes"]["ipv4"]["limit"], 4000);
    let unknown = machine.get("/api/v1/status/bgp/peers/to-c").await;
    assert_eq!(unknown.reason(), (404, "unknown-peer"));
    let metrics = machine.get_text("/api/v1/metrics").await;
    assert!(
        metrics.contains("causeway_bgp_session_up{connection=\"to-b\"} 0"),
        "{metrics}"
    );
    assert!(metrics.contains("kind=\"received\""), "{metrics}");
    let gone = machine.put(2, &document()).await;
    assert_eq!(gone.status, 200);
    assert_eq!(machine.get("/api/v1/status/bgp/peers").await.body, json!({}));
}

/// A session whose connection nobody negotiates is there, too, and says why.
#[tokio::test]
async fn a_session_that_rests_is_shown() {
    let machine = speaking().await;
    let mut document = routed();
    document["connections"]["to-b"]["enabled"] = json!(false);
    assert_eq!(machine.put(2, &document).await.status, 200);
    let peer = machine.get("/api/v1/status/bgp/peers/to-b").await.body;
    assert_eq!(
        (&peer["state"], &peer["last_error"]),
        (&json!("disabled"), &json!(null))
    );
    assert_eq!(
        (&peer["site"], &peer["remote"]),
        (&json!("b"), &json!("169.254.21.1"))
    );
    let routes = machine.get("/api/v1/status/bgp/routes?neighbour=to-b").await;
    assert_eq!((routes.status, &routes.body["routes"]), (200, &json!([])));
    document["connections"]["to-b"]["enabled"] = json!(true);
    document["interfaces"] = json!({ "absent0": { "role": "wan", "ipv4": { "method": "dhcp" } } });
    document["gateway"]["ip_configurations"]["default"] = json!({ "interface": "absent0" });
    document["connections"]["to-b"]["authentication"]["local_id"] = json!("b.example");
    let put = machine.put(3, &document).await;
    assert_eq!(put.status, 200, "{put:?}");
    let peers = machine.get("/api/v1/status/bgp/peers").await.body;
    let peer = &peers["to-b"];
    assert_eq!(
        (&peer["state"], &peer["tunnel_up"]),
        (&json!("idle"), &json!(false))
    );
    let error = &peer["last_error"];
    assert_eq!(
        (&error["reason"], &error["side"]),
        (&json!("no-address"), &json!("we"))
    );
    assert_ne!(error["next_step"], "");
}

#[tokio::test]
async fn routes_are_told_page_by_page() {
    let machine = speaking().await;
    let mut path = "/api/v1/status/bgp/routes?kind=best&limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = machine.get(&path).await;
        let routes = page.body["routes"].as_array().unwrap().clone();
        assert_eq!(routes.len(), 1, "{page:?}");
        seen.extend(
            routes
                .iter()
                .map(|route| route["prefix"].as_str().unwrap().to_owned()),
        );
        let link = page.header("link").to_owned();
        let Some((query, _)) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        path = format!("/api/v1/status/bgp/routes{query}");
        assert!(path.contains("kind=best"), "{path}");
    }
    let expected = ["10.1.0.0/24", "10.1.1.0/24"];
    assert!(
        expected.iter().all(|prefix| seen.contains(&(*prefix).to_owned())),
        "{seen:?}"
    );
    let six = machine.get("/api/v1/status/bgp/routes?family=ipv6").await.body;
    assert_eq!(six["routes"][0]["prefix"], "fd01::/64");
    assert_eq!(six["routes"][0]["standing"], "own");
    let inside = "/api/v1/status/bgp/routes?prefix=10.1.1.7/32&relation=containing";
    assert_eq!(
        machine.get(inside).await.body["routes"][0]["prefix"],
        "10.1.1.0/24"
    );
}

#[tokio::test]
async fn questions_about_routes_that_make_no_sense_are_refused() {
    let machine = speaking().await;
    for (query, expected) in [
        ("routes?kind=worst", (400, "invalid-query")),
        ("routes?prefix=10.0.0.0", (400, "invalid-query")),
        ("routes?family=ipv6&prefix=10.0.0.0/8", (400, "invalid-query")),
        ("routes?relation=inside", (400, "invalid-query")),
        ("routes?limit=0", (400, "invalid-query")),
        ("routes?neighbour=nobody", (404, "unknown-peer")),
        ("explain?neighbour=to-b", (400, "invalid-query")),
        (
            "explain?neighbour=nobody&direction=import&prefix=10.0.0.0/8",
            (404, "unknown-peer"),
        ),
    ] {
        let answer = machine.get(&format!("/api/v1/status/bgp/{query}")).await;
        assert_eq!(answer.reason(), expected, "{query}");
    }
    let path = "/api/v1/status/bgp/explain?neighbour=to-b&direction=export&prefix=10.1.0.0/24";
    let explained = machine.get(path).await;
    assert_eq!(explained.status, 200, "{explained:?}");
    assert_eq!(explained.body["paths"][0]["accepted"], true, "{explained:?}");
}

#[tokio::test]
async fn sessions_are_cleared_and_it_is_written_down() {
    let machine = speaking().await;
    let act = async |action: &str| {
        let path = format!("/api/v1/bgp/peers/{action}");
        machine.send("POST", &path, "", b"").await
    };
    assert_eq!(act("to-b:clear").await.status, 202);
    assert_eq!(act("to-b:refresh").await.status, 202);
    assert_eq!(act("to-b:polish").await.reason(), (404, "unknown-action"));
    assert_eq!(act("to-c:clear").await.reason(), (404, "unknown-peer"));
    let audit = machine.get("/api/v1/audit?result=done&limit=2").await;
    let lines: Vec<&Value> = audit.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["what"])
        .collect();
    assert_eq!(lines, [&json!("refresh bgp to-b"), &json!("clear bgp to-b")]);
}

/// [`routed`] with a policy for what `to-b` is sent: one prefix longer, another not at all.
fn drafted() -> Value {
    let mut document = routed();
    document["route_policies"] = json!({ "out": { "default": "accept", "terms": [
        { "match": { "prefixes": ["10.1.0.0/24"] }, "set": { "prepend": 2, "communities": { "add": ["65010:7"] } }, "then": "accept" },
        { "match": { "prefixes": ["10.1.1.0/24"] }, "then": "reject" } ] } });
    document["connections"]["to-b"]["bgp"]["export"] = json!("out");
    document
}

#[tokio::test]
async fn a_draft_is_told_what_it_would_make_of_routes() {
    let machine = speaking().await;
    let ask = async |asked: &Value| {
        machine
            .ask("POST", "/api/v1/explain/routes", None, &asked.to_string())
            .await
    };
    let mut asked = json!({ "neighbour": "to-b", "direction": "export", "document": drafted() });
    let answer = ask(&asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = &answer.body;
    // Three of ours, and the static space of another site.
    assert_eq!(
        (&told["routes"], &told["changed"], &told["more"]),
        (&json!(4), &json!(2), &json!(false))
    );
    let prefix = &told["listed"][0];
    assert_eq!(prefix["prefix"], "10.1.0.0/24");
    assert_eq!(prefix["before"]["bears"]["as_path"], "65010");
    assert_eq!(
        (&prefix["before"]["by"], &prefix["before"]["term"]),
        (&json!("default"), &json!(null))
    );
    assert_eq!(prefix["after"]["bears"]["as_path"], "65010 65010 65010");
    assert_eq!(prefix["after"]["bears"]["communities"], json!(["65010:7"]));
    let after = &told["listed"][1]["after"];
    assert_eq!(
        (&after["accepted"], &after["by"], &after["term"]),
        (&json!(false), &json!("policy"), &json!(1))
    );
    asked["prefix"] = json!("fd00::/8");
    let told = ask(&asked).await.body;
    assert_eq!(
        (&told["changed"], &told["listed"][0]["prefix"]),
        (&json!(0), &json!("fd01::/64"))
    );
    asked["direction"] = json!("import");
    assert_eq!(ask(&asked).await.body["routes"], 0);
    // What runs is as it was.
    assert_eq!(machine.get("/api/v1/config").await.etag(), "\"2\"");
    let path = "/api/v1/status/bgp/explain?neighbour=to-b&direction=export&prefix=10.1.1.0/24";
    assert_eq!(machine.get(path).await.body["paths"][0]["accepted"], true);
}

/// Whoever switches a connection off for now can still see what new rules would do.
#[tokio::test]
async fn a_draft_is_told_what_it_would_make_of_routes_of_a_session_that_rests() {
    let machine = speaking().await;
    let mut off = routed();
    off["connections"]["to-b"]["enabled"] = json!(false);
    assert_eq!(machine.put(2, &off).await.status, 200);
    let mut document = drafted();
    document["connections"]["to-b"]["enabled"] = json!(false);
    let asked = json!({ "neighbour": "to-b", "direction": "export", "document": document }).to_string();
    let answer = machine.ask("POST", "/api/v1/explain/routes", None, &asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = &answer.body;
    assert_eq!(told["changed"], 2, "{told}");
    assert_eq!(
        told["listed"][0]["after"]["bears"]["as_path"],
        "65010 65010 65010"
    );
    assert_eq!(told["listed"][1]["after"]["by"], "policy");
    let asked = json!({ "neighbour": "to-b", "direction": "import", "document": document }).to_string();
    let answer = machine.ask("POST", "/api/v1/explain/routes", None, &asked).await;
    assert_eq!(
        (answer.status, &answer.body["routes"]),
        (200, &json!(0)),
        "it sent nothing"
    );
}

#[tokio::test]
async fn a_draft_that_makes_no_sense_is_refused() {
    let machine = speaking().await;
    let ask = async |asked: &Value| {
        machine
            .ask("POST", "/api/v1/explain/routes", None, &asked.to_string())
            .await
    };
    let asked = |neighbour: &str, document: &Value| json!({ "neighbour": neighbour, "direction": "export", "document": document });
    let mut wrong = drafted();
    wrong["route_policies"]["out"]["terms"][0]["match"]["prefixes"] = json!(["10.1.0.0/33"]);
    let answer = ask(&asked("to-b", &wrong)).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.violations(),
        [("/route_policies/out/terms/0/match/prefixes/0", "invalid-prefix")]
    );
    assert_eq!(
        ask(&asked("to-c", &drafted())).await.reason(),
        (404, "unknown-peer")
    );
    let mut without = drafted();
    without["connections"]["to-b"]["bgp"] = json!(null);
    assert_eq!(
        ask(&asked("to-b", &without)).await.reason(),
        (404, "unknown-peer")
    );
    assert_eq!(
        ask(&json!({ "neighbour": "to-b" })).await.reason(),
        (400, "invalid-body")
    );
}
