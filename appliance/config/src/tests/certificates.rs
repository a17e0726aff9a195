use serde_json::json;

use super::sample::{certified, check, faults, sample, with, with_certificates, without};
use crate::model::{Authentication, Crl, Identity, KeyProvider, KeyReference, ManagedIdentity};
use crate::{Change, Reason, changes, held, notices};

#[test]
fn certificates_and_what_they_refer_to_are_read() {
    let found = check(&certified()).unwrap();
    let key = |name: &str| found.certificates[name].key.clone();
    let vault = "contoso.vault.azure.net".to_owned();
    let name = "edge".to_owned();
    assert_eq!(
        key("edge"),
        KeyReference::KeyVault {
            vault,
            name,
            version: None
        }
    );
    assert_eq!(
        key("edge-hsm"),
        KeyReference::Pkcs11("pkcs11:token=branch%201;object=edge".to_owned())
    );
    assert_eq!(key("edge-file"), KeyReference::File("edge".parse().unwrap()));
    let client_id = "00000000-0000-0000-0000-00000000000a".to_owned();
    let identity = ManagedIdentity::UserAssigned { client_id };
    assert_eq!(
        found.certificates["edge"].provider,
        KeyProvider::KeyVault { identity }
    );
    assert!(
        matches!(&found.key_providers["hsm"], KeyProvider::Pkcs11 { pin: Some(pin), .. } if pin.as_str() == "hsm-pin")
    );
    let trust = &found.trust["roots"];
    assert_eq!((trust.chain.len(), trust.crl), (2, Crl::Strict));
    assert!(trust.chain[0].is_root() && !trust.chain[1].is_root());
    assert_eq!(trust.chain[0].der()[0], 0x30);
    assert_eq!(trust.revoked["lost"].octets()[..3], [0, 0x11, 0x22]);
    assert_eq!(found.certificates["edge-hsm"].chain.len(), 3);
}

#[test]
fn a_key_may_have_a_version_and_a_vault_a_port() {
    let reference = "https://Vault.example:8443/certificates/edge/0123456789ABCDEF0123456789abcdef";
    let document = with(certified(), "/certificates/edge/key/reference", json!(reference));
    let KeyReference::KeyVault { vault, version, .. } =
        check(&document).unwrap().certificates["edge"].key.clone()
    else {
        panic!("no vault")
    };
    assert_eq!(vault, "vault.example:8443");
    assert_eq!(version.as_deref(), Some("0123456789abcdef0123456789abcdef"));
}

#[test]
fn a_connection_by_certificates_is_read() {
    let found = check(&certified()).unwrap();
    let connection = &found.connections["to-c"];
    let Authentication::Certificate {
        name,
        peer,
        local_identity,
        remote_identity,
        ..
    } = &connection.authentication
    else {
        panic!("no certificate")
    };
    assert_eq!((name.as_str(), peer.subject.as_str()), ("edge", "AzOutboundCert"));
    assert_eq!((peer.trust_name.as_str(), peer.trust.chain.len()), ("roots", 2));
    assert_eq!(
        (local_identity, remote_identity),
        (&None, &None),
        "the subjects of the certificates"
    );
    assert_eq!((held(connection), notices(&found)), (None, Vec::new()));
    assert_eq!(changes(&check(&sample()).unwrap(), &found)["to-c"], Change::Reset);

    let named = with(
        certified(),
        "/connections/to-c/authentication/remote_id",
        json!("gw.example"),
    );
    let Authentication::Certificate { remote_identity, .. } =
        &check(&named).unwrap().connections["to-c"].authentication
    else {
        panic!("no certificate")
    };
    assert_eq!(remote_identity, &Some(Identity::Fqdn("gw.example".to_owned())));
}

/// Another key of ours is for the next authentication, and one more revoked certificate takes the tunnel down.
#[test]
fn what_is_renewed_stays_up_and_what_is_revoked_does_not() {
    let change = |document: &serde_json::Value| {
        let (old, new) = (check(&certified()).unwrap(), check(document).unwrap());
        changes(&old, &new)["to-c"]
    };
    let renewed = with(
        certified(),
        "/connections/to-c/authentication/certificate",
        json!("edge-hsm"),
    );
    assert_eq!(change(&renewed), Change::InPlace);
    let another = json!("ffffffffffffffffffffffffffffffffffffffff");
    let revoked = with(certified(), "/trust/roots/revoked_thumbprints/stolen", another);
    assert_eq!(change(&revoked), Change::Reset);
    let relaxed = with(certified(), "/trust/roots/crl", json!("relaxed"));
    assert_eq!(change(&relaxed), Change::InPlace);
}

#[test]
fn other_ways_to_write_it_are_no_change() {
    let document = with(
        certified(),
        "/connections/to-c/authentication/peer/subject",
        json!("AzOutboundCert"),
    );
    let pem = [
        include_str!("certificates/root.pem"),
        include_str!("certificates/intermediate.pem"),
    ];
    let document = with(document, "/trust/roots/chain", json!(pem));
    let plain = json!({ "lost": "00112233445566778899aabbccddeeff00112233" });
    let document = with(document, "/trust/roots/revoked_thumbprints", plain);
    let document = with(document, "/certificates/edge/chain", json!([]));
    let id = json!("00000000-0000-0000-0000-00000000000a");
    let document = with(document, "/key_providers/vault/identity/client_id", id);
    let https = json!("https://contoso.vault.azure.net:443/certificates/edge/");
    let document = with(document, "/certificates/edge/key/reference", https);
    assert_eq!(check(&document), check(&certified()));
    let relaxed = with(certified(), "/trust/roots/crl", json!("relaxed"));
    assert_eq!(
        check(&without(relaxed.clone(), "/trust/roots/crl")),
        check(&relaxed)
    );
    let none = with(relaxed, "/trust/roots/revoked_thumbprints", json!({}));
    assert_eq!(
        check(&without(none.clone(), "/trust/roots/revoked_thumbprints")),
        check(&none)
    );
}

#[test]
fn clients_may_have_to_show_a_certificate() {
    let document = with(
        certified(),
        "/system",
        json!({ "management": { "client_trust": "roots" } }),
    );
    let found = check(&document).unwrap();
    assert_eq!(found.system.management.client_trust.unwrap().as_str(), "roots");
}

#[test]
fn two_peers_with_one_subject_could_not_be_told_apart() {
    let twin = certified()["connections"]["to-c"].clone();
    let document = with(certified(), "/connections/to-d", twin);
    let other = with(
        document.clone(),
        "/connections/to-d/authentication/peer/subject",
        json!("azoutboundcert"),
    );
    let expected = [("/connections/to-d", Reason::ConnectionsIndistinguishable)];
    for document in [document.clone(), other] {
        assert_eq!(faults(&check(&document).unwrap_err()), expected);
    }
    check(&with(
        document,
        "/connections/to-d/authentication/peer/subject",
        json!("Other"),
    ))
    .unwrap();
}

/// Neither a private key nor a PIN that stands in the wrong place is in what is said of it.
#[test]
fn a_secret_in_the_place_of_a_certificate_is_not_repeated() {
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----";
    for (pointer, value) in [
        ("/trust/roots/chain/0", key),
        ("/trust/roots/chain/0", "c2VjcmV0"),
        (
            "/certificates/edge-hsm/key/reference",
            "pkcs11:object=edge?pin-value=c2VjcmV0",
        ),
        ("/certificates/edge/key/reference", "c2VjcmV0"),
        ("/key_providers/hsm/pin", "c2VjcmV0!"),
    ] {
        let problems = check(&with(certified(), pointer, json!(value))).unwrap_err();
        assert!(!format!("{problems:?}").contains("c2VjcmV0"), "{problems:?}");
    }
    let shown = format!("{:?}", check(&certified()).unwrap().trust["roots"]);
    assert!(
        shown.contains("CN=Test Root") && !shown.contains(&with_certificates("$root")),
        "{shown}"
    );
}
