//! A neighbour that every best path of 1,000,000 IPv4 prefixes leads to goes away, where four others have a path to each
//! of them. Processor time of the speaker until all best paths have moved and one more neighbour was told so, and until
//! it has nothing more to do; wall time until then; the most memory that it had.
//!
//! `bgp::Speaker` in a host of one thread beside BIRD 2, each in turn, with the same octets from the same small
//! neighbours over plain TCP. To be beaten: two seconds of processor time.
//!
//! Arguments: how many prefixes (1000000), how many rounds (3), how many other paths (4).

use anyhow::Result;
use system_bench::table::{Daemon, Feed, Rounds, Scene, host};

fn main() -> Result<()> {
    if host()? {
        return Ok(());
    }
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u32| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (prefixes, rounds, others) = (number(1_000_000)?, number(3)?, number(4)?);
    let feed = Feed::new(prefixes);
    let mut withdrawals = Rounds::new("bgp-withdraw", &[Daemon::Ours, Daemon::Bird]);
    for _ in 0..rounds {
        withdrawals.turn(|daemon| {
            let mut scene = Scene::new(daemon, u8::try_from(others + 1)?)?;
            scene.announce(&feed)?;
            scene.withdraw(&feed)
        })?;
    }
    withdrawals.print()
}
