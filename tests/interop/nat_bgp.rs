//! BGP with a site whose network has the addresses of ours follows the rules of translation.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use system_tests::lab::alike::{Alike, NETWORK, Network};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON};
use system_tests::peer::frr::Frr;
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Bgp, Datapath};

use crate::bgp::{FAR_ASN, NEAR_ASN, established, forgotten, learnt};
use crate::nat::{translating, unaware};

/// Part of the network.
const HALF: &str = "10.0.0.128/25";

/// Pings pass from one network to the other, and not one is lost.
fn carries(from: &Network, to: &Network) {
    let ping = Ping::start(&from.host, to.host_name, Duration::from_millis(20)).unwrap();
    ping.wait_for(10, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
}

/// Each side has 10.0.0.0/24 and is told of the other's by the name that it has for it. What the site takes back is gone here,
/// without a packet in clear text, and comes again; a part of what is translated as a whole is told and not let in.
#[test]
fn routes_of_a_site_with_our_addresses_are_learnt_by_its_name() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let ends: [IpAddr; 2] = ["10.255.0.1", "10.255.0.2"].map(|end| end.parse().unwrap());
    let bgp = Bgp::between(ends, [NEAR_ASN, FAR_ASN]);
    let capture = Capture::start(&hub.gateway, "wan").unwrap();
    let far = unaware(hub, site).speaking(bgp.mirrored());
    let _ipsec = StrongSwan::start(&run, &site.gateway, &far, datapath).unwrap();
    let router = Router::of(&far, "192.0.2.5".parse().unwrap());
    let mut frr = Frr::start(&run, &site.gateway, &router).unwrap();
    let gateway = Causeway::with_store(&run, &hub.gateway, &speaking(&lab.networks, bgp), datapath).unwrap();

    established(&gateway, "s1");
    learnt(&hub.gateway, &site.name, "dev cw-");
    learnt(&site.gateway, &hub.name, "ipsec0");
    let session = frr.session(bgp.local).unwrap();
    assert_eq!(session.received, 1, "by the name and not as it is: {session}");
    carries(hub, site);
    carries(site, hub);

    frr.announce(&[]).unwrap();
    forgotten(&hub.gateway, &site.name);
    let ping = Ping::start(&hub.host, site.host_name, Duration::from_millis(20)).unwrap();
    ping.wait_sent(10, SOON).unwrap();
    frr.announce(&[NETWORK.to_owned()]).unwrap();
    ping.wait_for(10, SOON).unwrap();
    assert!(ping.finish().lost > 0, "nothing led there");
    learnt(&hub.gateway, &site.name, "dev cw-");

    frr.announce(&[NETWORK, HALF].map(str::to_owned)).unwrap();
    wait::until("the part to be told", SOON, || {
        let told = gateway.neighbour("s1")?;
        let partly = &told["partly_translated"][0];
        let is_half = partly["prefix"] == HALF && partly["lies"] == "inside";
        ensure!(is_half && told["partly_translated_count"] == 1, "{told}");
        Ok(())
    })
    .unwrap();
    let routes = hub.gateway.run("ip", &["route", "show", "proto", "bgp"]).unwrap();
    assert!(!routes.contains("/25"), "{routes}");
    carries(site, hub);
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
    assert!(seen.esp() > 0, "{seen:?}");
}

/// The document of a gateway whose rules its session follows; what is behind the site it only learns.
fn speaking(networks: &[Network], bgp: Bgp) -> Document {
    let mut document = translating(networks);
    let json = &mut document.json;
    json["gateway"]["nat_route_translation"] = json!(true);
    json["gateway"]["bgp"] = json!({ "asn": bgp.local_asn, "addresses": [bgp.local] });
    json["sites"]["s1"]["address_space"] = json!([]);
    json["sites"]["s1"]["bgp"] = json!({ "asn": bgp.remote_asn, "address": bgp.remote });
    json["connections"]["s1"]["bgp"] = json!({ "local_address": bgp.local });
    document
}
