//! strongSwan replaces the SAs while traffic flows.

use std::time::Duration;

use serde_json::Value;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::pair::{Far, First, Kind, Pair};

type Rekey = fn(&StrongSwan) -> anyhow::Result<String>;

/// The part of the status changes, and no more is lost than what left on the new SA before strongSwan had it.
fn replaced(pair: &Pair, rekey: Rekey, part: &str) {
    let Far::StrongSwan(peer) = &pair.far else {
        unreachable!("strongSwan stands there")
    };
    let now = || -> anyhow::Result<(Value, usize)> {
        let status = pair.near.connection("peer")?;
        let children = status["children"].as_array().map_or(0, Vec::len);
        Ok((status.pointer(part).cloned().unwrap_or_default(), children))
    };
    let (before, _) = now().unwrap();
    let (a, b) = (&pair.sites.a, &pair.sites.b);
    let ping = Ping::start(&b.host, a.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(10, SOON).unwrap();
    rekey(peer).unwrap();
    wait::until("the rekey to be through", SOON, || {
        let (after, children) = now()?;
        anyhow::ensure!(after != before && children == 1, "{after}, {children} children");
        Ok(())
    })
    .unwrap();
    let answers = ping.finish();
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
