//! IKEv1 between two of ours, and with strongSwan.

use std::time::Duration;

use serde_json::json;
use system_tests::lab::pki::Key;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::credentials::Issuers;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::{AZURE, CUSTOM, Suite, VERSION_1, WEAK};
use system_tests::peer::tunnel::Tunnel;

use crate::certificates::peers;
use crate::pair::{First, Kind, Pair, tunnels};

/// A tunnel of IKEv1 that is up.
fn up(suite: Suite, kind: Kind, first: First) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, far) = tunnels(&sites);
    let both = (near.version_1(suite), far.version_1(suite));
    let pair = Pair::start(run, sites, both, (kind, first));
    pair.wait();
    pair
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

/// A peer that knows aggressive mode alone.
#[test]
fn ikev1_carries_by_aggressive_mode() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (near, far) = tunnels(&sites);
        let both = [near, far].map(|tunnel| Tunnel {
            aggressive: true,
            ..tunnel.version_1(VERSION_1)
        });
        let pair = Pair::start(run, sites, both.into(), (kind, First::Near));
        let status = pair.wait();
        let weak = &status["weak"][0];
        let told = (&weak["algorithm"], &weak["in_use"]);
        assert_eq!(told, (&json!("aggressive mode"), &json!(true)), "{status}");
        pair.carries();
        if kind == Kind::StrongSwan {
            pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        }
        pair.only_esp();
    }
}

/// Closed when nothing passes, by either kind of datapath, and up again with the next packet.
#[test]
fn ikev1_is_closed_while_idle_and_back_with_a_packet() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (near, far) = tunnels(&sites);
        let both = [near, far].map(|tunnel| Tunnel {
            idle: Some(3),
            ..tunnel.version_1(VERSION_1)
        });
        let pair = Pair::start(run, sites, both.into(), (kind, First::Near));
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

#[test]
fn ikev1_crosses_a_nat() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let run = Run::new().unwrap();
        let sites = Sites::with_nat(&run).unwrap();
        let (near, mut far) = tunnels(&sites);
        far.remote = "203.0.113.1".parse().unwrap();
        let both = (near.version_1(VERSION_1), far.version_1(VERSION_1));
        let pair = Pair::start(run, sites, both, (kind, First::Near));
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
        let peers = peers(credentials, |a, b| {
            (*a, *b) = (a.clone().version_1(suite), b.clone().version_1(suite));
            a.mode = if causeway_starts {
                "InitiatorOnly"
            } else {
                "ResponderOnly"
            };
        });
        if !causeway_starts {
            peers.far.initiate().unwrap();
        }
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
        wait::until(reason, SOON, || {
            let told = peers.near.connection("peer")?;
            anyhow::ensure!(told["outage"]["reason"] == reason, "{told}");
            Ok(())
        })
        .unwrap();
    }
}
