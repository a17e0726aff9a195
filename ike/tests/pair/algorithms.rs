//! Every algorithm, and lists of proposals that differ.

use ike::crypto::{Encryption, Group, Integrity, Prf};
use ike::{Connection, EspProposal};

use crate::Pair;
use crate::establish::{esp, gcm, ike};
use crate::rekey::{self, MOMENT};

const GROUPS: [Group; 14] = [
    Group::Modp768,
    Group::Modp1024,
    Group::Modp1536,
    Group::Modp2048,
    Group::Modp3072,
    Group::Modp4096,
    Group::Ecp256,
    Group::Ecp384,
    Group::Ecp521,
    Group::Modp2048Subgroup256,
    Group::X25519,
    Group::MlKem512,
    Group::MlKem768,
    Group::MlKem1024,
];

fn both(change: impl Fn(&mut Connection)) -> Pair {
    let mut pair = Pair::with(|east, west| [east, west].into_iter().for_each(&change));
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

fn of(encryption: Encryption, integrity: Integrity, group: Option<Group>) -> EspProposal {
    EspProposal {
        groups: group.into_iter().collect(),
        ..esp(encryption, Some(integrity)).remove(0)
    }
}

/// In IKE_SA_INIT, and in CREATE_CHILD_SA for a child and for the IKE SA, whichever side asks.
#[test]
fn every_group_agrees_on_a_secret() {
    for group in GROUPS {
        let mut pair = both(|side| {
            side.ike_proposals = gcm(&[group]);
            side.esp_proposals[0].groups = vec![group];
        });
        for east in [true, false] {
            rekey::child(&mut pair, east);
            pair.run_for(MOMENT);
            rekey::ike(&mut pair, east);
            pair.run_for(MOMENT);
            pair.assert_kept();
        }
        let algorithms = &pair.east.standing().children[0].algorithms;
        assert_eq!(*algorithms, format!("AES_GCM_16_128/ESN/{group}"));
    }
}

#[test]
fn every_suite_protects_ike_and_esp() {
    let aead = [128, 192, 256].map(Encryption::AesGcm16);
    let aead = aead.into_iter().chain([Encryption::ChaCha20Poly1305]);
    let authenticators = [
        (Integrity::HmacMd5_96, Prf::HmacMd5),
        (Integrity::HmacSha1_96, Prf::HmacSha1),
        (Integrity::HmacSha2_256_128, Prf::HmacSha2_256),
        (Integrity::HmacSha2_384_192, Prf::HmacSha2_384),
        (Integrity::HmacSha2_512_256, Prf::HmacSha2_512),
    ];
    let ciphers = [128, 192, 256].map(Encryption::AesCbc);
    let ciphers = ciphers
        .into_iter()
        .chain([Encryption::TripleDes, Encryption::Des]);
    let separate = ciphers.flat_map(|cipher| authenticators.map(|(integrity, _)| (cipher, Some(integrity))));
    for (encryption, integrity) in aead.map(|cipher| (cipher, None)).chain(separate) {
        for (_, prf) in authenticators {
            let pair = both(|side| {
                side.ike_proposals = ike(encryption, integrity, prf, &[Group::X25519]);
                side.esp_proposals = esp(encryption, integrity);
            });
            assert!(!pair.east.child().inbound.extended_sequence_numbers);
        }
    }
}

/// ENCR_NULL is for ESP, under an authenticator.
#[test]
fn a_child_may_be_in_clear_where_both_say_so() {
    let null = esp(Encryption::Null, Some(Integrity::HmacSha2_256_128));
    let pair = both(|side| side.esp_proposals = null.clone());
    assert_eq!(
        pair.east.standing().children[0].algorithms,
        "NULL/HMAC_SHA2_256_128"
    );
}

/// What a responder takes may be more than what it offers: the peer's order does not matter, ours decides.
#[test]
fn a_responder_may_take_more_than_it_offers() {
    let (aes, des) = (Encryption::AesCbc(256), Encryption::TripleDes);
    let sha1 = Integrity::HmacSha1_96;
    let offered = vec![of(des, sha1, None), of(aes, sha1, None)];
    let mut pair = Pair::with(|east, west| {
        east.esp_proposals = offered.clone();
        west.esp_proposals = esp(Encryption::AesGcm16(256), None);
        west.responder_esp_proposals = vec![of(aes, sha1, None), of(des, sha1, None)];
    });
    pair.run_until_quiet();
    pair.assert_up();
    let algorithms = pair.west.standing().children[0].algorithms.clone();
    assert_eq!(algorithms, "AES_CBC_256/HMAC_SHA1_96");
    rekey::child(&mut pair, true);
    pair.run_for(MOMENT);
    pair.assert_kept();
}

/// As Azure does: it offers rekeys without a key exchange, and takes them with and without.
#[test]
fn rekeys_with_and_without_a_key_exchange_are_taken() {
    let (aes, sha1) = (Encryption::AesCbc(256), Integrity::HmacSha1_96);
    let without = of(aes, sha1, None);
    for group in [None, Some(Group::Modp768), Some(Group::Modp2048)] {
        let mut pair = Pair::with(|east, west| {
            east.esp_proposals = vec![of(aes, sha1, group)];
            east.responder_esp_proposals = vec![of(aes, sha1, group), without.clone()];
            west.esp_proposals = vec![without.clone()];
            west.responder_esp_proposals = [None, Some(Group::Modp768), Some(Group::Modp2048)]
                .map(|group| of(aes, sha1, group))
                .to_vec();
        });
        pair.run_until_quiet();
        pair.assert_up();
        let algorithms = |pair: &Pair| pair.east.standing().children[0].algorithms.clone();
        rekey::child(&mut pair, true);
        pair.run_for(MOMENT);
        pair.assert_kept();
        let with = group.map_or(String::new(), |group| format!("/{group}"));
        assert_eq!(algorithms(&pair), format!("AES_CBC_256/HMAC_SHA1_96{with}"));
        rekey::child(&mut pair, false);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_eq!(algorithms(&pair), "AES_CBC_256/HMAC_SHA1_96");
    }
}

/// What is weak is told: in use, or only allowed.
#[test]
fn weak_algorithms_are_told() {
    assert_eq!(Pair::established().east.standing().weak, []);
    let groups = [Group::Modp1024, Group::X25519, Group::Modp768];
    let weak = ike(
        Encryption::AesCbc(128),
        Some(Integrity::HmacSha1_96),
        Prf::HmacSha1,
        &groups,
    );
    let pair = both(|side| {
        side.ike_proposals = weak.clone();
        side.esp_proposals
            .push(of(Encryption::Des, Integrity::HmacSha1_96, None));
        side.responder_esp_proposals = vec![
            side.esp_proposals[0].clone(),
            of(Encryption::Null, Integrity::HmacMd5_96, None),
        ];
    });
    for site in [&pair.east, &pair.west] {
        let told = site.standing().weak;
        let told: Vec<_> = told.iter().map(|weak| (&*weak.algorithm, weak.in_use)).collect();
        let expected = [
            ("HMAC_SHA1_96", true),
            ("PRF_HMAC_SHA1", true),
            ("MODP_1024", true),
            ("MODP_768", false),
            ("DES", false),
            ("NULL", false),
            ("HMAC_MD5_96", false),
        ];
        assert_eq!(told, expected);
    }
}
