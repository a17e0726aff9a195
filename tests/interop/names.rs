//! A peer that is known by its name.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::dns::Dns;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::pair::tunnels;

const NAME: &str = "b.example";
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// Where no name server is.
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Where no gateway is.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// While the tunnel is down it goes where the name leads, by whatever server resolv.conf names at the moment; while it
/// is up, the name may lead anywhere.
#[test]
fn a_peer_is_followed_by_its_name_while_the_tunnel_is_down() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    sites.a.gateway.ip(&["link set lo up"]).unwrap();
    let dns = Dns::start(&sites.a.gateway, SERVER).unwrap();
    let _far = Causeway::start(&run, &sites.b.gateway, &far.waiting(), datapath).unwrap();
    let mut by_name = document(&[("peer", &near)]);
    by_name.json["sites"]["peer"]["endpoint"] = json!(NAME);
    let gateway = Causeway::with_resolver(&run, &sites.a.gateway, &by_name, (datapath, NOBODY)).unwrap();
    wait::until("the reason", SOON, || {
        let connection = gateway.connection("peer")?;
        let outage = &connection["outage"];
        let told = outage["reason"] == "name-does-not-resolve" && outage["offered"] == NAME;
        anyhow::ensure!(told, "{connection}");
        Ok(())
    })
    .unwrap();
    assert_eq!(dns.asked(), 0);

    gateway.resolve_by(SERVER).unwrap();
    wait::until("the server to be asked", SOON, || {
        gateway.connect("peer")?;
        anyhow::ensure!(dns.asked() > 0, "not asked");
        Ok(())
    })
    .unwrap();

    dns.lead(NAME, Some(ELSEWHERE));
    wait::until("an attempt to go elsewhere", SOON, || {
        gateway.connect("peer")?;
        let connection = gateway.connection("peer")?;
        let remote = connection["ike"]["remote"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        anyhow::ensure!(remote.starts_with("192.0.2.77:"), "{connection}");
        Ok(())
    })
    .unwrap();

    let IpAddr::V4(there) = sites.b.outer else {
        unreachable!("the usual sites have IPv4")
    };
    dns.lead(NAME, Some(there));
    let up = comes_up(&gateway);

    let asked = dns.asked();
    dns.lead(NAME, Some(ELSEWHERE));
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    gateway.connect("peer").unwrap();
    ping.wait_for(100, SOON).unwrap();
    assert_eq!(ping.finish().lost, 0);
    assert_eq!(dns.asked(), asked, "nobody asks while the tunnel is up");
    let still = gateway.connection("peer").unwrap();
    assert_eq!(still["ike"]["initiator_spi"], up["ike"]["initiator_spi"]);
}

/// Asks for the tunnel until it is up; its status then.
fn comes_up(gateway: &Causeway) -> Value {
    wait::until("the tunnel to follow its name", SOON, || {
        gateway.connect("peer")?;
        let connection = gateway.connection("peer")?;
        anyhow::ensure!(connection["state"] == "up", "{connection}");
        Ok(connection)
    })
    .unwrap()
}
