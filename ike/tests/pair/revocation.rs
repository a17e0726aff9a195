//! Lists of revoked certificates that arrive while tunnels run, and those that are asked for (RFC 5280 §5, §4.2.1.13).

use std::collections::BTreeSet;

use ike::crypto::RevocationList;
use ike::{CertificateReason, Input, LocalProof, Reason};
use rcgen::{CrlDistributionPoint, SerialNumber};

use crate::certificates::{Certified, MOMENT, trust};
use crate::name;
use crate::pki::{Authority, Kind};

/// Whoever can change what is fetched by HTTP, and forges a list, takes neither a good list away nor a peer.
#[test]
fn a_forged_list_changes_nothing() {
    let lists = |forged: &Authority, good: Option<Vec<u8>>| {
        let forged = RevocationList::read(&forged.revoke(7, 2027)).unwrap();
        let good = good.map(|der| RevocationList::read(&der).unwrap());
        Input::RevocationLists(std::iter::once(forged).chain(good).collect())
    };
    for (serial, stays_up) in [(8, true), (7, false)] {
        let certified = Certified::new(Kind::P256, |params| {
            params.serial_number = Some(SerialNumber::from(7));
        });
        let mut pair = certified.pair(|east, _| trust(east).strict = true);
        let good = certified.root.revoke(serial, 2027);
        pair.tell_east(lists(&Authority::root("Root"), Some(good)));
        pair.run_for(MOMENT);
        assert_eq!(pair.east.is_up(), stays_up, "serial {serial}");
    }
}

/// A peer that was believed is believed no longer, once a list has it.
#[test]
fn a_list_that_arrives_later_takes_the_tunnel_down() {
    let certified = Certified::new(Kind::P256, |params| {
        params.serial_number = Some(SerialNumber::from(7));
    });
    let mut pair = certified.run(|_, _| ());
    pair.assert_up();
    let list = |serial| RevocationList::read(&certified.root.revoke(serial, 2027)).unwrap();
    pair.tell_east(Input::RevocationLists(vec![list(8)]));
    pair.run_for(MOMENT);
    pair.assert_up();
    pair.tell_east(Input::RekeyIke(name("to-west")));
    pair.run_until_quiet();
    pair.tell_east(Input::RevocationLists(vec![list(7)]));
    pair.run_for(MOMENT);
    let outage = pair.east.outage();
    assert_eq!(outage.reason, Reason::Certificate(CertificateReason::Revoked));
    assert!(outage.offered.contains("CN=west"), "{outage:?}");
}

/// Certificates say where lists are. Only those that lead from the peer to its root are asked: anybody can send others.
#[test]
fn lists_are_fetched_from_where_certificates_say() {
    let points = |address: &str| {
        let uris = vec![address.to_owned(), "ldap://pki.example/list".to_owned()];
        vec![CrlDistributionPoint { uris }]
    };
    let root = Authority::root("Root");
    let certified = Certified::new(Kind::P256, |params| {
        params.crl_distribution_points = points("http://pki.example/root.crl");
    });
    let stranger = root.issue(("stranger", Kind::P256), |params| {
        params.crl_distribution_points = points("http://192.0.2.99/anything");
    });
    let mut pair = certified.pair(|east, west| {
        trust(east).strict = true;
        let LocalProof::Certificate(own) = &mut west.authentication.local else {
            panic!()
        };
        own.chain.push(stranger.der.clone());
    });
    pair.run_for(MOMENT);
    let outage = pair.east.outage();
    assert_eq!(
        outage.reason,
        Reason::Certificate(CertificateReason::RevocationUnknown)
    );
    assert_eq!(pair.east.wanted_lists, ["http://pki.example/root.crl"]);
    assert_eq!(pair.west.wanted_lists, [""; 0]);
    let list = RevocationList::read(&certified.root.revoke(8, 2027)).unwrap();
    pair.tell_east(Input::RevocationLists(vec![list]));
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.east.wanted_lists.len(), 1, "each is told once");
}

#[test]
fn a_revoked_certificate_that_is_on_no_path_is_nobody_s_business() {
    let certified = Certified::new(Kind::P256, |_| ());
    let other = certified.root.below("Lost");
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &other.der());
    let thumbprint = thumbprint.as_ref().to_vec();
    let pair = certified.run(|east, _| {
        trust(east).revoked = BTreeSet::from([thumbprint]);
        trust(east).intermediates = BTreeSet::from([other.der()]);
    });
    pair.assert_up();
}
