//! Networks that all have the same addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::link::{End, connect};
use super::namespace::Namespace;
use super::run::Run;

/// What each of them calls itself.
pub const NETWORK: &str = "10.0.0.0/24";
/// Its host.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
/// What holds the names that all of them have for each other.
pub const NAMES: &str = "100.64.0.0/16";
/// What each of them calls itself over IPv6, after [`Network::speak_six`].
pub const SIX_NETWORK: &str = "fd00:10::/64";
/// Its host.
pub const SIX_HOST: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x10);

/// One of the networks: a host behind a gateway.
pub struct Network {
    /// Behind the gateway.
    pub host: Namespace,
    /// With links `wan` and `lan`.
    pub gateway: Namespace,
    /// Outer address of the gateway.
    pub outer: IpAddr,
    /// What others call it, for example `100.64.1.0/24`.
    pub name: String,
    /// What others call its host.
    pub host_name: Ipv4Addr,
}

/// The networks, the first of which the others have tunnels to. A router is between their gateways, to which their default
/// routes lead, so that without a tunnel packets would leave in clear text.
pub struct Alike {
    /// In order.
    pub networks: Vec<Network>,
    _router: Namespace,
}

impl Alike {
    /// So many networks, of at most 50.
    ///
    /// # Errors
    /// When the lab cannot be built.
    pub fn new(run: &Run, count: u8) -> Result<Self> {
        let router = Namespace::new(run, "router")?;
        let networks = (0..count).map(|number| Network::new(run, &router, number));
        let networks = networks.collect::<Result<_>>()?;
        let links: Vec<String> = (0..count).map(|number| format!("net{number}")).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        router.forward(&links)?;
        Ok(Self {
            networks,
            _router: router,
        })
    }
}

impl Network {
    /// Gives its host and its gateway addresses of IPv6 as well, again the same in every network.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn speak_six(&self) -> Result<()> {
        let host = format!("address add {SIX_HOST}/64 dev eth0 nodad");
        self.host.ip(&[&host, "route add default via fd00:10::1"])?;
        self.gateway.ip(&["address add fd00:10::1/64 dev lan nodad"])
    }

    fn new(run: &Run, router: &Namespace, number: u8) -> Result<Self> {
        let host = Namespace::new(run, &format!("host-{number}"))?;
        let gateway = Namespace::new(run, &format!("gw-{number}"))?;
        connect(
            &End {
                namespace: &host,
                link: "eth0",
                address: &format!("{HOST}/24"),
            },
            &End {
                namespace: &gateway,
                link: "lan",
                address: "10.0.0.1/24",
            },
        )?;
        host.ip(&["route add default via 10.0.0.1"])?;
        let outer = Ipv4Addr::new(192, 0, 2, 4 * number + 1);
        let next = Ipv4Addr::new(192, 0, 2, 4 * number + 2);
        connect(
            &End {
                namespace: &gateway,
                link: "wan",
                address: &format!("{outer}/30"),
            },
            &End {
                namespace: router,
                link: &format!("net{number}"),
                address: &format!("{next}/30"),
            },
        )?;
        gateway.ip(&[&format!("route add default via {next}")])?;
        gateway.forward(&["wan", "lan"])?;
        Ok(Self {
            host,
            gateway,
            outer: outer.into(),
            name: format!("100.64.{number}.0/24"),
            host_name: Ipv4Addr::new(100, 64, number, 10),
        })
    }
}
