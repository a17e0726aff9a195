//! A Causeway gateway and one of strongSwan for which FRR or BIRD speaks BGP through the tunnel, as most scenarios about
//! BGP begin.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;
use system_tests::lab::capture::Capture;
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::frr::Frr;
use system_tests::peer::router::{Router, Standing};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Bgp, Datapath, Tunnel};

pub(crate) const NEAR_ASN: u32 = 65010;
pub(crate) const FAR_ASN: u32 = 65020;
pub(crate) const EVERY: Duration = Duration::from_millis(20);

/// Which implementation speaks for strongSwan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
}

/// What speaks for strongSwan.
pub(crate) enum Speaker {
    Bird(Bird),
    Frr(Frr),
}

/// A gateway of strongSwan with somebody who speaks for it. Fields are dropped in this order.
pub(crate) struct Branch {
    pub(crate) speaker: Speaker,
    _ipsec: StrongSwan,
    /// The far end, which is Causeway's.
    pub(crate) remote: IpAddr,
}

/// Two sites with a session between their gateways. Fields are dropped in this order.
pub(crate) struct Peers {
    pub(crate) near: Causeway,
    pub(crate) far: Branch,
    pub(crate) capture: Capture,
    pub(crate) sites: Sites,
    _run: Run,
}

/// A session between link-local addresses as Azure has them, of the number-th tunnel.
pub(crate) fn apipa(number: u8) -> Bgp {
    let end = |last| IpAddr::from(Ipv4Addr::new(169, 254, 20 + number, last));
    Bgp::between([end(2), end(1)], [NEAR_ASN, FAR_ASN])
}

/// The peer's end of a session, and ours.
pub(crate) fn ends(bgp: Bgp) -> [Ipv4Addr; 2] {
    [bgp.remote, bgp.local].map(|end| match end {
        IpAddr::V4(end) => end,
        IpAddr::V6(end) => panic!("{end} is no APIPA address"),
    })
}

/// Both views of the usual tunnel with this session.
pub(crate) fn tunnels(sites: &Sites, bgp: Bgp) -> (Tunnel, Tunnel) {
    (
        Tunnel::between(&sites.a, &sites.b).starting().speaking(bgp),
        Tunnel::between(&sites.b, &sites.a)
            .waiting()
            .speaking(bgp.mirrored()),
    )
}

impl Speaker {
    pub(crate) fn start(kind: Kind, run: &Run, gateway: &Namespace, router: &Router) -> Self {
        match kind {
            Kind::Bird => Self::Bird(Bird::start(run, gateway, router).unwrap()),
            Kind::Frr => Self::Frr(Frr::start(run, gateway, router).unwrap()),
        }
    }

    pub(crate) fn session(&self, remote: IpAddr) -> anyhow::Result<Standing> {
        match self {
            Self::Bird(bird) => bird.session(remote),
            Self::Frr(frr) => frr.session(remote),
        }
    }

    pub(crate) fn announce(&mut self, networks: &[String]) {
        match self {
            Self::Bird(bird) => bird.announce(networks).unwrap(),
            Self::Frr(frr) => frr.announce(networks).unwrap(),
        }
    }

    /// Dies and is there again, while its kernel goes on.
    pub(crate) fn dies(&mut self) {
        match self {
            Self::Bird(bird) => bird.kill().unwrap(),
            Self::Frr(frr) => frr.kill().unwrap(),
        }
    }

    pub(crate) fn returns(&mut self) {
        match self {
            Self::Bird(bird) => bird.restart().unwrap(),
            Self::Frr(frr) => frr.restart().unwrap(),
        }
    }
}

impl Branch {
    /// Starts both in a gateway; the tunnel is begun by the other side.
    pub(crate) fn start(kind: Kind, run: &Run, gateway: &Namespace, tunnel: &Tunnel) -> Self {
        Self::announcing(kind, (run, gateway), tunnel, &tunnel.local_prefixes())
    }

    /// The same, announcing these prefixes.
    pub(crate) fn announcing(
        kind: Kind,
        (run, gateway): (&Run, &Namespace),
        tunnel: &Tunnel,
        networks: &[&str],
    ) -> Self {
        let datapath = Datapath::of_this_run().unwrap();
        let ipsec = StrongSwan::start(run, gateway, tunnel, datapath).unwrap();
        let IpAddr::V4(id) = tunnel.local else {
            panic!("{} is no BGP identifier", tunnel.local)
        };
        let router = Router::of(tunnel, id).with(networks);
        let bgp = tunnel.bgp.unwrap();
        Self {
            speaker: Speaker::start(kind, run, gateway, &router),
            _ipsec: ipsec,
            remote: bgp.remote,
        }
    }

    pub(crate) fn session(&self) -> anyhow::Result<Standing> {
        self.speaker.session(self.remote)
    }

    /// Waits until its session is in this state, with so many prefixes let in; how it stands then.
    pub(crate) fn wait_for(&self, state: &str, received: usize) -> Standing {
        wait::until(&format!("the peer to be {state}"), SOON, || {
            let session = self.session()?;
            ensure!(
                session.state == state && session.received == received,
                "{session}"
            );
            Ok(session)
        })
        .unwrap()
    }
}

impl Peers {
    /// The usual tunnel with a session through it, established at both ends, and what is behind each known to the other.
    pub(crate) fn up(kind: Kind, bgp: Bgp) -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (near, far) = tunnels(&sites, bgp);
        let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
        let far = Branch::start(kind, &run, &sites.b.gateway, &far);
        let datapath = Datapath::of_this_run().unwrap();
        let near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
        let peers = Self {
            near,
            far,
            capture,
            sites,
            _run: run,
        };
        peers.established();
        peers
    }

    /// Waits until both ends have each other's prefix in their kernels.
    pub(crate) fn established(&self) {
        established(&self.near, "peer");
        learnt(&self.sites.a.gateway, "10.2.0.0/24", "dev cw-");
        self.far.wait_for("Established", 1);
        learnt(&self.sites.b.gateway, "10.1.0.0/24", "ipsec0");
    }

    /// Pings pass both ways, and not one is lost.
    pub(crate) fn carries(&self) {
        let (a, b) = (&self.sites.a, &self.sites.b);
        for (from, to) in [(a, b), (b, a)] {
            let ping = Ping::start(&from.host, to.host_address, EVERY).unwrap();
            ping.wait_for(10, SOON).unwrap();
            let answers = ping.finish();
            assert_eq!(answers.lost, 0, "{answers:?}");
        }
    }

    /// Ends the capture: not one packet on the outer link was anything but ESP or IKE.
    pub(crate) fn only_esp(self) {
        let seen = self.capture.finish();
        assert_eq!(seen.unexpected(), 0, "{seen:?}");
        assert!(seen.esp() > 0, "{seen:?}");
    }
}

/// A third gateway, at 198.51.100.2, on a cable of its own to the first, which is 198.51.100.1 there; behind it is
/// another host that answers to the address of the second site's.
pub(crate) fn third(run: &Run, sites: &Sites) -> Namespace {
    let gateway = Namespace::new(run, "gw-c").unwrap();
    let near = End {
        namespace: &sites.a.gateway,
        link: "wan2",
        address: "198.51.100.1/24",
    };
    let far = End {
        namespace: &gateway,
        link: "wan",
        address: "198.51.100.2/24",
    };
    connect(&near, &far).unwrap();
    let host = format!("address add {}/32 dev lo", sites.b.host_address);
    gateway
        .ip(&[&host, "route add default via 198.51.100.1"])
        .unwrap();
    gateway.forward(&["wan"]).unwrap();
    gateway
}

/// Both views of the tunnel to the third gateway, with the session of a second tunnel.
pub(crate) fn third_tunnels(sites: &Sites) -> (Tunnel, Tunnel) {
    let ends = ["198.51.100.1", "198.51.100.2"].map(|text| text.parse().unwrap());
    let [near, far] = ends;
    let spaces = [sites.a.prefix, sites.b.prefix];
    let [ours, theirs] = spaces;
    (
        Tunnel::joining([near, far], [ours, theirs])
            .starting()
            .speaking(apipa(2)),
        Tunnel::joining([far, near], [theirs, ours])
            .waiting()
            .speaking(apipa(2).mirrored()),
    )
}

/// Both views of two tunnels between the gateways, which get a second outer address each, with a session in either.
pub(crate) fn two_tunnels(sites: &Sites) -> ([Tunnel; 2], [Tunnel; 2]) {
    sites.a.gateway.ip(&["addr add 192.0.2.11/24 dev wan"]).unwrap();
    sites.b.gateway.ip(&["addr add 192.0.2.12/24 dev wan"]).unwrap();
    let [near, far] = ["192.0.2.11", "192.0.2.12"].map(|text| text.parse().unwrap());
    let [ours, theirs] = [sites.a.prefix, sites.b.prefix];
    let (near_first, far_first) = tunnels(sites, apipa(1));
    let near_second = Tunnel::joining([near, far], [ours, theirs]).starting();
    let far_second = Tunnel::joining([far, near], [theirs, ours]).waiting();
    (
        [near_first, near_second.speaking(apipa(2))],
        [far_first, far_second.speaking(apipa(2).mirrored())],
    )
}

/// The document of a gateway with a tunnel to the second gateway, `second`, and to the third, `third`.
pub(crate) fn both(second: &Tunnel, third: &Tunnel) -> Document {
    document(&[("third", third), ("second", second)])
}

/// The link of a connection.
pub(crate) fn link(gateway: &Causeway, name: &str) -> String {
    let connection = gateway.wait_for(name, "up").unwrap();
    connection["interface"].as_str().unwrap().to_owned()
}

/// Waits until the session of a connection is established; how it stands then.
pub(crate) fn established(gateway: &Causeway, name: &str) -> Value {
    stands(gateway, name, "established")
}

/// Waits until the session of a connection is in this state; how it stands then.
pub(crate) fn stands(gateway: &Causeway, name: &str, state: &str) -> Value {
    wait::until(&format!("the session of {name} to be {state}"), SOON, || {
        let neighbour = gateway.neighbour(name)?;
        ensure!(neighbour["state"] == state, "{neighbour}");
        Ok(neighbour)
    })
    .unwrap()
}

/// Waits until the kernel of a gateway has a route to a prefix that BGP brought, and that leads there.
pub(crate) fn learnt(gateway: &Namespace, prefix: &str, there: &str) {
    wait::until(&format!("a route to {prefix}"), SOON, || {
        let routes = gateway.run("ip", &["route", "show", prefix])?;
        let found = routes.lines().any(|route| {
            let brought = route.contains("proto bgp") || route.contains("proto bird");
            brought && route.contains(there)
        });
        ensure!(found, "{routes}");
        Ok(())
    })
    .unwrap();
}

/// Waits until the kernel of a gateway has no route to a prefix any more that BGP brought.
pub(crate) fn forgotten(gateway: &Namespace, prefix: &str) {
    wait::until(&format!("no route to {prefix}"), SOON, || {
        let routes = gateway.run("ip", &["route", "show", prefix, "proto", "bgp"])?;
        ensure!(routes.is_empty(), "{routes}");
        Ok(())
    })
    .unwrap();
}
