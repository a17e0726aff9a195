//! From a host behind a gateway that knows IKEv1 alone to one behind a gateway of IKEv2, with ours between them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::{Ping, stream};
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::VERSION_1;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// What passes the tunnels of ours, in octets; those of both peers take more.
const NARROW: u16 = 1300;

/// Fields are dropped in this order.
struct Transit {
    _ours: Causeway,
    _newer: Causeway,
    _older: StrongSwan,
    sites: Sites,
    _run: Run,
    /// IPv6 inside.
    six: bool,
}

/// An old strongSwan before site a and a Causeway before site b, and ours between, on which both have a tunnel that is up, with
/// IPv4 or IPv6 inside.
fn transit(six: bool) -> Transit {
    let run = Run::new().unwrap();
    let sites = Sites::with_nat(&run).unwrap();
    let hub = sites.middle.as_ref().unwrap();
    hub.nft("delete table ip hide").unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (a, b) = (&sites.a, &sites.b);
    let ends = ["192.0.2.254", "203.0.113.1"].map(|address| address.parse().unwrap());
    let prefix = |site: &Site| if six { site.six_prefix } else { site.prefix };
    let inside = [prefix(a), prefix(b)];
    let outside = [prefix(b), prefix(a)];
    let old = Tunnel::joining([ends[0], a.outer], outside).version_1(VERSION_1);
    let new = Tunnel::joining([ends[1], b.outer], inside);
    let mut between = document(&[("old", &old.waiting()), ("new", &new.waiting())]);
    between.json["gateway"]["address_space"] = json!(["10.9.0.0/24"]);
    for name in ["old", "new"] {
        between.json["connections"][name]["mtu"] = json!(NARROW);
        between.json["connections"][name]["tcp_mss"] = json!(NARROW - 40);
    }
    let ours = Causeway::with_document(&run, hub, &between, datapath).unwrap();
    let far = Tunnel::joining([b.outer, ends[1]], outside).starting();
    let newer = Causeway::start(&run, &b.gateway, &far, datapath).unwrap();
    let near = Tunnel::joining([a.outer, ends[0]], inside)
        .version_1(VERSION_1)
        .starting();
    let older = StrongSwan::start(&run, &a.gateway, &near, datapath).unwrap();
    older.initiate().unwrap();
    for name in ["old", "new"] {
        ours.wait_for(name, "up").unwrap();
    }
    Transit {
        _ours: ours,
        _newer: newer,
        _older: older,
        sites,
        _run: run,
        six,
    }
}

impl Transit {
    /// Both ways, from and to.
    fn ways(&self) -> [(&Site, &Site); 2] {
        [(&self.sites.a, &self.sites.b), (&self.sites.b, &self.sites.a)]
    }

    fn address(&self, site: &Site) -> IpAddr {
        if self.six {
            site.six_address.into()
        } else {
            site.host_address.into()
        }
    }

    /// One ping of so many octets of IP that nobody may divide.
    fn whole(&self, from: &Site, to: &Site, octets: u16) -> Result<String> {
        let headers = if self.six { 48 } else { 28 };
        let (size, address) = ((octets - headers).to_string(), self.address(to).to_string());
        from.host
            .run("ping", &["-M", "do", "-c", "1", "-W", "1", "-s", &size, &address])
    }

    /// How many octets of IP a host takes for what reaches another one whole, if it has learnt that.
    fn known(&self, from: &Site, to: &Site) -> Result<String> {
        from.host
            .run("ip", &["route", "get", &self.address(to).to_string()])
    }

    /// Datagrams that are too long for the path, until one has arrived; Linux divides them itself once it knows how long they may be.
    fn datagrams(&self, from: &Site, to: &Site) {
        let socket = |site: &Site| {
            let _inside = site.host.enter().unwrap();
            UdpSocket::bind((self.address(site), 0)).unwrap()
        };
        let (receiver, sender) = (socket(to), socket(from));
        receiver
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let port = receiver.local_addr().unwrap().port();
        let target = SocketAddr::new(self.address(to), port);
        wait::until("a long datagram", SOON, || {
            sender.send_to(&[7; 1330], target)?;
            let mut octets = [0; 2000];
            let length = receiver.recv(&mut octets)?;
            ensure!(length == 1330, "{length} octets came");
            Ok(())
        })
        .unwrap();
    }

    /// Neither host knows any more how long its packets may be; who knows that tells it by TCP.
    fn forget(&self) {
        for (site, _) in self.ways() {
            for version in ["-4", "-6"] {
                site.host
                    .run("ip", &[version, "route", "flush", "cache"])
                    .unwrap();
            }
        }
    }
}

/// Pings and TCP, whoever begins.
#[test]
fn ikev1_and_ikev2_sites_reach_each_other_through_ours() {
    let transit = transit(false);
    for (from, to) in transit.ways() {
        let ping = Ping::start(&from.host, to.host_address, Duration::from_millis(20)).unwrap();
        ping.wait_for(20, SOON).unwrap();
        assert_eq!(ping.finish().lost, 0);
        let carried = stream(
            &from.host,
            &to.host,
            to.host_address.into(),
            Duration::from_millis(500),
        )
        .unwrap();
        assert!(carried.bytes > 100_000, "{carried:?}");
    }
}

/// What is too long for the second tunnel is answered through the first, whose selectors know no address of ours: hosts behind both sites
/// learn how long their packets may be, and both TCP without a bound on its segments and UDP go on.
#[test]
fn hosts_behind_both_sites_learn_the_path_mtu() {
    for six in [false, true] {
        let transit = transit(six);
        let hub = transit.sites.middle.as_ref().unwrap();
        for (from, to) in transit.ways() {
            transit.whole(from, to, NARROW).unwrap();
            assert!(!transit.known(from, to).unwrap().contains("mtu"));
            let mtu = format!("mtu {NARROW}");
            wait::until(&mtu, SOON, || {
                let said = transit.whole(from, to, 1360);
                let known = transit.known(from, to)?;
                ensure!(known.contains(&mtu), "{known}, ping: {said:?}");
                Ok(())
            })
            .unwrap();
            transit.whole(from, to, NARROW).unwrap();
            transit.forget();
            transit.datagrams(from, to);
            assert!(transit.known(from, to).unwrap().contains(&mtu));
            transit.forget();
            // Without it, TCP has to learn the same as all others.
            hub.nft("flush chain inet causeway clamp").unwrap();
            let (time, address) = (Duration::from_millis(500), transit.address(to));
            let carried = stream(&from.host, &to.host, address, time).unwrap();
            assert!(carried.bytes > 100_000, "{carried:?}");
            assert!(
                transit.known(from, to).unwrap().contains(&mtu),
                "TCP never sent too much"
            );
        }
    }
}
