//! What is wrong with certificates and signatures, and what is not.

use std::collections::BTreeSet;
use std::time::Duration;

use ike::{CertificateReason, Input, Reason, SignerReason};

use crate::certificates::Certified;
use crate::pki::{Authority, Kind, TODAY};

const MOMENT: Duration = Duration::from_secs(1);

/// Whoever signs must give as many signatures as were asked for: with a post-quantum preshared key that may be missing at the
/// peer, two.
#[test]
fn another_number_of_signatures_is_a_fault_of_whoever_signs() {
    for (east, west) in [(true, false), (false, true)] {
        for count in [0, 1, 3] {
            let certified = Certified::new(Kind::P256, |_| ());
            let mut pair = certified.pair(|east, west| {
                let ppk = ike::PostQuantumPresharedKey {
                    id: b"office".to_vec(),
                    secret: b"quantum".to_vec().into(),
                    required: false,
                };
                (east.ppk, west.ppk) = (Some(ppk.clone()), Some(ppk));
            });
            let site = if east { &mut pair.east } else { &mut pair.west };
            site.signer.hesitates = true;
            pair.run_for(MOMENT);
            let site = if east { &mut pair.east } else { &mut pair.west };
            let (sa, asked) = site.signer.waiting.remove(0);
            assert_eq!(asked.messages.len(), if east { 2 } else { 1 });
            if count == asked.messages.len() {
                continue;
            }
            let Input::Signed(_, Ok(signed)) = site.signer.signed(sa, &asked) else {
                panic!("not signed")
            };
            let wrong: Vec<_> = signed.into_iter().cycle().take(count).collect();
            if east {
                pair.tell_east(Input::Signed(sa, Ok(wrong)));
            } else {
                pair.tell_west(Input::Signed(sa, Ok(wrong)));
            }
            let outage = if east {
                pair.east.outage()
            } else {
                pair.west.outage()
            };
            assert_eq!(
                outage.reason,
                Reason::Signer(SignerReason::ModuleFailed),
                "{west} {count}"
            );
            assert!(outage.offered.contains("asked for"), "{outage:?}");
        }
    }
}

/// Only what leads to the root counts: an intermediate that is revoked and was replaced may still be sent or known.
#[test]
fn a_revoked_intermediate_beside_the_path_is_no_matter() {
    let root = Authority::root("Root");
    let (old, new) = (root.below("Old"), root.below("New"));
    let west = new.issue(("west", Kind::P256), |_| ());
    let of_old = old.issue(("west", Kind::P256), |_| ());
    let thumbprint = |der: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let trust = ike::crypto::Trust {
        intermediates: BTreeSet::from([old.der(), new.der()]),
        revoked: BTreeSet::from([thumbprint(&old.der()).as_ref().to_vec()]),
        ..root.trust()
    };
    let judge = |sent: &[&[u8]]| trust.judge(sent, &[], TODAY).map(|_| ());
    assert_eq!(judge(&[&west.der]), Ok(()));
    assert_eq!(judge(&[&west.der, &old.der(), &new.der()]), Ok(()));
    let refused = judge(&[&of_old.der, &old.der()]).unwrap_err();
    assert_eq!(refused.reason, CertificateReason::Revoked);
}
