//! IKEv1: why a connection is down, as both sides tell it.

use std::time::Duration;

use ike::crypto::Encryption;
use ike::{
    Authentication, Event, Identity, Input, Outage, Reason, SelectorLine, Side, Stage, TrafficSelector,
};

use crate::establish::esp;
use crate::name;
use crate::version1::{established, pair_with};

fn why(outage: &Outage) -> (Reason, Side, Stage) {
    (outage.reason, outage.side, outage.stage)
}

fn line(local: &str, remote: &str) -> SelectorLine {
    let network = |text: &str| TrafficSelector::network(text.parse().unwrap());
    SelectorLine::with_tunnel(vec![network(local)], vec![network(remote)])
}

/// A quick mode that is wider than what is configured is refused as a whole: nothing is narrowed.
#[test]
fn other_selectors_are_refused() {
    let mut pair = pair_with(|east, west| {
        east.lines = vec![line("10.1.0.0/16", "10.2.0.0/16")];
        west.lines = vec![line("10.2.0.0/24", "10.1.0.0/24")];
    });
    pair.run_for(Duration::from_millis(900));
    let outage = pair.east.outage();
    assert_eq!(
        why(&outage),
        (Reason::SelectorMismatch, Side::Peer, Stage::QuickMode)
    );
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::SelectorMismatch, Side::We, Stage::QuickMode)
    );
    assert_eq!(outage.offered, "10.2.0.0/16 = 10.1.0.0/16");
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
}

#[test]
fn without_a_common_proposal_both_say_so() {
    let mut pair = pair_with(|east, _| east.ike_proposals[0].encryption = Encryption::AesCbc(128));
    pair.run_for(Duration::from_secs(1));
    let outage = pair.east.outage();
    assert_eq!(
        why(&outage),
        (Reason::IkeProposalMismatch, Side::Peer, Stage::MainMode)
    );
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::IkeProposalMismatch, Side::We, Stage::MainMode)
    );
    assert_eq!(outage.offered, "AES_CBC_128/PRF_HMAC_SHA2_256/ECP_256");
    assert_eq!(outage.expected, "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256");
    assert_eq!(pair.west.snapshot().half_open, 0);
    let mut pair = pair_with(|east, _| east.esp_proposals = esp(Encryption::AesGcm16(256), None));
    pair.run_for(Duration::from_secs(1));
    let outage = pair.east.outage();
    assert_eq!(
        why(&outage),
        (Reason::ChildProposalMismatch, Side::Peer, Stage::QuickMode)
    );
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::ChildProposalMismatch, Side::We, Stage::QuickMode)
    );
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("AES_GCM_16_256", "AES_GCM_16_128")
    );
}

/// With different secrets nobody can read the other's proof; both sides say what that means.
#[test]
fn different_secrets_are_told() {
    let mut pair = pair_with(|east, _| {
        east.authentication = Authentication::pre_shared_key(b"another secret".to_vec().into());
    });
    pair.run_for(Duration::from_secs(2));
    let outage = pair.east.outage();
    assert_eq!(
        why(&outage),
        (Reason::AuthenticationFailed, Side::Peer, Stage::MainMode)
    );
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::AuthenticationFailed, Side::We, Stage::MainMode)
    );
    pair.run_for(Duration::from_secs(40));
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
}

/// Who proves to be somebody else than expected gets no Child SA, on either side.
#[test]
fn an_unexpected_identity_is_refused() {
    for west_expects in [true, false] {
        let other = Identity::Fqdn("other.example".to_owned());
        let mut pair = pair_with(|east, west| {
            let expecting = if west_expects { west } else { east };
            expecting.remote_identity = other.clone().into();
        });
        pair.run_for(Duration::from_millis(900));
        let judge = if west_expects { &pair.west } else { &pair.east };
        let outage = judge.outage();
        assert_eq!(
            why(&outage),
            (Reason::PeerIdentityUnexpected, Side::We, Stage::MainMode)
        );
        assert_eq!(outage.expected, "other.example");
        assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    }
}

/// A peer that falls silent is found dead in time, and tried again.
#[test]
fn a_dead_peer_is_found() {
    let mut pair = established();
    pair.run_for(Duration::from_secs(100));
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(46));
    for site in [&pair.east, &pair.west] {
        let silent =
            |event: &Event| matches!(event, Event::Down(_, outage) if outage.reason == Reason::PeerSilent);
        assert!(site.events.iter().any(silent), "{:?}", site.events);
        assert!(site.datapath.is_empty() && !site.is_up());
    }
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(30));
    pair.assert_up();
}

/// While packets come by the children, nobody asks whether the peer is there.
#[test]
fn traffic_shows_that_the_peer_is_there() {
    let mut pair = established();
    let sent = pair.network.history.len();
    for second in 1..=10 {
        (pair.east.received, pair.west.received) = (Some(second * 100), Some(second * 100));
        pair.run_for(Duration::from_secs(10));
    }
    assert_eq!(pair.network.history.len(), sent);
    pair.assert_up();
}

/// An operator closes a connection: the peer is told, and nothing stays.
#[test]
fn closing_tells_the_peer() {
    let mut pair = established();
    pair.tell_east(Input::Disconnect(name("to-west")));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.east.outage().reason, Reason::DisconnectedByAdmin);
    assert_eq!(
        why(&pair.west.outage()),
        (Reason::DeletedByPeer, Side::Peer, Stage::Established)
    );
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    pair.tell_east(Input::Reset(name("to-west")));
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    pair.tell_east(Input::Shutdown);
    pair.run_for(Duration::from_secs(3));
    assert!(pair.east.engine.is_idle());
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
}

/// The datapath refuses: both sides say so, and it is tried again.
#[test]
fn what_the_datapath_refuses_is_told() {
    for at_east in [true, false] {
        let mut pair = pair_with(|_, _| ());
        let site = if at_east { &mut pair.east } else { &mut pair.west };
        site.refuses = Some("no such algorithm");
        pair.run_for(Duration::from_millis(900));
        let site = if at_east { &mut pair.east } else { &mut pair.west };
        assert_eq!(site.outage().reason, Reason::DatapathRefused);
        site.refuses = None;
        pair.run_for(Duration::from_secs(80));
        pair.assert_up();
    }
}
