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
pub(crate) struct Traffic(Vec<Ping>);

impl Traffic {
    /// Begins to send between the first addresses of the hosts, or also between the second ones.
    pub(crate) fn start(sites: &Sites, second_too: bool) -> Result<Self> {
        let (a, b) = (&sites.a, &sites.b);
        let mut ways = vec![(a, b.host_address), (b, a.host_address)];
        if second_too {
            ways.extend([(a, b.second_address), (b, a.second_address)]);
        }
        let pings = ways.iter().map(|(from, to)| Ping::start(&from.host, *to, EVERY));
        pings.collect::<Result<_>>().map(Self)
    }

    /// Waits until it flows all ways.
    pub(crate) fn flows(&self) -> Result<()> {
        for (way, ping) in self.0.iter().enumerate() {
            ping.wait_for(ENOUGH, SOON)
                .with_context(|| format!("traffic number {way}"))?;
        }
        Ok(())
    }

    /// Waits until some was sent, answered or not.
    pub(crate) fn tries(&self) -> Result<()> {
        self.0.iter().try_for_each(|ping| ping.wait_sent(ENOUGH, SOON))
    }

    /// Ends it and tells what became of it, all ways together.
    pub(crate) fn finish(self) -> Result<Answers> {
        let ends = self
            .0
            .into_iter()
            .map(|ping| std::thread::spawn(move || ping.finish()));
        let ends: Vec<_> = ends.collect();
        let mut sum = Answers {
            sent: 0,
            lost: 0,
            longest_silence: Duration::ZERO,
        };
        for end in ends {
            let one = end.join().map_err(|_| anyhow!("a ping panicked"))?;
            sum.sent += one.sent;
            sum.lost += one.lost;
            sum.longest_silence = sum.longest_silence.max(one.longest_silence);
        }
        Ok(sum)
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
