//! Which connection a peer belongs to: by its identity, by its name, by whatever it proves.

use ike::{Identity, Reason};

use crate::pair::Pair;

/// O=Acme, CN=`name`, its texts encoded as `tag` says: 12 UTF8String, 19 PrintableString.
fn distinguished_name(tag: u8, organization: &[u8; 4], name: &[u8; 4]) -> Identity {
    let mut der = vec![0x30, 0x1e];
    for (attribute, text) in [(10, organization), (3, name)] {
        der.extend([0x31, 0x0d, 0x30, 0x0b, 6, 3, 0x55, 4, attribute, tag, 4]);
        der.extend(text);
    }
    Identity::DistinguishedName(der)
}

#[test]
fn every_kind_of_identity_brings_a_tunnel_up() {
    let address = |text: &str| Identity::Address(text.parse().unwrap());
    let kinds = [
        (address("198.51.100.1"), address("198.51.100.1")),
        (address("2001:db8::1"), address("2001:db8::1")),
        (
            Identity::Fqdn("gw.example".to_owned()),
            Identity::Fqdn("GW.Example".to_owned()),
        ),
        (
            Identity::Email("gw@example".to_owned()),
            Identity::Email("gw@example".to_owned()),
        ),
        (Identity::KeyId(vec![0, 255]), Identity::KeyId(vec![0, 255])),
        (
            distinguished_name(12, b"Acme", b"gw 1"),
            distinguished_name(19, b"ACME", b"GW 1"),
        ),
    ];
    for (said, expected) in kinds {
        let mut pair = Pair::with(|east, west| {
            east.local_identity = said.clone();
            west.remote_identity = expected.clone();
        });
        pair.run_until_quiet();
        pair.assert_up();
    }
}

#[test]
fn another_distinguished_name_is_told_in_words() {
    let mut pair = Pair::with(|east, west| {
        east.local_identity = distinguished_name(12, b"Acme", b"gw 2");
        west.remote_identity = distinguished_name(12, b"Acme", b"gw 1");
    });
    pair.run_until_quiet();
    let outage = pair.west.outage();
    assert_eq!(outage.reason, Reason::PeerIdentityUnexpected);
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("CN=gw 2,O=Acme", "CN=gw 1,O=Acme")
    );
}
