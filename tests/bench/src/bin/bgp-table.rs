//! A full table of BGP: 1,000,000 IPv4 prefixes come in by one neighbour and go out to a second. Wall time from the
//! first octet of the feed until the second has every prefix; processor time of the speaker until then and until it has
//! nothing more to do, from `/proc`; the most memory that it had.
//!
//! `bgp::Speaker` in a host of one thread beside BIRD 2 and FRR's `bgpd`, each in turn, with the same octets from the
//! same small neighbours over plain TCP. To be beaten: every figure of BIRD.
//!
//! Arguments: how many prefixes (1000000), how many rounds (3).

use anyhow::Result;
use system_bench::print;
use system_bench::table::{Daemon, Feed, Rounds, Scene, host};

fn main() -> Result<()> {
    if host()? {
        return Ok(());
    }
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u32| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (prefixes, rounds) = (number(1_000_000)?, number(3)?);
    let feed = Feed::new(prefixes);
    let (updates, sets) = feed.shape();
    print(&format!(
        "{prefixes} prefixes in {updates} UPDATEs with {sets} sets of attributes"
    ));
    let mut table = Rounds::new("bgp-table", &[Daemon::Ours, Daemon::Bird, Daemon::Frr]);
    for _ in 0..rounds {
        table.turn(|daemon| Scene::new(daemon, 1)?.announce(&feed))?;
    }
    table.print()
}
