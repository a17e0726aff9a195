//! Recorded tables and logs, read by our reader and by `bgpkit-parser`, and damaged at random.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use bgp::mrt::{RECORD_HEADER, RecordHeader, RecordReader, Told};
use bgp::wire::update::Context;
use bgp::{Families, Settings, Trial};
use bgpkit_parser::Elementor;
use bgpkit_parser::models::ElemType;
use bgpkit_parser::parser::parse_mrt_record;

const FILES: [&str; 5] = [
    "ris-rrc00-bview-20000111.0032.gz",
    "ris-rrc00-updates-19991214.1621.gz",
    "ris-rrc06-updates-20150401.0000.gz",
    "ris-rrc15-updates-20100227.1600.gz",
    "routeviews-jinx-updates-20150401.0000.gz",
];

fn unpacked(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let mut octets = Vec::new();
    let packed = fs::read(path).unwrap();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

fn context() -> Context {
    Context {
        four_octet_asn: true,
        families: Families::ALL,
        add_path: Families::NONE,
        ipv6_next_hops: true,
        internal: false,
        first_asn: None,
        as_sets: true,
    }
}

/// All that a file tells, up to what cannot be read.
fn read(mut rest: &[u8]) -> (Vec<Told>, Result<(), String>) {
    let (mut reader, mut all) = (RecordReader::new(context()), Vec::new());
    while let Some((header, tail)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let header = match RecordHeader::decode(*header) {
            Ok(header) => header,
            Err(words) => return (all, Err(words)),
        };
        let Some((body, tail)) = tail.split_at_checked(header.length) else {
            return (all, Err("cut off".to_owned()));
        };
        match reader.read(header, body) {
            Ok(told) => all.extend(told),
            Err(words) => return (all, Err(words)),
        }
        rest = tail;
    }
    (all, Ok(()))
}

/// Each route in a line, with a mark for whether it is there.
fn ours(told: &[Told]) -> Vec<String> {
    let mut lines = Vec::new();
    for Told { from, update } in told {
        for (attributes, to) in &update.announced {
            let (hop, path) = (attributes.next_hop.address(), attributes.as_path.to_string());
            lines.extend(to.iter().map(|to| format!("+ {from} {} {hop} {path}", to.prefix)));
        }
        lines.extend(
            update
                .withdrawn
                .iter()
                .map(|to| format!("- {from} {}", to.prefix)),
        );
    }
    lines.sort();
    lines
}

fn theirs(octets: &[u8]) -> Vec<String> {
    let (mut rest, mut elementor, mut lines) = (Cursor::new(octets), Elementor::new(), Vec::new());
    while rest.position() < octets.len() as u64 {
        let record = parse_mrt_record(&mut rest).map_err(|error| error.error).unwrap();
        for elem in elementor.record_to_elems(record) {
            let (from, to) = (elem.peer_ip, elem.prefix.prefix.trunc());
            lines.push(match elem.elem_type {
                ElemType::ANNOUNCE => {
                    let path = elem.as_path.map(|path| path.to_string()).unwrap_or_default();
                    format!("+ {from} {to} {} {path}", elem.next_hop.unwrap())
                }
                ElemType::WITHDRAW => format!("- {from} {to}"),
            });
        }
    }
    lines.sort();
    lines
}

/// What real collectors wrote. The oldest two files have records that are none any more (RFC 6396 §4, appendix B). What we do
/// not take is faulty (RFC 7606).
#[test]
fn both_read_the_same_in_recorded_files() {
    for name in FILES.iter().skip(2) {
        let octets = unpacked(name);
        let (told, end) = read(&octets);
        end.unwrap();
        let faulty = told.iter().filter(|told| !told.update.faults.is_empty()).count();
        let (ours, theirs) = (ours(&told), theirs(&octets));
        assert!(ours.len() > 100, "{name}");
        let other = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert!(
            faulty > 0 || (ours.len() == theirs.len() && other.is_none()),
            "{name}: {other:?}"
        );
        assert!(faulty * 100 < told.len(), "{name}: {faulty} of {}", told.len());
    }
}

/// No octets make it panic, and it says where it gave up.
#[test]
fn damaged_files_are_read_to_the_damage() {
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for name in FILES {
        let octets = unpacked(name);
        let part = &octets[..octets.len().min(40_000)];
        for _ in 0..300 {
            let mut damaged = part.to_vec();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = u8::try_from(random(256)).unwrap();
            }
            let (told, _) = read(&damaged);
            assert!(told.len() <= part.len());
        }
    }
}

/// Nobody's rules cannot be tried.
#[test]
fn there_is_no_trial_without_a_neighbour() {
    assert!(Trial::new(&Settings::none(), &bgp::NeighbourName("nobody".into())).is_none());
}
