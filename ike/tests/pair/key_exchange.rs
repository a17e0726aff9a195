//! Which group a key exchange takes, and what becomes of a wrong guess (RFC 7296 §1.2, §1.3, §2.7).

use std::time::Duration;

use ike::crypto::Group::{self, Ecp256, Ecp384, Modp2048, X25519};
use ike::crypto::{Encryption, Prf};
use ike::{Connection, EspProposal, IkeProposal};

use crate::Pair;
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::{child, ike};
use crate::situation::{EAST, LATE, MOMENT, ORDERS, WEST, current, situations_with, spis};

const SIDES: [bool; 2] = [EAST, WEST];

fn esp(key_length: u16, groups: &[Group]) -> EspProposal {
    EspProposal {
        encryption: Encryption::AesGcm16(key_length),
        integrity: None,
        extended_sequence_numbers: true,
        groups: groups.to_vec(),
        additional: Vec::new(),
    }
}

fn ike_proposal(key_length: u16, groups: &[Group]) -> IkeProposal {
    IkeProposal {
        encryption: Encryption::AesGcm16(key_length),
        integrity: None,
        prf: Prf::HmacSha2_256,
        groups: groups.to_vec(),
        additional: Vec::new(),
    }
}

/// One proposal with these groups on each side.
fn groups(east: &'static [Group], west: &'static [Group]) -> impl Fn(&mut Connection, &mut Connection) {
    move |first, second| {
        first.esp_proposals = vec![esp(128, east)];
        second.esp_proposals = vec![esp(128, west)];
    }
}

fn algorithms(pair: &Pair) -> String {
    let [east, west] = [&pair.east, &pair.west].map(|site| site.standing().children[0].algorithms.clone());
    assert_eq!(east, west);
    east
}

/// The responder's order of proposals decides; a guess that it does not share costs one round trip.
#[test]
fn ike_sa_init_with_every_kind_of_guess() {
    let cases: [(&[IkeProposal], &[IkeProposal], Group, usize); 4] = [
        (
            &[ike_proposal(128, &[X25519, Ecp256])],
            &[ike_proposal(128, &[Ecp256, X25519])],
            X25519,
            4,
        ),
        (
            &[ike_proposal(128, &[Modp2048, Ecp384])],
            &[ike_proposal(128, &[Ecp384])],
            Ecp384,
            6,
        ),
        (
            &[ike_proposal(128, &[Ecp256]), ike_proposal(256, &[X25519])],
            &[ike_proposal(256, &[X25519]), ike_proposal(128, &[Ecp256])],
            X25519,
            6,
        ),
        (
            &[ike_proposal(128, &[Ecp256]), ike_proposal(256, &[X25519])],
            &[ike_proposal(256, &[Ecp384]), ike_proposal(128, &[Ecp256])],
            Ecp256,
            4,
        ),
    ];
    for (east, west, expected, messages) in cases {
        let mut pair = Pair::with(|first, second| {
            first.ike_proposals = east.to_vec();
            second.ike_proposals = west.to_vec();
        });
        pair.run_for(MOMENT);
        pair.assert_up();
        assert_eq!(pair.network.history.len(), messages);
        let suite = pair.east.standing().ike.unwrap().algorithms;
        assert!(suite.ends_with(&expected.to_string()), "{suite}");
    }
}

/// Each side wants another of the two proposals most.
fn crossed(east: &mut Connection, west: &mut Connection) {
    let (one, other) = (ike_proposal(128, &[Ecp256]), ike_proposal(256, &[X25519]));
    east.ike_proposals = vec![one.clone(), other.clone()];
    west.ike_proposals = vec![other, one];
}

/// The guess is the group in use; a responder that prefers another says so.
#[test]
fn ike_rekey_with_a_wrong_guess() {
    situations_with(crossed, SIDES, |pair, side| {
        let (before, sent) = (spis(&pair.east), pair.network.history.len());
        ike(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_ne!(spis(&pair.east), before);
            assert_eq!(
                pair.network.history.len() - sent,
                if side == EAST { 4 } else { 6 }
            );
            let group = if side == EAST { X25519 } else { Ecp256 };
            let suite = pair.east.standing().ike.unwrap().algorithms;
            assert!(suite.ends_with(&group.to_string()), "{suite}");
        }
    });
}

/// One side's guess is refused while the other's request is granted: that one takes over, and nothing else is made.
#[test]
fn ike_collision_with_a_wrong_guess() {
    situations_with(crossed, ORDERS, |pair, lowest| {
        lowest.collide(pair, ike, ike);
        pair.run_for(MOMENT);
        if pair.calm {
            let initiator = [&pair.east, &pair.west].map(|site| site.standing().ike.unwrap().initiator);
            assert_eq!(initiator, [true, false]);
        }
    });
}

/// The same with each message of the refused side late or lost.
#[test]
fn ike_collision_with_a_wrong_guess_on_a_slow_way() {
    let fates = [
        [Late(LATE), Ordinary, Ordinary],
        [Ordinary, Late(LATE), Ordinary],
        [Ordinary, Ordinary, Late(LATE)],
        [Lost, Ordinary, Ordinary],
        [Ordinary, Lost, Ordinary],
        [Ordinary, Ordinary, Lost],
    ];
    situations_with(crossed, fates, |pair, fates| {
        pair.fate(WEST, fates);
        ike(pair, EAST);
        ike(pair, WEST);
        pair.run_for(MOMENT * 4);
    });
}

/// The group that was found once is the next guess.
#[test]
fn child_rekey_with_a_wrong_guess() {
    situations_with(groups(&[Ecp384, X25519], &[X25519]), SIDES, |pair, side| {
        let sent = pair.network.history.len();
        child(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(algorithms(pair), "AES_GCM_16_128/ESN/X25519");
            assert_eq!(
                pair.network.history.len() - sent,
                if side == EAST { 6 } else { 4 }
            );
        }
        let (sent, before) = (pair.network.history.len(), current(&pair.east));
        child(pair, EAST);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_ne!(current(&pair.east), before);
            assert_eq!(pair.network.history.len() - sent, 4);
        }
    });
}

/// East guesses wrong while west's own request is granted.
#[test]
fn child_collision_with_a_wrong_guess() {
    situations_with(groups(&[Ecp384, X25519], &[X25519]), SIDES, |pair, side| {
        child(pair, side);
        child(pair, !side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(algorithms(pair), "AES_GCM_16_128/ESN/X25519");
        }
    });
}

/// Both guess wrong, and both ask again.
#[test]
fn child_collision_with_two_wrong_guesses() {
    let groups = groups(&[Ecp384, X25519], &[Ecp256, X25519]);
    situations_with(groups, SIDES, |pair, side| {
        child(pair, side);
        child(pair, !side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(algorithms(pair), "AES_GCM_16_128/ESN/X25519");
        }
    });
}

/// The IKE SA is replaced by the other side while a wrong guess is answered.
#[test]
fn ike_rekey_against_a_wrong_guess() {
    situations_with(
        groups(&[Ecp384, X25519], &[X25519]),
        [0, 15, 25, 35],
        |pair, wait| {
            child(pair, EAST);
            pair.run_for(Duration::from_millis(wait));
            ike(pair, WEST);
            pair.run_for(Duration::from_secs(30));
            if pair.calm {
                assert_eq!(algorithms(pair), "AES_GCM_16_128/ESN/X25519");
            }
        },
    );
}

/// Some proposals with a key exchange of their own, some without: the responder's order decides, and a peer without
/// any gets what allows for that (as Azure VPN Gateway asks for).
#[test]
fn child_rekey_between_mixed_lists() {
    let cases: [(&[EspProposal], &[EspProposal], [&str; 2]); 7] = [
        (
            &[esp(128, &[])],
            &[esp(128, &[X25519]), esp(128, &[])],
            ["AES_GCM_16_128/ESN", "AES_GCM_16_128/ESN"],
        ),
        (
            &[esp(128, &[X25519]), esp(128, &[])],
            &[esp(128, &[X25519])],
            ["AES_GCM_16_128/ESN/X25519", "AES_GCM_16_128/ESN/X25519"],
        ),
        (
            &[esp(128, &[]), esp(128, &[X25519])],
            &[esp(128, &[X25519]), esp(128, &[])],
            ["AES_GCM_16_128/ESN/X25519", "AES_GCM_16_128/ESN"],
        ),
        (
            &[esp(256, &[Ecp384]), esp(128, &[])],
            &[esp(256, &[X25519]), esp(128, &[])],
            ["AES_GCM_16_128/ESN", "AES_GCM_16_128/ESN"],
        ),
        (
            &[esp(256, &[Ecp384]), esp(256, &[]), esp(128, &[X25519])],
            &[esp(128, &[Ecp256, X25519]), esp(256, &[Modp2048])],
            ["AES_GCM_16_128/ESN/X25519", "AES_GCM_16_128/ESN/X25519"],
        ),
        (
            &[esp(128, &[]), esp(256, &[Ecp256])],
            &[esp(256, &[X25519, Ecp256]), esp(128, &[Modp2048])],
            ["AES_GCM_16_256/ESN/ECP_256", "AES_GCM_16_256/ESN/ECP_256"],
        ),
        (
            &[esp(256, &[Modp2048, Ecp256]), esp(128, &[])],
            &[esp(128, &[Ecp384]), esp(256, &[Ecp256, Modp2048])],
            ["AES_GCM_16_256/ESN/MODP_2048", "AES_GCM_16_256/ESN/MODP_2048"],
        ),
    ];
    for (east, west, expected) in cases {
        for (side, expected) in SIDES.into_iter().zip(expected) {
            let mut pair = Pair::with(|first, second| {
                first.esp_proposals = east.to_vec();
                second.esp_proposals = west.to_vec();
            });
            pair.run_for(MOMENT);
            pair.assert_up();
            for _ in 0..2 {
                let before = current(&pair.east);
                child(&mut pair, side);
                pair.run_for(MOMENT);
                pair.assert_kept();
                assert_ne!(current(&pair.east), before, "{east:?} {west:?}");
                assert_eq!(algorithms(&pair), expected, "{east:?} {west:?}");
            }
        }
    }
}

/// A connection that insists on a key exchange does without rekeys rather than without it.
#[test]
fn child_rekey_without_the_key_exchange_that_is_insisted_on() {
    let mut pair = Pair::with(|first, second| groups(&[], &[X25519])(first, second));
    pair.run_for(MOMENT);
    for side in SIDES {
        let before = current(&pair.east);
        child(&mut pair, side);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_eq!(current(&pair.east), before);
    }
}
