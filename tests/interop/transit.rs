//! From a host behind a gateway that knows IKEv1 alone to one behind a gateway of IKEv2, with ours between them.

use std::time::Duration;

use serde_json::json;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::{Ping, stream};
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::VERSION_1;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Pings and TCP, whoever begins.
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
    drop((older, other));
}
