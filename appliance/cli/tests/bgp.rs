//! Sessions and routes of BGP, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::against;

const PEERS: &str = r#"{
  "to-b": { "state": "established", "since_s": 70, "site": "b", "local": "169.254.21.2", "remote": "169.254.21.1", "asn": 65515,
    "tunnel_up": true, "last_error": null, "next_attempt_s": null,
    "negotiated": { "router_id": "10.2.0.1", "hold_time_s": 180, "keepalive_s": 60, "families": ["ipv4"],
                    "capabilities": ["4-octet-asn"], "host_name": "edge" },
    "sent": { "total": 9, "updates": 2 }, "received": { "total": 8, "updates": 3 },
    "prefixes": { "ipv4": { "received": 12, "accepted": 11, "advertised": 2, "limit": 4000 } } },
  "to-c": { "state": "idle", "since_s": 5, "site": "c", "local": "10.1.0.1", "remote": "10.3.0.1", "asn": 65003,
    "tunnel_up": true, "held_down": true, "next_attempt_s": null, "negotiated": null,
    "last_error": { "reason": "maximum-prefixes", "side": "we", "detail": "4001 prefixes of ipv4, 4000 are taken",
                    "next_step": "Raise maximum_prefixes.", "notification": "6/1", "ago_s": 5 },
    "sent": { "total": 0, "updates": 0 }, "received": { "total": 0, "updates": 0 } } }"#;

#[test]
fn a_session_that_is_down_is_told_first_with_reason_and_next_step() {
    let (request, ended) = against("200 OK", PEERS, &["bgp", "peers"]);
    assert_eq!(request, "GET /api/v1/status/bgp/peers HTTP/1.1");
    assert_eq!(ended.out, include_str!("fixtures/peers.txt"));
    assert_eq!(ended.status, 1);
    let (request, ended) = against("202 Accepted", "", &["bgp", "clear", "to-c"]);
    assert_eq!(request, "POST /api/v1/bgp/peers/to-c:clear HTTP/1.1");
    assert!(ended.out.contains("causeway bgp peers to-c"), "{}", ended.out);
}

#[test]
fn routes_are_told_with_why_one_is_not_used() {
    let body = r#"{ "next": "10.9.0.0/16", "routes": [
      { "prefix": "10.8.0.0/16", "from": "to-b", "as_path": "65515 65001", "next_hop": "169.254.21.1",
        "origin": "igp", "communities": ["65515:7"], "standing": "best" },
      { "prefix": "10.9.0.0/16", "from": "to-c", "as_path": "65003", "next_hop": "10.3.0.1", "origin": "igp",
        "communities": [], "standing": "refused", "why": "policy", "term": 2 } ] }"#;
    let arguments = [
        "bgp",
        "routes",
        "10.0.0.0/8",
        "--inside",
        "--kind",
        "received",
        "--neighbour",
        "to-b",
    ];
    let (request, ended) = against("200 OK", body, &arguments);
    let expected = "GET /api/v1/status/bgp/routes?kind=received&neighbour=to-b&prefix=10.0.0.0%2F8&relation=inside&limit=100 HTTP/1.1";
    assert_eq!(request, expected);
    assert_eq!(
        ended.out,
        "10.8.0.0/16  via 169.254.21.1  from to-b  path 65515 65001  communities 65515:7  best\n\
         10.9.0.0/16  via 10.3.0.1  from to-c  path 65003  refused: policy (term 2)\n\
         There are more: the same with --after 10.9.0.0/16\n"
    );
    assert_eq!(ended.status, 0);
    let body = r#"{ "paths": [ { "accepted": false, "by": "own-prefix" } ] }"#;
    let (request, ended) = against(
        "200 OK",
        body,
        &["bgp", "explain", "to-b", "import", "10.1.0.0/24"],
    );
    let expected =
        "GET /api/v1/status/bgp/explain?neighbour=to-b&direction=import&prefix=10.1.0.0%2F24 HTTP/1.1";
    assert_eq!(request, expected);
    assert_eq!(ended.out, "not let in, by own-prefix\n");
}

/// What rules of NAT make of routes, and prefixes that they do not translate as a whole.
#[test]
fn translated_prefixes_are_told_with_their_rule() {
    let body = r#"{ "next": null, "routes": [
      { "prefix": "10.1.0.0/16", "from": "to-b", "as_path": "65515", "next_hop": "169.254.21.1", "origin": "igp",
        "communities": [], "standing": "best", "nat": { "rule": "b-in", "what": "to", "prefix": "100.65.0.0/16" } },
      { "prefix": "10.1.7.0/24", "from": "to-b", "as_path": "65515", "next_hop": "169.254.21.1", "origin": "igp",
        "communities": [], "standing": "refused", "why": "partly-translated",
        "nat": { "rule": "b-in", "what": "inside" } } ] }"#;
    let (_, ended) = against("200 OK", body, &["bgp", "routes", "--kind", "received"]);
    assert_eq!(
        ended.out,
        "10.1.0.0/16  via 169.254.21.1  from to-b  path 65515  translated to 100.65.0.0/16 by b-in  best\n\
         10.1.7.0/24  via 169.254.21.1  from to-b  path 65515  not translated as a whole by b-in: inside  \
         refused: partly-translated\n"
    );
    let body = r#"{ "paths": [ { "accepted": false, "by": "translated",
                                 "nat": { "rule": "ours", "what": "to", "prefix": "100.64.0.0/16" } } ] }"#;
    let (_, ended) = against(
        "200 OK",
        body,
        &["bgp", "explain", "to-b", "export", "10.1.0.0/16"],
    );
    assert_eq!(
        ended.out,
        "not sent, by translated; translated to 100.64.0.0/16 by ours\n"
    );
    let peers = PEERS.replacen(
        r#""tunnel_up": true,"#,
        r#""tunnel_up": true, "partly_translated": [ { "detail": "10.1.7.0/24 received is a part" } ],"#,
        1,
    );
    let (_, ended) = against("200 OK", &peers, &["bgp", "peers"]);
    assert!(
        ended.out.contains("  nat      10.1.7.0/24 received is a part\n"),
        "{}",
        ended.out
    );
}
