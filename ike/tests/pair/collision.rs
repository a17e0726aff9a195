//! Both sides change the same SA at once, in every way that a seed comes to (RFC 7296 §2.8.1, §2.8.2, §2.25).

use std::time::Duration;

use ike::Input;

use crate::network::Network;
use crate::rekey::{child, ike, settle, spis};
use crate::situation::Rekey;
use crate::{Pair, Site, connection, name};

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
