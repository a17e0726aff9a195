//! A flood of first messages from addresses that are not their senders'.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::lab::flood::{Flood, Volume};
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::process::memory;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// It ends before the first half-open exchange is given up after 30 s, so that each message can be accounted for.
const VOLUME: Volume = Volume {
    messages: 100_000,
    rate: 20_000,
    limit: Duration::from_secs(25),
};
/// From so many half-open exchanges on cookies are asked for; whoever shows one may be one more.
const HALF_OPEN: u64 = 32;
/// Its queues hold 512 messages, which is 0.1 MiB; 0.1 to 0.5 MiB were seen.
const GROWTH: u64 = 4 << 20;
const NEWCOMER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// Two sites, and behind the first one's gateway a crowd and somebody honest.
struct Scene {
    near: Causeway,
    _far: Causeway,
    newcomer: StrongSwan,
    sites: Sites,
    crowd: Namespace,
    _run: Run,
}

impl Scene {
    fn new() -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let crowd = beyond(&run, &sites, "crowd", "198.51.100");
        crowd.ip(&["route add blackhole 198.18.0.0/15"]).unwrap();
        let gateway = &sites.a.gateway;
        gateway.ip(&["route add 198.18.0.0/15 via 198.51.100.2"]).unwrap();
        let outskirts = beyond(&run, &sites, "outskirts", "203.0.113");
        outskirts.ip(&["address add 10.3.0.1/24 dev lo"]).unwrap();
        let peer = Tunnel::between(&sites.a, &sites.b).starting();
        let far = Tunnel::between(&sites.b, &sites.a).waiting();
        let waits = Tunnel {
            remote_id: "newcomer.example".to_owned(),
            remote_prefix: "10.3.0.0/24".to_owned(),
            ..peer.clone().waiting()
        };
        let newcomer = Tunnel {
            local: NEWCOMER.into(),
            local_id: waits.remote_id.clone(),
            local_prefix: waits.remote_prefix.clone(),
            ..far.clone().starting()
        };
        let mut document = document(&[("peer", &peer), ("newcomer", &waits)]);
        document.json["sites"]["newcomer"]["endpoint"] = json!("any");
        let far = Causeway::start(&run, &sites.b.gateway, &far, datapath).unwrap();
        let near = Causeway::with_document(&run, gateway, &document, datapath).unwrap();
        let newcomer = StrongSwan::start(&run, &outskirts, &newcomer, datapath).unwrap();
        near.wait_for("peer", "up").unwrap();
        far.wait_for("peer", "up").unwrap();
        Self {
            near,
            _far: far,
            newcomer,
            sites,
            crowd,
            _run: run,
        }
    }

    /// From both hosts to the other one.
    fn pings(&self) -> [Ping; 2] {
        let every = Duration::from_millis(20);
        let (a, b) = (&self.sites.a, &self.sites.b);
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, every).unwrap());
        pings.iter().for_each(|ping| ping.wait_for(20, SOON).unwrap());
        pings
    }

    fn flood(&self) -> Flood {
        let IpAddr::V4(outer) = self.sites.a.outer else {
            panic!("outside it is IPv4")
        };
        let ports = [500, 4500].map(|port| SocketAddrV4::new(outer, port));
        Flood::start(&self.crowd, &ports, VOLUME).unwrap()
    }

    /// Datagrams for which the sockets of the gateway had no room.
    fn overflown(&self) -> Result<u64> {
        let counters = self.sites.a.gateway.run("cat", &["/proc/net/snmp"])?;
        let mut udp = counters.lines().filter(|line| line.starts_with("Udp: "));
        let (names, values) = udp.next().zip(udp.next()).context("no counters of UDP")?;
        let mut both = names.split(' ').zip(values.split(' '));
        let found = both.find(|(name, _)| *name == "RcvbufErrors");
        Ok(found.context("no RcvbufErrors")?.1.parse()?)
    }

    /// What became of the messages of the flood: every one is accounted for.
    fn account(&self, sent: u64) -> Value {
        wait::until("every message to be accounted for", SOON, || {
            let status = self.near.status()?;
            let count = |cause: &str| status["drops"][cause].as_u64().unwrap_or(0);
            let told = count("cookie") + count("overload") + status["half_open"].as_u64().unwrap_or(0);
            let lost = self.overflown()?;
            ensure!(
                told + lost >= sent,
                "{told} told of, {lost} lost in sockets, {sent} sent"
            );
            eprintln!(
                "the flood: {sent} sent, {lost} lost in sockets, {}",
                status["drops"]
            );
            Ok(status)
        })
        .unwrap()
    }
}

/// Another namespace beside the gateway of the first site; its only way leads there.
fn beyond(run: &Run, sites: &Sites, name: &str, network: &str) -> Namespace {
    let namespace = Namespace::new(run, name).unwrap();
    let (own, gateway) = (format!("{network}.2/24"), format!("{network}.1/24"));
    let one = End {
        namespace: &namespace,
        link: "wan",
        address: &own,
    };
    let other = End {
        namespace: &sites.a.gateway,
        link: name,
        address: &gateway,
    };
    connect(&one, &other).unwrap();
    let way = format!("route add default via {network}.1");
    namespace.ip(&[&way]).unwrap();
    namespace
}

/// No packet is lost, the IKE SA of the tunnel is replaced in the midst of it, and somebody honest gets in by cookie.
#[test]
fn a_flood_of_starts_harms_no_tunnel_and_keeps_nobody_out() {
    let scene = Scene::new();
    let near = &scene.near;
    let before = near.connection("peer").unwrap();
    let pings = scene.pings();
    let lean = memory(near.id()).unwrap();
    let flood = scene.flood();
    wait::until("cookies to be asked for", SOON, || {
        let status = near.status()?;
        ensure!(status["drops"]["cookie"].as_u64() > Some(0), "{status}");
        Ok(())
    })
    .unwrap();
    near.rekey("peer", true).unwrap();
    wait::until("the newcomer to get in", VOLUME.limit, || {
        scene.newcomer.initiate()
    })
    .unwrap();
    assert!(scene.newcomer.log().contains("received COOKIE notify"));
    near.wait_for("newcomer", "up").unwrap();
    wait::until("another IKE SA", VOLUME.limit, || {
        let now = near.connection("peer")?;
        ensure!(
            now["ike"]["initiator_spi"] != before["ike"]["initiator_spi"],
            "{now}"
        );
        Ok(())
    })
    .unwrap();
    assert!(
        flood.goes_on(),
        "that took longer than the flood: {} messages",
        flood.sent()
    );
    let mut most = 0;
    wait::until("the end of the flood", SOON, || {
        most = most.max(near.status()?["half_open"].as_u64().unwrap_or(0));
        ensure!(!flood.goes_on(), "{} sent", flood.sent());
        Ok(())
    })
    .unwrap();
    let status = scene.account(flood.finish().unwrap());
    let full = memory(near.id()).unwrap();
    assert!((HALF_OPEN..2 * HALF_OPEN).contains(&most), "{most} half open");
    eprintln!("memory before and after: {lean:?}, {full:?}");
    assert!(full.peak - lean.resident < GROWTH, "{lean:?}, {full:?}");
    let after = &status["connections"]["peer"];
    assert_eq!(after["state"], "up");
    for direction in ["inbound_spi", "outbound_spi"] {
        assert_eq!(after["children"][0][direction], before["children"][0][direction]);
    }
    for ping in pings {
        let answers = ping.finish();
        assert_eq!(answers.lost, 0, "{answers:?}");
    }
}
