use serde_json::json;

use super::sample::{certified, check, faults, sample, with, with_certificates, without};
use crate::model::{
    AzureRule, CertificatePeer, CertificateProfile, Connection, Crl, Hash, Identity, KeyProvider,
    KeyReference, ManagedIdentity, OwnProof, PeerProof, X509,
};
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
    let sources = json!(["http://pki.example/root.crl", "file:///etc/causeway/root.crl"]);
    let listed = check(&with(certified(), "/trust/roots/crl_sources", sources.clone())).unwrap();
    let written: Vec<String> = listed.trust["roots"]
        .lists
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(json!(written), sources);
    assert_eq!(changes(&found, &listed)["to-c"], Change::InPlace);
    let trust = &found.trust["roots"];
    assert_eq!((trust.chain.len(), trust.crl), (2, Crl::Strict));
    assert!(trust.chain[0].is_root() && !trust.chain[1].is_root());
    assert_eq!(trust.chain[0].der()[0], 0x30);
    assert_eq!(trust.revoked["lost"].octets()[..3], [0, 0x11, 0x22]);
    assert_eq!(found.certificates["edge-hsm"].chain.len(), 3);
}

/// While an authority changes its root, both are believed, each with what is from it.
#[test]
fn another_root_may_stand_beside_the_first() {
    let both: serde_json::Value =
        serde_json::from_str(&with_certificates(r#"["$root", "$intermediate", "$azure-root"]"#)).unwrap();
    let document = with(certified(), "/trust/roots/chain", both);
    let chain = &check(&document).unwrap().trust["roots"].chain;
    let roots: Vec<bool> = chain.iter().map(|one| one.is_root()).collect();
    assert_eq!(roots, [true, false, true]);
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
    let OwnProof::Certificate { name, identity, .. } = &connection.authentication.local else {
        panic!("no certificate")
    };
    let (peer, remote_identity) = certificate_peer(connection);
    assert_eq!((name.as_str(), peer.subject.as_str()), ("edge", "AzOutboundCert"));
    assert_eq!((peer.trust_name.as_str(), peer.trust.chain.len()), ("roots", 2));
    assert_eq!(
        (identity, remote_identity),
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
    let named = check(&named).unwrap();
    let (_, remote_identity) = certificate_peer(&named.connections["to-c"]);
    assert_eq!(remote_identity, &Some(Identity::Fqdn("gw.example".to_owned())));
}

fn certificate_peer(connection: &Connection) -> (&CertificatePeer, &Option<Identity>) {
    let PeerProof::Certificate { peer, identity } = &connection.authentication.remote else {
        panic!("no certificate")
    };
    (peer, identity)
}

/// Each side proves itself in its own way, and with what goes with that.
#[test]
fn one_side_may_have_a_certificate_and_the_other_a_secret() {
    let of = |authentication: serde_json::Value| {
        let document = with(certified(), "/connections/to-c/authentication", authentication);
        check(&document).unwrap().connections["to-c"]
            .authentication
            .clone()
    };
    let ours = of(json!({ "method": "certificate", "certificate": "edge", "peer": { "secret": "psk-c" } }));
    assert!(matches!(ours.local, OwnProof::Certificate { identity: None, .. }));
    let (secret, identity) = (
        "psk-c".parse().unwrap(),
        Identity::Address("192.0.2.3".parse().unwrap()),
    );
    assert_eq!(ours.remote, PeerProof::PreSharedKey { secret, identity });
    assert_eq!(ours.pre_shared_key().unwrap().as_str(), "psk-c");

    let peer = json!({ "subject": "gw", "chain": "roots" });
    let theirs = of(json!({ "method": "psk", "secret": "psk-c", "peer": peer }));
    let identity = Some(Identity::Address("192.0.2.1".parse().unwrap()));
    assert!(matches!(&theirs.local, OwnProof::PreSharedKey { identity: found, .. } if *found == identity));
    assert!(
        matches!(&theirs.remote, PeerProof::Certificate { peer, identity: None } if peer.subject == "gw")
    );
    assert!(theirs.certificate(None).is_none());
    assert!(!ours.is_served_by(&theirs) && !theirs.is_served_by(&ours));
}

/// From a day on we have another certificate and believe two roots, and from another day on only the new one.
#[test]
fn both_sides_go_over_to_other_certificates_by_date() {
    let transition = json!({ "from": "2026-12-01T00:00:00Z", "until": "2027-01-31T00:00:00Z",
                             "certificate": "edge-hsm", "chain": "next" });
    let next = json!({ "chain": [with_certificates("$azure-root")] });
    let document = with(certified(), "/trust/next", next);
    let document = with(
        document,
        "/connections/to-c/authentication/transition",
        transition,
    );
    let found = check(&document).unwrap();
    let authentication = &found.connections["to-c"].authentication;
    let roots = &found.trust["roots"];
    let next = &found.trust["next"];
    let first_of_december = 1_796_083_200;
    for (unix_s, certificate, believed) in [
        (None, "edge", vec![roots]),
        (Some(first_of_december - 1), "edge", vec![roots]),
        (Some(first_of_december), "edge-hsm", vec![roots, next]),
        (
            Some(first_of_december + 61 * 86_400 - 1),
            "edge-hsm",
            vec![roots, next],
        ),
        (Some(first_of_december + 61 * 86_400), "edge-hsm", vec![next]),
    ] {
        let (name, _) = authentication.certificate(unix_s).unwrap();
        assert_eq!(
            (name.as_str(), authentication.believed(unix_s)),
            (certificate, believed),
            "{unix_s:?}"
        );
    }
    let names: Vec<&str> = authentication
        .certificates()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["edge", "edge-hsm"]);
    assert_eq!(
        changes(&check(&certified()).unwrap(), &found)["to-c"],
        Change::InPlace
    );
}

/// SHA-1 by RFC 7296, unless the document says how else; from the next authentication on.
#[test]
fn signatures_are_chosen_by_connection() {
    let usual = check(&certified()).unwrap();
    let signatures = &usual.connections["to-c"].authentication.signatures;
    assert_eq!((signatures.digital_signature, signatures.pss), (true, false));
    assert_eq!(
        signatures.rsa_hashes,
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
    );

    let chosen = json!({ "digital_signature": true, "rsa_hashes": ["SHA256"], "pss": true });
    let chosen = check(&with(
        certified(),
        "/connections/to-c/authentication/signatures",
        chosen,
    ))
    .unwrap();
    let signatures = &chosen.connections["to-c"].authentication.signatures;
    assert_eq!(
        (signatures.pss, &*signatures.rsa_hashes),
        (true, &[Hash::Sha256][..])
    );
    assert_eq!(changes(&usual, &chosen)["to-c"], Change::InPlace);
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

/// RSA of 2,048 bits for both purposes of TLS, with its root; where the provider has the certificate, that is known later.
#[test]
fn a_certificate_may_have_to_be_what_azure_asks_for() {
    let chain = |text: &str| -> serde_json::Value { serde_json::from_str(&with_certificates(text)).unwrap() };
    let azure = with(certified(), "/certificates/edge-file/profile", json!("azure"));
    let fit = with(
        azure,
        "/certificates/edge-file/chain",
        chain(r#"["$azure", "$azure-root"]"#),
    );
    let found = &check(&fit).unwrap().certificates["edge-file"];
    assert_eq!(found.profile, CertificateProfile::Azure);
    let unknown = with(certified(), "/certificates/edge/profile", json!("azure"));
    let profile = check(&unknown).unwrap().certificates["edge"].profile;
    let empty = profile.check(&[]).unwrap_err();
    assert_eq!(empty.rule, AzureRule::Present);
    assert!(X509::from_der(found.chain[0].der()).is_some_and(|read| profile.check(&[read]).is_err()));
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

/// While roots change, both are believed, each with what it leads to.
#[test]
fn old_and_new_roots_stand_beside_each_other() {
    let next = include_str!("certificates/next-root.pem");
    let path = "/trust/roots/chain";
    let old = certified().pointer(path).unwrap().as_array().unwrap().clone();
    let both: Vec<_> = old.iter().cloned().chain([json!(next)]).collect();
    let document = with(certified(), path, json!(both));
    let chain = check(&document).unwrap().trust["roots"].chain.clone();
    let roots: Vec<_> = chain.iter().map(|x509| x509.is_root()).collect();
    assert_eq!(roots, [true, false, true]);
    let before = check(&certified()).unwrap();
    assert_eq!(
        changes(&before, &check(&document).unwrap())["to-c"],
        Change::InPlace
    );
}
