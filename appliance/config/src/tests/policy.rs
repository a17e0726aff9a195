use std::time::Duration;

use serde_json::{Value, json};

use super::sample::{check, faults, sample, with, without};
use crate::Reason;
use crate::model::{Encryption, Group, Hash, IkeProposal, IpsecProposal, Policy};

fn of(document: &Value, name: &str) -> Policy {
    let config = check(document).unwrap();
    config.connections[name].policy.clone()
}

/// The policy of the sample with `value` at `place`.
fn changed(place: &str, value: Value) -> Policy {
    of(&with(sample(), &format!("/policies/gcm/{place}"), value), "to-b")
}

fn ike(document: &Value) -> IkeProposal {
    of(document, "to-b").ike[0].clone()
}

fn built_in(name: &str) -> Policy {
    of(&with(sample(), "/connections/to-b/policy", json!(name)), "to-b")
}

#[test]
fn algorithms_are_resolved() {
    let gcm = ike(&sample());
    assert_eq!(gcm.encryption, Encryption::GcmAes128);
    assert_eq!((gcm.integrity, gcm.prf), (None, Hash::Sha256));
    let cbc = json!({ "encryption": "AES256", "integrity": "SHA384", "dh_group": "DHGroup2048" });
    let cbc = ike(&with(sample(), "/policies/gcm/ike", cbc));
    assert_eq!((cbc.integrity, cbc.prf), (Some(Hash::Sha384), Hash::Sha384));
    assert_eq!(cbc.groups, [Group::Modp2048]);
    let ipsec =
        json!({ "encryption": "AES128", "integrity": "SHA1", "pfs_group": "PFS2048", "lifetime_s": 3600 });
    let document = with(sample(), "/policies/gcm/ipsec", ipsec);
    let expected = IpsecProposal {
        encryption: Encryption::Aes128,
        integrity: Some(Hash::Sha1),
        pfs_groups: vec![Group::Modp2048],
        additional: vec![],
    };
    let policy = of(&document, "to-b");
    assert_eq!(policy.ipsec, [expected]);
    assert_eq!(
        (policy.ike_lifetime, policy.ipsec_lifetime),
        (Duration::from_secs(28_800), Duration::from_secs(3600))
    );
    assert_eq!(of(&document, "to-c").ipsec_lifetime, Duration::from_secs(27_000));
}

#[test]
fn every_group_of_the_document_is_taken() {
    for (word, group) in [
        ("DHGroup1", Group::Modp768),
        ("DHGroup2", Group::Modp1024),
        ("DHGroup5", Group::Modp1536),
        ("DHGroup14", Group::Modp2048),
        ("DHGroup15", Group::Modp3072),
        ("DHGroup16", Group::Modp4096),
        ("DHGroup24", Group::Modp2048Subgroup256),
        ("ECP256", Group::Ecp256),
        ("ECP384", Group::Ecp384),
        ("ECP521", Group::Ecp521),
        ("X25519", Group::X25519),
    ] {
        assert_eq!(
            ike(&with(sample(), "/policies/gcm/ike/dh_group", json!(word))).groups,
            [group],
            "{word}"
        );
    }
}

#[test]
fn every_combination_of_azures_table_is_taken() {
    let ike_words = [
        ("GCMAES256", Encryption::GcmAes256),
        ("GCMAES128", Encryption::GcmAes128),
        ("AES256", Encryption::Aes256),
        ("AES192", Encryption::Aes192),
        ("AES128", Encryption::Aes128),
        ("CHACHA20POLY1305", Encryption::ChaCha20Poly1305),
    ];
    for (word, encryption) in ike_words {
        assert_eq!(
            changed("ike/encryption", json!(word)).ike[0].encryption,
            encryption
        );
    }
    let hashes = [
        ("SHA512", Hash::Sha512),
        ("SHA384", Hash::Sha384),
        ("SHA256", Hash::Sha256),
        ("SHA1", Hash::Sha1),
        ("MD5", Hash::Md5),
    ];
    for (word, hash) in hashes {
        assert_eq!(changed("ike/integrity", json!(word)).ike[0].prf, hash);
    }
    let separate = [
        ("AES256", Encryption::Aes256),
        ("AES192", Encryption::Aes192),
        ("AES128", Encryption::Aes128),
        ("DES3", Encryption::TripleDes),
        ("DES", Encryption::Des),
        ("None", Encryption::Null),
    ];
    for (cipher, encryption) in separate {
        for (word, hash) in hashes {
            let ipsec = changed("ipsec", json!({ "encryption": cipher, "integrity": word })).ipsec;
            assert_eq!(
                (ipsec[0].encryption, ipsec[0].integrity),
                (encryption, Some(hash))
            );
        }
    }
    for word in ["GCMAES256", "GCMAES192", "GCMAES128", "CHACHA20POLY1305"] {
        let ipsec = changed("ipsec", json!({ "encryption": word, "integrity": word })).ipsec;
        assert_eq!((ipsec[0].encryption.word(), ipsec[0].integrity), (word, None));
    }
}

#[test]
fn the_exchange_of_a_rekey_is_what_its_word_says() {
    for (word, groups) in [
        ("None", vec![]),
        ("PFS1", vec![Group::Modp768]),
        ("PFS2", vec![Group::Modp1024]),
        ("PFS2048", vec![Group::Modp2048]),
        ("PFS14", vec![Group::Modp2048]),
        ("PFS15", vec![Group::Modp3072]),
        ("PFS16", vec![Group::Modp4096]),
        ("PFS24", vec![Group::Modp2048Subgroup256]),
        ("ECP256", vec![Group::Ecp256]),
        ("ECP384", vec![Group::Ecp384]),
        // The group of the IKE SA.
        ("PFSMM", vec![Group::X25519]),
    ] {
        assert_eq!(
            changed("ipsec/pfs_group", json!(word)).ipsec[0].pfs_groups,
            groups,
            "{word}"
        );
    }
}

#[test]
fn volumes_are_in_units_of_1024_bytes_and_0_is_no_limit() {
    assert_eq!(of(&sample(), "to-b").ipsec_bytes, Some(104_857_600_000));
    for (kilobytes, bytes) in [(1024, Some(1_048_576)), (0, None)] {
        assert_eq!(changed("ipsec/lifetime_kb", json!(kilobytes)).ipsec_bytes, bytes);
    }
}

#[test]
fn further_key_exchanges_come_in_their_order() {
    let exchanges = json!(["MLKEM768", "ECP384"]);
    let document = with(sample(), "/policies/gcm/ike/additional_key_exchanges", exchanges);
    let document = with(document, "/policies/gcm/ipsec/pfs_group", json!("X25519"));
    let exchanges = json!(["MLKEM1024"]);
    let document = with(
        document,
        "/policies/gcm/ipsec/additional_key_exchanges",
        exchanges,
    );
    let policy = of(&document, "to-b");
    assert_eq!(policy.ike[0].additional, [Group::MlKem768, Group::Ecp384]);
    assert_eq!(policy.ipsec[0].additional, [Group::MlKem1024]);
}

/// What Azure's older tables had, and what it has no more.
#[test]
fn the_old_words_are_for_who_says_so() {
    let old = |ike: Value| {
        let document = with(sample(), "/policies/gcm/legacy", json!(true));
        of(&with(document, "/policies/gcm/ike", ike), "to-b").ike
    };
    let des = old(json!({ "encryption": "DES3", "integrity": "MD5", "dh_group": "DHGroup1" }));
    assert_eq!(
        (des[0].encryption, des[0].integrity, des[0].prf),
        (Encryption::TripleDes, Some(Hash::Md5), Hash::Md5)
    );
    let gcm = old(json!({ "encryption": "GCMAES256", "integrity": "GCMAES256", "dh_group": "ECP384" }));
    let functions: Vec<_> = gcm
        .iter()
        .map(|proposal| (proposal.integrity, proposal.prf))
        .collect();
    assert_eq!(functions, [(None, Hash::Sha384), (None, Hash::Sha256)]);
    let document = with(sample(), "/policies/gcm/legacy", json!(true));
    let document = with(document, "/policies/gcm/ike/integrity", json!("GCMAES256"));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/policies/gcm/ike/integrity", Reason::PolicyInconsistent)]
    );
}

/// Entries as Azure's tables write them.
fn written(proposals: &[IpsecProposal]) -> Vec<String> {
    let entry = |one: &IpsecProposal| {
        let integrity = one.integrity.map_or_else(
            || one.encryption.word().to_owned(),
            |hash| format!("{hash:?}").to_uppercase(),
        );
        let group = match one.pfs_groups.as_slice() {
            [] => "None",
            [Group::Modp768] => "1",
            [Group::Modp1024] => "2",
            [Group::Modp2048] => "14",
            [Group::Modp2048Subgroup256] => "24",
            other => panic!("{other:?}"),
        };
        format!("{}, {integrity}, {group}", one.encryption.word())
    };
    proposals.iter().map(entry).collect()
}

/// *RouteBased VPN IPsec Security Association (IKE Quick Mode SA) Offers*, in its order: the first six as initiator, all
/// as responder.
#[test]
fn azures_default_is_azures_table() {
    let table = [
        "GCMAES256, GCMAES256, None",
        "AES256, SHA1, None",
        "DES3, SHA1, None",
        "AES256, SHA256, None",
        "AES128, SHA1, None",
        "DES3, SHA256, None",
        "DES, SHA1, None",
        "AES256, SHA1, 1",
        "AES256, SHA1, 2",
        "AES256, SHA1, 14",
        "AES128, SHA1, 1",
        "AES128, SHA1, 2",
        "AES128, SHA1, 14",
        "DES3, SHA1, 1",
        "DES3, SHA1, 2",
        "DES3, SHA256, 2",
        "AES256, SHA256, 1",
        "AES256, SHA256, 2",
        "AES256, SHA256, 14",
        "AES256, SHA1, 24",
        "AES256, SHA256, 24",
        "AES128, SHA256, None",
        "AES128, SHA256, 1",
        "AES128, SHA256, 2",
        "AES128, SHA256, 14",
        "DES3, SHA1, 14",
    ];
    let policy = built_in("azure-default");
    assert_eq!(written(&policy.ipsec), table[..6]);
    assert_eq!(written(&policy.responder_ipsec), table);
    let ike: Vec<_> = policy
        .ike
        .iter()
        .map(|one| (one.encryption.word(), one.integrity, one.prf))
        .collect();
    let both = |word| {
        [
            (word, Some(Hash::Sha1), Hash::Sha1),
            (word, Some(Hash::Sha256), Hash::Sha256),
        ]
    };
    assert_eq!(ike, [both("AES256"), both("AES128"), both("DES3")].concat());
    assert!(policy.ike.iter().all(|one| one.groups == [Group::Modp1024]));
    assert_eq!(
        (policy.ike_lifetime, policy.ipsec_lifetime, policy.ipsec_bytes),
        (
            Duration::from_secs(28_800),
            Duration::from_secs(27_000),
            Some(104_857_600_000)
        )
    );
}

/// The table of a policy-based gateway, which policy-based connections of IKEv1 have by default.
#[test]
fn policy_based_connections_of_ikev1_have_a_table_of_their_own() {
    let version_1 = with(sample(), "/connections/to-b/protocol", json!("IKEv1"));
    let version_1 = without(version_1, "/connections/to-b/policy");
    let based = |kind: &str| {
        let selectors = json!({ "kind": kind });
        let document = with(version_1.clone(), "/connections/to-b/selectors", selectors);
        check(&document).unwrap().connections["to-b"]
            .policy_name
            .to_string()
    };
    let idle = |selectors: &str, protocol: &str| {
        let document = with(sample(), "/connections/to-b/protocol", json!(protocol));
        let selectors = json!({ "kind": selectors });
        let document = with(document, "/connections/to-b/selectors", selectors);
        check(&document).unwrap().connections["to-b"].idle_timeout
    };
    assert_eq!(idle("policy-based", "IKEv1"), Some(Duration::from_secs(300)));
    assert_eq!(idle("route-based", "IKEv1"), None);
    assert_eq!(idle("policy-based", "IKEv2"), None);
    assert_eq!(based("route-based"), "azure-default");
    assert_eq!(based("policy-based"), "azure-policy-based");
    let policy = built_in("azure-policy-based");
    let table = [
        "AES256, SHA256, None",
        "AES256, SHA1, None",
        "AES128, SHA1, None",
        "DES3, SHA1, None",
    ];
    assert_eq!(written(&policy.ipsec), table);
    assert!(policy.ike.iter().all(|one| one.groups == [Group::Modp1024]));
    assert_eq!(policy.ipsec_lifetime, Duration::from_secs(3_600));
}

/// Nothing weak, ML-KEM first, and everything that is tried with it also without.
#[test]
fn modern_offers_a_hybrid_first_and_nothing_weak() {
    let policy = built_in("modern");
    assert_eq!(policy.ike[0].additional, [Group::MlKem768]);
    assert_eq!(policy.ipsec[0].additional, [Group::MlKem768]);
    let with_out = |one: &&IkeProposal| one.additional.is_empty();
    assert!(policy.ike.iter().filter(with_out).count() >= 3);
    let weak = [Group::Modp768, Group::Modp1024, Group::Modp2048Subgroup256];
    for proposal in &policy.ike {
        assert!(proposal.encryption.is_aead(), "{proposal:?}");
        assert!(!matches!(proposal.prf, Hash::Md5 | Hash::Sha1), "{proposal:?}");
        assert!(!proposal.groups.iter().any(|group| weak.contains(group)));
    }
    assert!(policy.ipsec.iter().all(|one| one.encryption.is_aead()));
    let groups: Vec<_> = policy
        .ipsec
        .iter()
        .map(|one| !one.pfs_groups.is_empty())
        .collect();
    assert!(
        groups.is_sorted_by(|one, next| one >= next),
        "with an exchange first"
    );
    assert_eq!(groups.last(), Some(&false), "a peer without PFS is not refused");
}

/// DES and MD5 are offered by a policy of one's own that names them, and by nothing that is built in; a peer that asks for DES has it of
/// `azure-default`, as Azure's table says, and of nothing else.
#[test]
fn des_and_md5_are_never_offered_unasked() {
    for name in ["modern", "azure-default", "azure-policy-based"] {
        let policy = built_in(name);
        for one in &policy.ike {
            assert_ne!(one.encryption, Encryption::Des, "{name}");
            assert!(one.prf != Hash::Md5 && one.integrity != Some(Hash::Md5), "{name}");
        }
        let offered = policy.ipsec.iter();
        assert!(
            offered.clone().all(|one| one.encryption != Encryption::Des),
            "{name}"
        );
        let mut taken = offered.chain(&policy.responder_ipsec);
        assert!(
            taken.clone().all(|one| one.integrity != Some(Hash::Md5)),
            "{name}"
        );
        let takes = taken.any(|one| one.encryption == Encryption::Des);
        assert_eq!(takes, name == "azure-default", "{name}");
    }
    let weak = json!({ "encryption": "DES", "integrity": "MD5", "dh_group": "DHGroup1" });
    let document = with(sample(), "/policies/gcm/ike", weak);
    let asked = of(&with(document, "/policies/gcm/legacy", json!(true)), "to-b");
    let first = &asked.ike[0];
    assert_eq!((first.encryption, first.prf), (Encryption::Des, Hash::Md5));
}
