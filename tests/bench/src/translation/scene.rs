//! A gateway with a network on each side, one of them behind a link that stands for a tunnel.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::traffic::stream_by_name;

use super::rules::{LINK, Named};

/// The host behind the tunnel: its address.
pub const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 31, 0, 10));
/// And what it is called on our side.
pub const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 1, 10));

/// A gateway and its two networks.
pub struct Scene {
    gateway: Namespace,
    host: Namespace,
    site: Namespace,
    _run: Run,
}

impl Scene {
    /// Lays it out with these rules, and no flow.
    ///
    /// # Errors
    /// What `ip` or `nft` says.
    pub fn new(rules: &Named) -> Result<Self> {
        let run = Run::new()?;
        let gateway = Namespace::new(&run, "gw")?;
        let host = Namespace::new(&run, "host")?;
        let site = Namespace::new(&run, "site")?;
        let end = |namespace, link, address| End {
            namespace,
            link,
            address,
        };
        connect(
            &end(&gateway, "lan", "10.0.0.1/24"),
            &end(&host, "lan", "10.0.0.10/24"),
        )?;
        connect(
            &end(&gateway, LINK, "172.31.0.1/24"),
            &end(&site, "lan", "172.31.0.10/24"),
        )?;
        host.ip(&["route add default via 10.0.0.1"])?;
        site.ip(&["route add default via 172.31.0.1"])?;
        gateway.forward(&["lan", LINK])?;
        let routes = format!("route add 100.64.0.0/10 dev {LINK} via 172.31.0.10");
        gateway.ip(&[&routes])?;
        for (mark, link) in &rules.tables {
            let rule = format!("rule add pref 10 fwmark {mark:#x} lookup {mark}");
            let route = format!("route add default via 172.31.0.10 dev {link} table {mark}");
            gateway.ip(&[&rule, &route])?;
        }
        gateway.nft(&rules.script)?;
        // Datagrams to nobody end there, without a word.
        site.nft("table ip quiet {\nchain in { type filter hook input priority filter;\nip protocol udp drop\n}\n}\n")?;
        Ok(Self {
            gateway,
            host,
            site,
            _run: run,
        })
    }

    /// Mbit/s of a TCP stream to the host behind the tunnel.
    ///
    /// # Errors
    /// When it breaks.
    pub fn throughput(&self, time: Duration) -> Result<u128> {
        Ok(stream_by_name(&self.host, &self.site, (INSIDE, OUTSIDE), time)?.megabits())
    }

    /// Begins so many flows, a datagram each, as fast as one processor takes them all the way through; how many a second.
    ///
    /// # Errors
    /// When a datagram cannot be sent.
    pub fn begin(&self, flows: u16) -> Result<u128> {
        let socket = {
            let _inside = self.host.enter()?;
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?
        };
        let begun = Instant::now();
        for port in (1024..=u16::MAX).take(flows.into()) {
            socket.send_to(b"first", SocketAddr::new(OUTSIDE, port))?;
        }
        Ok(u128::from(flows) * 1_000_000 / begun.elapsed().as_micros().max(1))
    }

    /// How many flows the gateway knows.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn flows(&self) -> Result<u32> {
        let text = self
            .gateway
            .run("sysctl", &["-n", "net.netfilter.nf_conntrack_count"])?;
        text.trim().parse().context("no number of flows")
    }
}
