use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::TrafficSelector;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u16>(), option::of(any::<u16>())).prop_map(|(kind, id, key_length)| Transform {
        kind,
        id,
        key_length,
        unknown_attribute: false,
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (any::<u8>(), any::<u8>(), bytes(8), vec(transform(), 0..12)).prop_map(
        |(number, protocol, spi, transforms)| Proposal {
            number,
            protocol,
            spi,
            transforms,
        },
    )
}

fn traffic_selector() -> impl Strategy<Value = TrafficSelector> {
    let four = any::<[[u8; 4]; 2]>().prop_map(|pair| pair.map(IpAddr::from));
    let six = any::<[[u8; 16]; 2]>().prop_map(|pair| pair.map(IpAddr::from));
    (any::<u8>(), any::<u16>(), any::<u16>(), prop_oneof![four, six]).prop_map(
        |(protocol, start_port, end_port, [start, end])| TrafficSelector {
            protocol,
            start_port,
            end_port,
            start,
            end,
        },
    )
}

fn selectors() -> impl Strategy<Value = SelectorsPayload> {
    vec(traffic_selector(), 0..6).prop_map(|selectors| SelectorsPayload {
        selectors,
        unknown: 0,
    })
}

fn notify() -> impl Strategy<Value = NotifyPayload> {
    (any::<u8>(), bytes(8), any::<u16>(), bytes(40)).prop_map(|(protocol, spi, kind, data)| NotifyPayload {
        protocol,
        spi,
        kind,
        data,
    })
}

fn identification() -> impl Strategy<Value = IdentificationPayload> {
    (any::<u8>(), any::<[u8; 3]>(), bytes(40)).prop_map(|(kind, reserved, data)| IdentificationPayload {
        kind,
        reserved,
        data,
    })
}

fn certificate() -> impl Strategy<Value = CertificatePayload> {
    (any::<u8>(), bytes(40)).prop_map(|(encoding, data)| CertificatePayload { encoding, data })
}

fn eap() -> impl Strategy<Value = EapPayload> {
    bytes(40).prop_map(|text| {
        let length = u16::try_from(text.len() + 4).unwrap().to_be_bytes();
        EapPayload {
            data: [&[1, 1], &length[..], &text].concat(),
        }
    })
}

fn configuration() -> impl Strategy<Value = ConfigurationPayload> {
    (any::<u8>(), vec((0..0x8000_u16, bytes(20)), 0..6))
        .prop_map(|(kind, attributes)| ConfigurationPayload { kind, attributes })
}

fn unknown() -> impl Strategy<Value = UnknownPayload> {
    (
        prop_oneof![1..33_u8, 49..53_u8, 54..=255_u8],
        any::<bool>(),
        bytes(40),
    )
        .prop_map(|(kind, critical, data)| UnknownPayload { kind, critical, data })
}

/// Every payload that may stand anywhere.
fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        vec(proposal(), 1..4)
            .prop_map(|proposals| Payload::SecurityAssociation(SecurityAssociationPayload { proposals })),
        (any::<u16>(), bytes(80))
            .prop_map(|(group, data)| Payload::KeyExchange(KeyExchangePayload { group, data })),
        identification().prop_map(Payload::IdentificationInitiator),
        identification().prop_map(Payload::IdentificationResponder),
        certificate().prop_map(Payload::Certificate),
        certificate().prop_map(Payload::CertificateRequest),
        (any::<u8>(), bytes(80))
            .prop_map(|(method, data)| Payload::Authentication(AuthPayload { method, data })),
        vec(any::<u8>(), 16..=256).prop_map(|data| Payload::Nonce(NoncePayload { data })),
        notify().prop_map(Payload::Notify),
        (any::<u8>(), vec(any::<u32>(), 0..6))
            .prop_map(|(protocol, spis)| Payload::Delete(DeletePayload { protocol, spis })),
        bytes(40).prop_map(|data| Payload::VendorId(VendorIdPayload { data })),
        selectors().prop_map(Payload::SelectorsInitiator),
        selectors().prop_map(Payload::SelectorsResponder),
        configuration().prop_map(Payload::Configuration),
        eap().prop_map(Payload::Eap),
        unknown().prop_map(Payload::Unknown),
    ]
}

/// SK or SKF: what may only stand last.
fn sealed() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (any::<u8>(), bytes(80)).prop_map(|(first, bytes)| Payload::Encrypted { first, bytes }),
        (any::<u8>(), 1..9_u16, 0..9_u16, bytes(80)).prop_map(|(first, number, more, bytes)| {
            Payload::Fragment(FragmentPayload {
                first,
                number,
                total: number + more,
                bytes,
            })
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let header = (any::<u64>(), any::<u64>(), any::<u8>(), any::<u8>(), any::<u32>());
    (header, vec(payload(), 0..8), option::of(sealed())).prop_map(|(header, mut payloads, last)| {
        payloads.extend(last);
        let (initiator, responder, exchange, flags, id) = header;
        Message {
            header: Header::new(initiator, responder, exchange, flags, id),
            payloads,
        }
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(message in message()) {
        let bytes = message.encode();
        let decoded = Message::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded.payloads, &message.payloads);
        prop_assert_eq!(usize::try_from(decoded.header.length).unwrap(), bytes.len());
        let first = message.payloads.first().map_or(0, Payload::kind);
        prop_assert_eq!(decoded.header.next_payload, first);
        prop_assert_eq!(decoded.encode(), bytes);
    }

    /// Cut anywhere: no shorter chain is hidden in a longer one.
    #[test]
    fn no_prefix_of_a_chain_is_a_chain(payloads in vec(payload(), 1..6), cut in any::<prop::sample::Index>()) {
        let (first, bytes) = chain::encode(&payloads);
        let end = cut.index(bytes.len());
        prop_assert!(chain::decode(first, &bytes[..end]).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(first in any::<u8>(), bytes in bytes(400)) {
        if let Ok(payloads) = chain::decode(first, &bytes) {
            let (again, bytes) = chain::encode(&payloads);
            let rewritten = chain::decode(again, &bytes).unwrap();
            prop_assert_eq!(rewritten.len(), payloads.len());
        }
    }

    #[test]
    fn damaged_messages_are_decoded_or_refused(
        message in message(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(decoded) = Message::decode(&bytes) {
            prop_assert!(Message::decode(&decoded.encode()).is_ok());
        }
    }
}

/// A vendor id of one octet, as a payload before `next`.
fn vendor(next: u8) -> [u8; 5] {
    [next, 0, 0, 5, 9]
}

#[test]
fn walk_ends_where_the_bytes_end() {
    let truncated = |what| Err(DecodeError::Truncated { what });
    let wrong = |what| Err(DecodeError::Length { what });
    assert_eq!(chain::decode(0, &[]), Ok(vec![]));
    assert_eq!(chain::decode(0, &[0]), wrong("payload chain"));
    assert_eq!(chain::decode(43, &[]), truncated("payload"));
    assert_eq!(chain::decode(43, &[0, 0, 0]), truncated("payload"));
    assert_eq!(chain::decode(43, &[0, 0, 0, 3]), wrong("payload"));
    assert_eq!(chain::decode(43, &[0, 0, 0, 0, 0]), wrong("payload"));
    assert_eq!(chain::decode(43, &[0, 0, 0, 5]), truncated("payload"));
    assert_eq!(chain::decode(43, &[0, 0, 0xff, 0xff, 9]), truncated("payload"));
    assert_eq!(chain::decode(43, &vendor(43)), truncated("payload"));
    assert_eq!(
        chain::decode(43, &[vendor(0), vendor(0)].concat()),
        wrong("payload chain")
    );
    assert_eq!(
        chain::decode(43, &[vendor(43), vendor(0)].concat()).map(|payloads| payloads.len()),
        Ok(2)
    );
}

#[test]
fn encrypted_payload_is_the_last() {
    let sound = [&vendor(46)[..], &[33, 0, 0, 6, 1, 2]].concat();
    let last = Payload::Encrypted {
        first: 33,
        bytes: vec![1, 2],
    };
    assert_eq!(chain::decode(43, &sound).unwrap().last(), Some(&last));
    let followed = [&sound[..], &vendor(0)].concat();
    assert_eq!(
        chain::decode(43, &followed),
        Err(DecodeError::Length {
            what: "payload chain"
        })
    );
    let followed = [&[43, 0, 0, 9, 0, 1, 0, 1, 7][..], &vendor(0)].concat();
    assert_eq!(
        chain::decode(53, &followed),
        Err(DecodeError::Length {
            what: "payload chain"
        })
    );
}

#[test]
fn payloads_are_bounded() {
    let vendors = |count: usize| {
        let mut bytes = vendor(43).repeat(count);
        let last = bytes.len() - 5;
        bytes[last] = 0;
        bytes
    };
    let most = chain::MAX_PAYLOADS;
    assert_eq!(
        chain::decode(43, &vendors(most)).map(|payloads| payloads.len()),
        Ok(most)
    );
    assert_eq!(
        chain::decode(43, &vendors(most + 1)),
        Err(DecodeError::TooMany { what: "payloads" })
    );
    assert_eq!(
        chain::decode(43, &vendors(65_535)),
        Err(DecodeError::TooMany { what: "payloads" })
    );
}

/// RFC 7296 §2.5, §3.2: the critical bit means something only where the type is not known.
#[test]
fn critical_bit_is_kept_for_unknown_types_only() {
    for (flags, critical) in [(0x80, true), (0, false), (0x7f, false)] {
        let unknown = UnknownPayload {
            kind: 200,
            critical,
            data: vec![9],
        };
        assert_eq!(
            chain::decode(200, &[0, flags, 0, 5, 9]),
            Ok(vec![Payload::Unknown(unknown)])
        );
    }
    let known = Payload::VendorId(VendorIdPayload { data: vec![9] });
    assert_eq!(chain::decode(43, &[0, 0x80, 0, 5, 9]), Ok(vec![known]));
}

#[test]
fn other_major_version_is_told_before_any_payload() {
    for (version, major) in [(0x10, 1), (0x30, 3), (0xf0, 15)] {
        let header = Header {
            next_payload: 33,
            length: 30,
            version,
            ..Header::new(1, 0, 34, 8, 0)
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes.extend([0xff, 0xff]);
        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(Message::decode(&bytes), Err(DecodeError::MajorVersion { major }));
    }
    let minor = Message {
        header: Header {
            version: 0x2f,
            ..Header::new(1, 0, 34, 8, 0)
        },
        payloads: vec![],
    };
    assert!(Message::decode(&minor.encode()).is_ok());
}
