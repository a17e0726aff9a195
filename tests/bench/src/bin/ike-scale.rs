//! What one engine with many connections costs: memory for each established IKE SA with its Child SA, and processor
//! time for each handshake, each rekey, and each idle minute, as curves over the number of connections.
//!
//! In memory and in virtual time: the hub is one engine, its peers another; only the hub is measured. All connections
//! come up; then the hub replaces every Child SA within one minute, then every IKE SA, then ten minutes pass. Memory is
//! what the C heap holds, of Rust and of AWS-LC, with the allocator's overhead. To be reached: 4 KiB for each connection.
//!
//! Arguments: the numbers of connections (100 1000 10000).

use anyhow::{Context, Result};
use system_bench::print;
use system_bench::scale::{Hub, held};

const USUAL: [u16; 3] = [100, 1_000, 10_000];

fn main() -> Result<()> {
    let numbers: Vec<u16> = std::env::args()
        .skip(1)
        .map(|number| number.parse())
        .collect::<Result<_, _>>()
        .context("numbers of connections")?;
    let numbers = if numbers.is_empty() {
        USUAL.to_vec()
    } else {
        numbers
    };
    // What a process makes once in its life is none of the first one's business.
    memory(10, true)?;
    for number in numbers {
        let (configured, up) = (memory(number, false)?, memory(number, true)?);
        let mut hub = Hub::new(number);
        let handshake = hub.establish()?;
        let made = hub.newest_child();
        let child = hub.rekey(false)?;
        anyhow::ensure!(
            hub.newest_child() >= made + u64::from(number),
            "not all were replaced"
        );
        let ike = hub.rekey(true)?;
        let idle = hub.idle(10)?;
        let micros = |cost: system_bench::scale::Cost| cost.each().as_nanos() as f64 / 1000.0;
        let after = released(hub) / usize::from(number);
        print(&format!(
            "ike-scale/{number} up={up}B of which configuration={configured}B after-rekeys={after}B \
             handshake={:.0}µs child-rekey={:.0}µs ike-rekey={:.0}µs idle-minute={:.1}µs",
            micros(handshake),
            micros(child),
            micros(ike),
            micros(idle),
        ));
    }
    Ok(())
}

/// What a hub holds for each connection that is only configured, or up.
fn memory(connections: u16, up: bool) -> Result<usize> {
    let mut hub = Hub::new(connections);
    if up {
        hub.establish()?;
    }
    Ok(released(hub) / usize::from(connections))
}

/// How much memory comes free with the hub.
fn released(hub: Hub) -> usize {
    let engine = hub.into_engine();
    let before = held();
    drop(engine);
    before.saturating_sub(held())
}
