//! IKEv1 between two of ours, and with strongSwan.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::pki::Key;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::SOON;
use system_tests::peer::credentials::Issuers;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::{AZURE, CUSTOM, Suite, VERSION_1, WEAK};
use system_tests::peer::tunnel::Tunnel;

use crate::certificates::{begun, peers};
use crate::pair::{First, Kind, Pair, tunnels};

/// A tunnel of IKEv1, as `change` leaves what both ends see of it.
fn started(suite: Suite, (kind, first): (Kind, First), change: impl Fn(Tunnel) -> Tunnel) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, far) = tunnels(&sites);
    let both = [near, far].map(|tunnel| change(tunnel.version_1(suite)));
    Pair::start(run, sites, both.into(), (kind, first))
}

/// The same that is up.
fn up(suite: Suite, kind: Kind, first: First) -> Pair {
    let pair = started(suite, (kind, first), |tunnel| tunnel);
    pair.wait();
    pair
}

fn aggressive(tunnel: Tunnel) -> Tunnel {
    Tunnel {
        aggressive: true,
        ..tunnel
    }
}

/// Status says that aggressive mode, which is weak, is in use.
fn is_aggressive(status: &Value) {
    let weak = &status["weak"][0];
    let told = (&weak["algorithm"], &weak["in_use"]);
    assert_eq!(told, (&json!("aggressive mode"), &json!(true)), "{status}");
}

#[test]
fn ikev1_carries_between_two_of_ours() {
    for first in [First::Near, First::Far] {
        let pair = up(VERSION_1, Kind::Causeway, first);
        pair.carries();
        pair.only_esp();
    }
}

/// With a key exchange at each quick mode and without, with what is weak and what is not.
#[test]
fn ikev1_carries_with_strongswan_whoever_begins() {
    for suite in [VERSION_1, CUSTOM, AZURE, WEAK[0]] {
        for first in [First::Near, First::Far] {
            let pair = up(suite, Kind::StrongSwan, first);
            pair.carries();
            pair.only_esp();
        }
    }
}

/// strongSwan replaces the Child SA and then phase 1 under traffic.
#[test]
fn ikev1_is_replaced_by_strongswan_without_loss() {
    for suite in [VERSION_1, CUSTOM] {
        let pair = up(suite, Kind::StrongSwan, First::Far);
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.through(StrongSwan::reauthenticate, "/ike");
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.only_esp();
    }
}

/// A peer that knows aggressive mode alone, whoever begins.
#[test]
fn ikev1_carries_by_aggressive_mode() {
    for (kind, first) in [
        (Kind::Causeway, First::Near),
        (Kind::StrongSwan, First::Near),
        (Kind::StrongSwan, First::Far),
    ] {
        let pair = started(VERSION_1, (kind, first), aggressive);
        is_aggressive(&pair.wait());
        pair.carries();
        if kind == Kind::StrongSwan {
            pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        }
        pair.only_esp();
    }
}

/// The same where both prove who they are by signatures of RSA.
#[test]
fn ikev1_signs_in_aggressive_mode_whoever_begins() {
    for causeway_starts in [true, false] {
        let credentials = Issuers::with(Key::Rsa2048).unwrap().credentials();
        let peers = begun(credentials, causeway_starts, |a, b| {
            (*a, *b) = (a.clone().version_1(VERSION_1), b.clone().version_1(VERSION_1));
            (a.aggressive, b.aggressive) = (true, true);
        });
        peers.carries();
        let status = peers.near.connection("peer").unwrap();
        is_aggressive(&status);
        assert_eq!(status["ike"]["remote_identity"], "CN=gw-b", "{status}");
        let log = peers.far.log();
        assert!(
            log.contains("authentication of 'CN=gw-a' with RSA_EMSA_PKCS1_NULL successful"),
            "{log}"
        );
    }
}

/// A peer that speaks both versions takes our proposals by IKEv2, and one that is set to IKEv1 alone takes none: asking that costs the
/// tunnel nothing, and nobody asks unasked.
#[test]
fn ikev1_peers_are_asked_whether_they_answer_ikev2() {
    for (version, answer) in [(0, "accepted"), (1, "no-proposal-chosen")] {
        let pair = started(VERSION_1, (Kind::StrongSwan, First::Near), |tunnel| Tunnel {
            version: if tunnel.local_prefix == "10.2.0.0/24" {
                version
            } else {
                1
            },
            ..tunnel
        });
        let before = pair.wait();
        assert_eq!(before.get("ikev2"), None, "{before}");
        let told = pair.near.causeway(&["try-ikev2", "peer", "--json"]).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["answer"], answer, "{told}");
        assert_eq!(
            told["offered"],
            told[if version == 0 { "said" } else { "offered" }],
            "{told}"
        );
        let after = pair.near.connection("peer").unwrap();
        assert_eq!(after["ikev2"]["answer"], answer, "{after}");
        let part = "/children/0/inbound_spi";
        assert_eq!(after.pointer(part), before.pointer(part), "{after}");
        let events = pair.near.causeway(&["events", "peer"]).unwrap();
        assert!(events.contains("ikev2-tried"), "{events}");
        pair.carries();
        pair.only_esp();
    }
}

/// Closed when nothing passes, by either kind of datapath, and up again with the next packet.
#[test]
fn ikev1_is_closed_while_idle_and_back_with_a_packet() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let pair = started(VERSION_1, (kind, First::Near), |tunnel| Tunnel {
            idle: Some(3),
            ..tunnel
        });
        pair.wait();
        for _ in 0..2 {
            let status = pair.near.wait_for("peer", "down").unwrap();
            assert_eq!(status["outage"]["reason"], "idle", "{status}");
            let ping = Ping::start(
                &pair.sites.a.host,
                pair.sites.b.host_address,
                Duration::from_millis(20),
            )
            .unwrap();
            ping.wait_for(10, SOON).unwrap();
            let answers = ping.finish();
            assert!(answers.longest_silence < Duration::from_secs(3), "{answers:?}");
            pair.near.wait_for("peer", "up").unwrap();
        }
        pair.only_esp();
    }
}

/// By main mode, and by aggressive mode.
#[test]
fn ikev1_crosses_a_nat() {
    for (kind, aggressive) in [
        (Kind::Causeway, false),
        (Kind::StrongSwan, false),
        (Kind::StrongSwan, true),
    ] {
        let run = Run::new().unwrap();
        let sites = Sites::with_nat(&run).unwrap();
        let (near, mut far) = tunnels(&sites);
        far.remote = "203.0.113.1".parse().unwrap();
        let both = [near, far].map(|tunnel| Tunnel {
            aggressive,
            ..tunnel.version_1(VERSION_1)
        });
        let pair = Pair::start(run, sites, both.into(), (kind, First::Near));
        let status = pair.wait();
        assert_eq!(status["ike"]["nat_local"], true, "{status}");
        assert_eq!(status["children"][0]["encapsulation"], "udp", "{status}");
        pair.carries();
        pair.only_esp();
    }
}

/// Both prove who they are by signatures of RSA, with an intermediate certificate between, in fragments; whoever begins, and with each
/// hash that is signed.
#[test]
fn ikev1_signs_whoever_begins() {
    for (suite, causeway_starts) in [
        (VERSION_1, true),
        (VERSION_1, false),
        (AZURE, true),
        (CUSTOM, false),
    ] {
        let credentials = Issuers::with(Key::Rsa2048).unwrap().credentials();
        let peers = begun(credentials, causeway_starts, |a, b| {
            (*a, *b) = (a.clone().version_1(suite), b.clone().version_1(suite));
        });
        peers.carries();
        let log = peers.far.log();
        assert!(
            log.contains("authentication of 'CN=gw-a' with RSA_EMSA_PKCS1_NULL successful"),
            "{log}"
        );
        // With two certificates the proofs of both sides are too long for one packet.
        for fragments in ["splitting IKE message", "received fragment #"] {
            assert!(log.contains(fragments), "{fragments}: {log}");
        }
        let keys = peers.key("peer");
        assert_eq!(keys["signed"], 1, "{keys}");
        let status = peers.near.connection("peer").unwrap();
        assert_eq!(status["ike"]["remote_identity"], "CN=gw-b", "{status}");
    }
}

/// What is not believed is told with the same words as for IKEv2, and no tunnel comes up.
#[test]
fn ikev1_refuses_who_cannot_be_believed() {
    for ours in [true, false] {
        let issuers = Issuers::with(Key::Rsa2048).unwrap();
        let [mut near, mut far] = issuers.credentials();
        let another = Issuers::with(Key::Rsa2048).unwrap().root;
        let side = if ours { &mut near } else { &mut far };
        side.roots = vec![another];
        let peers = peers([near, far], |a, b| {
            (*a, *b) = (a.clone().version_1(VERSION_1), b.clone().version_1(VERSION_1));
        });
        let reason = if ours {
            "certificate-untrusted"
        } else {
            "authentication-failed"
        };
        peers.is_down_because(reason);
    }
}
