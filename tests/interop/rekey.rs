//! strongSwan replaces the SAs while traffic flows.

use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::pair::{First, Kind, Pair, Rekey};

/// The part of the status changes, and no more is lost than what left on the new SA before strongSwan had it.
fn replaced(pair: &Pair, rekey: Rekey, part: &str) {
    let answers = pair.through(rekey, part);
    assert!(answers.lost <= few(), "{answers:?}");
    pair.carries();
}

/// The emulated machine takes a fifth of a second over what takes a millisecond elsewhere.
fn few() -> usize {
    match Datapath::of_this_run().unwrap() {
        Datapath::User => 1,
        Datapath::Kernel => 10,
    }
}

#[test]
fn strongswan_replaces_the_child_and_the_ike_sa() {
    for first in [First::Near, First::Far] {
        let pair = Pair::up(Kind::StrongSwan, first);
        replaced(&pair, StrongSwan::rekey_child, "/children/0/inbound_spi");
        replaced(&pair, StrongSwan::rekey_ike, "/ike");
        replaced(&pair, StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.only_esp();
    }
}
