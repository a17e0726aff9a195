use std::sync::Arc;

use appliance_nat::{Counted, Mode};
use serde_json::{Value, json};

use super::machine::Machine;
use crate::datapath::{BindingSnapshot, DatapathSnapshot, DynamicSnapshot, Kind, Refused};

fn binding(connection: &str, rule: &str, mode: Mode) -> BindingSnapshot {
    BindingSnapshot {
        connection: connection.to_owned(),
        rule: rule.to_owned(),
        mode,
        internal: "10.0.0.0/24".parse().unwrap(),
        external: "100.64.7.0/24".parse().unwrap(),
        translated: Counted {
            packets: 7,
            bytes: 700,
        },
        flows: 2,
        dynamic: None,
    }
}

/// Three rules on two connections, one of them dynamic; the kernel does not take the last commit.
fn translated() -> DatapathSnapshot {
    let mut snapshot = DatapathSnapshot::first(Kind::Kernel, String::new());
    let mut many = binding("to-b", "many", Mode::Egress);
    many.dynamic = Some(DynamicSnapshot {
        ports_in_use: 3,
        ports: 64512,
        refused: Counted {
            packets: 5,
            bytes: 60,
        },
    });
    snapshot
        .interfaces
        .insert(ike::ConnectionName("to-b".into()), "cw-to-b".to_owned());
    snapshot.translation.wanted = true;
    snapshot.translation.refused = Some(Refused {
        object: "table causeway_nat".to_owned(),
        attribute: None,
        detail: "no".to_owned(),
    });
    snapshot.translation.closed = [ike::ConnectionName("to-c".into())].into();
    snapshot.translation.bindings = vec![
        binding("to-c", "depot-in", Mode::Ingress),
        many,
        binding("to-b", "depot-in", Mode::Ingress),
    ];
    snapshot
}

async fn machine() -> Machine {
    let machine = Machine::configured().await;
    machine.datapath.send_replace(Arc::new(translated()));
    machine
}

fn places(body: &Value) -> Vec<String> {
    let rules = body["rules"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            format!(
                "{}/{}",
                rule["connection"].as_str().unwrap(),
                rule["rule"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn rules_are_told_with_what_they_do() {
    let machine = machine().await;
    let told = machine.get("/api/v1/status/nat").await.body;
    assert_eq!(places(&told), ["to-b/depot-in", "to-b/many", "to-c/depot-in"]);
    assert_eq!(
        (&told["in_place"], &told["refused"]["detail"], &told["closed"]),
        (&json!(false), &json!("no"), &json!(["to-c"]))
    );
    assert_eq!(
        told["rules"][1],
        json!({
            "connection": "to-b", "rule": "many", "mode": "EgressSnat", "type": "Dynamic",
            "internal": "10.0.0.0/24", "external": "100.64.7.0/24", "packets": 7, "bytes": 700, "flows": 2,
            "ports_in_use": 3, "ports": 64512, "packets_refused": 5,
        })
    );
    let status = machine.get("/api/v1/status").await.body;
    assert_eq!(status["nat"], told);
}

#[tokio::test]
async fn rules_are_told_by_connection_and_by_name_and_page_by_page() {
    let machine = machine().await;
    for (query, expected) in [
        ("connection=to-b", vec!["to-b/depot-in", "to-b/many"]),
        ("rule=depot-in", vec!["to-b/depot-in", "to-c/depot-in"]),
        ("rule=depot-in&after=to-b/many", vec!["to-c/depot-in"]),
        ("connection=nobody", vec![]),
    ] {
        let told = machine.get(&format!("/api/v1/status/nat?{query}")).await;
        assert_eq!(places(&told.body), expected, "{query}");
        assert_eq!(told.header("link"), "");
    }
    let mut path = "/api/v1/status/nat?rule=depot-in&limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = machine.get(&path).await;
        seen.extend(places(&page.body));
        let link = page.header("link").to_owned();
        let Some((query, _)) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        path = format!("/api/v1/status/nat{query}");
    }
    assert_eq!(seen, ["to-b/depot-in", "to-c/depot-in"]);
    let wrong = machine.get("/api/v1/status/nat?after=to-b").await;
    assert_eq!(wrong.reason(), (400, "invalid-query"));
}

#[tokio::test]
async fn rules_are_measured() {
    let machine = machine().await;
    let metrics = machine.get_text("/api/v1/metrics").await;
    let many = "{connection=\"to-b\",rule=\"many\"}";
    for line in [
        "causeway_nat_in_place 0".to_owned(),
        format!("causeway_nat_translated_packets_total{many} 7"),
        format!("causeway_nat_translated_bytes_total{many} 700"),
        format!("causeway_nat_flows{many} 2"),
        format!("causeway_nat_ports_in_use{many} 3"),
        format!("causeway_nat_ports{many} 64512"),
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} in {metrics}");
    }
    let of_static = "causeway_nat_ports{connection=\"to-c\"";
    assert!(!metrics.contains(of_static), "{metrics}");
}

#[tokio::test]
async fn what_becomes_of_a_packet_is_told_with_the_rules_that_decide() {
    let machine = machine().await;
    let ask = async |packet: Value| {
        let sent = packet.to_string();
        machine.ask("POST", "/api/v1/explain/nat", None, &sent).await
    };
    let out = json!({
        "source": "10.1.0.9", "destination": "100.64.7.5", "protocol": "tcp", "source_port": 40000,
        "destination_port": 443,
    });
    let told = ask(out).await.body;
    let rules: Vec<_> = told["fired"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&rules[0]["rule"], &rules[0]["mode"], &rules[0]["side"]),
        (&json!("depot-in"), &json!("IngressSnat"), &json!("destination"))
    );
    assert_eq!(
        (&rules[1]["rule"], &rules[1]["connection"], &rules[1]["side"]),
        (&json!("many"), &json!("to-b"), &json!("source"))
    );
    assert_eq!(told["outcome"], "passed");
    assert_eq!(told["out"], json!({ "connection": "to-b", "link": "cw-to-b" }));
    assert_eq!(
        told["source"],
        json!({ "addresses": "100.64.9.1/32", "ports": ["1024-2047"] })
    );
    assert_eq!(told["destination"], json!({ "address": "10.1.0.5", "port": 443 }));
    assert_eq!(told["routes_by"], "kernel");
    assert_eq!(told["routes"], json!([{ "to": "100.64.7.5", "link": "cw-to-b" }]));

    let asked = json!({ "in": "to-b", "source": "10.1.0.5", "destination": "100.64.9.1", "protocol": 17 });
    let told = ask(asked).await.body;
    assert_eq!(
        (&told["outcome"], &told["fired"]),
        (&json!("dropped"), &json!([]))
    );
    let why = told["why"].as_str().unwrap();
    assert!(why.contains("many on to-b"), "{why}");
}

#[tokio::test]
async fn a_packet_that_cannot_be_is_refused() {
    let machine = machine().await;
    for packet in [
        json!({ "in": "to-x", "source": "10.1.0.9", "destination": "100.64.7.5", "protocol": "tcp" }),
        json!({ "source": "10.1.0.9", "destination": "fd00::1", "protocol": "tcp" }),
        json!({ "source": "10.1.0.9", "destination": "100.64.7.5", "protocol": "tcpp" }),
        json!({ "source": "10.1.0.9", "destination": "100.64.7.5", "protocol": 256 }),
        json!({ "source": "10.1.0.9", "destination": "100.64.7.5", "protocol": "tcp", "port": 1 }),
        json!({ "source": "10.1.0.9" }),
    ] {
        let sent = packet.to_string();
        let answer = machine.ask("POST", "/api/v1/explain/nat", None, &sent).await;
        assert_eq!(answer.reason(), (400, "invalid-body"), "{packet}");
    }
}
