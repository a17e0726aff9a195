//! IKEv1: both sides prove who they are by certificates and signatures of RSA (RFC 2409 §5.1, RFC 4945).

use std::collections::BTreeSet;
use std::time::Duration;

use ike::crypto::{Prf, RevocationList, SignatureScheme};
use ike::{
    Authentication, CertificateReason, Connection, ExpectedIdentity, Identity, Input, Outage, Reason, Side,
    SignerReason, Stage,
};
use rcgen::{CertificateParams, SanType, SerialNumber, date_time_ymd};

use crate::certificates::{Certified, MOMENT, trust};
use crate::pki::{Authority, Kind, TODAY, own};
use crate::version1::version_1;
use crate::{Pair, name};

/// East starts an SA of IKEv1 with west, each with a certificate; what was altered like this comes on top.
pub(crate) fn pair(certified: &Certified, change: impl FnOnce(&mut Connection, &mut Connection)) -> Pair {
    certified.pair(|east, west| {
        (*east, *west) = (version_1(east.clone()), version_1(west.clone()));
        change(east, west);
    })
}

fn run(certified: &Certified, change: impl FnOnce(&mut Connection, &mut Connection)) -> Pair {
    let mut pair = pair(certified, change);
    pair.run_until_quiet();
    pair
}

/// Why east has no connection with a west whose certificate was altered like this.
fn refused(change: impl Fn(&mut CertificateParams)) -> Outage {
    let certified = Certified::new(Kind::Rsa, change);
    let mut pair = pair(&certified, |_, _| ());
    pair.run_for(MOMENT);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.east.outage()
}

/// The hash that is signed is as long as the function makes it; each side signs once, and knows whom the other proved to be.
#[test]
fn every_hash_is_signed() {
    for prf in [Prf::HmacMd5, Prf::HmacSha1, Prf::HmacSha2_256, Prf::HmacSha2_512] {
        let certified = Certified::new(Kind::Rsa, |_| ());
        let pair = run(&certified, |east, west| {
            (east.ike_proposals[0].prf, west.ike_proposals[0].prf) = (prf, prf);
        });
        pair.assert_up();
        for site in [&pair.east, &pair.west] {
            assert_eq!(site.signer.schemes, [SignatureScheme::RsaBare]);
        }
        let ike = pair.east.standing().ike.unwrap();
        assert_eq!(ike.remote_identity.unwrap().to_string(), "CN=west,O=Contoso");
    }
}

/// Phase 1 begins anew with other signatures, and no packet is lost.
#[test]
fn a_new_phase_1_is_signed_anew() {
    let mut pair = run(&Certified::new(Kind::Rsa, |_| ()), |_, _| ());
    let before = pair.west.standing().ike.unwrap();
    pair.tell_east(Input::Reauthenticate(name("to-west")));
    pair.run_for(Duration::from_secs(30));
    assert_ne!(
        pair.west.standing().ike.unwrap().initiator_spi,
        before.initiator_spi
    );
    assert_eq!(pair.west.signer.schemes.len(), 2);
    pair.assert_kept();
}

#[test]
fn intermediate_certificates_are_sent_or_known() {
    for sent in [true, false] {
        let mut certified = Certified::new(Kind::Rsa, |_| ());
        let between = certified.root.below("Between");
        certified.west = between.issue(("west", Kind::Rsa), |_| ());
        let pair = run(&certified, |east, west| {
            if sent {
                west.authentication.local = own("west-key", &[&certified.west.der, &between.der()]);
            } else {
                trust(east).intermediates.insert(between.der());
            }
        });
        pair.assert_up();
    }
}

/// RFC 4945 §3.1: what somebody says of itself stands in its certificate.
#[test]
fn names_of_the_certificate_are_believed_and_no_others() {
    let all = [
        (Identity::Fqdn("west.example".to_owned()), true),
        (Identity::Email("west@example".to_owned()), true),
        (Identity::Address("192.0.2.2".parse().unwrap()), true),
        (Identity::Fqdn("east.example".to_owned()), false),
        (Identity::KeyId(b"west.example".to_vec()), false),
    ];
    for (identity, good) in all {
        let certified = Certified::new(Kind::Rsa, |params| {
            params.subject_alt_names = vec![
                SanType::DnsName("west.example".try_into().unwrap()),
                SanType::Rfc822Name("west@example".try_into().unwrap()),
                SanType::IpAddress("192.0.2.2".parse().unwrap()),
            ];
        });
        let pair = run(&certified, |east, west| {
            east.remote_identity = identity.clone().into();
            west.local_identity = identity.clone();
        });
        if good {
            pair.assert_up();
        } else {
            assert_eq!(
                pair.east.outage().reason,
                Reason::PeerIdentityUnexpected,
                "{identity}"
            );
        }
    }
}

#[test]
fn a_common_name_is_enough() {
    let expected = |name: &str| ExpectedIdentity::CommonName(name.to_owned());
    let pair = run(&Certified::new(Kind::Rsa, |_| ()), |east, west| {
        east.remote_identity = expected("WEST");
        west.remote_identity = expected("east");
    });
    pair.assert_up();
}

/// The same words as for IKEv2, whichever side finds the fault.
#[test]
fn who_cannot_be_believed_is_refused_and_why_is_told() {
    let expired = refused(|params| params.not_after = date_time_ymd(2026, 11, 1));
    assert_eq!(
        (expired.reason, expired.side, expired.stage),
        (
            Reason::Certificate(CertificateReason::Expired),
            Side::We,
            Stage::MainMode
        )
    );
    let early = refused(|params| params.not_before = date_time_ymd(2027, 1, 1));
    assert_eq!(early.reason, Reason::Certificate(CertificateReason::NotYetValid));
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = pair(&certified, |_, west| {
        *trust(west) = Authority::root("Another").trust();
    });
    pair.run_for(MOMENT);
    let (east, west) = (pair.east.outage(), pair.west.outage());
    assert_eq!(west.reason, Reason::Certificate(CertificateReason::Untrusted));
    assert_eq!(
        (east.reason, east.side),
        (Reason::AuthenticationFailed, Side::Peer)
    );
}

/// Somebody's certificate is no secret: without its key it proves nothing.
#[test]
fn the_certificate_of_another_proves_nothing() {
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = pair(&certified, |_, _| ());
    let other = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    pair.west
        .signer
        .keys
        .insert("west-key".to_owned(), other.serialize_der());
    pair.run_for(MOMENT);
    let outage = pair.east.outage();
    assert_eq!(
        (outage.reason, outage.side),
        (Reason::AuthenticationFailed, Side::We)
    );
    assert!(outage.expected.contains("CN=west,O=Contoso"), "{outage:?}");
}

/// IKEv1 has RSA here: a key on a curve is told, and nothing is sent that the peer could not read.
#[test]
fn a_key_of_another_kind_is_told() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = pair(&certified, |_, _| ());
    pair.run_for(MOMENT);
    let outage = pair.east.outage();
    assert_eq!(outage.reason, Reason::Signer(SignerReason::KeyWrongKind));
    assert_eq!(outage.offered, "ECDSA P-256");
}

/// A side with a certificate and one with a secret have no proposal in common.
#[test]
fn a_secret_is_no_certificate() {
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = pair(&certified, |east, _| {
        east.authentication = Authentication::pre_shared_key(b"a secret of both".to_vec().into());
    });
    pair.run_for(MOMENT);
    let outage = pair.west.outage();
    assert_eq!(outage.reason, Reason::IkeProposalMismatch);
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        (
            "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256",
            "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256/RSA_SIG"
        )
    );
}

/// A peer that a list revokes is cut off, and not let in again.
#[test]
fn a_peer_that_is_revoked_is_cut_off() {
    let certified = Certified::new(Kind::Rsa, |params| {
        params.serial_number = Some(SerialNumber::from(7));
    });
    let mut pair = run(&certified, |_, _| ());
    pair.assert_up();
    let list = RevocationList::read(&certified.root.revoke(7, 2027)).unwrap();
    pair.tell_east(Input::RevocationLists(vec![list]));
    pair.run_for(Duration::from_secs(100));
    let revoked = Reason::Certificate(CertificateReason::Revoked);
    assert_eq!(pair.east.outage().reason, revoked);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certified.west.der);
    let pair = run(&certified, |east, _| {
        trust(east).revoked = BTreeSet::from([thumbprint.as_ref().to_vec()]);
    });
    assert_eq!(pair.east.outage().reason, revoked);
}

#[test]
fn without_a_clock_nothing_is_believed_until_it_is_set() {
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = pair(&certified, |_, _| ());
    pair.tell_east(Input::Clock(None));
    pair.run_for(MOMENT);
    assert_eq!(pair.east.outage().reason, Reason::Clock);
    pair.tell_east(Input::Clock(Some(TODAY)));
    pair.run_until_quiet();
    pair.assert_up();
}

/// Message 5 that comes again while west signs is judged once; whoever signs too late is told, on either side.
#[test]
fn a_signature_may_take_a_while_but_not_for_ever() {
    for of_east in [true, false] {
        let certified = Certified::new(Kind::Rsa, |_| ());
        let (east, west) = certified.connections();
        let mut pair = Pair::new();
        certified.hand_out_keys(&mut pair);
        (pair.east.signer.hesitates, pair.west.signer.hesitates) = (of_east, !of_east);
        pair.configure_west([("to-east", version_1(west))]);
        pair.configure_east([("to-west", version_1(east))]);
        pair.run_for(Duration::from_secs(6));
        let signer = if of_east {
            &mut pair.east.signer
        } else {
            &mut pair.west.signer
        };
        assert_eq!(signer.waiting.len(), 1);
        let (sa, asked) = signer.waiting.remove(0);
        let signed = signer.signed(sa, &asked);
        let late = signer.signed(sa, &asked);
        if of_east {
            pair.tell_east(signed);
        } else {
            pair.tell_west(signed);
        }
        pair.run_until_quiet();
        pair.assert_up();
        // Twice changes nothing.
        if of_east {
            pair.tell_east(late);
        } else {
            pair.tell_west(late);
        }
        pair.assert_up();
    }
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = Pair::new();
    certified.hand_out_keys(&mut pair);
    pair.east.signer.hesitates = true;
    let (east, west) = certified.connections();
    pair.configure_west([("to-east", version_1(west))]);
    pair.configure_east([("to-west", version_1(east))]);
    pair.run_for(Duration::from_secs(21));
    assert_eq!(
        pair.east.outage().reason,
        Reason::Signer(SignerReason::SignerSlow)
    );
}
