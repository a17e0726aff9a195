//! Two sites: a gateway each, a host behind each, and a cable between the gateways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::link::{End, connect};
use super::namespace::Namespace;
use super::run::Run;

/// One of the two sites.
pub struct Site {
    /// Behind the gateway.
    pub host: Namespace,
    /// With links `wan` and `lan`.
    pub gateway: Namespace,
    /// Address of the host.
    pub host_address: Ipv4Addr,
    /// IPv6 address of the host.
    pub six_address: Ipv6Addr,
    /// The network of that one, for example `fd00:1::/64`.
    pub six_prefix: &'static str,
    /// Outer address of the gateway.
    pub outer: IpAddr,
    /// What is behind the gateway, for example `10.1.0.0/24`.
    pub prefix: &'static str,
    /// Another address of the host, from which it speaks to the other host's.
    pub second_address: Ipv4Addr,
    /// The network of that one, for example `10.1.1.0/24`.
    pub second_prefix: &'static str,
}

/// Two sites. Each gateway's default route leads to the other, so that without a tunnel, and
/// without anything that keeps them back, packets between the hosts would pass in clear text.
pub struct Sites {
    /// 10.1.0.0/24 behind 192.0.2.1.
    pub a: Site,
    /// 10.2.0.0/24 behind 192.0.2.2, or 203.0.113.2 when a NAT is between.
    pub b: Site,
    /// Between the gateways, when there is a NAT: links `near` and `far`.
    pub middle: Option<Namespace>,
}

impl Sites {
    /// Both gateways on one cable.
    ///
    /// # Errors
    /// When the lab cannot be built.
    pub fn new(run: &Run) -> Result<Self> {
        let a = Site::new(run, "a", "10.1.0", Ipv4Addr::new(192, 0, 2, 1).into())?;
        let b = Site::new(run, "b", "10.2.0", Ipv4Addr::new(192, 0, 2, 2).into())?;
        connect(&a.wan("192.0.2.1/24"), &b.wan("192.0.2.2/24"))?;
        a.lead_to(b.outer)?;
        b.lead_to(a.outer)?;
        Ok(Self { a, b, middle: None })
    }

    /// Both gateways on one cable, which carries IPv6.
    ///
    /// # Errors
    /// When the lab cannot be built.
    pub fn over_ipv6(run: &Run) -> Result<Self> {
        let a = Site::new(run, "a", "10.1.0", "2001:db8::1".parse()?)?;
        let b = Site::new(run, "b", "10.2.0", "2001:db8::2".parse()?)?;
        connect(&a.wan("2001:db8::1/64"), &b.wan("2001:db8::2/64"))?;
        a.lead_to(b.outer)?;
        b.lead_to(a.outer)?;
        Ok(Self { a, b, middle: None })
    }

    /// A router between the gateways hides the first one's address behind its own, 203.0.113.1.
    ///
    /// # Errors
    /// When the lab cannot be built.
    pub fn with_nat(run: &Run) -> Result<Self> {
        let a = Site::new(run, "a", "10.1.0", Ipv4Addr::new(192, 0, 2, 1).into())?;
        let b = Site::new(run, "b", "10.2.0", Ipv4Addr::new(203, 0, 113, 2).into())?;
        let middle = Namespace::new(run, "middle")?;
        connect(
            &a.wan("192.0.2.1/24"),
            &End {
                namespace: &middle,
                link: "near",
                address: "192.0.2.254/24",
            },
        )?;
        connect(
            &b.wan("203.0.113.2/24"),
            &End {
                namespace: &middle,
                link: "far",
                address: "203.0.113.1/24",
            },
        )?;
        middle.forward(&["near", "far"])?;
        middle.nft(
            "table ip hide {
               chain out {
                 type nat hook postrouting priority 100;
                 oifname \"far\" masquerade
               }
             }",
        )?;
        a.lead_to(Ipv4Addr::new(192, 0, 2, 254).into())?;
        b.lead_to(Ipv4Addr::new(203, 0, 113, 1).into())?;
        Ok(Self {
            a,
            b,
            middle: Some(middle),
        })
    }
}

impl Site {
    fn new(run: &Run, name: &str, network: &str, outer: IpAddr) -> Result<Self> {
        let host = Namespace::new(run, &format!("host-{name}"))?;
        let gateway = Namespace::new(run, &format!("gw-{name}"))?;
        let (inside, near) = (format!("{network}.10/24"), format!("{network}.1/24"));
        connect(
            &End {
                namespace: &host,
                link: "eth0",
                address: &inside,
            },
            &End {
                namespace: &gateway,
                link: "lan",
                address: &near,
            },
        )?;
        let (prefix, second_prefix, second, beyond) = if name == "a" {
            ("10.1.0.0/24", "10.1.1.0/24", "10.1.1", "10.2.1.0/24")
        } else {
            ("10.2.0.0/24", "10.2.1.0/24", "10.2.1", "10.1.1.0/24")
        };
        let (six_prefix, six) = if name == "a" {
            ("fd00:1::/64", "fd00:1::")
        } else {
            ("fd00:2::/64", "fd00:2::")
        };
        gateway.ip(&[
            &format!("address add {second}.1/24 dev lan"),
            &format!("address add {six}1/64 dev lan"),
        ])?;
        host.ip(&[
            &format!("route add default via {network}.1"),
            &format!("address add {second}.10/24 dev eth0"),
            &format!("route add {beyond} via {network}.1 src {second}.10"),
            &format!("address add {six}10/64 dev eth0"),
            &format!("route add default via {six}1"),
        ])?;
        Ok(Self {
            host,
            gateway,
            host_address: format!("{network}.10").parse()?,
            outer,
            prefix,
            six_address: format!("{six}10").parse()?,
            six_prefix,
            second_address: format!("{second}.10").parse()?,
            second_prefix,
        })
    }

    fn wan<'a>(&'a self, address: &'a str) -> End<'a> {
        End {
            namespace: &self.gateway,
            link: "wan",
            address,
        }
    }

    fn lead_to(&self, next: IpAddr) -> Result<()> {
        self.gateway.ip(&[&format!("route add default via {next}")])?;
        if next.is_ipv6() {
            self.gateway
                .ip(&[&format!("route add 0.0.0.0/0 via inet6 {next}")])?;
        }
        self.gateway.forward(&["wan", "lan"])
    }

    /// Whether the host of this site reaches that of another.
    pub fn reaches(&self, other: &Site) -> bool {
        self.host.reaches(IpAddr::V4(other.host_address))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::capture::{Capture, Class};
    use super::super::traffic::{Ping, stream};
    use super::*;

    /// The lab must be able to see a leak, or no test of it means anything.
    #[test]
    fn without_a_tunnel_the_capture_sees_clear_text() {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
        let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(10)).unwrap();
        ping.wait_for(5, Duration::from_secs(5)).unwrap();
        assert_eq!(ping.finish().lost, 0);
        let to = IpAddr::V4(sites.b.host_address);
        let carried = stream(&sites.a.host, &sites.b.host, to, Duration::from_millis(100)).unwrap();
        assert!(carried.megabits() > 1, "{carried:?}");
        let seen = capture.finish();
        assert!(seen.count(Class::Clear) > 10, "{seen:?}");
        assert_eq!(seen.segment_sizes.first(), Some(&1460));
    }

    /// The same where the cable carries IPv6.
    #[test]
    fn without_a_tunnel_both_versions_pass_over_ipv6() {
        let run = Run::new().unwrap();
        let sites = Sites::over_ipv6(&run).unwrap();
        let inner: [IpAddr; 2] = [sites.b.host_address.into(), sites.b.six_address.into()];
        for to in inner {
            let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
            let ping = Ping::start(&sites.a.host, to, Duration::from_millis(10)).unwrap();
            ping.wait_for(5, Duration::from_secs(5)).unwrap();
            assert_eq!(ping.finish().lost, 0);
            let seen = capture.finish();
            assert!(seen.count(Class::Clear) >= 10, "{seen:?}");
        }
    }
}
