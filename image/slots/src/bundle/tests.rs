use aws_lc_rs::digest::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    PublicKey(key(seed).public_key().as_ref().try_into().unwrap())
}

fn manifest(system: &[u8]) -> Manifest {
    Manifest {
        content: Content {
            version: "0.2.0".to_owned(),
            build: 2000,
            blocks: 0,
            root: Root([7; 32]),
        },
        size: system.len().try_into().unwrap(),
        digest: digest(&SHA256, system).as_ref().try_into().unwrap(),
        slot: 4096,
    }
}

fn bundle(seed: u8, system: &[u8]) -> Vec<u8> {
    sealed(seed, &manifest(system), system)
}

fn sealed(seed: u8, manifest: &Manifest, system: &[u8]) -> Vec<u8> {
    let sign = |head: &[u8]| key(seed).sign(head).as_ref().try_into();
    let head: Result<Vec<u8>, std::array::TryFromSliceError> = manifest.encode(sign);
    [&head.unwrap(), system].concat()
}

/// What comes out of a bundle that comes in parts of these sizes, over and over; this system knows the keys 1 and 2.
fn decoded(bundle: &[u8], sizes: &[usize]) -> Result<(Option<Manifest>, Vec<u8>), BundleError> {
    let mut decoder = Decoder::new(vec![public(1), public(2)]);
    let (mut found, mut system, mut rest) = (None, Vec::new(), bundle);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut part, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        loop {
            match decoder.next(&mut part)? {
                Piece::Nothing => break,
                Piece::Manifest(manifest) => found = Some(manifest),
                Piece::System(octets) => system.extend_from_slice(octets),
            }
        }
    }
    decoder.finish().map(|()| (found, system))
}

fn refused(bundle: &[u8]) -> BundleError {
    decoded(bundle, &[1000]).unwrap_err()
}

#[test]
fn either_key_is_taken_and_no_other() {
    assert!(decoded(&bundle(1, b"system"), &[1000]).is_ok());
    assert!(decoded(&bundle(2, b"system"), &[1000]).is_ok());
    assert_eq!(refused(&bundle(3, b"system")), BundleError::Signature);
}

#[test]
fn something_else_is_told_from_its_beginning() {
    assert_eq!(refused(b"PK\x03\x04").reason(), "bundle-foreign");
    assert_eq!(refused(&[0; 100_000]).reason(), "bundle-foreign");
    let long = [&MAGIC[..], &[0xff; 2], &[b'a'; 70_000]].concat();
    assert_eq!(refused(&long).reason(), "bundle-foreign");
}

/// What says more than it is was signed by us, and is refused all the same.
#[test]
fn a_signed_manifest_that_makes_no_sense_is_foreign() {
    let mut wrong = manifest(b"system");
    wrong.content.blocks = 1;
    assert_eq!(refused(&sealed(1, &wrong, b"system")).reason(), "bundle-foreign");
    wrong.content.blocks = u64::MAX;
    assert_eq!(refused(&sealed(1, &wrong, b"system")).reason(), "bundle-foreign");
    wrong.content.blocks = 0;
    wrong.content.version = "two words".to_owned();
    assert_eq!(refused(&sealed(1, &wrong, b"system")).reason(), "bundle-foreign");
}

#[test]
fn more_than_was_signed_is_damage() {
    let mut long = bundle(1, b"system");
    long.push(0);
    assert_eq!(refused(&long), BundleError::Damaged);
}

#[test]
fn older_needs_a_word_and_larger_never_fits() {
    let manifest = manifest(&[0; 5000]);
    let running = |build| Content {
        build,
        ..manifest.content.clone()
    };
    assert_eq!(manifest.admit(&running(2000), 5000, false), Ok(()));
    let older = manifest.admit(&running(2001), 5000, false).unwrap_err();
    assert_eq!(older.reason(), "bundle-older");
    assert_eq!(manifest.admit(&running(2001), 5000, true), Ok(()));
    let large = manifest.admit(&running(1), 4999, true).unwrap_err();
    assert_eq!(large.reason(), "bundle-too-large");
}

#[test]
fn keys_are_lines() {
    let text = format!("{}\n{}\n", public(1), public(2));
    assert_eq!(PublicKey::all(&text), Some(vec![public(1), public(2)]));
    assert_eq!(PublicKey::all("nonsense\n"), None);
}

proptest! {
    /// It comes out as it went in, however it is cut up.
    #[test]
    fn a_bundle_survives(
        system in prop::collection::vec(any::<u8>(), 0..3000),
        sizes in prop::collection::vec(1_usize..700, 1..8)
    ) {
        let (found, octets) = decoded(&bundle(1, &system), &sizes).unwrap();
        prop_assert_eq!(found, Some(manifest(&system)));
        prop_assert_eq!(octets, system);
    }

    #[test]
    fn one_other_bit_is_found(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut octets = bundle(1, b"the system and its hashes");
        let place = place.index(octets.len());
        octets[place] ^= 1 << bit;
        prop_assert!(decoded(&octets, &[100]).is_err());
    }

    #[test]
    fn what_ends_early_is_told_as_such(end in any::<prop::sample::Index>()) {
        let octets = bundle(1, b"the system and its hashes");
        let refusal = refused(&octets[..end.index(octets.len())]);
        prop_assert_eq!(refusal.reason(), "bundle-truncated");
    }

    #[test]
    fn other_octets_are_no_bundle(octets in prop::collection::vec(any::<u8>(), 0..4000)) {
        prop_assert!(decoded(&octets, &[333]).is_err());
    }
}
