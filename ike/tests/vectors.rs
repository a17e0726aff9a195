//! Messages that another implementation sent: what is read from them, and that writing it gives the same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use std::path::Path;
use std::{fs, iter};

use ike::wire::registry::{exchange, notify, payload, protocol, transform};
use ike::wire::{DecodeError, Header, Message, NotifyPayload, Payload, SecurityAssociationPayload, chain};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

/// The payloads of strongSwan's IKE_SA_INIT: SA, KE, Nonce, five notifies (NAT detection, fragmentation,
/// signature hashes, redirection), Vendor ID.
const INIT: &[u8] = &[33, 34, 40, 41, 41, 41, 41, 41, 43];
/// The response says that it does without Child SAs and with several authentications instead of redirection.
const INIT_ANSWER: &[u8] = &[33, 34, 40, 41, 41, 41, 41, 41, 41, 43];

/// Whole datagrams and the types of their payloads.
const DATAGRAMS: &[(&str, &[u8])] = &[
    ("init-request-many", INIT),
    ("init-response-x25519", INIT_ANSWER),
    ("init-request-ecp384", INIT),
    ("init-response-ecp384", INIT_ANSWER),
    ("init-request-modp2048", INIT),
    ("init-response-modp2048", INIT_ANSWER),
    ("init-response-invalid-ke", &[41, 43]),
    ("init-request-unknown-critical", &[200, 33, 34, 40]),
    ("init-response-unsupported-critical", &[41]),
    ("init-request-unknown", &[33, 34, 40, 201, 43]),
    ("init-response-invalid-version", &[41]),
    ("init-response-cookie", &[41]),
    (
        "init-request-with-cookie",
        &[41, 33, 34, 40, 41, 41, 41, 41, 41, 43],
    ),
    ("auth-request-fragment-1", &[53]),
    ("auth-request-fragment-2", &[53]),
    ("informational-request", &[46]),
    ("informational-request-responder", &[46]),
    ("create-child-response", &[46]),
];

/// What was inside SK, and the types of its payloads.
const INSIDES: &[(&str, &[u8])] = &[
    (
        "inside-auth-request",
        &[35, 41, 36, 39, 47, 33, 44, 45, 41, 41, 41, 41, 41],
    ),
    ("inside-auth-response", &[36, 39, 47, 33, 44, 45, 41, 41]),
    ("inside-delete-child", &[42]),
    ("inside-rekey-request", &[33, 40, 34]),
    ("inside-rekey-response", &[33, 40, 34]),
    ("inside-delete-ike", &[42]),
];

fn vector(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(Path::new(FOLDER).join(name).with_extension("hex")).unwrap();
    let hex: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn message(name: &str) -> Message {
    Message::decode(&vector(name)).unwrap()
}

fn inside(name: &str) -> Vec<Payload> {
    let (_, kinds) = INSIDES.iter().find(|(known, _)| *known == name).unwrap();
    chain::decode(kinds[0], &vector(name)).unwrap()
}

fn security_association(payloads: &[Payload]) -> &SecurityAssociationPayload {
    let mut found = payloads.iter().filter_map(|payload| {
        if let Payload::SecurityAssociation(found) = payload {
            Some(found)
        } else {
            None
        }
    });
    found.next().unwrap()
}

fn notifies(payloads: &[Payload]) -> Vec<&NotifyPayload> {
    let found = payloads.iter().filter_map(|payload| {
        if let Payload::Notify(notify) = payload {
            Some(notify)
        } else {
            None
        }
    });
    found.collect()
}

#[test]
fn datagrams_are_read_and_written_again() {
    for (name, kinds) in DATAGRAMS {
        let message = message(name);
        assert_eq!(
            message.payloads.iter().map(Payload::kind).collect::<Vec<_>>(),
            *kinds,
            "{name}"
        );
        assert_eq!(message.encode(), vector(name), "{name}");
    }
}

#[test]
fn insides_are_read_and_written_again() {
    for (name, kinds) in INSIDES {
        let payloads = inside(name);
        assert_eq!(
            payloads.iter().map(Payload::kind).collect::<Vec<_>>(),
            *kinds,
            "{name}"
        );
        assert_eq!(chain::encode(&payloads), (kinds[0], vector(name)), "{name}");
    }
}

/// A vector that no test names would show nothing.
#[test]
fn every_vector_is_read() {
    let read = DATAGRAMS
        .iter()
        .chain(INSIDES)
        .map(|(name, _)| *name)
        .chain(iter::once("init-request-version3"));
    let mut read: Vec<String> = read.map(|name| format!("{name}.hex")).collect();
    let entries = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut stored: Vec<String> = entries.filter(|name| name.ends_with(".hex")).collect();
    read.sort();
    stored.sort();
    assert_eq!(read, stored);
}

#[test]
fn no_cut_datagram_is_a_message() {
    for (name, _) in DATAGRAMS {
        let bytes = vector(name);
        for end in 0..bytes.len() {
            assert!(Message::decode(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn headers_say_who_sent_them() {
    let request = message("init-request-many").header;
    assert_eq!(
        (request.exchange_type, request.responder_spi),
        (exchange::IKE_SA_INIT, 0)
    );
    assert!(request.is_initiator() && !request.is_response());
    let response = message("init-response-x25519").header;
    assert_eq!(response.initiator_spi, request.initiator_spi);
    assert!(!response.is_initiator() && response.is_response());
    let from_responder = message("informational-request-responder").header;
    assert_eq!(from_responder.exchange_type, exchange::INFORMATIONAL);
    assert!(!from_responder.is_initiator() && !from_responder.is_response());
}

#[test]
fn proposals_keep_their_order_and_key_lengths() {
    let message = message("init-request-many");
    let [modern, classic] = &security_association(&message.payloads).proposals[..] else {
        unreachable!("strongSwan proposed AEAD and classic ciphers apart");
    };
    let ciphers = |proposal: &ike::wire::Proposal| {
        let ciphers = proposal
            .transforms
            .iter()
            .filter(|transform| transform.kind == transform::ENCR);
        ciphers
            .map(|cipher| (cipher.id, cipher.key_length))
            .collect::<Vec<_>>()
    };
    assert_eq!((modern.number, classic.number), (1, 2));
    assert_eq!(ciphers(modern), [(20, Some(256)), (20, Some(128))]);
    assert_eq!(
        ciphers(classic),
        [(12, Some(256)), (12, Some(192)), (12, Some(128))]
    );
    let groups = classic
        .transforms
        .iter()
        .filter(|transform| transform.kind == transform::KE);
    assert_eq!(
        groups.map(|group| group.id).collect::<Vec<_>>(),
        [20, 21, 14, 15, 16, 24, 2]
    );
    let replaced = &security_association(&inside("inside-rekey-request")).proposals[0].clone();
    assert_eq!((replaced.protocol, replaced.spi.len()), (protocol::IKE, 8));
}

#[test]
fn notifies_say_what_the_responder_asks_for() {
    let invalid_ke = message("init-response-invalid-ke");
    let wanted = notifies(&invalid_ke.payloads)[0];
    assert_eq!(
        (wanted.kind, &wanted.data[..]),
        (notify::INVALID_KE_PAYLOAD, &[0, 31][..])
    );
    assert!(wanted.is_error());

    let asked = message("init-response-cookie");
    let given = message("init-request-with-cookie");
    assert_eq!(notifies(&asked.payloads)[0].kind, notify::COOKIE);
    assert_eq!(
        asked.payloads[0], given.payloads[0],
        "the cookie comes back as it was"
    );

    let unsupported = message("init-response-unsupported-critical");
    let refused = notifies(&unsupported.payloads)[0];
    assert_eq!(
        (refused.kind, &refused.data[..]),
        (notify::UNSUPPORTED_CRITICAL_PAYLOAD, &[200][..])
    );
}

#[test]
fn unknown_payloads_keep_their_critical_bit() {
    for (name, place, critical) in [
        ("init-request-unknown-critical", 0, true),
        ("init-request-unknown", 3, false),
    ] {
        let message = message(name);
        let Payload::Unknown(unknown) = &message.payloads[place] else {
            unreachable!("{name}")
        };
        assert_eq!((unknown.critical, &unknown.data[..]), (critical, &b"hello"[..]));
    }
}

#[test]
fn another_major_version_is_told_by_the_header() {
    let bytes = vector("init-request-version3");
    assert_eq!(Header::decode(&bytes).map(|header| header.major_version()), Ok(3));
    assert_eq!(
        Message::decode(&bytes),
        Err(DecodeError::MajorVersion { major: 3 })
    );
}

#[test]
fn fragments_say_which_of_how_many_they_are() {
    for (name, number, first) in [
        ("auth-request-fragment-1", 1, payload::ID_I),
        ("auth-request-fragment-2", 2, payload::NONE),
    ] {
        let message = message(name);
        let [Payload::Fragment(fragment)] = &message.payloads[..] else {
            unreachable!("{name}")
        };
        assert_eq!(
            (fragment.number, fragment.total, fragment.first),
            (number, 2, first)
        );
        assert!(vector(name).ends_with(&fragment.bytes));
    }
}

#[test]
fn deletes_and_selectors_are_read() {
    let [Payload::Delete(child)] = &inside("inside-delete-child")[..] else {
        unreachable!()
    };
    assert_eq!(
        (child.protocol, &child.spis[..]),
        (protocol::ESP, &[0x6e6d_a059][..])
    );
    let [Payload::Delete(ike)] = &inside("inside-delete-ike")[..] else {
        unreachable!()
    };
    assert_eq!((ike.protocol, &ike.spis[..]), (protocol::IKE, &[][..]));
    let payloads = inside("inside-auth-request");
    let Some(Payload::SelectorsInitiator(ours)) = payloads.iter().find(|payload| payload.kind() == 44) else {
        unreachable!("TSi is there");
    };
    let read: Vec<_> = ours
        .selectors
        .iter()
        .map(|s| (s.protocol, s.start_port, s.end_port))
        .collect();
    assert_eq!(read, [(0, 0, 65_535), (6, 80, 80), (17, 1000, 2000)]);
    assert_eq!(ours.unknown, 0);
}
