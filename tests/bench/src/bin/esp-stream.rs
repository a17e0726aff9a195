//! One TCP stream between hosts behind two gateways, user-space datapath, AES-128-GCM in UDP, negotiated by IKEv2:
//! Causeway at both ends.
//!
//! Against strongSwan's `kernel-libipsec` at both ends, over namespaces laid out alike. Both tunnels are up all the
//! time and the streams take turns, so that whatever else the machine does troubles both. As a ceiling, the same
//! stream over the same namespaces without any tunnel.
//!
//! Arguments: how many turns (5), how many seconds each stream lasts (5).

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use system_bench::{median, print};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::{Ping, stream};
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (turns, seconds) = (number(5)?, Duration::from_secs(number(5)?));
    let runs = [Run::new()?, Run::new()?, Run::new()?];
    let [clear, ours, theirs] = runs.each_ref().map(Sites::new);
    let (clear, ours, theirs) = (clear?, ours?, theirs?);
    let [_, our_run, their_run] = &runs;
    let _causeways = causeways(our_run, &ours)?;
    let _strongswans = strongswans(their_run, &theirs)?;
    let mut rates = [const { Vec::new() }; 3];
    for turn in 1..=turns {
        let mut said = Vec::new();
        for (sites, rates) in [&clear, &ours, &theirs].into_iter().zip(&mut rates) {
            let rate = measure(sites, seconds)?;
            rates.push(rate);
            said.push(rate.to_string());
        }
        print(&format!(
            "turn {turn}: without, ours, peer = {} Mbit/s",
            said.join(", ")
        ));
    }
    let [_, ours, theirs] = rates.map(median);
    let (ours, theirs) = (ours.context("no turns")?, theirs.context("no turns")?);
    let tenths = ours * 10 / theirs.max(1);
    print(&format!(
        "esp-stream ours={ours}Mbit/s peer={theirs}Mbit/s ratio={}.{}",
        tenths / 10,
        tenths % 10
    ));
    Ok(())
}

fn measure(sites: &Sites, time: Duration) -> Result<u128> {
    let to = IpAddr::V4(sites.b.host_address);
    Ok(stream(&sites.a.host, &sites.b.host, to, time)?.megabits())
}

fn causeways(run: &Run, sites: &Sites) -> Result<[Causeway; 2]> {
    let near = Tunnel::between(&sites.a, &sites.b).starting();
    let far = Tunnel::between(&sites.b, &sites.a).waiting();
    let far = Causeway::start(run, &sites.b.gateway, &far, Datapath::User)?;
    let near = Causeway::start(run, &sites.a.gateway, &near, Datapath::User)?;
    near.wait_for("peer", "up")?;
    answer(sites)?;
    Ok([near, far])
}

fn strongswans(run: &Run, sites: &Sites) -> Result<[StrongSwan; 2]> {
    let (near, far) = (
        Tunnel::between(&sites.a, &sites.b),
        Tunnel::between(&sites.b, &sites.a),
    );
    let far = StrongSwan::start(run, &sites.b.gateway, &far, Datapath::User)?;
    let near = StrongSwan::start(run, &sites.a.gateway, &near, Datapath::User)?;
    near.initiate()?;
    answer(sites)?;
    Ok([near, far])
}

fn answer(sites: &Sites) -> Result<()> {
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(100))?;
    ping.wait_for(2, SOON)
}
