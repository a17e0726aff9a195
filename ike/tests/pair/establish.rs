//! What two engines agree on, and why they do not.

use std::time::Duration;

use ike::crypto::{Encryption, Group, Integrity, Prf};
use ike::{
    Authentication, ConnectionState, Encapsulation, EspProposal, Event, Identity, IkeProposal, Mode, Outage,
    Reason, Side, Stage, TrafficSelector,
};

use crate::{Pair, connection, name};

pub(crate) fn ike(
    encryption: Encryption,
    integrity: Option<Integrity>,
    prf: Prf,
    groups: &[Group],
) -> Vec<IkeProposal> {
    vec![IkeProposal {
        encryption,
        integrity,
        prf,
        groups: groups.to_vec(),
        additional: Vec::new(),
    }]
}

pub(crate) fn gcm(groups: &[Group]) -> Vec<IkeProposal> {
    ike(Encryption::AesGcm16(128), None, Prf::HmacSha2_256, groups)
}

pub(crate) fn esp(encryption: Encryption, integrity: Option<Integrity>) -> Vec<EspProposal> {
    vec![EspProposal {
        encryption,
        integrity,
        extended_sequence_numbers: false,
        groups: Vec::new(),
        additional: Vec::new(),
    }]
}

fn network(text: &str) -> Vec<TrafficSelector> {
    vec![TrafficSelector::network(text.parse().unwrap())]
}

fn why(outage: &Outage) -> (Reason, Side, Stage) {
    (outage.reason, outage.side, outage.stage)
}

/// Two exchanges, and both datapaths carry the same child.
#[test]
fn a_connection_comes_up() {
    let pair = Pair::established();
    assert_eq!(pair.network.history.len(), 4);
    let standing = pair.west.standing();
    let ike = standing.ike.unwrap();
    assert_eq!((standing.state, standing.outage), (ConnectionState::Up, None));
    assert_eq!(ike.algorithms, "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519");
    assert_eq!(
        ike.remote_identity,
        Some(Identity::Address("192.0.2.1".parse().unwrap()))
    );
    assert_eq!(standing.children[0].algorithms, "AES_GCM_16_128/ESN");
    assert_eq!(pair.east.child().encapsulation, Encapsulation::None);
    assert_eq!(pair.west.events, [Event::Up(name("to-east"))]);
    assert_eq!(
        (pair.west.snapshot().half_open, pair.west.snapshot().drops.len()),
        (0, 0)
    );
}

/// The initiator guessed a group that the responder does not allow: INVALID_KE_PAYLOAD names another (§1.2).
#[test]
fn a_wrong_guess_of_the_group_costs_one_round_trip() {
    let mut pair = Pair::with(|east, _| east.ike_proposals = gcm(&[Group::Ecp384, Group::X25519]));
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.network.history.len(), 6);
}

/// Anyone may have sent NO_PROPOSAL_CHOSEN: the attempt goes on, but status tells both sides why (§2.21.1).
#[test]
fn without_a_common_ike_proposal_both_say_so() {
    let mut pair = Pair::with(|east, _| {
        east.ike_proposals = ike(
            Encryption::AesGcm16(256),
            None,
            Prf::HmacSha2_384,
            &[Group::Ecp384],
        );
    });
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.east.standing().state, ConnectionState::Connecting);
    let (offered, expected) = (
        "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384",
        "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519",
    );
    let outage = pair.east.outage();
    assert_eq!(
        why(&outage),
        (Reason::IkeProposalMismatch, Side::Peer, Stage::IkeSaInit)
    );
    assert_eq!(outage.offered, offered);
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::IkeProposalMismatch, Side::We, Stage::IkeSaInit)
    );
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        (offered, expected)
    );
    pair.run_for(Duration::from_secs(11));
    assert_eq!(pair.east.standing().state, ConnectionState::Down);
    let downs = |events: &[Event]| {
        events
            .iter()
            .filter(|event| matches!(event, Event::AttemptFailed(..)))
            .count()
    };
    assert_eq!((downs(&pair.east.events), downs(&pair.west.events)), (1, 1));
    assert_eq!(pair.west.snapshot().half_open, 0);
}

#[test]
fn without_a_common_esp_proposal_nothing_stays() {
    let mut pair = Pair::with(|east, _| east.esp_proposals = esp(Encryption::AesGcm16(256), None));
    pair.run_for(Duration::from_millis(900));
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::ChildProposalMismatch, Side::Peer, Stage::IkeAuth)
    );
    assert_eq!(pair.east.outage().offered, "AES_GCM_16_256");
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::ChildProposalMismatch, Side::We, Stage::IkeAuth)
    );
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("AES_GCM_16_256", "AES_GCM_16_128/ESN")
    );
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    assert!(
        pair.east.standing().ike.is_none() && pair.west.standing().ike.is_none(),
        "closed by the initiator"
    );
}

#[test]
fn selectors_are_narrowed_to_what_both_want() {
    let mut pair = Pair::with(|east, west| {
        east.lines[0].local = network("10.1.0.0/16");
        west.lines[0].remote = network("10.1.4.0/24");
        west.lines[0].local = network("10.2.0.0/24");
    });
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.east.child().local_selectors, network("10.1.4.0/24"));
    assert_eq!(pair.east.child().remote_selectors, network("10.2.0.0/24"));
}

#[test]
fn without_common_selectors_both_say_so() {
    let mut pair = Pair::with(|east, west| {
        east.lines[0].local = network("10.1.0.0/16");
        west.lines[0].remote = network("10.9.0.0/16");
    });
    pair.run_for(Duration::from_millis(900));
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::SelectorMismatch, Side::Peer, Stage::IkeAuth)
    );
    let outage = pair.west.outage();
    assert_eq!(why(&outage), (Reason::SelectorMismatch, Side::We, Stage::IkeAuth));
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("0.0.0.0/0 = 10.1.0.0/16", "0.0.0.0/0 = 10.9.0.0/16")
    );
}

#[test]
fn different_secrets_are_found_by_the_responder() {
    let mut pair = Pair::with(|east, _| {
        east.authentication = Authentication::pre_shared_key(b"another secret".to_vec().into());
    });
    pair.run_for(Duration::from_millis(900));
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::AuthenticationFailed, Side::Peer, Stage::IkeAuth)
    );
    assert_eq!(
        why(&pair.west.outage()),
        (Reason::AuthenticationFailed, Side::We, Stage::IkeAuth)
    );
    assert_eq!(pair.west.outage().offered, "192.0.2.1");
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.run_for(Duration::from_secs(60));
    assert!(pair.west.snapshot().half_open < 10, "refused SAs are forgotten");
}

#[test]
fn an_unexpected_identity_is_named_beside_the_expected() {
    let mut pair = Pair::with(|east, _| east.local_identity = Identity::Fqdn("east.example".to_owned()));
    pair.run_for(Duration::from_millis(900));
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::AuthenticationFailed, Side::Peer, Stage::IkeAuth)
    );
    let outage = pair.west.outage();
    assert_eq!(
        why(&outage),
        (Reason::PeerIdentityUnexpected, Side::We, Stage::IkeAuth)
    );
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("east.example", "192.0.2.1")
    );
}

/// Connections between the same addresses are told apart by identity, each with its own secret.
#[test]
fn identity_decides_between_connections_of_the_same_addresses() {
    let mut pair = Pair::new();
    let side = |local: &str, remote: &str, ours: &str, theirs: &str, secret: &str| {
        let mut side = connection(local, remote);
        side.local_identity = Identity::Fqdn(ours.to_owned());
        side.remote_identity = Identity::Fqdn(theirs.to_owned()).into();
        side.authentication = Authentication::pre_shared_key(secret.as_bytes().to_vec().into());
        side.mode = if local == "192.0.2.2" {
            Mode::ResponderOnly
        } else {
            Mode::Default
        };
        side
    };
    let west = |theirs, secret| side("192.0.2.2", "192.0.2.1", "west", theirs, secret);
    let east = |ours, secret| side("192.0.2.1", "192.0.2.2", ours, "west", secret);
    pair.configure_west([("a", west("one", "first")), ("b", west("two", "second"))]);
    pair.configure_east([("x", east("two", "second")), ("y", east("one", "first"))]);
    pair.run_until_quiet();
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
    let connections = pair.west.snapshot().connections;
    let proved = |text| {
        connections[&name(text)]
            .ike
            .as_ref()
            .unwrap()
            .remote_identity
            .clone()
    };
    assert_eq!(proved("a"), Some(Identity::Fqdn("one".to_owned())));
    assert_eq!(proved("b"), Some(Identity::Fqdn("two".to_owned())));
}

/// A peer is never told of an SA that is not there: the answer waits for the datapath.
#[test]
fn the_answer_is_owed_until_the_datapath_carries_the_child() {
    let mut pair = Pair::new();
    pair.west.hesitates = true;
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_secs(2));
    assert!(!pair.east.is_up() && !pair.west.is_up());
    assert_eq!(pair.west.datapath.len(), 1);
    let child = pair.west.waiting.pop().unwrap();
    pair.tell_west(ike::Input::ChildInstalled(child));
    pair.run_until_quiet();
    pair.assert_up();
}

#[test]
fn a_datapath_that_refuses_is_named_on_both_sides() {
    let mut pair = Pair::new();
    pair.west.refuses = Some("state: no such algorithm");
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_millis(900));
    let outage = pair.west.outage();
    assert_eq!(why(&outage), (Reason::DatapathRefused, Side::We, Stage::Datapath));
    assert_eq!(outage.offered, "state: no such algorithm");
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::DatapathRefused, Side::Peer, Stage::IkeAuth)
    );
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.west.refuses = None;
    pair.run_until_quiet();
    pair.assert_up();
}

#[test]
fn an_initiator_whose_datapath_refuses_closes_what_it_opened() {
    let mut pair = Pair::new();
    pair.east.refuses = Some("policy: not permitted");
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_millis(900));
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::DatapathRefused, Side::We, Stage::Datapath)
    );
    assert!(pair.west.datapath.is_empty(), "the Delete took it away");
    assert_eq!(
        why(&pair.west.outage()),
        (Reason::DeletedByPeer, Side::Peer, Stage::Established)
    );
}

#[test]
fn modes_say_who_may_start() {
    let mut pair = Pair::with(|east, west| {
        east.mode = Mode::InitiatorOnly;
        west.mode = Mode::InitiatorOnly;
    });
    pair.run_for(Duration::from_secs(2));
    assert_eq!(
        pair.west.outage().reason,
        Reason::IkeProposalMismatch,
        "what east refused with"
    );
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());

    let mut pair = Pair::with(|east, _| east.mode = Mode::ResponderOnly);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.network.history.is_empty());
    assert_eq!(
        why(&pair.east.outage()),
        (Reason::Configuration, Side::We, Stage::Idle)
    );
}
