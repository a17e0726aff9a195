//! Pings through the tunnel, both ways at once, and what of them the outer link lost.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::{Answers, Ping};
use system_tests::peer::causeway::SOON;

const EVERY: Duration = Duration::from_millis(20);
/// Answers in each direction that show that a tunnel carries.
const ENOUGH: u64 = 15;

/// Drops one of twenty packets that come in from the outer link, and counts the ESP packets among them.
/// Behind the marker of zeros is IKE; a NAT keepalive has no marker, and is not worth a rule.
const LOSSY: &str = "table inet lossy {
  counter lost { }
  chain in {
    type filter hook prerouting priority raw;
    iifname \"wan\" numgen random mod 20 == 0 jump lose
  }
  chain lose {
    meta l4proto esp counter name lost drop
    udp dport 4500 @th,64,32 != 0 counter name lost drop
    udp sport 4500 @th,64,32 != 0 counter name lost drop
    meta l4proto udp drop
  }
}";

/// Traffic that flows until it is finished or dropped.
pub(crate) struct Traffic([Ping; 2]);

impl Traffic {
    /// Begins to send.
    pub(crate) fn start(sites: &Sites) -> Result<Self> {
        let (a, b) = (&sites.a, &sites.b);
        Ok(Self([
            Ping::start(&a.host, b.host_address, EVERY)?,
            Ping::start(&b.host, a.host_address, EVERY)?,
        ]))
    }

    /// Waits until it flows both ways.
    pub(crate) fn flows(&self) -> Result<()> {
        for (ping, way) in self.0.iter().zip(["a to b", "b to a"]) {
            ping.wait_for(ENOUGH, SOON)
                .with_context(|| format!("from host {way}"))?;
        }
        Ok(())
    }

    /// Waits until some was sent, answered or not.
    pub(crate) fn tries(&self) -> Result<()> {
        self.0.iter().try_for_each(|ping| ping.wait_sent(ENOUGH, SOON))
    }

    /// Ends it and tells what became of it, both ways together.
    pub(crate) fn finish(self) -> Result<Answers> {
        let [one, other] = self.0;
        let other = std::thread::spawn(move || other.finish());
        let (one, other) = (
            one.finish(),
            other.join().map_err(|_| anyhow!("a ping panicked"))?,
        );
        Ok(Answers {
            sent: one.sent + other.sent,
            lost: one.lost + other.lost,
            longest_silence: one.longest_silence.max(other.longest_silence),
        })
    }
}

/// Makes the cable between two gateways lossy. Several packets sent as one would be lost, and counted, as one.
pub(crate) fn lose_some(sites: &Sites) -> Result<()> {
    gateways(sites).try_for_each(|gateway| {
        gateway.ip(&["link set wan gso_max_segs 1"])?;
        gateway.nft(LOSSY)
    })
}

/// ESP packets that the outer link lost up to now.
pub(crate) fn lost_outside(sites: &Sites) -> Result<usize> {
    gateways(sites).map(lost_before).sum()
}

fn gateways(sites: &Sites) -> impl Iterator<Item = &Namespace> {
    [&sites.a.gateway, &sites.b.gateway].into_iter()
}

fn lost_before(gateway: &Namespace) -> Result<usize> {
    let told = gateway.run("nft", &["-j", "list", "counters", "table", "inet", "lossy"])?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    let objects = told["nftables"].as_array().context("no objects")?;
    let packets = objects
        .iter()
        .find_map(|object| object["counter"]["packets"].as_u64());
    Ok(usize::try_from(packets.context("no counter")?)?)
}
