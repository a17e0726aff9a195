use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgpkit_parser::models::{
    AttributeValue, MrtMessage, MrtRecord, NetworkPrefix, RibEntry, TableDumpV2Message, TableDumpV2Type,
};
use bgpkit_parser::parser::parse_mrt_record;
use thin_vec::thin_vec;

use super::{
    Dialect, LogSession, Moment, RECORD_HEADER, RecordHeader, RecordReader, TableNeighbour, TableWriter, Way,
    message,
};
use crate::rib::sample;
use crate::wire::as_path::{AsPath, Segment};
use crate::wire::attribute::{Attributes, NextHop, Origin, UnknownAttribute};
use crate::wire::framing::{Frame, MessageKind};
use crate::wire::update::{Context, Destination};
use crate::{Families, Family, TableQuery, TableRow, TableView};

/// All records, as bgpkit-parser reads them.
fn records(octets: &[u8]) -> Vec<MrtRecord> {
    let mut rest = Cursor::new(octets);
    let mut all = Vec::new();
    while rest.position() < octets.len() as u64 {
        all.push(parse_mrt_record(&mut rest).map_err(|error| error.error).unwrap());
    }
    all
}

fn neighbours(count: u8) -> Vec<TableNeighbour> {
    let ours = TableNeighbour {
        name: None,
        identifier: Ipv4Addr::new(10, 0, 0, 1),
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        asn: 65_000,
        since: 0,
    };
    let others = (1..=count).map(|number| TableNeighbour {
        name: Some(sample::name(number)),
        identifier: Ipv4Addr::new(10, 0, 1, number),
        address: match number {
            1 => IpAddr::from([169, 254, 0, 1]),
            _ => "fd00::2".parse().unwrap(),
        },
        asn: 4_200_000_000 + u32::from(number),
        since: 1000 + u32::from(number),
    });
    std::iter::once(ours).chain(others).collect()
}

fn row(prefix: &str, from: u8, path: u32, attributes: Attributes) -> TableRow {
    TableRow {
        prefix: sample::prefix(prefix),
        from: (from > 0).then(|| sample::name(from)),
        path,
        attributes: Arc::new(attributes),
    }
}

/// One with everything that a route can bear.
fn full() -> Attributes {
    Attributes {
        origin: Origin::Egp,
        as_path: AsPath(vec![
            Segment::Sequence(vec![4_200_000_001, 64_512]),
            Segment::Set(vec![1, 70_000]),
        ]),
        next_hop: NextHop::Address(IpAddr::from([169, 254, 0, 1])),
        med: Some(70),
        local_preference: Some(200),
        atomic_aggregate: true,
        aggregator: Some((70_000, Ipv4Addr::new(192, 0, 2, 1))),
        communities: thin_vec![0xffff_ff01, 65_000 << 16 | 7],
        extended_communities: thin_vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 9]],
        large_communities: thin_vec![(70_000, 1, 2)],
        originator: Some(Ipv4Addr::new(10, 9, 9, 9)),
        clusters: thin_vec![Ipv4Addr::new(10, 9, 9, 1), Ipv4Addr::new(10, 9, 9, 2)],
        only_to_customer: Some(70_001),
        unknown: thin_vec![UnknownAttribute {
            code: 213,
            value: vec![7; 300],
        }],
    }
}

fn written(rows: &[TableRow]) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let mut writer = TableWriter::begin(&neighbours(2), 1_700_000_000, &mut out);
    writer.write(rows, &mut out);
    (out, writer.left_out())
}

/// The prefix, the subtype and the entries of every record but the first.
fn ribs(octets: &[u8]) -> Vec<(NetworkPrefix, TableDumpV2Type, Vec<RibEntry>)> {
    let tables = records(octets)
        .into_iter()
        .skip(1)
        .map(|record| match record.message {
            MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(table)) => {
                (table.prefix, table.rib_type, table.rib_entries)
            }
            other => panic!("{other:?}"),
        });
    tables.collect()
}

fn values(entry: &RibEntry) -> Vec<AttributeValue> {
    entry
        .attributes
        .clone()
        .into_attributes_iter()
        .map(|attribute| attribute.value)
        .collect()
}

/// RFC 6396 §4.3.1: who made it, and everybody with address, identifier and four octets of AS number.
#[test]
fn the_first_record_has_every_neighbour() {
    let (octets, _) = written(&[]);
    let all = records(&octets);
    assert_eq!((all.len(), all[0].common_header.timestamp), (1, 1_700_000_000));
    let MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(table)) = &all[0].message else {
        panic!("{:?}", all[0]);
    };
    assert_eq!(table.collector_bgp_id, Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(table.id_peer_map.len(), 3);
    for (number, expected) in (0..).zip(neighbours(2)) {
        let peer = &table.id_peer_map[&number];
        assert_eq!(
            (peer.peer_ip, peer.peer_asn.to_u32()),
            (expected.address, expected.asn)
        );
        assert_eq!(peer.peer_bgp_id, expected.identifier);
    }
}

/// RFC 6396 §4.3.2: of a prefix there is one record, with an entry of each neighbour.
#[test]
fn a_prefix_is_one_record_with_an_entry_of_each_neighbour() {
    let one = sample::attributes(1, &[65_001]);
    let two = sample::attributes(2, &[65_002, 65_003]);
    let rows = [
        row("10.0.0.0/8", 1, 0, one.clone()),
        row("10.0.0.0/8", 2, 0, two.clone()),
        row("10.1.0.0/17", 0, 0, one.clone()),
        row("0.0.0.0/0", 2, 0, two),
        row("10.2.0.0/16", 3, 0, one),
    ];
    let (octets, left_out) = written(&rows);
    let tables = ribs(&octets);
    let found: Vec<(String, Vec<(u16, u32)>)> = tables
        .iter()
        .map(|(prefix, _, entries)| {
            let of = |entry: &RibEntry| (entry.peer_index, entry.originated_time);
            (prefix.prefix.to_string(), entries.iter().map(of).collect())
        })
        .collect();
    let expected = [
        ("10.0.0.0/8", vec![(1, 1001), (2, 1002)]),
        ("10.1.0.0/17", vec![(0, 0)]),
        ("0.0.0.0/0", vec![(2, 1002)]),
    ];
    assert_eq!(
        found,
        expected.map(|(prefix, entries)| (prefix.to_owned(), entries))
    );
    assert_eq!(
        left_out, 1,
        "what is of a neighbour that the first record does not have"
    );
}

/// Every attribute comes back with its value, unknown transitive ones as octets and partial (RFC 4271 §5).
#[test]
fn every_attribute_is_written_as_it_came() {
    let (octets, _) = written(&[row("10.0.0.0/8", 1, 0, full())]);
    let tables = ribs(&octets);
    let entry = &tables[0].2[0];
    let text: Vec<String> = values(entry).iter().map(|value| format!("{value:?}")).collect();
    let all = text.join("\n");
    for part in [
        "Origin(EGP)",
        "4200000001",
        "70000",
        "NextHop(169.254.0.1)",
        "MultiExitDiscriminator(70)",
        "LocalPreference(200)",
        "AtomicAggregate",
        "Aggregator { asn: 70000, id: 192.0.2.1 }",
        "OriginatorId(10.9.9.9)",
        "OnlyToCustomer(70001)",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
    let clusters = [0x0a09_0901, 0x0a09_0902];
    assert!(
        values(entry).contains(&AttributeValue::Clusters(clusters.to_vec())),
        "{all}"
    );
    let path = values(entry).into_iter().find_map(|value| match value {
        AttributeValue::AsPath(path) => Some(path.to_string()),
        _ => None,
    });
    assert_eq!(path.as_deref(), Some("4200000001 64512 {1,70000}"));
    let communities: Vec<String> = entry
        .attributes
        .iter_communities()
        .map(|one| one.to_string())
        .collect();
    assert_eq!(communities.len(), 4, "{communities:?}");
    assert!(communities.contains(&"65000:7".to_owned()), "{communities:?}");
    assert!(
        communities.iter().any(|one| one.contains("70000:1:2")),
        "{communities:?}"
    );
    assert!(!all.contains("MpReachNlri"), "an IPv4 route has NEXT_HOP alone");
    let unknown = entry
        .attributes
        .clone()
        .into_attributes_iter()
        .find(|attribute| u8::from(attribute.value.attr_type()) == 213);
    let unknown = unknown.unwrap();
    assert_eq!(unknown.flag.bits() & 0xe0, 0xe0, "optional, transitive, partial");
    let AttributeValue::Unknown(raw) = unknown.value else {
        panic!("{:?}", unknown.value);
    };
    assert_eq!(raw.bytes.as_ref(), [7; 300]);
}

/// RFC 6396 §4.3.4: of MP_REACH_NLRI there is only the next hop, with its link-local address where it has one, and
/// no NEXT_HOP; the same for an IPv4 route over IPv6 (RFC 8950).
#[test]
fn next_hops_of_ipv6_are_abbreviated() {
    let global = "2001:db8::1".parse().unwrap();
    let link_local = "fe80::1".parse().unwrap();
    let attributes = Attributes {
        next_hop: NextHop::WithLinkLocal(global, link_local),
        ..sample::attributes(1, &[65_001])
    };
    let rows = [
        row("2001:db8:1::/48", 1, 0, attributes.clone()),
        row("10.0.0.0/8", 1, 0, attributes),
    ];
    let (octets, _) = written(&rows);
    let abbreviated: Vec<u8> = [&[0x80, 14, 33, 32][..], &global.octets(), &link_local.octets()].concat();
    let entries = octets
        .windows(abbreviated.len())
        .filter(|window| *window == abbreviated);
    assert_eq!(entries.count(), 2);
    let tables = ribs(&octets);
    assert_eq!(tables[0].1, TableDumpV2Type::RibIpv6Unicast);
    let read = values(&tables[0].2[0]).into_iter().find_map(|value| match value {
        AttributeValue::MpReachNlri(reach) => Some(reach.next_hop.unwrap().addr()),
        _ => None,
    });
    assert_eq!(read, Some(IpAddr::V6(global)));
    assert!(
        !values(&tables[0].2[0])
            .iter()
            .any(|value| matches!(value, AttributeValue::NextHop(_)))
    );
}

/// RFC 8050 §4: paths with identifiers have records of their own.
#[test]
fn numbered_paths_keep_their_identifiers() {
    let one = sample::attributes(1, &[65_001]);
    let rows = [
        row("10.0.0.0/8", 1, 7, one.clone()),
        row("10.0.0.0/8", 1, 8, one.clone()),
        row("10.0.0.0/8", 2, 0, one.clone()),
        row("fd00::/16", 1, 9, one),
    ];
    let tables = ribs(&written(&rows).0);
    let found: Vec<(TableDumpV2Type, Vec<Option<u32>>)> = tables
        .iter()
        .map(|(_, kind, entries)| (*kind, entries.iter().map(|entry| entry.path_id).collect()))
        .collect();
    let expected = [
        (TableDumpV2Type::RibIpv4Unicast, vec![None]),
        (TableDumpV2Type::RibIpv4UnicastAddPath, vec![Some(7), Some(8)]),
        (TableDumpV2Type::RibIpv6UnicastAddPath, vec![Some(9)]),
    ];
    assert_eq!(found, expected);
}

/// An entry cannot say more than 65,535 octets: such a route is left out and counted, and the rest is whole.
#[test]
fn attributes_that_are_too_long_are_left_out() {
    let long = Attributes {
        unknown: thin_vec![
            UnknownAttribute {
                code: 213,
                value: vec![0; 40_000]
            },
            UnknownAttribute {
                code: 214,
                value: vec![0; 40_000]
            },
        ],
        ..sample::attributes(1, &[65_001])
    };
    let rows = [
        row("10.0.0.0/8", 1, 0, long),
        row("10.0.0.0/8", 2, 0, sample::attributes(2, &[65_002])),
    ];
    let (octets, left_out) = written(&rows);
    let tables = ribs(&octets);
    assert_eq!((tables.len(), tables[0].2.len(), left_out), (1, 1, 1));
}

/// The tables part by part hold what there is, once each and in order: received as it came, best as it is used.
#[test]
fn parts_of_the_tables_are_all_of_them() {
    let mut settings = sample::settings(2);
    settings.own = vec![sample::prefix("192.0.2.0/24")];
    settings.multipath = 2;
    let (mut rib, peers) = sample::rib(&settings);
    let numbered: Vec<String> = (0..50).map(|number| format!("10.{number}.0.0/16")).collect();
    let prefixes: Vec<&str> = numbered.iter().map(String::as_str).collect();
    for (number, peer) in (1..).zip(&peers) {
        let attributes = sample::attributes(number, &[65_000 + u32::from(number)]);
        rib.receive(*peer, sample::announce(attributes, &prefixes))
            .unwrap();
    }
    let loops = sample::attributes(1, &[65_001, 65_000]);
    rib.receive(peers[0], sample::announce(loops, &["172.16.0.0/12"]))
        .unwrap();
    let all = |view| {
        let (mut rows, mut after, mut parts) = (Vec::new(), None, 0);
        loop {
            let part = rib.part(&TableQuery {
                view,
                family: Family::Ipv4,
                after,
                prefixes: 7,
            });
            rows.extend(part.rows);
            parts += 1;
            after = part.next;
            if after.is_none() {
                return (rows, parts);
            }
        }
    };
    let (received, parts) = all(TableView::Received);
    assert_eq!((received.len(), parts), (101, 8), "52 prefixes");
    assert!(received.is_sorted_by_key(|row| row.prefix));
    assert_eq!(
        received
            .iter()
            .filter(|row| row.from == Some(sample::name(1)))
            .count(),
        51
    );
    let (best, _) = all(TableView::Best);
    assert_eq!(best.len(), 101, "both ways to each, and our own");
    let ours: Vec<&TableRow> = best.iter().filter(|row| row.from.is_none()).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].prefix, sample::prefix("192.0.2.0/24"));
    assert!(
        !best
            .iter()
            .any(|row| row.prefix == sample::prefix("172.16.0.0/12")),
        "refused"
    );
}

/// What we write we read: the routes with all that they bear.
#[test]
fn our_own_tables_are_read_back() {
    let global = NextHop::Address("2001:db8::1".parse().unwrap());
    let six = Attributes {
        next_hop: global,
        ..sample::attributes(1, &[65_001])
    };
    let rows = [
        row("10.0.0.0/8", 1, 0, full()),
        row("10.1.0.0/16", 1, 7, sample::attributes(1, &[65_001])),
        row("10.2.0.0/16", 2, 0, six.clone()),
        row("fd00::/16", 2, 0, six),
    ];
    let (octets, _) = written(&rows);
    let context = Context {
        four_octet_asn: true,
        families: Families::ALL,
        add_path: Families::NONE,
        ipv6_next_hops: true,
        internal: true,
        first_asn: None,
        as_sets: true,
    };
    let (mut reader, mut rest, mut all) = (RecordReader::new(context), octets.as_slice(), Vec::new());
    while let Some((header, tail)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let header = RecordHeader::decode(*header).unwrap();
        let (body, tail) = tail.split_at(header.length);
        all.extend(reader.read(header, body).unwrap());
        rest = tail;
    }
    assert_eq!(all.len(), rows.len());
    for (told, row) in all.iter().zip(&rows) {
        let destination = Destination {
            prefix: row.prefix,
            path: row.path,
        };
        let mut attributes = Attributes::clone(&row.attributes);
        if attributes.local_preference.is_none() {
            // Inside an autonomous system it is not taken without.
            assert_eq!(told.update.withdrawn, [destination], "{told:?}");
            continue;
        }
        attributes.local_preference = Some(200);
        assert_eq!(told.update.announced, [(Arc::new(attributes), vec![destination])]);
    }
}

/// The widths of AS numbers, and whether paths are numbered, the subtype says (RFC 6396 §4.4, RFC 8050 §3).
#[test]
fn messages_have_the_subtype_of_their_session() {
    let session = LogSession {
        ours: (4_200_000_000, IpAddr::from([169, 254, 1, 1])),
        theirs: (65_001, IpAddr::from([169, 254, 0, 1])),
    };
    let at = Moment {
        seconds: 1_700_000_000,
        microseconds: 250_000,
    };
    let subtype = |way, four_octet_asn, add_path| {
        let dialect = Dialect {
            four_octet_asn,
            add_path,
        };
        let frame = Frame {
            kind: MessageKind::Update,
            body: &[0, 0, 0, 0],
        };
        let mut out = Vec::new();
        message(at, &session, (way, dialect), frame, &mut out);
        let [record] = &records(&out)[..] else { panic!() };
        assert_eq!(record.common_header.microsecond_timestamp, Some(250_000));
        record.common_header.entry_subtype
    };
    let (none, six) = (Families::NONE, Families::NONE.with(Family::Ipv6));
    let found = [
        subtype(Way::In, true, none),
        subtype(Way::In, false, none),
        subtype(Way::In, true, Families::ALL),
        subtype(Way::In, false, Families::ALL),
        subtype(Way::In, true, six),
        subtype(Way::Out, true, Families::ALL),
        subtype(Way::Out, false, none),
    ];
    assert_eq!(found, [4, 1, 9, 8, 4, 7, 6]);
}
