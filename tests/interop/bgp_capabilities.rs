//! What two speakers agree on when a session opens, and then really do.

use std::net::IpAddr;

use anyhow::ensure;
use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::router::{Router, Session};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Bgp, Datapath, Tunnel};

use crate::bgp::{FAR_ASN, Kind, NEAR_ASN, Speaker, apipa, established, learnt, link, tunnels};

/// A second path to a prefix, and a prefix of IPv6, in BIRD's words.
const MORE: &str = "protocol static own_again { ipv4; route 10.2.0.0/24 blackhole { bgp_med = 50; }; }
protocol static own_six { ipv6; route fd00:2::/64 blackhole; }
";
const SIX: &str = "enable extended messages on; local role provider;
  ipv6 { import all; next hop address fd00:2::1; export where proto = \"own_six\"; };";

fn gateway(sites: &Sites, run: &Run, near: &Tunnel, bgp: &Value) -> (Causeway, Document) {
    let datapath = Datapath::of_this_run().unwrap();
    let mut near = document(&[("peer", near)]);
    let said = bgp.as_object().unwrap().clone();
    near.json["connections"]["peer"]["bgp"]
        .as_object_mut()
        .unwrap()
        .extend(said);
    let gateway = Causeway::with_document(run, &sites.a.gateway, &near, datapath).unwrap();
    (gateway, near)
}

fn router(far: &Tunnel) -> Router {
    let IpAddr::V4(id) = far.local else {
        panic!("{} is no BGP identifier", far.local)
    };
    Router::of(far, id)
}

/// The routes that the peer sent to a prefix.
fn received(near: &Causeway, prefix: &str) -> anyhow::Result<Vec<Value>> {
    let said = near.causeway(&["bgp", "routes", prefix, "--kind", "received", "--json"])?;
    let said: Value = serde_json::from_str(&said)?;
    Ok(said["routes"].as_array().cloned().unwrap_or_default())
}

/// Waits until the peer has sent so many routes to a prefix.
fn sends(near: &Causeway, prefix: &str, count: usize) -> Vec<Value> {
    wait::until(&format!("{count} routes to {prefix}"), SOON, || {
        let routes = received(near, prefix)?;
        ensure!(routes.len() == count, "{routes:?}");
        Ok(routes)
    })
    .unwrap()
}

/// BIRD sends two paths to one prefix and IPv6 routes over an IPv4 session, is our provider, and has extended messages;
/// then the document takes less of it.
#[test]
fn several_paths_both_families_and_a_role_are_agreed_on_and_used() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites, apipa(1));
    let mut router = router(&far);
    router.words = MORE.to_owned();
    router.sessions[0].words = SIX.to_owned();
    router.sessions[0].channel = "add paths tx;".to_owned();
    let _ipsec = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let bird = Bird::start(&run, &sites.b.gateway, &router).unwrap();
    let (near, mut document) = gateway(&sites, &run, &near, &json!({ "role": "customer" }));
    let peer = established(&near, "peer");
    let agreed = &peer["negotiated"];
    assert_eq!(agreed["families"], json!(["ipv4", "ipv6"]), "{peer}");
    assert_eq!(agreed["add_path"], json!(["ipv4"]), "{peer}");
    assert_eq!(agreed["role"], "provider", "{peer}");
    let capabilities = agreed["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&json!("extended-messages")), "{peer}");

    let routes = sends(&near, "10.2.0.0/24", 2);
    assert_ne!(routes[0]["path"], routes[1]["path"], "{routes:?}");
    let better = routes.iter().filter(|route| route["standing"] == "best");
    assert_eq!(better.count(), 1, "{routes:?}");
    sends(&near, "fd00:2::/64", 1);
    wait::until("the IPv6 route to be in the kernel", SOON, || {
        let routes = sites
            .a
            .gateway
            .run("ip", &["-6", "route", "show", "fd00:2::/64"])?;
        ensure!(
            routes.contains("proto bgp") && routes.contains("dev cw-"),
            "{routes}"
        );
        Ok(())
    })
    .unwrap();
    let far_end = apipa(1).local;
    assert_eq!(bird.session(far_end).unwrap().state, "Established");

    let bgp = &mut document.json["connections"]["peer"]["bgp"];
    bgp["families"] = json!(["ipv4"]);
    bgp["add_path_receive"] = json!(false);
    near.reload(&document).unwrap();
    sends(&near, "fd00:2::/64", 0);
    let routes = sends(&near, "10.2.0.0/24", 1);
    assert_eq!(routes[0].get("path"), None, "{routes:?}");
    let peer = established(&near, "peer");
    assert_eq!(peer["negotiated"]["families"], json!(["ipv4"]), "{peer}");
    assert_eq!(peer["negotiated"]["add_path"], json!([]), "{peer}");
}

/// A provider of a provider is no counterpart (RFC 9234 §4.2): the session stays down, and says why.
#[test]
fn roles_that_do_not_fit_are_refused() {
    for kind in [Kind::Bird, Kind::Frr] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let (near, far) = tunnels(&sites, apipa(1));
        let mut router = router(&far);
        router.sessions[0].words = match kind {
            Kind::Bird => "local role provider;".to_owned(),
            Kind::Frr => format!(" neighbor {} local-role provider\n", apipa(1).local),
        };
        let _ipsec = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
        let speaker = Speaker::start(kind, &run, &sites.b.gateway, &router);
        let (near, mut document) = gateway(&sites, &run, &near, &json!({ "role": "peer" }));
        wait::until("the roles to be found wanting", SOON, || {
            let peer = near.neighbour("peer")?;
            ensure!(peer["last_error"]["reason"] == "role-mismatch", "{peer}");
            ensure!(peer["state"] != "established", "{peer}");
            Ok(())
        })
        .unwrap();
        assert_ne!(speaker.session(apipa(1).local).unwrap().state, "Established");
        document.json["connections"]["peer"]["bgp"]["role"] = json!("customer");
        near.reload(&document).unwrap();
        let peer = established(&near, "peer");
        assert_eq!(peer["negotiated"]["role"], "provider", "{kind:?}: {peer}");
        learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
    }
}

/// Over a session between IPv6 addresses BIRD tells IPv4 routes with IPv6 next hops (RFC 8950), and takes ours: hosts reach
/// each other by them. The tunnel's far end is a Causeway that speaks no BGP itself.
#[test]
fn ipv4_routes_have_ipv6_next_hops() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let ends: [IpAddr; 2] = ["fd00:21::2", "fd00:21::1"].map(|end| end.parse().unwrap());
    let (near, _) = tunnels(&sites, Bgp::between(ends, [NEAR_ASN, FAR_ASN]));
    let far = Tunnel::between(&sites.b, &sites.a).waiting();
    let mut silent = document(&[("peer", &far)]);
    silent.json["sites"]["peer"]["address_space"] = json!([]);
    // Its tunnel carries IPv6, too.
    silent.json["gateway"]["address_space"] = json!(["10.2.0.0/24", "fd00:2::/64"]);
    let silent = Causeway::with_document(&run, &sites.b.gateway, &silent, datapath).unwrap();
    let mut near = document(&[("peer", &near)]);
    near.json["gateway"]["bgp"]["router_id"] = json!("192.0.2.1");
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    let there = link(&silent, "peer");
    let address = format!("address add {} peer {} dev {there}", ends[1], ends[0]);
    sites.b.gateway.ip(&[&address]).unwrap();
    let mut session = Session::new([ends[1], ends[0]], NEAR_ASN);
    session.channel = "extended next hop on;".to_owned();
    let router = Router::new(FAR_ASN, "192.0.2.2".parse().unwrap(), vec![session]).with(&["10.2.0.0/24"]);
    let bird = Bird::start(&run, &sites.b.gateway, &router).unwrap();
    let peer = established(&near, "peer");
    let capabilities = peer["negotiated"]["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&json!("ipv6-next-hops")), "{peer}");
    let routes = sends(&near, "10.2.0.0/24", 1);
    assert_eq!(routes[0]["next_hop"], "fd00:21::1", "{routes:?}");
    learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
    learnt(&sites.b.gateway, "10.1.0.0/24", "dev cw-");
    let told = bird.routes("10.1.0.0/24").unwrap();
    assert!(told.contains("fd00:21::2"), "{told}");
    assert!(sites.a.reaches(&sites.b), "{}", near.log());
}
