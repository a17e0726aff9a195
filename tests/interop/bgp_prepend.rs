//! Traffic that moves between tunnels because a path looks longer.

use serde_json::json;
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{
    Branch, EVERY, Kind, apipa, both, established, learnt, link, third, third_tunnels, tunnels, two_tunnels,
};

/// The same with our own system three times more on what comes in (`import`) or goes out (`export`) by one tunnel.
fn prepended(document: &Document, direction: &str, name: &str) -> Document {
    let mut document = document.clone();
    let longer = json!({ "terms": [{ "set": { "prepend": 3 }, "then": "accept" }], "default": "accept" });
    document.json["route_policies"] = json!({ "longer": longer });
    document.json["connections"][name]["bgp"][direction] = json!("longer");
    document
}

/// Waits until traffic to this prefix leaves by this link alone.
fn leaves_by(gateway: &Namespace, prefix: &str, link: &str) {
    learnt(gateway, prefix, &format!("dev {link}"));
    wait::until("one way alone", SOON, || {
        let routes = gateway.run("ip", &["route", "show", prefix, "proto", "bgp"])?;
        anyhow::ensure!(routes.matches("dev ").count() == 1, "{routes}");
        Ok(())
    })
    .unwrap();
}

/// FRR and BIRD announce one prefix from two gateways of the same system: what a policy makes longer is left for the
/// other, and taken again when it is as short; pings go on throughout.
#[test]
fn prepending_on_import_moves_traffic_and_back() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let third = third(&run, &sites);
    let (near, far) = tunnels(&sites, apipa(1));
    let (near_third, far_third) = third_tunnels(&sites);
    let _frr = Branch::start(Kind::Frr, &run, &sites.b.gateway, &far);
    let _bird = Branch::start(Kind::Bird, &run, &third, &far_third);
    let document = both(&near, &near_third);
    let (by_third, by_second) = (
        prepended(&document, "import", "second"),
        prepended(&document, "import", "third"),
    );
    let near = Causeway::with_document(&run, &sites.a.gateway, &by_second, datapath).unwrap();
    for name in ["second", "third"] {
        established(&near, name);
    }
    let links = ["second", "third"].map(|name| link(&near, name));
    leaves_by(&sites.a.gateway, "10.2.0.0/24", &links[0]);
    let ping = Ping::start(&sites.a.host, sites.b.host_address, EVERY).unwrap();
    ping.wait_for(10, SOON).unwrap();
    for (document, link) in [(&by_third, &links[1]), (&by_second, &links[0])] {
        near.reload(document).unwrap();
        leaves_by(&sites.a.gateway, "10.2.0.0/24", link);
        ping.wait_for(20, SOON).unwrap();
    }
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
}

/// Two tunnels between two of ours: the one over which we announce a longer path is left by the other side's traffic.
#[test]
fn prepending_on_export_moves_the_traffic_of_the_peer_and_back() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = two_tunnels(&sites);
    let near = document(&[("first", &near[0]), ("second", &near[1])]);
    let far = document(&[("first", &far[0]), ("second", &far[1])]);
    let (by_first, by_second) = (
        prepended(&near, "export", "second"),
        prepended(&near, "export", "first"),
    );
    let far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::with_document(&run, &sites.a.gateway, &by_first, datapath).unwrap();
    for name in ["first", "second"] {
        established(&near, name);
        established(&far, name);
    }
    let links = ["first", "second"].map(|name| link(&far, name));
    leaves_by(&sites.b.gateway, "10.1.0.0/24", &links[0]);
    let ping = Ping::start(&sites.b.host, sites.a.host_address, EVERY).unwrap();
    ping.wait_for(10, SOON).unwrap();
    for (document, link) in [(&by_second, &links[1]), (&by_first, &links[0])] {
        near.reload(document).unwrap();
        leaves_by(&sites.b.gateway, "10.1.0.0/24", link);
        ping.wait_for(20, SOON).unwrap();
    }
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
}
