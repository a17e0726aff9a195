//! The machine's own interfaces are closed by their role, and what the routes lose does not leave by the WAN.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{Branch, EVERY, Kind, apipa, established, forgotten, learnt, tunnels};

/// Whether somebody there can connect.
fn connects(from: &Namespace, to: &str) -> bool {
    let _inside = from.enter().unwrap();
    let to: SocketAddr = to.parse().unwrap();
    TcpStream::connect_timeout(&to, Duration::from_millis(500)).is_ok()
}

/// How many packets were dropped for a reason.
fn dropped(gateway: &Causeway, reason: &str) -> u64 {
    let firewall = gateway.status().unwrap()["firewall"].clone();
    assert_eq!(firewall["in_place"], true, "{firewall}");
    firewall["dropped"][reason]["packets"].as_u64().unwrap()
}

/// From outside, IKE and what the tunnel carries come in, and nobody reaches the API or a network behind it, unless the
/// document says from where. What BGP no longer has a way to does not leave by the WAN, whether it is forwarded or our own.
#[test]
fn outside_is_closed_and_nothing_leaks() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites, apipa(1));
    let mut document = document(&[("peer", &near)]);
    document.json["interfaces"] = json!({
        "lan": { "role": "lan", "ipv4": { "method": "static", "addresses": ["10.1.0.1/24"] } },
        "wan": { "role": "wan",
                 "ipv4": { "method": "static", "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.2" } } });
    let mut far = Branch::start(Kind::Bird, &run, &sites.b.gateway, &far);
    let mut gateway = Causeway::with_store(&run, &sites.a.gateway, &document, datapath).unwrap();
    established(&gateway, "peer");
    learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
    far.wait_for("Established", 1);
    for (from, to) in [(&sites.a, &sites.b), (&sites.b, &sites.a)] {
        assert!(from.reaches(to), "{}", gateway.log());
    }

    assert!(connects(&sites.a.host, "10.1.0.1:8443"));
    let (outside, by_tunnel) = (&sites.b.gateway, &sites.b.host);
    for (from, to) in [
        (outside, "192.0.2.1:8443"),
        (outside, "192.0.2.1:179"),
        (by_tunnel, "10.1.0.1:8443"),
    ] {
        let before = dropped(&gateway, "closed");
        assert!(!connects(from, to), "{to} is open");
        assert!(dropped(&gateway, "closed") > before, "{to}");
    }
    let mut opened = document.json.clone();
    opened["system"] = json!({ "management": { "allow_from": ["192.0.2.2/32", "10.1.0.0/24"] } });
    gateway.commit(&opened, &[]).unwrap();
    wait::until("the API to be open to the peer", SOON, || {
        anyhow::ensure!(connects(outside, "192.0.2.1:8443"));
        Ok(())
    })
    .unwrap();
    leaks(&sites, &mut far, &mut gateway, &document.json);
}

fn leaks(sites: &Sites, far: &mut Branch, gateway: &mut Causeway, document: &Value) {
    gateway.commit(document, &[]).unwrap();
    let elsewhere = Ipv4Addr::new(10, 77, 0, 1);
    far.speaker
        .announce(&["10.2.0.0/24".to_owned(), "10.77.0.0/16".to_owned()]);
    learnt(&sites.a.gateway, "10.77.0.0/16", "dev cw-");
    far.speaker.announce(&["10.2.0.0/24".to_owned()]);
    forgotten(&sites.a.gateway, "10.77.0.0/16");
    let capture = Capture::start(&sites.b.gateway, "wan").unwrap();
    let forwarded = Ping::start(&sites.a.host, elsewhere, EVERY).unwrap();
    let own = Ping::start(&sites.a.gateway, elsewhere, EVERY).unwrap();
    let public = Ping::start(&sites.a.host, Ipv4Addr::new(198, 51, 100, 9), EVERY).unwrap();
    let all_sent = |more| {
        for ping in [&forwarded, &own, &public] {
            ping.wait_sent(more, SOON).unwrap();
        }
    };
    all_sent(20);
    assert!(dropped(gateway, "leak") >= 40);
    assert!(dropped(gateway, "not-forwarded") >= 20);
    gateway.kill().unwrap();
    all_sent(20);
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
}
