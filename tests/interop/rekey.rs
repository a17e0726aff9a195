//! strongSwan replaces the SAs while traffic flows, and no packet is lost.

use system_tests::peer::strongswan::StrongSwan;

use crate::pair::{First, Kind, Pair};

#[test]
fn strongswan_replaces_the_child_and_the_ike_sa() {
    for first in [First::Near, First::Far] {
        let pair = Pair::up(Kind::StrongSwan, first);
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.through(StrongSwan::rekey_ike, "/ike");
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.only_esp();
    }
}
