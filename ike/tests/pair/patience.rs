//! Datapaths that never say whether they carry a child.

use std::time::Duration;

use ike::{Input, Reason};

use crate::Pair;
use crate::rekey::{child, inbound};
use crate::selectors::{assert_carried, configured, line, reseeded};

/// The responder answers in time that it has no child, takes away what it asked for, and starts afresh.
#[test]
fn a_responder_waits_ten_seconds_for_its_datapath() {
    let mut pair = Pair::with(|_, _| ());
    pair.west.hesitates = true;
    pair.run_for(Duration::from_millis(10_500));
    assert_eq!(pair.west.outage().reason, Reason::DatapathRefused);
    assert!(
        pair.west.outage().offered.contains("ten seconds"),
        "{:?}",
        pair.west.outage()
    );
    assert!(pair.west.datapath.is_empty());
    pair.west.hesitates = false;
    pair.run_for(Duration::from_secs(30));
    pair.assert_up();
}

/// So does the initiator, which closes what is of no use.
#[test]
fn an_initiator_waits_ten_seconds_for_its_datapath() {
    let mut pair = Pair::with(|_, _| ());
    pair.east.hesitates = true;
    pair.run_for(Duration::from_millis(10_500));
    assert_eq!(pair.east.outage().reason, Reason::DatapathRefused);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.east.hesitates = false;
    pair.run_for(Duration::from_secs(30));
    pair.assert_up();
}

/// Whichever side's datapath does not carry the new child: the old one stays, and it is tried again.
#[test]
fn a_rekey_waits_ten_seconds_for_the_datapath() {
    for responder in [true, false] {
        let mut pair = Pair::established();
        let before = inbound(&pair.east);
        let hesitates = |pair: &mut Pair, yes| {
            let side = if responder { &mut pair.west } else { &mut pair.east };
            side.hesitates = yes;
        };
        hesitates(&mut pair, true);
        child(&mut pair, true);
        pair.run_for(Duration::from_millis(10_500));
        pair.assert_kept();
        assert_eq!(inbound(&pair.east), before);
        hesitates(&mut pair, false);
        pair.run_for(Duration::from_secs(20));
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
    }
}

/// An IKE SA without a child has 30 seconds to get one; while a datapath has not answered about one, it waits for that.
#[test]
fn a_child_that_the_datapath_still_thinks_about_outlives_the_wait_for_a_child() {
    for responder in [true, false] {
        let mut pair = Pair::with(configured(&[line(0, 0), line(1, 1)]));
        let hesitates = |pair: &mut Pair, yes| {
            let side = if responder { &mut pair.west } else { &mut pair.east };
            side.hesitates = yes;
        };
        hesitates(&mut pair, true);
        pair.run_for(Duration::from_secs(60));
        hesitates(&mut pair, false);
        pair.run_for(Duration::from_secs(60));
        assert_carried(&pair, 2);
    }
}

/// The other side asks for a child in the last of these seconds: what the datapath then thinks about is not left in it.
#[test]
fn a_child_that_the_peer_asks_for_late_is_not_left_behind() {
    for seed in 0..20 {
        let mut pair = reseeded(seed, &[line(0, 0), line(1, 1)]);
        pair.east.hesitates = true;
        for child in pair.east.standing().children {
            pair.tell_east(Input::ChildRefused(child.id, "vanished".into()));
        }
        pair.run_for(Duration::from_secs(60));
        pair.east.hesitates = false;
        pair.run_for(Duration::from_secs(90));
        assert_carried(&pair, 2);
        assert_eq!(pair.east.datapath.len(), 2, "seed {seed}");
    }
}
