//! Networks with the same addresses of IPv6 reach each other through rules of translation.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use system_tests::lab::alike::{Alike, Network, SIX_HOST, SIX_NETWORK};
use system_tests::lab::conversation::{Called, Conversation, datagrams};
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::nat::rule;

/// What the others call our network, and the site's.
const NAMES: [&str; 2] = ["fd64::/64", "fd64:0:0:1::/64"];
/// Their hosts.
const HOST_NAMES: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd64, 0, 0, 0, 0, 0, 0, 0x10),
    Ipv6Addr::new(0xfd64, 0, 0, 1, 0, 0, 0, 0x10),
];

/// Pings, datagrams and a TCP connection come through, and not one packet is lost.
fn reaches(from: &Network, to: &Network, (name, port): (Ipv6Addr, u16)) {
    let ping = Ping::start(&from.host, name, Duration::from_millis(20)).unwrap();
    ping.wait_for(10, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    let called = Called {
        there: SocketAddr::from((SIX_HOST, port)),
        called: SocketAddr::from((name, port)),
    };
    datagrams(&from.host, &to.host, called, 10).unwrap();
    let mut conversation = Conversation::begin(&from.host, &to.host, called).unwrap();
    assert!(conversation.answers(SOON));
}

/// Our network and that of a site are both fd00:10::/64; the tunnel is over IPv4.
#[test]
fn two_networks_with_the_same_addresses_of_ipv6_reach_each_other() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    for network in [hub, site] {
        network.speak_six().unwrap();
    }
    let datapath = Datapath::of_this_run().unwrap();
    let unaware = Tunnel::joining([site.outer, hub.outer], [SIX_NETWORK, NAMES[0]]).waiting();
    let _peer = StrongSwan::start(&run, &site.gateway, &unaware, datapath).unwrap();
    let tunnel = Tunnel::joining([hub.outer, site.outer], [SIX_NETWORK; 2]).starting();
    let mut document = document(&[("s1", &tunnel)]);
    let json = &mut document.json;
    let prefix = |prefix: &str| json!({ "prefix": prefix });
    json["nat_rules"]["ours"] = rule("EgressSnat", prefix(SIX_NETWORK), prefix(NAMES[0]));
    json["nat_rules"]["theirs"] = rule("IngressSnat", prefix(SIX_NETWORK), prefix(NAMES[1]));
    json["connections"]["s1"]["nat"] = json!({ "ingress": ["theirs"], "egress": ["ours"] });
    let gateway = Causeway::with_store(&run, &hub.gateway, &document, datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();
    reaches(hub, site, (HOST_NAMES[1], 7001));
    reaches(site, hub, (HOST_NAMES[0], 7002));
    let status = gateway.status().unwrap();
    assert_eq!(status["nat"]["in_place"], true, "{status}");
}
