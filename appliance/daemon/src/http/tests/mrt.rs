//! Files of routes and messages, read by `bgpkit-parser`.

use std::io::Cursor;
use std::sync::Arc;

use bgp::wire::as_path::{AsPath, Segment};
use bgp::wire::attribute::{Attributes, NextHop, Origin};
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

/// The path of a trial of this neighbour's rules.
fn trial(neighbour: &str) -> String {
    format!("/api/v1/bgp/table:try?neighbour={neighbour}")
}

/// A table of 4,005 prefixes.
fn large() -> Vec<u8> {
    let name = bgp::NeighbourName("somebody".into());
    let neighbour = bgp::mrt::TableNeighbour {
        name: Some(name.clone()),
        identifier: [10, 0, 0, 1].into(),
        address: [192, 0, 2, 1].into(),
        asn: 64_999,
        since: 0,
    };
    let path = AsPath(vec![Segment::Sequence(vec![64_999])]);
    let next_hop = NextHop::Address([192, 0, 2, 1].into());
    let attributes = Arc::new(Attributes::mandatory(Origin::Igp, path, next_hop));
    let row = |number: u32| bgp::TableRow {
        prefix: ipnet::Ipv4Net::new((0x1400_0000 + (number << 8)).into(), 24)
            .unwrap()
            .into(),
        from: Some(name.clone()),
        path: 0,
        attributes: attributes.clone(),
    };
    let rows: Vec<bgp::TableRow> = (0..4005).map(row).collect();
    let mut octets = Vec::new();
    let mut writer = bgp::mrt::TableWriter::begin(&[neighbour], 0, &mut octets);
    writer.write(&rows, &mut octets);
    octets
}

/// What is ours is not let in again; what somebody else has is, up to the limit and beyond.
#[tokio::test]
async fn a_file_is_tried_on_the_rules_of_a_neighbour() {
    let machine = speaking().await;
    let before = machine.get("/api/v1/status/bgp/routes?kind=received").await.body;
    let (_, ours) = machine.get_file("/api/v1/bgp/table.mrt?kind=best").await;
    let tried = machine.send("POST", &trial("to-b"), "", &ours).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    assert_eq!(tried.body["accepted"], 0, "{tried:?}");
    let tried = machine.send("POST", &trial("to-b"), "", &large()).await.body;
    let limit = json!({ "family": "ipv4", "limit": 4000, "received": 4005, "exceeded": true, "exceeded_at": "20.15.160.0/24" });
    assert_eq!(tried["limits"][0], limit);
    let accepted = tried["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|decision| decision["by"] == "default");
    let accepted = accepted.unwrap();
    assert_eq!(
        (&accepted["accepted"], &accepted["routes"]),
        (&json!(true), &tried["accepted"])
    );
    assert_eq!(accepted["examples"].as_array().unwrap().len(), 5, "{accepted}");
    assert_eq!(
        (&tried["accepted"], &tried["announced"]),
        (&json!(4005), &json!(4005))
    );
    assert_eq!(
        machine.get("/api/v1/status/bgp/routes?kind=received").await.body,
        before,
        "nothing is kept"
    );
    let (_, again) = machine.get_file("/api/v1/bgp/table.mrt?kind=best").await;
    assert_eq!(again.len(), ours.len());
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_with_the_octet() {
    let machine = speaking().await;
    assert_eq!(
        machine.send("POST", &trial("nobody"), "", b"").await.reason(),
        (404, "unknown-peer")
    );
    assert_eq!(
        machine
            .send("POST", "/api/v1/bgp/table:try", "", b"")
            .await
            .reason(),
        (400, "invalid-query")
    );
    let (_, mut file) = machine.get_file("/api/v1/bgp/table.mrt?kind=best").await;
    let whole = file.len();
    file.pop();
    let first = 12 + usize::from(file[11]);
    let long = [&[0; 8][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    for (sent, offset) in [(&b"no file"[..], 0), (&long, 0), (&file[..first + 5], first)] {
        let refused = machine.send("POST", &trial("to-b"), "", sent).await;
        assert_eq!(refused.reason(), (400, "invalid-body"));
        let words = refused.body["detail"].as_str().unwrap();
        assert!(
            words.starts_with(&format!("octet {offset} of the file")),
            "{words}"
        );
    }
    let refused = machine.send("POST", &trial("to-b"), "", &file).await;
    assert_eq!(
        refused.reason(),
        (400, "invalid-body"),
        "one octet of {whole} is missing"
    );
}

/// A small file that unpacks to a large one ends where the bound is.
#[tokio::test]
async fn a_file_that_swells_is_refused() {
    use std::io::Write;
    let machine = speaking().await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Records of an unknown type, as long as one may be.
    let record = [&[0; 9][..], &[0x0f, 0xff, 0xff], &vec![0; 0x0f_ffff]].concat();
    for _ in 0..300 {
        packed.write_all(&record).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 4 << 20);
    let refused = machine.send("POST", &trial("to-b"), "", &packed).await;
    assert_eq!(refused.reason(), (400, "invalid-body"), "{refused:?}");
    assert!(
        refused.body["detail"].as_str().unwrap().contains("268435456"),
        "{refused:?}"
    );
}
