//! Hosts behind us share few external addresses by their ports.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use system_tests::lab::alike::{Alike, HOST, NETWORK, Network};
use system_tests::lab::conversation::{Questions, listen};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::nat::{told, translating, unaware};

/// A second host of ours.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
/// What stands for both of them.
const FEW: &str = "100.64.0.8/30";
/// One of its addresses.
const ONE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 9);
/// Where the site's host listens.
const PORT: u16 = 7000;
/// Where both of ours ask from.
const NEAR_PORT: u16 = 6000;

/// The gateway of the first network, which has its hosts share an external prefix by these ports.
fn sharing(networks: &[Network], external: &str, ports: &str) -> Document {
    let mut document = translating(networks);
    document.json["nat_rules"]["ours"] = json!({ "type": "Dynamic", "mode": "EgressSnat",
        "internal": { "prefix": NETWORK }, "external": { "prefix": external, "ports": [ports] } });
    document
}

/// Counts what comes to a host: by TCP and UDP from the few addresses and their ports, pings from those, and all else.
fn count(host: &Namespace) {
    let script = format!(
        "table ip seen {{
            counter by_tcp {{ }}
            counter by_udp {{ }}
            counter by_ping {{ }}
            counter other {{ }}
            chain input {{
                type filter hook input priority 0;
                ip saddr {FEW} tcp sport 2000-2999 counter name by_tcp accept
                ip saddr {FEW} udp sport 2000-2999 counter name by_udp accept
                ip saddr {FEW} icmp type echo-request counter name by_ping accept
                counter name other
            }}
        }}"
    );
    host.nft(&script).unwrap();
}

/// What one of those counted.
fn seen(host: &Namespace, counter: &str) -> u64 {
    let listing = host
        .run("nft", &["--json", "list", "counter", "ip", "seen", counter])
        .unwrap();
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let counters = listing["nftables"].as_array().unwrap();
    let mut packets = counters
        .iter()
        .filter_map(|item| item["counter"]["packets"].as_u64());
    packets.next().unwrap()
}

/// How many packets the rule dropped that nobody had asked for.
fn refused(gateway: &Causeway) -> u64 {
    told(gateway, "ours").unwrap()["packets_refused"]
        .as_u64()
        .unwrap()
}

/// Waits until more than so many are told.
fn wait_for_refused(gateway: &Causeway, before: u64) {
    wait::until("refused packets to be told", SOON, || {
        let now = refused(gateway);
        ensure!(now > before, "{now}, as before");
        Ok(())
    })
    .unwrap();
}

/// Two hosts of ours ask a host of a site at the same time and from the same port, by TCP and by UDP, and ping it. It sees
/// them by the external addresses and ports of the rule only. What begins there comes to nobody, neither by a port that is in use nor
/// otherwise, and is counted.
#[test]
fn two_hosts_share_external_addresses_and_nobody_begins_there() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    hub.host
        .ip(&[&format!("address add {OTHER}/24 dev eth0")])
        .unwrap();
    count(&site.host);
    let datapath = Datapath::of_this_run().unwrap();
    let _peer = StrongSwan::start(&run, &site.gateway, &unaware(hub, site), datapath).unwrap();
    let document = sharing(&lab.networks, FEW, "2000-2999");
    let gateway = Causeway::with_store(&run, &hub.gateway, &document, datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();

    listen(&site.host, SocketAddr::from((HOST, PORT)), "site", 2).unwrap();
    let far = SocketAddr::from((site.host_name, PORT));
    let mut asking = [HOST, OTHER]
        .map(|near| Questions::begin(&hub.host, [SocketAddr::from((near, NEAR_PORT)), far]).unwrap());
    let first = asking.each_mut().map(|questions| questions.heard_from().unwrap());
    let [[one_tcp, one_udp], [other_tcp, other_udp]] = first;
    assert!(one_tcp != other_tcp && one_udp != other_udp, "{first:?}");
    let again = asking.each_mut().map(|questions| questions.heard_from().unwrap());
    assert_eq!(first, again, "flows stay as they are");
    let ping = Ping::start(&hub.host, site.host_name, Duration::from_millis(20)).unwrap();
    ping.wait_for(10, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    for counter in ["by_tcp", "by_udp", "by_ping"] {
        assert!(seen(&site.host, counter) > 0, "{counter}");
    }
    assert_eq!(seen(&site.host, "other"), 0, "by other addresses or ports");

    assert_eq!(refused(&gateway), 0);
    let ping = Ping::start(&site.host, ONE, Duration::from_millis(20)).unwrap();
    ping.wait_sent(5, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, answers.sent, "{answers:?}");
    wait_for_refused(&gateway, 4);
    let before = refused(&gateway);
    let knocking = {
        let _inside = site.host.enter().unwrap();
        UdpSocket::bind((HOST, 9)).unwrap()
    };
    knocking.send_to(b"knock", one_udp).unwrap();
    wait_for_refused(&gateway, before);
    let last = asking.each_mut().map(|questions| questions.heard_from().unwrap());
    assert_eq!(first, last, "whoever asked goes on");
}

/// A rule with two ports: the third connection does not come about and the two go on. The event and status tell it.
#[test]
fn a_rule_without_a_free_port_tells_so_and_flows_go_on() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let _peer = StrongSwan::start(&run, &site.gateway, &unaware(hub, site), datapath).unwrap();
    let document = sharing(&lab.networks, "100.64.0.9/32", "4000-4001");
    let gateway = Causeway::with_store(&run, &hub.gateway, &document, datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();

    // All to one port: flows to others may share the two.
    listen(&site.host, SocketAddr::from((HOST, PORT)), "site", 3).unwrap();
    let begin = |near: u16| {
        let ends = [(HOST, near), (site.host_name, PORT)].map(SocketAddr::from);
        Questions::begin(&hub.host, ends)
    };
    let mut open = [begin(6001).unwrap(), begin(6002).unwrap()];
    let heard = open.each_mut().map(|questions| questions.heard_from().unwrap());
    let mut ports = heard.map(|[by_tcp, _]| by_tcp.to_string());
    ports.sort();
    assert_eq!(ports, ["100.64.0.9:4000", "100.64.0.9:4001"]);
    wait::until("the event", SOON, || {
        ensure!(begin(6003).is_err(), "a third connection");
        let log = gateway.log();
        let said = "nat-ports-exhausted: 2 of 2 ports of 100.64.0.9/32 are in use";
        ensure!(log.contains(said), "{log}");
        Ok(())
    })
    .unwrap();
    let rule = told(&gateway, "ours").unwrap();
    assert_eq!(
        (&rule["ports_in_use"], &rule["ports"]),
        (&json!(2), &json!(2)),
        "{rule}"
    );
    let status = gateway.status().unwrap();
    let refused = status["nat"]["flows_refused"].as_u64().context("no number");
    assert!(refused.unwrap() > 0, "{status}");
    let again = open.each_mut().map(|questions| questions.heard_from().unwrap());
    assert_eq!(heard, again, "the two go on");
}
