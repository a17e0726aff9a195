//! A speaker that starts again while packets flow on (RFC 4724).

use std::time::Duration;

use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::SOON;
use system_tests::peer::strongswan::LINK;
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{EVERY, Kind, Peers, apipa, established, learnt};

/// The peer's speaker dies and is there again: its routes stay, and not a ping is lost.
#[test]
fn the_peer_starts_again_and_loses_no_ping() {
    for kind in [Kind::Bird, Kind::Frr] {
        let mut peers = Peers::up(kind, apipa(1));
        let (a, b) = (&peers.sites.a, &peers.sites.b);
        // FRR takes its own route out of its kernel for 50 ms when it returns; this one stands in, the last but that
        // which keeps the site closed.
        let spare = format!("route add {} dev {LINK} metric 4278190081", a.prefix);
        b.gateway.ip(&[&spare]).unwrap();
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, EVERY).unwrap());
        pings[0].wait_for(10, SOON).unwrap();
        let before = peers.near.neighbour("peer").unwrap()["established_count"].clone();
        peers.far.speaker.dies();
        system_tests::lab::wait::until("the peer to be missed", SOON, || {
            let peer = peers.near.neighbour("peer")?;
            anyhow::ensure!(peer["restarting"] == true, "{peer}");
            Ok(())
        })
        .unwrap();
        learnt(&a.gateway, "10.2.0.0/24", "dev cw-");
        pings[0].wait_for(50, SOON).unwrap();
        peers.far.speaker.returns();
        peers.established();
        let after = established(&peers.near, "peer")["established_count"].clone();
        assert_ne!(after, before);
        let answers = pings.map(|ping| {
            ping.wait_for(20, SOON).unwrap();
            ping.finish()
        });
        let lost = answers.iter().map(|answers| answers.lost).sum::<usize>();
        assert_eq!(lost, 0, "{kind:?}: {answers:?}");
        peers.only_esp();
    }
}

/// As long as the peer may be without our old keys and we without its new ones, on an emulated machine.
const NEW_KEYS: Duration = Duration::from_secs(1);

/// Our daemon dies and is there again: the kernel and the peer keep the routes, and not a ping is lost but for those, all at
/// once, that meet the peer between our old keys, which INITIAL_CONTACT has it drop, and new ones. The user-space datapath
/// dies with the daemon, so this is about the kernel's.
#[test]
fn we_start_again_and_lose_no_more_than_new_keys_cost() {
    if Datapath::of_this_run().unwrap() == Datapath::User {
        eprintln!(
            "SKIPPED we_start_again…: the user-space datapath dies with its daemon; the VM has the other one"
        );
        return;
    }
    for kind in [Kind::Bird, Kind::Frr] {
        let mut peers = Peers::up(kind, apipa(1));
        let (a, b) = (&peers.sites.a, &peers.sites.b);
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, EVERY).unwrap());
        pings[0].wait_for(10, SOON).unwrap();
        peers.near.kill().unwrap();
        pings[0].wait_for(50, SOON).unwrap();
        peers.near.restart().unwrap();
        peers.established();
        for ping in pings {
            ping.wait_for(20, SOON).unwrap();
            let answers = ping.finish();
            let lost = EVERY * u32::try_from(answers.lost).unwrap();
            let at_once = answers.longest_silence + EVERY;
            assert!(lost <= at_once, "{kind:?}: more than one gap: {answers:?}");
            assert!(at_once < NEW_KEYS, "{kind:?}: {answers:?}");
        }
        peers.only_esp();
    }
}
