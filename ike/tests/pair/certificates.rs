//! Both sides, or one of them, prove who they are by certificates (RFC 7296 §2.15, RFC 7427, RFC 4945).

use std::collections::BTreeSet;
use std::time::Duration;

use ike::crypto::{Hash, RevocationList, SignatureScheme};
use ike::{
    Authentication, CertificateReason, Connection, ExpectedIdentity, Identity, Input, LocalProof, Outage,
    Reason, RemoteProof, Side, SignerReason, Stage,
};
use rcgen::{
    CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use crate::pki::{self, Authority, Issued, Kind, TODAY, own, peer};
use crate::{Pair, connection};

pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// East and west with a certificate each, of the same root.
pub(crate) struct Certified {
    pub(crate) root: Authority,
    pub(crate) east: Issued,
    pub(crate) west: Issued,
}

impl Certified {
    pub(crate) fn new(kind: Kind, change: impl Fn(&mut CertificateParams)) -> Self {
        let root = Authority::root("Root");
        Self {
            east: root.issue(("east", kind), |_| ()),
            west: root.issue(("west", kind), change),
            root,
        }
    }

    /// The connections of both.
    pub(crate) fn connections(&self) -> (Connection, Connection) {
        let mut east = connection("192.0.2.1", "192.0.2.2");
        let mut west = connection("192.0.2.2", "192.0.2.1");
        west.mode = ike::Mode::ResponderOnly;
        for (side, us, them, key) in [
            (&mut east, &self.east, &self.west, "east-key"),
            (&mut west, &self.west, &self.east, "west-key"),
        ] {
            side.local_identity = us.subject.clone();
            side.remote_identity = them.subject.clone().into();
            side.authentication = pki::authentication(own(key, &[&us.der]), peer(self.root.trust()));
        }
        (east, west)
    }

    /// The two of them, changed like this, before anything is sent.
    pub(crate) fn pair(&self, change: impl FnOnce(&mut Connection, &mut Connection)) -> Pair {
        let (mut east, mut west) = self.connections();
        change(&mut east, &mut west);
        let mut pair = Pair::new();
        self.hand_out_keys(&mut pair);
        pair.configure_west([("to-east", west)]);
        pair.configure_east([("to-west", east)]);
        pair
    }

    /// Both know what time it is, and have their keys.
    pub(crate) fn hand_out_keys(&self, pair: &mut Pair) {
        let keys = [("east-key", &self.east.key), ("west-key", &self.west.key)];
        for (site, (name, key)) in [&mut pair.east, &mut pair.west].into_iter().zip(keys) {
            site.signer.keys.insert(name.to_owned(), key.clone());
        }
        pair.tell_east(Input::Clock(Some(TODAY)));
        pair.tell_west(Input::Clock(Some(TODAY)));
    }

    /// The same, after a while.
    pub(crate) fn run(&self, change: impl FnOnce(&mut Connection, &mut Connection)) -> Pair {
        let mut pair = self.pair(change);
        pair.run_until_quiet();
        pair
    }
}

fn signatures(connection: &mut Connection) -> [&mut ike::Signatures; 2] {
    match &mut connection.authentication {
        Authentication {
            local: LocalProof::Certificate(own),
            remote: RemoteProof::Certificate(peer),
        } => [&mut own.signatures, &mut peer.signatures],
        _ => panic!("not by certificates"),
    }
}

/// Why east has no connection: west's certificate is altered like this, and the connections like that.
fn refused(
    change: impl Fn(&mut CertificateParams),
    alter: impl FnOnce(&Certified, &mut Connection, &mut Connection),
) -> Outage {
    let certified = Certified::new(Kind::P256, change);
    let mut pair = certified.pair(|east, west| alter(&certified, east, west));
    pair.run_for(MOMENT);
    pair.east.outage()
}

/// The same while this list of revoked certificates is known.
fn on_a_list(list: impl Fn(&Authority) -> Vec<u8>, strict: bool) -> Pair {
    let certified = Certified::new(Kind::P256, |params| {
        params.serial_number = Some(SerialNumber::from(7));
    });
    let list = RevocationList::read(&list(&certified.root)).unwrap();
    let mut pair = certified.pair(|east, _| trust(east).strict = strict);
    pair.tell_east(Input::RevocationLists(vec![list]));
    pair.run_until_quiet();
    pair
}

pub(crate) fn trust(connection: &mut Connection) -> &mut ike::crypto::Trust {
    match &mut connection.authentication.remote {
        RemoteProof::Certificate(peer) => &mut peer.trust,
        RemoteProof::PreSharedKey(_) => panic!("not by a certificate"),
    }
}

/// A reason that has to do with certificates and keys, provoked on east's side.
pub(crate) fn provoked(reason: Reason) -> Outage {
    let because = |change: fn(&mut CertificateParams)| refused(change, |_, _, _| ());
    match reason {
        Reason::Certificate(CertificateReason::Expired) => {
            because(|params| params.not_after = date_time_ymd(2026, 11, 1))
        }
        Reason::Certificate(CertificateReason::NotYetValid) => {
            because(|params| params.not_before = date_time_ymd(2027, 1, 1))
        }
        Reason::Certificate(CertificateReason::WrongUsage) => {
            because(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning])
        }
        Reason::Certificate(CertificateReason::Invalid) => because(|params| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            unknown.set_criticality(true);
            params.custom_extensions.push(unknown);
        }),
        Reason::Certificate(CertificateReason::Untrusted) => refused(
            |_| (),
            |_, east, _| *trust(east) = Authority::root("Another").trust(),
        ),
        Reason::Certificate(CertificateReason::Revoked) => {
            on_a_list(|root| root.revoke(7, 2027), false).east.outage()
        }
        Reason::Certificate(CertificateReason::RevocationUnknown) => {
            on_a_list(|root| root.revoke(8, 2025), true).east.outage()
        }
        Reason::Certificate(CertificateReason::SignatureRefused) => {
            refused(|_| (), |_, east, _| signatures(east)[1].digital = false)
        }
        Reason::Signer(SignerReason::SignerSlow) => {
            let mut pair = hesitating(true, false);
            pair.run_for(Duration::from_secs(21));
            pair.east.outage()
        }
        Reason::Signer(SignerReason::KeyMissing) => refused(
            |_| (),
            |certified, east, _| east.authentication.local = own("lost", &[&certified.east.der]),
        ),
        other => panic!("{other:?} has nothing to do with certificates"),
    }
}

/// Sides that sign only when they are told to.
fn hesitating(east: bool, west: bool) -> Pair {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = Pair::new();
    let (east_connection, west_connection) = certified.connections();
    certified.hand_out_keys(&mut pair);
    (pair.east.signer.hesitates, pair.west.signer.hesitates) = (east, west);
    pair.configure_west([("to-east", west_connection)]);
    pair.configure_east([("to-west", east_connection)]);
    pair
}

/// RFC 7296 §3.8, RFC 4754, RFC 7427 §3: whatever both have.
#[test]
fn every_method_comes_up() {
    let digital = SignatureScheme::RsaPkcs1(Hash::Sha256);
    let pss = SignatureScheme::RsaPss(Hash::Sha256);
    let old = SignatureScheme::RsaPkcs1(Hash::Sha512);
    let [p256, p384] = [Hash::Sha256, Hash::Sha384].map(SignatureScheme::Ecdsa);
    for (kind, with_digital, with_pss, expected) in [
        (Kind::Rsa, true, false, digital),
        (Kind::Rsa, true, true, pss),
        (Kind::Rsa, false, false, old),
        (Kind::P256, true, false, p256),
        (Kind::P256, false, false, p256),
        (Kind::P384, true, false, p384),
        (Kind::P384, false, false, p384),
    ] {
        let pair = Certified::new(kind, |_| ()).run(|east, west| {
            for side in [east, west] {
                for signatures in signatures(side) {
                    signatures.digital = with_digital;
                    signatures.pss = with_pss;
                    signatures.rsa = vec![Hash::Sha512];
                }
            }
        });
        pair.assert_up();
        assert_eq!(pair.east.signer.schemes, [expected], "{kind:?}");
        assert_eq!(pair.west.signer.schemes, [expected], "{kind:?}");
    }
}

/// One side by the secret, the other by its certificate.
#[test]
fn each_side_may_prove_itself_in_its_own_way() {
    let certified = Certified::new(Kind::P256, |_| ());
    let pair = certified.run(|east, west| {
        let secret = Authentication::pre_shared_key(b"a secret of both".to_vec().into());
        east.authentication.local = secret.local;
        west.authentication.remote = secret.remote;
    });
    pair.assert_up();
    assert_eq!(
        (pair.east.signer.schemes.len(), pair.west.signer.schemes.len()),
        (0, 1)
    );
}

/// RFC 8784 §3: with a post-quantum preshared key that one side need not have, the proof goes with it and without it.
#[test]
fn a_post_quantum_preshared_key_is_signed_too() {
    for west_has_it in [true, false] {
        let pair = Certified::new(Kind::P256, |_| ()).run(|east, west| {
            let ppk = crate::ppk::ppk("both", "another secret", false);
            east.ppk.clone_from(&ppk);
            west.ppk = ppk.filter(|_| west_has_it);
        });
        pair.assert_up();
    }
}

#[test]
fn intermediate_certificates_are_sent_or_known() {
    for sent in [true, false] {
        let mut certified = Certified::new(Kind::P256, |_| ());
        let between = certified.root.below("Between");
        certified.west = between.issue(("west", Kind::P256), |_| ());
        let pair = certified.run(|east, west| {
            if sent {
                west.authentication.local = own("west-key", &[&certified.west.der, &between.der()]);
            } else {
                trust(east).intermediates.insert(between.der());
            }
        });
        pair.assert_up();
    }
    let mut certified = Certified::new(Kind::P256, |_| ());
    certified.west = certified
        .root
        .below("Between")
        .issue(("west", Kind::P256), |_| ());
    let pair = certified.run(|_, _| ());
    assert_eq!(
        pair.east.outage().reason,
        Reason::Certificate(CertificateReason::Untrusted)
    );
}

/// Azure's inbound subject: the common name alone, whatever else stands in the subject; and what was proved is told.
#[test]
fn a_common_name_is_enough() {
    let certified = Certified::new(Kind::P256, |_| ());
    let expected = |name: &str| ExpectedIdentity::CommonName(name.to_owned());
    let pair = certified.run(|east, west| {
        east.remote_identity = expected("WEST");
        west.remote_identity = expected("east");
    });
    pair.assert_up();
    let proved = pair.east.standing().ike.unwrap().remote_identity;
    assert_eq!(proved.unwrap().to_string(), "CN=west,O=Contoso");
    let pair = certified.run(|east, _| east.remote_identity = expected("Contoso"));
    assert_eq!(pair.east.outage().reason, Reason::PeerIdentityUnexpected);
}

/// RFC 4945 §3.1: what somebody says of itself stands in its certificate.
#[test]
fn names_of_the_certificate_are_believed_and_no_others() {
    let all = [
        (Identity::Fqdn("west.example".to_owned()), true),
        (Identity::Email("west@example".to_owned()), true),
        (Identity::Address("192.0.2.2".parse().unwrap()), true),
        (Identity::Fqdn("east.example".to_owned()), false),
        (Identity::Address("192.0.2.9".parse().unwrap()), false),
        (Identity::KeyId(b"west.example".to_vec()), false),
    ];
    for (identity, good) in all {
        let certified = Certified::new(Kind::P256, |params| {
            params.subject_alt_names = vec![
                SanType::DnsName("west.example".try_into().unwrap()),
                SanType::Rfc822Name("west@example".try_into().unwrap()),
                SanType::IpAddress("192.0.2.2".parse().unwrap()),
            ];
        });
        let pair = certified.run(|east, west| {
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

/// Somebody's certificate is no secret: without its key it proves nothing.
#[test]
fn the_certificate_of_another_proves_nothing() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = certified.pair(|_, _| ());
    let other = certified.root.issue(("west", Kind::P256), |_| ());
    pair.west.signer.keys.insert("west-key".to_owned(), other.key);
    pair.run_for(MOMENT);
    let outage = pair.east.outage();
    assert_eq!(
        (outage.reason, outage.side),
        (Reason::AuthenticationFailed, Side::We)
    );
    assert_eq!(outage.stage, Stage::IkeAuth);
    assert_eq!(
        outage.expected,
        "a signature by the key of CN=west,O=Contoso, ECDSA P-256"
    );
}

#[test]
fn lists_of_revoked_certificates_count_as_the_policy_says() {
    on_a_list(|root| root.revoke(8, 2027), true).assert_up();
    on_a_list(|root| root.revoke(8, 2025), false).assert_up();
    // A list of another issuer says nothing.
    on_a_list(|_| Authority::root("Root").revoke(7, 2027), false).assert_up();
}

#[test]
fn a_thumbprint_is_revoked() {
    for algorithm in [
        &aws_lc_rs::digest::SHA256,
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
    ] {
        let certified = Certified::new(Kind::P256, |_| ());
        let thumbprint = aws_lc_rs::digest::digest(algorithm, &certified.west.der);
        let thumbprint = thumbprint.as_ref().to_vec();
        let pair = certified.run(|east, _| trust(east).revoked = BTreeSet::from([thumbprint]));
        assert_eq!(
            pair.east.outage().reason,
            Reason::Certificate(CertificateReason::Revoked)
        );
    }
}

/// A box without a battery for its clock says so, and goes on trying.
#[test]
fn without_a_clock_nothing_is_believed_until_it_is_set() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = certified.pair(|_, _| ());
    pair.tell_east(Input::Clock(None));
    pair.run_for(MOMENT);
    assert_eq!(pair.east.outage().reason, Reason::Clock);
    pair.tell_east(Input::Clock(Some(TODAY)));
    pair.run_until_quiet();
    pair.assert_up();
}

/// The request that comes again while we sign is not judged again, and one answer leaves.
#[test]
fn what_is_asked_again_while_we_sign_is_answered_once() {
    let mut pair = hesitating(false, true);
    pair.run_for(Duration::from_secs(6));
    assert_eq!(pair.west.signer.waiting.len(), 1);
    let (sa, asked) = pair.west.signer.waiting.remove(0);
    let signed = pair.west.signer.signed(sa, &asked);
    pair.tell_west(signed);
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.west.signer.schemes.len(), 1);
}

/// A signature that comes too late, or twice, changes nothing.
#[test]
fn signatures_that_nobody_waits_for_are_dropped() {
    let mut pair = hesitating(false, true);
    pair.run_for(MOMENT);
    let (sa, asked) = pair.west.signer.waiting.remove(0);
    pair.run_for(Duration::from_secs(40));
    assert_eq!(
        pair.west.outage().reason,
        Reason::Signer(SignerReason::SignerSlow)
    );
    pair.west.signer.hesitates = false;
    let signed = pair.west.signer.signed(sa, &asked);
    pair.tell_west(signed);
    pair.run_for(Duration::from_secs(100));
    pair.assert_up();
    let signed = pair.west.signer.signed(sa, &asked);
    pair.tell_west(signed);
    pair.assert_up();
}

/// The time that signing may take is over when something is signed: nothing else must have passed by then.
#[test]
fn what_was_signed_in_time_stays() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = certified.run(|_, _| ());
    pair.run_for(Duration::from_secs(300));
    pair.assert_kept();
    let up = ike::Event::Up(crate::name("to-west"));
    assert_eq!(pair.east.events, [up], "it went down on its own");
}

/// A new certificate of ours is for the next time, and one more root takes nothing away; one less does.
#[test]
fn certificates_rotate_without_an_outage() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = certified.run(|east, _| east.reauthenticate_on_renewal = false);
    let (mut east, _) = certified.connections();
    east.reauthenticate_on_renewal = false;
    let renewed = certified.root.issue(("east", Kind::P256), |_| ());
    east.authentication.local = own("east-key-2", &[&renewed.der]);
    trust(&mut east).roots.insert(Authority::root("Next").der());
    pair.configure_east([("to-west", east.clone())]);
    pair.run_until_quiet();
    pair.assert_kept();
    let root = certified.root.der();
    trust(&mut east).roots.remove(&root);
    pair.configure_east([("to-west", east)]);
    pair.run_for(MOMENT);
    assert!(!pair.east.is_up());
}

/// What is believed no longer closes only the SAs of those whom it concerns.
#[test]
fn a_root_that_is_taken_away_takes_down_only_whom_led_to_it() {
    let certified = Certified::new(Kind::P256, |_| ());
    let next = Authority::root("Next");
    let mut pair = certified.run(|east, _| {
        trust(east).roots.insert(next.der());
    });
    let (mut east, _) = certified.connections();
    trust(&mut east).revoked = BTreeSet::from([vec![7; 32]]);
    pair.configure_east([("to-west", east.clone())]);
    pair.run_until_quiet();
    pair.assert_kept();
    trust(&mut east).roots = BTreeSet::from([next.der()]);
    pair.configure_east([("to-west", east)]);
    pair.run_for(MOMENT);
    assert!(!pair.east.is_up());
}

#[test]
fn stopping_waits_for_no_signature() {
    for (east, west) in [(true, false), (false, true)] {
        let mut pair = hesitating(east, west);
        pair.run_for(MOMENT);
        pair.tell_east(Input::Shutdown);
        pair.tell_west(Input::Shutdown);
        assert!(pair.east.engine.is_idle() || west, "east waits");
        assert!(pair.west.engine.is_idle() || east, "west waits");
    }
}
