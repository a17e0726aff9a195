//! strongSwan at both ends proves itself by certificates: what a peer of Causeway's can be told, and how it refuses.

use std::time::Duration;

use system_tests::lab::pki::{DnType, GeneralSubtree, Issued, Key, Name, NameConstraints, Wanted};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::credentials::{Credentials, Issuers};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Two gateways, of which the near one starts. Fields are dropped in this order.
struct Peers {
    near: StrongSwan,
    far: StrongSwan,
    sites: Sites,
    _run: Run,
}

/// They know each other by the subjects of their certificates, unless `change` says otherwise.
fn peers([near, far]: [Credentials; 2], change: impl Fn(&mut Tunnel, &mut Tunnel)) -> Peers {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let mut a = Tunnel::between(&sites.a, &sites.b);
    let mut b = Tunnel::between(&sites.b, &sites.a);
    if let Some(own) = &near.own {
        (a.local_id, b.remote_id) = (own.subject(), own.subject());
    }
    if let Some(own) = &far.own {
        (a.remote_id, b.local_id) = (own.subject(), own.subject());
    }
    (a.credentials, b.credentials) = (Some(Box::new(near)), Some(Box::new(far)));
    change(&mut a, &mut b);
    let far = StrongSwan::start(&run, &sites.b.gateway, &b, datapath).unwrap();
    let near = StrongSwan::start(&run, &sites.a.gateway, &a, datapath).unwrap();
    Peers {
        near,
        far,
        sites,
        _run: run,
    }
}

/// It comes up, each side by this proof as strongSwan calls it, and carries packets.
fn comes_up(credentials: [Credentials; 2], proofs: [&str; 2], change: impl Fn(&mut Tunnel, &mut Tunnel)) {
    let peers = peers(credentials, change);
    peers.near.initiate().unwrap();
    let log = peers.near.log();
    for (proof, whose) in proofs.into_iter().zip(["(myself) with ", "' with "]) {
        let words = format!("{whose}{proof}");
        assert!(
            log.lines()
                .any(|line| line.contains("authentication of") && line.contains(&words)),
            "no {words}"
        );
    }
    let ping = Ping::start(
        &peers.sites.a.host,
        peers.sites.b.host_address,
        Duration::from_millis(20),
    )
    .unwrap();
    ping.wait_for(5, SOON).unwrap();
    assert_eq!(ping.finish().lost, 0);
}

/// It does not come up: the far side refuses and says this in its log, the near one is told that authentication failed.
fn is_refused(credentials: [Credentials; 2], because: &str, change: impl Fn(&mut Tunnel, &mut Tunnel)) {
    let peers = peers(credentials, change);
    let told = peers.near.initiate().unwrap_err().to_string();
    assert!(told.contains("AUTHENTICATION_FAILED"), "{told}");
    wait::until(because, SOON, || {
        let log = peers.far.log();
        anyhow::ensure!(log.contains(because), "{log}");
        Ok(())
    })
    .unwrap();
    assert_eq!(peers.far.associations().unwrap(), "");
}

fn as_they_are(_: &mut Tunnel, _: &mut Tunnel) {}

const RSA: &str = "RSA_EMSA_PKCS1_SHA2_256 successful";

#[test]
fn rsa_with_method_14_comes_up() {
    comes_up(
        Issuers::with(Key::Rsa2048).unwrap().credentials(),
        [RSA; 2],
        as_they_are,
    );
}

#[test]
fn another_root_is_refused() {
    let issuers = Issuers::with(Key::Rsa2048).unwrap();
    let [near, mut far] = issuers.credentials();
    far.roots = vec![Issued::root(&Wanted::authority("Another root", 1)).unwrap()];
    is_refused([near, far], "no trusted RSA public key found", as_they_are);
}

/// Methods 1, 9 and 10 (RFC 7296 §3.8, RFC 4754), which are used where either side knows no method 14.
#[test]
fn methods_of_before_come_up() {
    for (key, proof) in [
        (Key::Rsa2048, "RSA signature successful"),
        (Key::P256, "ECDSA-256 signature successful"),
        (Key::P384, "ECDSA-384 signature successful"),
    ] {
        let [mut near, far] = Issuers::with(key).unwrap().credentials();
        near.signature_authentication = false;
        comes_up([near, far], [proof; 2], as_they_are);
    }
}

#[test]
fn a_scheme_is_chosen_and_asked_for() {
    let [mut near, mut far] = Issuers::with(Key::Rsa2048).unwrap().credentials();
    (near.signs, far.signs) = ("ike:rsa/pss-sha384", "rsa-sha512");
    (near.takes, far.takes) = ("ike:rsa-sha512", "ike:rsa/pss-sha384");
    let proofs = ["RSA_EMSA_PSS_SHA2_384", "RSA_EMSA_PKCS1_SHA2_512 successful"];
    comes_up([near, far], proofs, as_they_are);
    let [near, mut far] = Issuers::with(Key::P256).unwrap().credentials();
    far.takes = "ike:ecdsa-sha384";
    is_refused(
        [near, far],
        "signature scheme ECDSA_WITH_SHA256_DER not acceptable",
        as_they_are,
    );
}

/// A subject of several parts; the name of a host, an address, a mailbox; and none that the certificate does not have.
#[test]
fn identities_are_subjects_or_names_beside_them() {
    let mut issuers = Issuers::with(Key::P256).unwrap();
    let named = Wanted {
        subject: vec![
            (DnType::CommonName, "gw-a"),
            (DnType::OrganizationName, "Lab of Causeway"),
            (DnType::CountryName, "CH"),
        ],
        names: vec![
            Name::Dns("gw-a.example"),
            Name::Ip("192.0.2.77".parse().unwrap()),
            Name::Email("admin@gw-a.example"),
        ],
        key: Key::P256,
        ..Wanted::leaf("gw-a")
    };
    issuers.near = issuers.middle.issue(&named).unwrap();
    let proofs = ["ECDSA_WITH_SHA256_DER successful"; 2];
    comes_up(issuers.credentials(), proofs, as_they_are);
    for name in ["gw-a.example", "192.0.2.77", "admin@gw-a.example"] {
        comes_up(issuers.credentials(), proofs, |a, b| {
            (a.local_id, b.remote_id) = (name.to_owned(), name.to_owned());
        });
    }
    is_refused(issuers.credentials(), "AUTH_FAILED", |_, b| {
        b.remote_id = "CN=gw-c".to_owned();
    });
}

#[test]
fn one_side_has_a_certificate_and_the_other_the_pre_shared_key() {
    let [mut near, mut far] = Issuers::with(Key::P256).unwrap().credentials();
    (near.own, far.roots) = (None, Vec::new());
    let proofs = ["pre-shared key", "ECDSA_WITH_SHA256_DER successful"];
    comes_up([near, far], proofs, as_they_are);
}

#[test]
fn what_is_revoked_or_may_be_is_refused() {
    let issuers = Issuers::with(Key::P256).unwrap();
    let lists = |revoked: &[&Issued]| {
        vec![
            issuers.middle.revoke(revoked).unwrap(),
            issuers.root.revoke(&[]).unwrap(),
        ]
    };
    let far_with = |revocation, revoked| {
        let [near, mut far] = issuers.credentials();
        (far.revocation, far.revoked) = (revocation, revoked);
        [near, far]
    };
    is_refused(
        far_with("relaxed", lists(&[&issuers.near])),
        "certificate was revoked",
        as_they_are,
    );
    is_refused(far_with("strict", Vec::new()), "RULE_CRL_VALIDATION", as_they_are);
    let proofs = ["ECDSA_WITH_SHA256_DER successful"; 2];
    comes_up(far_with("strict", lists(&[&issuers.far])), proofs, as_they_are);
}

/// What is not valid now, whose issuer is missing, and what its issuers may not say.
#[test]
fn broken_chains_are_refused() {
    let refused = |change: &dyn Fn(&mut Issuers), because| {
        let mut issuers = Issuers::with(Key::P256).unwrap();
        // So that the far side has no intermediate of its own that helps.
        let far = Wanted {
            key: Key::P256,
            ..Wanted::leaf("gw-b")
        };
        issuers.far = issuers.root.issue(&far).unwrap();
        change(&mut issuers);
        is_refused(issuers.credentials(), because, as_they_are);
    };
    let leaf = || Wanted {
        key: Key::P256,
        ..Wanted::leaf("gw-a")
    };
    let with =
        |wanted: Wanted| move |issuers: &mut Issuers| issuers.near = issuers.middle.issue(&wanted).unwrap();
    refused(&with(leaf().expired()), "subject certificate invalid");
    refused(&with(leaf().early()), "subject certificate invalid");
    refused(
        &|issuers| issuers.near = issuers.near.clone().alone(),
        "no issuer certificate found",
    );
    refused(
        &|issuers| {
            let below = issuers
                .middle
                .issue(&Wanted::authority("One too many", 0))
                .unwrap();
            issuers.near = below.issue(&leaf()).unwrap();
        },
        "path length",
    );
    refused(
        &|issuers| {
            let constraints = NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example".to_owned())],
                excluded_subtrees: vec![],
            };
            let narrow = Wanted {
                constraints: Some(constraints),
                ..Wanted::authority("Narrow", 0)
            };
            let narrow = issuers.root.issue(&narrow).unwrap();
            let outside = Wanted {
                names: vec![Name::Dns("gw-a.test")],
                ..leaf()
            };
            issuers.near = narrow.issue(&outside).unwrap();
        },
        "does not match permitted name constraint",
    );
}
