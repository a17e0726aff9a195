//! Both sides change the same SA at once (RFC 7296 §2.8.1, §2.8.2, §2.25).

use std::time::Duration;

use ike::{ConnectionState, Input};

use crate::network::{Network, Packet};
use crate::rekey::{child, ike, inbound, settle, spis};
use crate::{Pair, Site, connection, name};

/// Replaces a child or an IKE SA, from east or from west.
type Rekey = fn(&mut Pair, bool);

const BOTH: [Rekey; 2] = [child, ike];
const MOMENT: Duration = Duration::from_millis(300);

/// An established pair whose nonces depend on the seed.
fn established(seed: u64) -> Pair {
    let mut pair = Pair::new();
    pair.east = Site::new("192.0.2.1", 1000 + seed);
    pair.west = Site::new("192.0.2.2", 2000 + seed);
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

/// Takes what is under way from west out of the network.
fn hold_west(pair: &mut Pair) -> Vec<Packet> {
    let address = pair.west.address;
    let (held, prompt): (Vec<_>, Vec<_>) = pair
        .network
        .seize()
        .into_iter()
        .partition(|packet| packet.source.ip() == address);
    for packet in prompt {
        pair.network.send(packet, pair.now);
    }
    held
}

fn release(pair: &mut Pair, held: Vec<Packet>) {
    for packet in held {
        pair.network.send(packet, pair.now);
    }
}

#[test]
fn simultaneous_child_rekeys_leave_one_child() {
    for seed in 0..20 {
        let mut pair = established(seed);
        let before = inbound(&pair.east);
        child(&mut pair, true);
        child(&mut pair, false);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
        pair.run_for(Duration::from_secs(300));
        pair.assert_kept();
    }
}

#[test]
fn simultaneous_ike_rekeys_leave_one_ike_sa() {
    for seed in 0..20 {
        let mut pair = established(seed);
        let before = spis(&pair.east);
        ike(&mut pair, true);
        ike(&mut pair, false);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(spis(&pair.east), before);
        pair.run_for(Duration::from_secs(300));
        pair.assert_kept();
        pair.tell_east(Input::Shutdown);
        pair.tell_west(Input::Shutdown);
        pair.run_for(Duration::from_secs(3));
        assert!(
            pair.east.engine.is_idle() && pair.west.engine.is_idle(),
            "an SA was left over"
        );
    }
}

/// The second request is so late that its receiver has finished its own rekey (§2.8.1, §2.8.2).
#[test]
fn a_rekey_that_arrives_after_the_other_is_finished_changes_nothing() {
    for seed in 0..10 {
        for both in BOTH {
            let mut pair = established(seed);
            both(&mut pair, true);
            both(&mut pair, false);
            let late = hold_west(&mut pair);
            assert_eq!(late.len(), 1);
            pair.run_for(MOMENT);
            release(&mut pair, late);
            pair.run_for(Duration::from_secs(2));
            pair.assert_kept();
            pair.run_for(Duration::from_secs(300));
            pair.assert_kept();
        }
    }
}

/// The answers cross with the Deletes that follow from them: the one is held back until the others are through.
#[test]
fn a_late_answer_to_a_simultaneous_rekey_changes_nothing() {
    for seed in 0..20 {
        for both in BOTH {
            let mut pair = established(seed);
            both(&mut pair, true);
            both(&mut pair, false);
            pair.run_for(Duration::from_millis(15));
            let late = hold_west(&mut pair);
            assert_eq!(late.len(), 1);
            pair.run_for(Duration::from_millis(100));
            release(&mut pair, late);
            pair.run_for(Duration::from_secs(100));
            pair.assert_kept();
        }
    }
}

#[test]
fn a_child_rekey_against_an_ike_rekey_makes_both_try_again() {
    for seed in 0..20 {
        let mut pair = established(seed);
        let (before, sa) = (inbound(&pair.east), spis(&pair.east));
        child(&mut pair, seed % 2 == 0);
        ike(&mut pair, seed % 2 != 0);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_eq!(
            (inbound(&pair.east), spis(&pair.east)),
            (before, sa),
            "both were refused"
        );
        pair.run_for(Duration::from_secs(60));
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
        assert_ne!(spis(&pair.east), sa);
    }
}

/// The old child is being deleted while the peer replaces the IKE SA, and the other way round.
#[test]
fn a_child_deletion_against_an_ike_rekey_does_both() {
    for wait in [5, 15, 25, 35, 45] {
        for (first, second) in [(true, false), (true, true), (false, true)] {
            let mut pair = established(wait);
            let (before, sa) = (inbound(&pair.east), spis(&pair.east));
            child(&mut pair, first);
            pair.run_for(Duration::from_millis(wait));
            ike(&mut pair, second);
            pair.run_for(Duration::from_secs(60));
            pair.assert_kept();
            assert_ne!(inbound(&pair.east), before);
            assert_ne!(spis(&pair.east), sa);
        }
    }
}

/// One side rekeys while the other closes everything.
#[test]
fn a_rekey_against_a_delete_ends_on_both_sides() {
    for wait in [0, 5, 15, 25, 35] {
        for both in BOTH {
            let mut pair = established(wait);
            both(&mut pair, true);
            pair.run_for(Duration::from_millis(wait));
            pair.tell_west(Input::Shutdown);
            pair.run_for(Duration::from_millis(900));
            assert!(pair.west.datapath.is_empty() && pair.east.datapath.is_empty());
            assert_ne!(pair.east.standing().state, ConnectionState::Up);
            pair.run_for(Duration::from_secs(3));
            assert!(pair.west.engine.is_idle());
        }
    }
}

/// One side rekeys and then closes everything before it is answered: what the peer has made by then goes as well.
#[test]
fn a_rekey_that_is_overtaken_by_our_own_shutdown_leaves_nothing() {
    for wait in [0, 5, 15, 25] {
        for both in BOTH {
            let mut pair = established(wait);
            both(&mut pair, true);
            pair.run_for(Duration::from_millis(wait));
            pair.tell_east(Input::Shutdown);
            pair.run_for(Duration::from_millis(900));
            assert!(pair.west.datapath.is_empty() && pair.east.datapath.is_empty());
            assert_ne!(pair.west.standing().state, ConnectionState::Up);
        }
    }
}

/// Both close at once (§2.25.2): nothing is left to wait for.
#[test]
fn crossing_deletes_end_both_sides() {
    let mut pair = established(0);
    pair.tell_east(Input::Shutdown);
    pair.tell_west(Input::Shutdown);
    pair.run_for(Duration::from_millis(100));
    assert!(pair.east.engine.is_idle() && pair.west.engine.is_idle());
}

/// Whichever message of a collision is lost, both sides end with the same.
#[test]
fn any_lost_message_of_a_collision_is_made_up_for() {
    for lost in 0..8 {
        for seed in 0..6 {
            let pairs: [[Rekey; 2]; 4] = [[child, child], [ike, ike], [child, ike], [ike, child]];
            for [first, second] in pairs {
                let mut pair = established(seed);
                pair.network.loses = Some(pair.network.history.len() + lost);
                first(&mut pair, true);
                second(&mut pair, false);
                pair.run_for(Duration::from_secs(150));
                pair.assert_kept();
            }
        }
    }
}

/// Rekeys of both kinds from both sides at random moments on a network that loses, repeats and reorders: once it is
/// calm there is one IKE SA with one child, the same on both sides.
#[test]
fn random_rekeys_on_a_bad_network_leave_one_of_each() {
    for seed in 0..100_u64 {
        let mut pair = established(seed);
        pair.network = Network::bad(seed);
        let mut fate = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..40 {
            fate = fate
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (what, wait) = ((fate >> 33) % 8, (fate >> 40) % 2000);
            match what {
                0 | 1 => child(&mut pair, what == 0),
                2 | 3 => ike(&mut pair, what == 2),
                4 => {
                    child(&mut pair, true);
                    child(&mut pair, false);
                }
                5 => {
                    ike(&mut pair, true);
                    ike(&mut pair, false);
                }
                6 => pair.east.refuses = pair.east.refuses.is_none().then_some("not now"),
                _ => pair.tell_east(Input::Connect(name("to-west"))),
            }
            pair.run_for(Duration::from_millis(wait));
        }
        pair.east.refuses = None;
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(240));
        settle(&mut pair);
        pair.assert_up();
        assert_eq!(spis(&pair.east), spis(&pair.west), "seed {seed}");
    }
}
