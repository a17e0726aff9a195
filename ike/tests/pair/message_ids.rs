//! Messages that come again, too late, or under ids that are not awaited (RFC 7296 §2.1, §2.2, §2.3).

use std::time::Duration;

use crate::Pair;
use crate::network::Packet;
use crate::rekey::{child, ike};
use crate::situation::{EAST, MOMENT, WEST, current, situations, situations_that_close, spis};

const SIDES: [bool; 2] = [EAST, WEST];

fn replay(pair: &mut Pair, packets: Vec<Packet>) {
    for packet in packets {
        pair.network.send(packet, pair.now);
        pair.run_for(Duration::from_millis(20));
    }
}

/// Everything that was ever sent arrives once more, in order, when all of it is over.
#[test]
fn every_message_replayed() {
    situations(SIDES, |pair, side| {
        child(pair, side);
        pair.run_for(MOMENT);
        ike(pair, !side);
        pair.run_for(MOMENT);
        child(pair, !side);
        pair.run_for(MOMENT);
        let before = pair
            .calm
            .then(|| (spis(&pair.east), current(&pair.east), current(&pair.west)));
        let history: Vec<_> = pair.network.history.iter().cloned().collect();
        replay(pair, history);
        let after = || (spis(&pair.east), current(&pair.east), current(&pair.west));
        assert!(before.is_none_or(|before| before == after()));
    });
}

/// The same in the middle of the next rekey.
#[test]
fn every_message_replayed_during_a_rekey() {
    situations(
        [
            (child as fn(&mut Pair, bool), EAST),
            (child, WEST),
            (ike, EAST),
            (ike, WEST),
        ],
        |pair, (rekey, side)| {
            rekey(pair, side);
            pair.run_for(MOMENT);
            let history: Vec<_> = pair.network.history.iter().cloned().collect();
            rekey(pair, side);
            for packet in history.iter().rev() {
                pair.network.send(packet.clone(), pair.now);
            }
            pair.run_for(Duration::from_millis(15));
            for packet in history {
                pair.network.send(packet, pair.now);
            }
            pair.run_for(MOMENT);
        },
    );
}

/// The answer arrives when its request was given up, and with it the IKE SA: it belongs to nothing any more.
#[test]
fn an_answer_that_arrives_after_giving_up() {
    let all = [
        (child as fn(&mut Pair, bool), EAST),
        (child, WEST),
        (ike, EAST),
        (ike, WEST),
    ];
    situations_that_close(all, |pair, (rekey, side)| {
        pair.hold(!side);
        rekey(pair, side);
        pair.run_for(Duration::from_secs(12));
        assert!(!pair.calm || pair.side(side).datapath.is_empty());
        pair.release(!side);
        pair.run_for(MOMENT);
    });
}

/// The request is sent again while its answer waits for the datapath: it asks for nothing more.
#[test]
fn a_request_repeated_while_its_answer_is_owed() {
    situations(SIDES, |pair, side| {
        pair.side(!side).hesitates = true;
        child(pair, side);
        pair.run_for(Duration::from_secs(4));
        if pair.calm {
            assert_eq!(pair.side(!side).datapath.len(), 2);
        }
        pair.side(!side).hesitates = false;
        for made in pair.side(!side).waiting.clone() {
            pair.tell(!side, ike::Input::ChildInstalled(made));
        }
        pair.run_for(MOMENT);
    });
}
