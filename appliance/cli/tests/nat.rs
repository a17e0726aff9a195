//! Rules of NAT, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::{against, fed};

const RULES: &str = r#"{
  "in_place": false, "refused": { "object": "table causeway_nat", "attribute": null, "detail": "nft: syntax error" },
  "closed": ["to-c"], "flows_refused": 4, "next": "to-b/many", "rules": [
  { "connection": "to-b", "rule": "depot-in", "mode": "IngressSnat", "type": "Static", "internal": "10.0.0.0/24",
    "external": "100.64.7.0/24", "packets": 70, "bytes": 7000, "flows": 2 },
  { "connection": "to-b", "rule": "many", "mode": "EgressSnat", "type": "Dynamic", "internal": "10.0.0.0/16",
    "external": "100.64.9.1/32", "packets": 7, "bytes": 700, "flows": 1, "ports_in_use": 1, "ports": 64512,
    "packets_refused": 5 } ] }"#;

#[test]
fn rules_are_told_in_a_table_after_what_is_amiss() {
    let (request, ended) = against("200 OK", RULES, &["nat"]);
    assert_eq!(request, "GET /api/v1/status/nat?limit=100 HTTP/1.1");
    assert_eq!(ended.out, include_str!("fixtures/nat.txt"));
    assert_eq!(ended.status, 1);
    let arguments = [
        "nat",
        "--connection",
        "to-b",
        "--rule",
        "many",
        "--after",
        "to-b/a",
    ];
    let body = r#"{ "in_place": true, "closed": [], "flows_refused": 0, "rules": [] }"#;
    let (request, ended) = against("200 OK", body, &arguments);
    let expected = "GET /api/v1/status/nat?connection=to-b&rule=many&after=to-b%2Fa&limit=100 HTTP/1.1";
    assert_eq!(request, expected);
    assert_eq!((&*ended.out, ended.status), ("there is no such rule\n", 0));
}

#[test]
fn what_becomes_of_a_packet_is_told_rule_by_rule() {
    let body = r#"{ "in_place": true, "outcome": "passed", "zone": 4, "routes_by": "kernel", "routes": [], "fired": [
      { "connection": "to-b", "rule": "depot-in", "mode": "IngressSnat", "side": "destination",
        "internal": "10.0.0.0/24", "external": "100.64.7.0/24" },
      { "connection": "to-b", "rule": "many", "mode": "EgressSnat", "side": "source",
        "internal": "10.0.0.0/16", "external": "100.64.9.1/32" } ],
      "out": { "connection": "to-b", "link": "cw-to-b" },
      "source": { "addresses": "100.64.9.1/32", "ports": ["1024-65535"] },
      "destination": { "address": "10.0.0.5", "port": 443 },
      "answer": { "out": { "interface": "lan", "link": "eth1" }, "source": { "address": "100.64.7.5", "port": 443 },
                  "destination": { "address": "10.0.0.9", "port": 40000 } } }"#;
    let arguments = [
        "nat",
        "explain",
        "--in",
        "lan",
        "10.0.0.9",
        "100.64.7.5",
        "--protocol",
        "tcp",
        "--port",
        "443",
        "--source-port",
        "40000",
    ];
    let (request, ended) = fed("200 OK", body, &arguments, "");
    assert!(
        request.starts_with("POST /api/v1/explain/nat HTTP/1.1"),
        "{request}"
    );
    let (_, sent) = request.split_once("\r\n\r\n").unwrap();
    let sent: serde_json::Value = serde_json::from_str(sent).unwrap();
    let expected = serde_json::json!({
        "in": "lan", "source": "10.0.0.9", "destination": "100.64.7.5", "protocol": "tcp", "destination_port": 443,
        "source_port": 40000,
    });
    assert_eq!(sent, expected);
    assert_eq!(
        ended.out,
        "destination 100.64.7.0/24 -> 10.0.0.0/24, by depot-in (IngressSnat) on to-b\n\
         source      10.0.0.0/16 -> 100.64.9.1/32, by many (EgressSnat) on to-b\n\
         passed      one of 100.64.9.1/32 port 1024-65535 -> 10.0.0.5 port 443, out by connection to-b\n\
         answer      100.64.7.5 port 443 -> 10.0.0.9 port 40000, out by interface lan\n"
    );
    assert_eq!(ended.status, 0);
    let body = r#"{ "in_place": false, "outcome": "dropped", "why": "only its internal side can begin", "zone": 0,
      "routes_by": "kernel", "routes": [], "fired": [], "out": null }"#;
    let (_, ended) = against("200 OK", body, &["nat", "explain", "10.0.0.9", "100.64.7.5"]);
    assert_eq!(
        ended.out,
        "rules are not in place: this is what would be if they were\n\
         dropped     only its internal side can begin\n"
    );
}

#[test]
fn a_packet_that_cannot_be_is_not_asked_about() {
    for arguments in [
        &["nat", "explain", "10.0.0.9"][..],
        &["nat", "explain", "10.0.0.9", "somewhere"],
        &["nat", "explain", "10.0.0.9", "10.0.0.8", "--protocol", "256"],
        &["nat", "explain", "10.0.0.9", "10.0.0.8", "--port", "70000"],
    ] {
        let ended = daemon::causeway(std::path::Path::new("/nonexistent"), arguments);
        assert_eq!(ended.status, 2, "{arguments:?}");
    }
}
