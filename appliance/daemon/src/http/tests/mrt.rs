//! Files of routes and messages, read by `bgpkit-parser`.

use std::io::Cursor;

use bgpkit_parser::models::{MrtMessage, MrtRecord, PeerIndexTable, TableDumpV2Message};
use bgpkit_parser::parser::parse_mrt_record;
use serde_json::json;

use super::bgp::speaking;
use super::machine::Machine;

/// All records of a file.
async fn records(machine: &Machine, path: &str) -> Vec<MrtRecord> {
    let (head, octets) = machine.get_file(path).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/octet-stream"), "{head}");
    let mut rest = Cursor::new(octets.as_slice());
    let mut all = Vec::new();
    while rest.position() < octets.len() as u64 {
        all.push(parse_mrt_record(&mut rest).map_err(|error| error.error).unwrap());
    }
    all
}

/// What a file of a table has: its first record, and the prefixes with who they are of.
fn table(records: Vec<MrtRecord>) -> (PeerIndexTable, Vec<(String, Vec<u16>)>) {
    let (mut first, mut prefixes) = (None, Vec::new());
    for record in records {
        match record.message {
            MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(table)) => first = Some(table),
            MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib)) => {
                let of = rib.rib_entries.iter().map(|entry| entry.peer_index);
                prefixes.push((rib.prefix.prefix.to_string(), of.collect()));
            }
            other => panic!("{other:?}"),
        }
    }
    (first.unwrap(), prefixes)
}

#[tokio::test]
async fn the_table_is_a_file_with_every_neighbour() {
    let machine = speaking().await;
    let (first, prefixes) = table(records(&machine, "/api/v1/bgp/table.mrt").await);
    assert_eq!(first.id_peer_map.len(), 2, "ourselves and the neighbour");
    let peer = &first.id_peer_map[&1];
    assert_eq!(
        (peer.peer_ip.to_string(), peer.peer_asn.to_u32()),
        ("169.254.21.1".to_owned(), 65515)
    );
    assert_eq!(first.id_peer_map[&0].peer_asn.to_u32(), 65010);
    assert_eq!(prefixes, [], "nothing was received");
    let (_, prefixes) = table(records(&machine, "/api/v1/bgp/table.mrt?kind=best").await);
    for prefix in ["10.1.0.0/24", "10.1.1.0/24", "fd01::/64"] {
        assert!(
            prefixes.contains(&(prefix.to_owned(), vec![0])),
            "{prefix} is not in {prefixes:?}"
        );
    }
    let odd = machine.get("/api/v1/bgp/table.mrt?kind=advertised").await;
    assert_eq!(odd.reason(), (400, "invalid-query"));
}

#[tokio::test]
async fn a_recording_is_begun_and_ended_by_operators_and_bounded() {
    let machine = speaking().await;
    let path = "/api/v1/bgp/recording";
    let act = async |verb: &str, body: &str| {
        machine
            .send("POST", &format!("{path}:{verb}"), "", body.as_bytes())
            .await
    };
    assert_eq!(machine.get(path).await.body["state"], "none");
    assert_eq!(
        machine.get("/api/v1/bgp/recording.mrt").await.reason(),
        (404, "no-recording")
    );
    assert_eq!(act("stop", "").await.reason(), (404, "no-recording"));
    for (body, expected) in [
        (r#"{ "max_bytes": 1023 }"#, (400, "invalid-body")),
        (r#"{ "max_bytes": 67108865 }"#, (400, "invalid-body")),
        (r#"{ "max_seconds": 0 }"#, (400, "invalid-body")),
        (r#"{ "to": "a file" }"#, (400, "invalid-body")),
        (r#"{ "neighbour": "nobody" }"#, (404, "unknown-peer")),
    ] {
        assert_eq!(act("start", body).await.reason(), expected, "{body}");
    }
    let begun = act(
        "start",
        r#"{ "neighbour": "to-b", "max_bytes": 1024, "max_seconds": 60 }"#,
    )
    .await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let expected = json!({ "state": "recording", "neighbour": "to-b", "messages": 0, "bytes": 0, "dropped": 0,
        "max_bytes": 1024, "max_seconds": 60, "since": begun.body["since"] });
    assert_eq!(machine.get(path).await.body, expected);
    assert_eq!(act("start", "").await.reason(), (409, "recording-runs"));
    assert_eq!(act("stop", "").await.body["state"], "ended");
    assert_eq!(records(&machine, "/api/v1/bgp/recording.mrt").await, []);
    let usual = act("start", "").await.body;
    assert_eq!(
        (&usual["max_bytes"], &usual["max_seconds"]),
        (&json!(16 << 20), &json!(3600))
    );
    let audit = machine.get("/api/v1/audit?result=done").await.body.to_string();
    assert!(audit.contains("POST /api/v1/bgp/recording:start"), "{audit}");
}
