//! From a host behind a gateway that knows IKEv1 alone to one behind a gateway of IKEv2, with ours between them.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::{Ping, stream};
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::VERSION_1;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// The MTU of the second tunnel: smaller than that of the first, so that ours between has to say so.
const NARROW: u16 = 1300;
/// IPv4 and ICMP headers.
const HEADERS: u16 = 28;

/// What ping says of one packet of this length that nobody may divide.
fn whole(from: &Namespace, to: &str, length: u16) -> String {
    let data = (length - HEADERS).to_string();
    let mut ping = Command::new("ping");
    ping.args(["-M", "do", "-c", "1", "-W", "5", "-s", &data, to]);
    let said = from.output(&mut ping).unwrap();
    [said.stdout, said.stderr]
        .concat()
        .iter()
        .map(|octet| char::from(*octet))
        .collect()
}

/// Pings, TCP, and packets that are too long: their sender is told how long they may be.
#[test]
fn ikev1_and_ikev2_sites_reach_each_other_through_ours() {
    let run = Run::new().unwrap();
    let sites = Sites::with_nat(&run).unwrap();
    let hub = sites.middle.as_ref().unwrap();
    hub.nft("delete table ip hide").unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (a, b) = (&sites.a, &sites.b);
    let ends = ["192.0.2.254", "203.0.113.1"].map(|address| address.parse().unwrap());
    let old = Tunnel::joining([ends[0], a.outer], [b.prefix, a.prefix]).version_1(VERSION_1);
    let new = Tunnel::joining([ends[1], b.outer], [a.prefix, b.prefix]);
    let mut between = document(&[("old", &old.clone().waiting()), ("new", &new.clone().waiting())]);
    between.json["gateway"]["address_space"] = json!(["10.9.0.0/24"]);
    between.json["connections"]["new"]["mtu"] = json!(NARROW);
    let ours = Causeway::with_document(&run, hub, &between, datapath).unwrap();
    let far = Tunnel::joining([b.outer, ends[1]], [b.prefix, a.prefix]).starting();
    let _far = Causeway::start(&run, &b.gateway, &far, datapath).unwrap();
    let near = Tunnel::joining([a.outer, ends[0]], [a.prefix, b.prefix])
        .version_1(VERSION_1)
        .starting();
    let (mut older, mut other) = (None, None);
    match datapath {
        Datapath::Kernel => {
            let peer = StrongSwan::start(&run, &a.gateway, &near, datapath).unwrap();
            peer.initiate().unwrap();
            older = Some(peer);
        }
        // strongSwan's own datapath takes nothing but what is between the two sites, and so no word of ours.
        Datapath::User => other = Some(Causeway::start(&run, &a.gateway, &near, datapath).unwrap()),
    }
    for name in ["old", "new"] {
        ours.wait_for(name, "up").unwrap();
    }
    for (from, to) in [(a, b), (b, a)] {
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
    let to = b.host_address.to_string();
    let told = whole(&a.host, &to, 1400);
    assert!(
        told.contains(&format!("mtu = {NARROW}")) || told.contains(&format!("mtu={NARROW}")),
        "{told}"
    );
    let fits = whole(&a.host, &to, NARROW);
    assert!(fits.contains("1 received"), "{fits}");
    drop((older, other));
}
