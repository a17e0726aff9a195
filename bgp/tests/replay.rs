//! What real routers sent, read by our codec and by `bgpkit-parser`, written again, and damaged at random.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use bgp::wire::attribute::Attributes;
use bgp::wire::error::Treatment;
use bgp::wire::framing::{Framing, HEADER, MessageKind};
use bgp::wire::update::{Context, Decoder, Update, WriteContext, announce};
use bgp::{Families, Family};
use bgpkit_parser::models::{AsnLength, AttributeValue, BgpUpdateMessage, Community};
use bgpkit_parser::parser::bgp::messages::parse_bgp_update_message;
use ipnet::IpNet;

/// The body of an UPDATE, and whether its AS numbers have four octets.
struct Recorded {
    body: Vec<u8>,
    four_octet_asn: bool,
}

const LOGS: [&str; 4] = [
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
    flate2::read::GzDecoder::new(fs::read(path).unwrap().as_slice())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))
}

/// Every UPDATE of the logs (RFC 6396 §4.4; before it, type 5 without a message header).
fn updates() -> Vec<Recorded> {
    let mut all = Vec::new();
    for name in LOGS {
        let log = unpacked(name);
        let mut rest = log.as_slice();
        while !rest.is_empty() {
            let (kind, length) = (number(&rest[4..8]), number(&rest[8..12]));
            let record = &rest[12..12 + length];
            rest = &rest[12 + length..];
            let (addresses, four_octet_asn) = match kind {
                0x0005_0001 => {
                    let body = record[12..].to_vec();
                    all.push(Recorded {
                        body,
                        four_octet_asn: false,
                    });
                    continue;
                }
                0x0010_0001 => (&record[6..], false),
                0x0010_0004 => (&record[10..], true),
                _ => continue,
            };
            let width = if number(&addresses[..2]) == 1 { 4 } else { 16 };
            let message = &addresses[2 + 2 * width..];
            if message[18] == MessageKind::Update.number() {
                let body = message[HEADER..number(&message[16..18])].to_vec();
                all.push(Recorded { body, four_octet_asn });
            }
        }
    }
    all
}

/// The table as UPDATE messages: one for each set of attributes that differs, with all its prefixes but those beyond a
/// thousand.
fn table() -> Vec<Recorded> {
    let dump = unpacked("ris-rrc00-bview-20000111.0032.gz");
    let mut prefixes: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    let mut rest = dump.as_slice();
    while !rest.is_empty() {
        let end = 16 + number(&rest[8..12]);
        let mut routes = &rest[16..end];
        rest = &rest[end..];
        while !routes.is_empty() {
            let length = number(&routes[16..18]);
            let nlri = prefixes.entry(&routes[18..18 + length]).or_default();
            if nlri.len() < 3000 {
                nlri.push(routes[4]);
                nlri.extend(&routes[..usize::from(routes[4].div_ceil(8))]);
            }
            routes = &routes[18 + length..];
        }
    }
    let message = |(attributes, nlri): (&[u8], Vec<u8>)| {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        let body = [&[0, 0], &length[..], attributes, &nlri].concat();
        Recorded {
            body,
            four_octet_asn: false,
        }
    };
    prefixes.into_iter().map(message).collect()
}

/// Collectors are external to everybody, and their records are older than RFC 9774.
fn context(four_octet_asn: bool) -> Context {
    Context {
        four_octet_asn,
        families: Families::ALL,
        add_path: Families::NONE,
        ipv6_next_hops: false,
        internal: false,
        first_asn: None,
        as_sets: true,
    }
}

/// One route in words: prefix, next hop, AS path, origin, MED, aggregator, communities of all kinds.
type Route = (IpNet, IpAddr, String);

fn routes(update: &Update) -> Vec<Route> {
    let mut all = Vec::new();
    for (attributes, destinations) in &update.announced {
        let words = words(attributes);
        let next_hop = attributes.next_hop.address();
        all.extend(destinations.iter().map(|to| (to.prefix, next_hop, words.clone())));
    }
    all
}

fn words(attributes: &Attributes) -> String {
    format!(
        "{} {:?} {:?} {} {:?} {:?} {:?} {}",
        attributes.as_path,
        attributes.origin,
        attributes.med,
        attributes.atomic_aggregate,
        attributes.aggregator,
        attributes.communities,
        attributes.large_communities,
        attributes.extended_communities.len(),
    )
}

/// The same from `bgpkit-parser`.
fn their_routes(update: &BgpUpdateMessage) -> Vec<Route> {
    let words = their_words(update);
    let mut all = Vec::new();
    for prefix in &update.announced_prefixes {
        let next_hop = update.attributes.next_hop().unwrap();
        all.push((prefix.prefix.trunc(), next_hop, words.clone()));
    }
    if let Some(nlri) = update.attributes.get_reachable_nlri() {
        for prefix in &nlri.prefixes {
            let next_hop = nlri.next_hop.unwrap().addr();
            all.push((prefix.prefix.trunc(), next_hop, words.clone()));
        }
    }
    all
}

fn their_words(update: &BgpUpdateMessage) -> String {
    let attributes = &update.attributes;
    let (mut communities, mut large, mut extended) = (Vec::new(), Vec::new(), 0);
    for attribute in attributes.iter() {
        match attribute {
            AttributeValue::Communities(all) => communities.extend(all.iter().map(community)),
            AttributeValue::LargeCommunities(all) => {
                large.extend(
                    all.iter()
                        .map(|one| (one.global_admin, one.local_data[0], one.local_data[1])),
                );
            }
            AttributeValue::ExtendedCommunities(all) => extended += all.len(),
            _ => {}
        }
    }
    let as_path = attributes
        .effective_as_path()
        .map(|path| path.to_string().replace(',', " "));
    let origin = match attributes.origin() {
        bgpkit_parser::models::Origin::IGP => "Igp",
        bgpkit_parser::models::Origin::EGP => "Egp",
        bgpkit_parser::models::Origin::INCOMPLETE => "Incomplete",
    };
    let aggregator = attributes.aggregator().map(|(asn, id)| (u32::from(asn), id));
    // RFC 7607 §2, which it does not look at.
    let aggregator = aggregator.filter(|(asn, _)| *asn != 0);
    format!(
        "{} {origin} {:?} {} {aggregator:?} {communities:?} {large:?} {extended}",
        as_path.unwrap_or_default(),
        attributes.multi_exit_discriminator(),
        attributes.atomic_aggregate(),
    )
}

fn community(community: &Community) -> u32 {
    match community {
        Community::NoExport => 0xffff_ff01,
        Community::NoAdvertise => 0xffff_ff02,
        Community::NoExportSubConfed => 0xffff_ff03,
        Community::Custom(asn, value) => u32::from(*asn) << 16 | u32::from(*value),
    }
}

/// Reads all of them with both, and gives what we found wrong with which.
fn compare(recorded: &[Recorded]) -> BTreeMap<String, usize> {
    let mut decoders = [Decoder::new(context(false)), Decoder::new(context(true))];
    let mut faults = BTreeMap::new();
    for Recorded { body, four_octet_asn } in recorded {
        let update = decoders[usize::from(*four_octet_asn)].decode(body);
        let length = if *four_octet_asn {
            AsnLength::Bits32
        } else {
            AsnLength::Bits16
        };
        let theirs = parse_bgp_update_message(body.clone().into(), false, &length).unwrap();
        for fault in &update.faults {
            *faults.entry(fault.words.clone()).or_default() += 1;
        }
        if update
            .faults
            .iter()
            .any(|fault| fault.treatment != Treatment::DiscardAttribute)
        {
            continue;
        }
        assert_eq!(routes(&update), their_routes(&theirs), "{body:02x?}");
        let mut withdrawn: Vec<IpNet> = theirs.withdrawn_prefixes.iter().map(|from| from.prefix).collect();
        if let Some(nlri) = theirs.attributes.get_unreachable_nlri() {
            withdrawn.extend(nlri.prefixes.iter().map(|from| from.prefix));
        }
        let ours = update.withdrawn.iter().map(|from| from.prefix);
        assert_eq!(
            ours.collect::<Vec<_>>(),
            withdrawn.iter().map(IpNet::trunc).collect::<Vec<_>>()
        );
        assert_written_again(&update);
    }
    faults
}

/// What was read can be written, in both widths of AS numbers, and is then read the same.
fn assert_written_again(update: &Update) {
    for four_octet_asn in [false, true] {
        let write = WriteContext {
            four_octet_asn,
            extended_messages: true,
        };
        for (attributes, destinations) in &update.announced {
            let mut out = Vec::new();
            let prefixes = destinations.iter().map(|to| to.prefix);
            announce(attributes, &write, prefixes.clone(), &mut out).unwrap();
            let (mut framing, mut again) = (Framing::new(), Vec::new());
            framing.push(&out);
            while let Some(frame) = framing.next(true).unwrap() {
                let read = Decoder::new(Context {
                    ipv6_next_hops: true,
                    ..context(four_octet_asn)
                })
                .decode(frame.body);
                assert_eq!(read.faults, []);
                for (came, destinations) in read.announced {
                    assert_eq!(came, *attributes);
                    again.extend(destinations.into_iter().map(|to| to.prefix));
                }
            }
            assert_eq!(again, prefixes.collect::<Vec<_>>());
        }
    }
}

/// The only fault of both recordings: aggregators that call themselves AS 0 (RFC 7607 §2).
fn aggregators_zero(count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([("AGGREGATOR is autonomous system 0".to_owned(), count)])
}

#[test]
fn logs_are_read_as_by_another_parser() {
    let updates = updates();
    assert_eq!(updates.len(), 27_117);
    assert_eq!(compare(&updates), aggregators_zero(37));
}

#[test]
fn a_table_is_read_as_by_another_parser() {
    let table = table();
    assert_eq!(table.len(), 64_797);
    assert_eq!(compare(&table), aggregators_zero(35));
}

/// The same numbers on every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Damages a message in one of the ways that codecs fall for.
fn damage(body: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if body.is_empty() {
        return;
    }
    let place = random.below(body.len());
    match random.below(8) {
        0 => body[place] ^= 1 << random.below(8),
        1 => body[place] = random.octet(),
        2 => body[place] = [0, 1, 127, 128, 255][random.below(5)],
        3 => body.truncate(place),
        4 => body.insert(place, random.octet()),
        5 => drop(body.remove(place)),
        6 => {
            let end = (place + random.below(40)).min(body.len());
            let copy = body[place..end].to_vec();
            let to = random.below(body.len());
            body.splice(to..to, copy);
        }
        _ => {
            let begin = random.below(other.len());
            let end = (begin + random.below(40)).min(other.len());
            body.splice(place..place, other[begin..end].iter().copied());
        }
    }
    body.truncate(65_535 - HEADER);
}

/// What holds of whatever was read from a message: it is bounded by it, and what is announced can be written again.
fn assert_bounded(update: &Update, body: &[u8]) {
    let announced: usize = update.announced.iter().map(|(_, to)| to.len()).sum();
    assert!(announced + update.withdrawn.len() <= body.len());
    assert!(update.faults.len() <= 2 * 256 + 8);
    assert!(
        update
            .faults
            .iter()
            .all(|fault| fault.words.len() < 4 * body.len() + 200)
    );
    let resets = |fault: &bgp::wire::error::Fault| matches!(fault.treatment, Treatment::ResetSession(_));
    let withdraws = |fault: &bgp::wire::error::Fault| fault.treatment == Treatment::WithdrawRoutes;
    if update.faults.iter().any(resets) {
        assert!(update.announced.is_empty() && update.withdrawn.is_empty());
    }
    if update.faults.iter().any(withdraws) {
        assert!(update.announced.is_empty());
    }
}

/// So many damaged messages, each read after others and by itself.
fn survive(count: usize) {
    let mut recorded = updates();
    recorded.extend(table().into_iter().step_by(50));
    let mut random = Random(7);
    let mut decoders = [Decoder::new(context(false)), Decoder::new(context(true))];
    let mut kinds = BTreeMap::new();
    for _ in 0..count {
        let Recorded { body, four_octet_asn } = &recorded[random.below(recorded.len())];
        let other = &recorded[random.below(recorded.len())].body;
        let mut body = body.clone();
        for _ in 0..=random.below(3) {
            damage(&mut body, other, &mut random);
        }
        let decoder = &mut decoders[usize::from(*four_octet_asn)];
        let update = decoder.decode(&body);
        assert_bounded(&update, &body);
        assert_eq!(
            Decoder::new(context(*four_octet_asn)).decode(&body),
            update,
            "{body:02x?}"
        );
        if random.below(16) == 0 {
            assert_written_again(&update);
        }
        for fault in &update.faults {
            let kind = match fault.treatment {
                Treatment::DiscardAttribute => "discard",
                Treatment::WithdrawRoutes => "withdraw",
                Treatment::DisableFamily(Family::Ipv4) => "disable IPv4",
                Treatment::DisableFamily(Family::Ipv6) => "disable IPv6",
                Treatment::ResetSession(_) => "reset",
            };
            *kinds.entry(kind).or_insert(0) += 1;
            if let Treatment::DisableFamily(_) = fault.treatment {
                // It is of no more use: what it ignores, the next one would read.
                *decoder = Decoder::new(context(*four_octet_asn));
            }
        }
    }
    // A search that never meets a treatment does not try it.
    for kind in ["discard", "withdraw", "disable IPv6", "reset"] {
        assert!(kinds.contains_key(kind), "{kind} in {kinds:?}");
    }
}

/// `cargo xtask test --full` asks for ten million, with optimisations.
#[test]
fn damaged_messages_are_survived() {
    // How long to search is no business of the core.
    #[allow(clippy::disallowed_methods)]
    let asked = std::env::var("CAUSEWAY_DAMAGED_MESSAGES");
    survive(asked.map_or(20_000, |count| count.parse().unwrap()));
}
