use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::control::View;
use crate::derive::Addresses;

/// How long a listener, or a gateway, may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Discard (RFC 863): what is sent there is to make the kernel look for who has the address.
const DISCARD: u16 = 9;
/// The kernel knows the neighbour's hardware address (`ATF_COM` in arp(7)).
const COMPLETE: u32 = 2;

/// How an admin reaches this machine, and what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    /// The generation of the configuration that a start begins with; none where it may be another.
    generation: Option<u32>,
    /// Where the API answers over the network.
    listening: BTreeSet<SocketAddr>,
    /// Interfaces that have an address.
    addressed: BTreeSet<String>,
    /// A default gateway answers.
    gateway: bool,
}

impl Reach {
    /// As it is now.
    pub(super) async fn now(view: &View, addresses: &Addresses) -> Self {
        let mut listening = BTreeSet::new();
        let wanted = view
            .running
            .iter()
            .flat_map(|running| &running.config.system.management.listen);
        for address in wanted {
            if listens(*address).await {
                listening.insert(*address);
            }
        }
        let mut gateway = false;
        for address in default_gateways() {
            gateway = gateway || answers(address).await;
        }
        Self {
            generation: Some(view.startup.unwrap_or(view.generation)),
            listening,
            addressed: addresses.addressed(),
            gateway,
        }
    }

    /// What of this is no longer so, in words.
    pub(super) fn lacking(&self, now: &Self) -> Vec<String> {
        let listening = self.listening.difference(&now.listening);
        let addressed = self.addressed.difference(&now.addressed);
        let mut lacking: Vec<String> = listening
            .map(|address| format!("the API does not answer at {address}"))
            .chain(addressed.map(|name| format!("interface {name} has no address")))
            .collect();
        if self.gateway && !now.gateway {
            lacking.push("no default gateway answers".to_owned());
        }
        if let (Some(then), Some(now)) = (self.generation, now.generation)
            && then != now
        {
            lacking.push(format!(
                "generation {now} of the configuration runs instead of {then}"
            ));
        }
        lacking
    }
}

/// Whether somebody accepts connections there.
async fn listens(mut address: SocketAddr) -> bool {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    matches!(timeout(ANSWER, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// The gateways of IPv4 default routes (proc_pid_net(5), `route`).
fn default_gateways() -> Vec<Ipv4Addr> {
    gateways_in(&fs::read_to_string("/proc/net/route").unwrap_or_default())
}

fn gateways_in(routes: &str) -> Vec<Ipv4Addr> {
    let gateway = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, via) = (fields.next()?, fields.next()?);
        let mask = fields.nth(4)?;
        let via = u32::from_str_radix(via, 16).ok().filter(|via| *via != 0)?;
        // The kernel prints the octets as a number of the machine's own order.
        (to == "00000000" && mask == "00000000").then(|| Ipv4Addr::from(via.to_ne_bytes()))
    };
    routes.lines().skip(1).filter_map(gateway).collect()
}

/// Whether a gateway on a link of ours answers ARP.
async fn answers(gateway: Ipv4Addr) -> bool {
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
        socket.send_to(&[0], (IpAddr::V4(gateway), DISCARD)).await.ok()?;
        while !is_known(&fs::read_to_string("/proc/net/arp").unwrap_or_default(), gateway) {
            sleep(ANSWER / 10).await;
        }
        Some(())
    };
    matches!(timeout(ANSWER, asked).await, Ok(Some(())))
}

fn is_known(table: &str, neighbour: Ipv4Addr) -> bool {
    let flags = |line: &str| {
        let mut fields = line.split_whitespace();
        let address: Ipv4Addr = fields.next()?.parse().ok()?;
        let flags = fields.nth(1)?.strip_prefix("0x")?;
        (address == neighbour).then(|| u32::from_str_radix(flags, 16).ok())?
    };
    table.lines().filter_map(flags).any(|flags| flags & COMPLETE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        eth1\t0000000A\t0102000A\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n";
    const NEIGHBOURS: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
        10.0.2.2         0x1         0x2         52:55:0a:00:02:02     *        eth0\n\
        10.0.2.9         0x1         0x0         00:00:00:00:00:00     *        eth0\n";

    #[test]
    fn gateways_and_neighbours_are_read_as_the_kernel_tells_them() {
        let gateway = Ipv4Addr::new(10, 0, 2, 2);
        assert_eq!(gateways_in(ROUTES), [gateway]);
        assert!(is_known(NEIGHBOURS, gateway));
        assert!(!is_known(NEIGHBOURS, Ipv4Addr::new(10, 0, 2, 9)));
    }

    /// What was not there before is not asked for after.
    #[test]
    fn only_what_was_there_before_is_missed() {
        let before = Reach {
            generation: Some(3),
            listening: [SocketAddr::from(([0, 0, 0, 0], 8443))].into(),
            addressed: ["lan0".to_owned()].into(),
            gateway: true,
        };
        let nothing = Reach {
            generation: Some(1),
            ..Reach::default()
        };
        assert_eq!(before.lacking(&nothing).len(), 4);
        assert_eq!(before.lacking(&before), Vec::<String>::new());
        assert_eq!(Reach::default().lacking(&before), Vec::<String>::new());
        let more = Reach {
            gateway: false,
            ..before.clone()
        };
        assert_eq!(more.lacking(&before), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_listener_of_all_addresses_is_found() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(listens(address).await);
        drop(listener);
        assert!(!listens(address).await);
    }
}
