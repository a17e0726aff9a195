//! What one engine with many connections costs: memory for each established IKE SA with its Child SA, and processor
//! time for each handshake, each rekey, and each idle minute, as curves over the number of connections.
//!
//! In memory and in virtual time: the hub is one engine, its peers another; only the hub is measured. All connections
//! come up; then the hub replaces every Child SA within one minute, then every IKE SA, then ten minutes pass. Memory is
//! what the C heap holds, of Rust and of AWS-LC, with the allocator's overhead. To be reached: 4 KiB for each connection.
//!
//! Then whole processes: causewayd with a connection for each of 1,000 sites, and strongSwan with one for all, which both
//! answer handshakes of the same load over UDP. Memory is what the process shares with no file. That of ours counts what
//! each connection is configured with too, against a daemon that has hardly any.
//!
//! Arguments: the numbers of connections (100 1000 10000); or `processes` and how many sites (1000), for the second part
//! alone.

use std::time::Duration;

use anyhow::{Context, Result};
use ike::crypto::Group;
use system_bench::handshake::{Plan, Responder, Scene};
use system_bench::print;
use system_bench::scale::{Hub, held};

const USUAL: [u16; 3] = [100, 1_000, 10_000];
const SITES: u16 = 1_000;
/// So many handshakes come before what counts, and pay for what is made once in the life of a process.
const WARM_UP: u16 = 16;

/// What a responder spent on so many sites.
struct Spent {
    /// Octets before any site of those that count, and with all of them.
    memory: (u64, u64),
    time: Duration,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("processes", sites)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        let sites = sites.first().map_or(Ok(SITES), |sites| sites.parse());
        return processes(sites.context("sites")?);
    }
    curves(&arguments)?;
    processes(SITES)
}

fn curves(arguments: &[String]) -> Result<()> {
    let numbers: Vec<u16> = arguments
        .iter()
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

/// Both responders with so many IKE SAs, and what one takes: of what is up beside what is only configured, and, as
/// causewayd is configured with each site by itself, with that as well.
fn processes(sites: u16) -> Result<()> {
    let few = responder(Responder::Causeway, 0)?;
    let ours = responder(Responder::Causeway, sites)?;
    let theirs = responder(Responder::StrongSwan, sites)?;
    let each = |before: u64, after: u64| after.saturating_sub(before) / u64::from(sites);
    let configured = each(few.memory.1, ours.memory.1);
    let (up, peer) = (
        each(ours.memory.0, ours.memory.1),
        each(theirs.memory.0, theirs.memory.1),
    );
    let (few, all) = (few.memory.1 / 1024, ours.memory.1 / 1024);
    print(&format!(
        "ike-scale/process n={sites} hardly-any={few}KiB all={all}KiB"
    ));
    compare("memory-with-configuration", configured, peer, "B");
    compare("memory", up, peer, "B");
    let micros = |spent: &Spent| u64::try_from((spent.time / u32::from(sites)).as_micros());
    compare("cpu", micros(&ours)?, micros(&theirs)?, "µs");
    Ok(())
}

fn compare(what: &str, ours: u64, peer: u64, unit: &str) {
    let ratio = ours as f64 / peer as f64;
    print(&format!(
        "ike-scale/{what} ours={ours}{unit} peer={peer}{unit} ratio={ratio:.2}"
    ));
}

/// What so many sites cost a fresh responder beyond the first few.
fn responder(responder: Responder, sites: u16) -> Result<Spent> {
    let mut scene = Scene::new(responder, &Plan::of(sites + WARM_UP, Group::X25519))?;
    let early = scene.handshakes(WARM_UP.into())?;
    let before = scene.memory()?.anonymous;
    let late = scene.handshakes(sites.into())?;
    Ok(Spent {
        memory: (before, scene.memory()?.anonymous),
        time: late - early,
    })
}
