//! Child SAs that have carried what they may.

use std::time::Duration;

use ike::crypto::Group;
use ike::{ChildId, Input, Spent, Volume};

use crate::rekey::{inbound, spis};
use crate::{Pair, Site};

const MOMENT: Duration = Duration::from_millis(200);

fn id(site: &Site) -> ChildId {
    site.standing().children[0].id
}

/// The algorithm of the pair bears 2³⁶ packets and 16 TiB; the soft part lies between eight and nine tenths, on
/// each side elsewhere.
#[test]
fn every_child_has_a_volume() {
    let pair = Pair::established();
    let volumes = [&pair.east, &pair.west].map(|site| site.child().volume);
    for volume in volumes {
        assert_eq!((volume.hard_octets, volume.hard_packets), (1 << 44, 1 << 36));
        assert!((1 << 36) * 4 / 5 <= volume.soft_packets && volume.soft_packets < (1 << 36) / 10 * 9);
    }
    assert_ne!(volumes[0].soft_octets, volumes[1].soft_octets);
}

#[test]
fn a_configured_volume_is_handed_to_the_datapath() {
    let mut pair = Pair::with(|east, _| (east.child_octets, east.child_packets) = (Some(1000), Some(100)));
    pair.run_until_quiet();
    let Volume {
        hard_octets,
        hard_packets,
        ..
    } = pair.east.child().volume;
    assert_eq!((hard_octets, hard_packets), (1000, 100));
}

/// The soft volume replaces the child, whoever started the IKE SA, and nothing is interrupted.
#[test]
fn a_child_is_replaced_when_its_soft_volume_is_spent() {
    for east in [true, false] {
        let mut pair = Pair::established();
        let before = inbound(&pair.east);
        for _ in 0..2 {
            if east {
                pair.tell_east(Input::ChildSpent(id(&pair.east), Spent::Soft));
            } else {
                pair.tell_west(Input::ChildSpent(id(&pair.west), Spent::Soft));
            }
        }
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
        assert_eq!(pair.east.standing().children.len(), 1);
    }
}

/// What is told about a child that is no more changes nothing.
#[test]
fn a_late_notice_of_a_spent_child_changes_nothing() {
    let mut pair = Pair::established();
    let old = id(&pair.east);
    pair.tell_east(Input::ChildSpent(old, Spent::Soft));
    pair.run_for(Duration::from_secs(30));
    let now = inbound(&pair.east);
    pair.tell_east(Input::ChildSpent(old, Spent::Hard));
    pair.tell_east(Input::ChildSpent(ChildId(4711), Spent::Hard));
    pair.run_for(Duration::from_secs(30));
    pair.assert_kept();
    assert_eq!(inbound(&pair.east), now);
}

/// With the hard volume spent a child carries nothing: another one takes its place within a round trip, although it
/// never came to the soft volume.
#[test]
fn a_child_whose_hard_volume_is_spent_is_made_anew() {
    for east in [true, false] {
        let mut pair = Pair::established();
        let (before, sa) = (inbound(&pair.east), spis(&pair.east));
        let spent = if east { id(&pair.east) } else { id(&pair.west) };
        pair.tell(east, Input::ChildSpent(spent, Spent::Hard));
        pair.tell(east, Input::Tick);
        pair.run_for(Duration::from_millis(25));
        assert_ne!(id(&pair.east), spent);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
        assert_eq!(spis(&pair.east), sa);
    }
}

/// When nothing can take its place, because the two sides do not agree about a key exchange for it, the tunnel is made
/// anew: in IKE_AUTH no such exchange is needed.
#[test]
fn a_child_whose_hard_volume_is_spent_and_that_cannot_be_replaced_takes_all_along() {
    let mut pair = Pair::with(|east, west| {
        east.esp_proposals[0].groups = vec![Group::Ecp256];
        west.esp_proposals[0].groups = vec![Group::X25519];
    });
    pair.run_until_quiet();
    let sa = spis(&pair.east);
    pair.tell_east(Input::ChildSpent(id(&pair.east), Spent::Hard));
    pair.run_for(Duration::from_secs(20));
    pair.assert_up();
    assert_ne!(spis(&pair.east), sa);
}
