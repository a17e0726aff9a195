//! Key exchanges besides the first, in IKE_INTERMEDIATE (RFC 9242, RFC 9370).

use std::collections::BTreeSet;
use std::time::Duration;

use ike::crypto::Group;
use ike::wire::registry::exchange;
use ike::{Connection, Extension, Input, Limits, Reason, Settings, Side, Stage};

use crate::network::{Network, Packet};
use crate::{Pair, connection, name};

/// Both offer and want these exchanges after the first.
fn with_additional(additional: &[Group]) -> impl Fn(&mut Connection, &mut Connection) {
    let additional: Vec<Vec<Group>> = additional.iter().map(|group| vec![*group]).collect();
    move |east, west| {
        for side in [east, west] {
            side.ike_proposals[0].additional = additional.clone();
        }
    }
}

const THREE: [Group; 3] = [Group::MlKem768, Group::Ecp384, Group::MlKem1024];

fn algorithms(pair: &Pair) -> [String; 2] {
    [&pair.east, &pair.west].map(|site| site.standing().ike.unwrap().algorithms)
}

fn is(packet: &Packet, kind: u8) -> bool {
    packet.bytes[18] == kind
}

#[test]
fn each_exchange_takes_its_turn_and_status_names_it() {
    for count in 0..=3 {
        let mut pair = Pair::with(with_additional(&THREE[..count]));
        pair.run_until_quiet();
        pair.assert_up();
        let sent = pair.network.history.iter();
        let sent = sent.filter(|packet| is(packet, exchange::IKE_INTERMEDIATE));
        let messages: BTreeSet<_> = sent.map(|packet| packet.bytes[17..24].to_vec()).collect();
        assert_eq!(messages.len(), 2 * count);
        let all = "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519/KE1_ML_KEM_768/KE2_ECP_384/KE3_ML_KEM_1024";
        let expected = all.split('/').take(3 + count).collect::<Vec<_>>().join("/");
        assert_eq!(algorithms(&pair), [expected.clone(), expected]);
        let extensions = pair.east.standing().ike.unwrap().extensions;
        assert!(extensions.contains(&Extension::Intermediate));
        pair.tell_east(Input::Connect(name("to-west")));
        pair.run_for(Duration::from_secs(100));
        pair.assert_kept();
    }
}

/// Any one packet of the whole way to the tunnel is lost.
#[test]
fn any_one_packet_may_be_lost() {
    let mut lost = 1;
    loop {
        let mut pair = Pair::with(with_additional(&THREE));
        pair.network.loses = Some(lost);
        pair.run_until_quiet();
        pair.assert_up();
        if lost >= pair.network.history.len() {
            break;
        }
        lost += 1;
    }
    assert!(lost > 9);
}

#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    for seed in 0..40 {
        let mut pair = Pair::with(with_additional(&THREE));
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(60));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(120));
        pair.assert_up();
    }
}

/// A cookie, another group, additional key exchanges and fragments, all in one attempt, and each packet lost once.
#[test]
fn all_extensions_go_together() {
    let mut lost = 1;
    loop {
        let mut pair = Pair::new();
        let (mut east, mut west) = (
            connection("192.0.2.1", "192.0.2.2"),
            connection("192.0.2.2", "192.0.2.1"),
        );
        with_additional(&[Group::Ecp384, Group::MlKem1024])(&mut east, &mut west);
        east.ike_proposals[0].groups = vec![Group::X25519, Group::Ecp256];
        west.ike_proposals[0].groups = vec![Group::Ecp256];
        west.mode = ike::Mode::ResponderOnly;
        let limits = Limits {
            cookie_threshold: 0,
            ..Limits::default()
        };
        let connections = [(name("to-east"), west)].into();
        pair.tell_west(Input::Settings(Box::new(Settings {
            connections,
            limits,
            ..Settings::default()
        })));
        pair.configure_east([("to-west", east)]);
        pair.network.loses = Some(lost);
        pair.run_until_quiet();
        pair.assert_up();
        assert_eq!(
            algorithms(&pair)[0],
            "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256/KE1_ECP_384/KE2_ML_KEM_1024"
        );
        let init = pair
            .network
            .history
            .iter()
            .filter(|packet| is(packet, exchange::IKE_SA_INIT));
        assert!(init.count() >= 6, "first, cookie, group");
        let fragments = pair
            .network
            .history
            .iter()
            .filter(|packet| packet.bytes[16] == 53);
        assert!(
            fragments.count() >= 4,
            "ML-KEM-1024 is longer than a packet, both ways"
        );
        if lost >= pair.network.history.len() {
            break;
        }
        lost += 1;
    }
}

/// The peer wants no more than one exchange: what is offered without more is taken, or nothing.
#[test]
fn exchanges_are_left_out_only_where_that_is_offered() {
    let offers = |also_plain: bool| {
        move |east: &mut Connection, _: &mut Connection| {
            let plain = east.ike_proposals[0].clone();
            east.ike_proposals[0].additional = vec![vec![Group::Ecp384]];
            east.ike_proposals.extend(also_plain.then_some(plain));
        }
    };
    let mut pair = Pair::with(offers(true));
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(algorithms(&pair)[1], "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519");
    for ours in [true, false] {
        let mut pair = Pair::with(|east, west| {
            if ours {
                offers(false)(east, west)
            } else {
                offers(false)(west, east)
            }
        });
        pair.run_until_quiet();
        let outage = pair.east.outage();
        assert_eq!(
            (outage.reason, outage.side),
            (Reason::IkeProposalMismatch, Side::Peer)
        );
        let outage = pair.west.outage();
        assert_eq!(outage.reason, Reason::IkeProposalMismatch);
        let with = if ours { outage.offered } else { outage.expected };
        assert!(with.ends_with("X25519/KE1_ECP_384"), "{with}");
    }
}

/// Whoever has come as far as IKE_INTERMEDIATE is still half-open, and not for longer than others.
#[test]
fn the_bound_on_half_open_holds_through_all_exchanges() {
    let mut pair = Pair::with(with_additional(&THREE));
    pair.run_for(Duration::from_millis(45));
    assert!(
        pair.network
            .history
            .iter()
            .any(|packet| is(packet, exchange::IKE_INTERMEDIATE))
    );
    pair.network.cut = true;
    assert_eq!(pair.west.snapshot().half_open, 1);
    pair.run_for(Limits::default().half_open_timeout);
    assert_eq!(pair.west.snapshot().half_open, 0);
}

#[test]
fn a_peer_that_falls_silent_between_the_exchanges_is_told_as_such() {
    let mut pair = Pair::with(with_additional(&THREE));
    pair.run_for(Duration::from_millis(45));
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(15));
    let outage = pair.east.outage();
    assert_eq!(
        (outage.reason, outage.stage, outage.stage.word()),
        (Reason::PeerSilent, Stage::IkeIntermediate, "ike-intermediate")
    );
}

/// Both start at once with additional exchanges: one IKE SA is left.
#[test]
fn simultaneous_initiation_leaves_one_child() {
    Pair::settle_on_one(|mut connection| {
        connection.ike_proposals[0].additional = vec![vec![Group::Ecp256]];
        connection
    });
}
