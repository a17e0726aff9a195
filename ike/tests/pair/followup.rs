//! Key exchanges besides the first in rekeys of both kinds (RFC 9370 §2.2.4).

use std::collections::BTreeSet;
use std::time::Duration;

use ike::crypto::Group;
use ike::wire::registry::exchange;

use crate::network::Network;
use crate::rekey::{child, ike, settle, spis};
use crate::situation::Rekey;
use crate::{Pair, Site, connection};

const FURTHER: [Group; 2] = [Group::MlKem768, Group::Ecp256];

/// An established pair whose nonces depend on the seed, and which does three key exchanges at each rekey.
fn established(seed: u64) -> Pair {
    let mut pair = Pair::new();
    pair.east = Site::new("192.0.2.1", 3000 + seed);
    pair.west = Site::new("192.0.2.2", 4000 + seed);
    let (mut east, mut west) = (
        connection("192.0.2.1", "192.0.2.2"),
        connection("192.0.2.2", "192.0.2.1"),
    );
    for side in [&mut east, &mut west] {
        let further: Vec<_> = FURTHER.iter().map(|group| vec![*group]).collect();
        side.ike_proposals[0].additional.clone_from(&further);
        side.esp_proposals[0].groups = vec![Group::X25519];
        side.esp_proposals[0].additional = further;
    }
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", east)]);
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

/// The messages of one kind since the packet with this number, each once however often it was sent.
fn messages(pair: &Pair, since: usize, kind: u8) -> usize {
    let sent = pair.network.history.iter().skip(since);
    let sent = sent.filter(|packet| packet.bytes[18] == kind);
    let messages = sent.map(|packet| (packet.source, packet.bytes[..24].to_vec()));
    messages
        .map(|(source, header)| (source, header[17..].to_vec(), header[..16].to_vec()))
        .collect::<BTreeSet<_>>()
        .len()
}

#[test]
fn every_rekey_does_all_key_exchanges() {
    let rekeys: [(Rekey, &str); 2] = [(child, "child"), (ike, "ike")];
    for (rekey, what) in rekeys {
        for from_east in [true, false] {
            let mut pair = established(1);
            let before = (spis(&pair.east), pair.east.child().inbound.spi);
            let since = pair.network.history.len();
            rekey(&mut pair, from_east);
            pair.run_until_quiet();
            pair.assert_kept();
            assert_eq!(messages(&pair, since, exchange::CREATE_CHILD_SA), 2, "{what}");
            assert_eq!(messages(&pair, since, exchange::IKE_FOLLOWUP_KE), 4, "{what}");
            let after = (spis(&pair.east), pair.east.child().inbound.spi);
            assert_eq!(before.0 == after.0, what == "child");
            assert_eq!(before.1 == after.1, what == "ike");
            let standing = pair.west.standing();
            let algorithms = match what {
                "child" => standing.children[0].algorithms.clone(),
                _ => standing.ike.unwrap().algorithms,
            };
            assert!(
                algorithms.ends_with("X25519/KE1_ML_KEM_768/KE2_ECP_256"),
                "{algorithms}"
            );
        }
    }
}

#[test]
fn any_one_lost_packet_is_made_up_for() {
    let rekeys: [Rekey; 2] = [child, ike];
    for rekey in rekeys {
        let mut lost = 0;
        loop {
            let mut pair = established(2);
            let since = pair.network.history.len();
            pair.network.loses = Some(since + lost);
            rekey(&mut pair, lost % 2 == 0);
            pair.run_until_quiet();
            pair.assert_kept();
            if since + lost >= pair.network.history.len() {
                break;
            }
            lost += 1;
        }
        assert!(lost > 8, "{lost}");
    }
}

/// Both sides rekey the same at once, and the other's request comes at every stage of their own.
#[test]
fn simultaneous_rekeys_leave_one_of_each() {
    let pairs: [[Rekey; 2]; 4] = [[child, child], [ike, ike], [child, ike], [ike, child]];
    for seed in 0..5 {
        for [first, second] in pairs {
            for delay in [0, 5, 12, 25, 35, 45, 55, 65, 80] {
                let mut pair = established(seed);
                first(&mut pair, true);
                pair.run_for(Duration::from_millis(delay));
                second(&mut pair, false);
                pair.run_for(Duration::from_secs(150));
                pair.assert_kept();
            }
        }
    }
}

#[test]
fn any_lost_packet_of_a_collision_is_made_up_for() {
    let pairs: [[Rekey; 2]; 2] = [[child, child], [ike, ike]];
    for lost in 0..16 {
        for seed in 0..2 {
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

#[test]
fn random_rekeys_on_a_bad_network_leave_one_of_each() {
    for seed in 0..16_u64 {
        let mut pair = established(seed);
        pair.network = Network::bad(seed);
        let mut fate = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..30 {
            fate = fate
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (what, wait) = ((fate >> 33) % 6, (fate >> 40) % 2000);
            match what {
                0 | 1 => child(&mut pair, what == 0),
                2 | 3 => ike(&mut pair, what == 2),
                4 => {
                    child(&mut pair, true);
                    child(&mut pair, false);
                }
                _ => {
                    ike(&mut pair, true);
                    ike(&mut pair, false);
                }
            }
            pair.run_for(Duration::from_millis(wait));
        }
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(240));
        settle(&mut pair);
        pair.assert_up();
        assert_eq!(spis(&pair.east), spis(&pair.west), "seed {seed}");
    }
}
