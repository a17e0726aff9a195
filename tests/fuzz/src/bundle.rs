use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use image_slots::{Content, Decoder, Manifest, Piece, PublicKey, Root};

use crate::script::Script;

const SYSTEM: &[u8] = &[0x5a; 700];

/// An update bundle that comes in parts, damaged anywhere or made up: what is taken to its end is what was signed, and no octet
/// of a system comes before its manifest was found to be.
pub fn bundle(bytes: &[u8]) {
    let Some((signed, keys)) = signed() else {
        panic!("a bundle can be made");
    };
    let mut script = Script::new(bytes);
    let mut sent = signed.clone();
    if script.octet().unwrap_or_default().is_multiple_of(2) {
        let edits = script.octet().unwrap_or_default() % 4;
        for _ in 0..edits {
            let place = script.word() % sent.len().max(1);
            if let Some(octet) = sent.get_mut(place) {
                *octet ^= script.octet().unwrap_or_default();
            }
        }
        let end = script.word();
        sent.truncate(if end == 0 { sent.len() } else { end });
    } else {
        sent = script.octets(2000).to_vec();
    }
    let step = script.word() % 300 + 1;
    let mut decoder = Decoder::new(keys);
    let (mut manifest, mut system) = (None, Vec::new());
    for mut part in sent.chunks(step) {
        loop {
            match decoder.next(&mut part) {
                Ok(Piece::Nothing) => break,
                Ok(Piece::Manifest(found)) => manifest = Some(found),
                Ok(Piece::System(octets)) => {
                    assert!(manifest.is_some(), "octets before a manifest");
                    system.extend_from_slice(octets);
                    assert!(system.len() <= SYSTEM.len(), "more than was signed");
                }
                Err(refusal) => return assert!(!refusal.reason().is_empty()),
            }
        }
    }
    let done = decoder.finish();
    assert_eq!(done.is_ok(), sent == signed, "{done:?}");
    assert!(done.is_err() || system == SYSTEM);
}

fn signed() -> Option<(Vec<u8>, Vec<PublicKey>)> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).ok()?;
    let manifest = Manifest {
        content: Content {
            version: "1".to_owned(),
            build: 1,
            blocks: 0,
            root: Root([0; 32]),
        },
        size: u64::try_from(SYSTEM.len()).ok()?,
        digest: digest(&SHA256, SYSTEM).as_ref().try_into().ok()?,
        slot: 0,
    };
    let sign = |head: &[u8]| pair.sign(head).as_ref().try_into();
    let head: Result<Vec<u8>, std::array::TryFromSliceError> = manifest.encode(sign);
    let key = PublicKey(pair.public_key().as_ref().try_into().ok()?);
    Some(([&head.ok()?, SYSTEM].concat(), vec![key]))
}
