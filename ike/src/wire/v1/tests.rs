#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use hex_literal::hex;
use proptest::prelude::*;

use super::registry::{esp, isakmp, phase1, phase2, protocol};
use super::*;
use crate::wire::{DecodeError, Header, VendorIdPayload};

fn transform(number: u8, id: u8, attributes: &[(u16, u32)]) -> Transform {
    let attributes = attributes.iter();
    let attributes = attributes.map(|(kind, value)| Attribute::number(*kind, *value));
    Transform {
        number,
        id,
        attributes: attributes.collect(),
    }
}

fn deletion() -> DeletePayload {
    DeletePayload {
        protocol: protocol::ESP,
        spis: vec![vec![0, 0, 1, 2], vec![0, 0, 1, 3]],
    }
}

fn sample() -> Message {
    let ike = transform(
        1,
        isakmp::KEY_IKE,
        &[
            (phase1::ENCRYPTION, 7),
            (phase1::KEY_LENGTH, 256),
            (phase1::LIFE_TYPE, 1),
            (phase1::LIFE_DURATION, 28_800),
        ],
    );
    let esp = |number| transform(number, esp::AES_CBC, &[(phase2::LIFE_DURATION, 102_400_000)]);
    let proposal = |number, protocol, spi, transforms| Proposal {
        number,
        protocol,
        spi,
        transforms,
    };
    let proposals = vec![
        proposal(1, protocol::ISAKMP, Vec::new(), vec![ike]),
        proposal(2, protocol::ESP, vec![1, 2, 3, 4], vec![esp(1), esp(2)]),
    ];
    let delete = deletion();
    Message {
        header: Message::header((0x0102, 0x0304), registry::exchange::MAIN_MODE, 0),
        payloads: vec![
            Payload::SecurityAssociation(SecurityAssociationPayload { proposals }),
            Payload::KeyExchange(vec![7; 128]),
            Payload::Nonce(vec![8; 32]),
            Payload::Identification(IdentificationPayload {
                kind: 4,
                protocol: 17,
                port: 53,
                data: vec![10, 0, 0, 0, 255, 0, 0, 0],
            }),
            Payload::Notify(NotifyPayload {
                protocol: protocol::ISAKMP,
                spi: vec![9; 16],
                kind: registry::notify::R_U_THERE,
                data: vec![0, 0, 0, 1],
            }),
            Payload::Delete(delete),
            Payload::VendorId(VendorIdPayload { data: vec![6; 16] }),
            Payload::NatDetection(NatDetectionPayload {
                draft: true,
                hash: vec![5; 20],
            }),
            Payload::NatDetection(NatDetectionPayload {
                draft: false,
                hash: vec![4; 20],
            }),
            Payload::Hash(vec![3; 20]),
            Payload::Unknown {
                kind: 131,
                data: vec![1, 0, 0, 0, 192, 0, 2, 1],
            },
        ],
    }
}

#[test]
fn messages_round_trip() {
    let bytes = sample().encode();
    let read = Message::decode(&bytes).unwrap();
    assert_eq!(read.payloads, sample().payloads);
    assert_eq!(read.encode(), bytes);
    assert_eq!((read.header.version, read.header.exchange_type), (0x10, 2));
}

/// The first message of RFC 2409 §5.4, as it stands on the wire: one proposal, one transform.
#[test]
fn fields_stand_where_the_rfcs_draw_them() {
    let body = hex!(
        "00000001 00000001" // IPsec DOI, identities only
        "00 00 0028 01 01 00 01" // the last proposal: number, ISAKMP, no SPI, one transform
        "00 00 0020 01 01 0000" // the last transform: number, KEY_IKE
        "8001 0007 800e 0100 8002 0004 8004 0002 800b 0001 800c 7080"
    );
    let read = SecurityAssociationPayload::decode(&body).unwrap();
    let only = &read.proposals[0].transforms[0];
    let said = |kind| only.number_of(kind);
    assert_eq!(
        (said(1), said(14), said(2), said(4)),
        (Some(7), Some(256), Some(4), Some(2))
    );
    assert_eq!((said(11), said(12), said(3)), (Some(1), Some(28_800), None));
    let mut written = Vec::new();
    read.encode(&mut written);
    assert_eq!(written, body);
}

/// A chain cannot loop: every step takes four octets at least, whatever type it names.
#[test]
fn chains_that_loop_end() {
    for length in 0..4 {
        let stuck = [5, 0, 0, length].repeat(4);
        let refused = chain::decode(5, &stuck);
        assert_eq!(refused, Err(DecodeError::Length { what: "payload" }));
    }
    let endless = [13, 0, 0, 4].repeat(200);
    let refused = chain::decode(13, &endless);
    assert_eq!(refused, Err(DecodeError::TooMany { what: "payloads" }));
    let open = [13, 0, 0, 4].repeat(9);
    let refused = chain::decode(13, &open);
    assert_eq!(refused, Err(DecodeError::Truncated { what: "payload" }));
}

/// What follows the last payload is padding of a cipher, and nothing in clear text.
#[test]
fn only_what_was_encrypted_is_padded() {
    let padded = [&[0, 0, 0, 5, 9][..], &[0; 11]].concat();
    let read = chain::decode(8, &padded);
    assert_eq!(read, Ok((vec![Payload::Hash(vec![9])], 5)));
    let mut clear = Vec::new();
    let header = Header {
        next_payload: 8,
        length: 44,
        ..Message::header((1, 2), 5, 7)
    };
    header.encode(&mut clear);
    clear.extend(padded);
    assert!(Message::decode(&clear).is_err());
}

#[test]
fn every_length_must_fit() {
    let bytes = sample().encode();
    for end in 0..bytes.len() {
        let mut cut = bytes[..end].to_vec();
        if let Some(length) = cut.get_mut(24..28) {
            length.copy_from_slice(&u32::try_from(end).unwrap().to_be_bytes());
        }
        assert!(Message::decode(&cut).is_err(), "cut at {end}");
    }
    let sa = hex!("00000001 00000001 00 00 0010 01 01 00 01 00 00 0008 01 01 0000");
    assert!(SecurityAssociationPayload::decode(&sa).is_ok());
    // DOI, situation, marks and lengths of proposal and transform, length of the SPI, count of transforms.
    for (place, right) in [
        (3, 1),
        (7, 1),
        (8, 0),
        (11, 16),
        (14, 0),
        (15, 1),
        (16, 0),
        (19, 8),
    ] {
        for claimed in (0..=255).filter(|claimed| *claimed != right) {
            let mut broken = sa;
            broken[place] = claimed;
            assert!(
                SecurityAssociationPayload::decode(&broken).is_err(),
                "octet {place} is {claimed}"
            );
        }
    }
}

/// SPIs must fill a Delete, and have a length.
#[test]
fn deletes_are_filled_by_their_spis() {
    let cases: [(&[u8], bool); 5] = [
        (&hex!("00000001 03 04 0001 00000102"), true),
        (&hex!("00000001 03 04 0002 00000102"), false),
        (&hex!("00000001 03 00 0001"), false),
        (&hex!("00000001 03 ff ffff 00000102"), false),
        (&hex!("00000001 03 04"), false),
    ];
    for (body, sound) in cases {
        assert_eq!(DeletePayload::decode(body).is_ok(), sound, "{body:02x?}");
    }
}

#[test]
fn nonces_have_8_to_256_octets() {
    for (length, sound) in [(7, false), (8, true), (256, true), (257, false)] {
        let (kind, bytes) = chain::encode(&[Payload::Nonce(vec![1; length])]);
        assert_eq!(chain::decode(kind, &bytes).is_ok(), sound, "{length} octets");
    }
}

proptest! {
    #[test]
    fn no_octets_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0_u8..140) {
        if let Ok((payloads, octets)) = chain::decode(first, &bytes) {
            let (first, written) = chain::encode(&payloads);
            prop_assert!(written.len() <= octets);
            let again = chain::decode(first, &written).map(|(payloads, _)| chain::encode(&payloads));
            prop_assert_eq!(again, Ok((first, written)));
        }
    }
}
