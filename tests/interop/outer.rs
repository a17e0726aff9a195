//! Outer addresses that come, go and change while the daemon runs, and ports that somebody else has.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::pair::tunnels;

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));

/// Two sites, of which the second one's gateway runs and lets the first come from anywhere; and what the first one is
/// to be configured with.
fn lab() -> (Run, Sites, Causeway, Document) {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, far) = tunnels(&sites);
    let mut anywhere = document(&[("peer", &far.waiting())]);
    anywhere.json["sites"]["peer"]["endpoint"] = json!("any");
    let datapath = Datapath::of_this_run().unwrap();
    let far = Causeway::with_document(&run, &sites.b.gateway, &anywhere, datapath).unwrap();
    (run, sites, far, document(&[("peer", &near.starting())]))
}

fn change(sites: &Sites, verb: &str, address: IpAddr) {
    let command = format!("address {verb} {address}/24 dev wan");
    sites.a.gateway.ip(&[&command]).unwrap();
}

/// Waits until a gateway says that its connection is down for this reason.
fn down_for(gateway: &Causeway, reason: &str) -> Value {
    wait::until(&format!("the reason to be {reason}"), SOON, || {
        let connection = gateway.connection("peer")?;
        anyhow::ensure!(connection["outage"]["reason"] == reason, "{connection}");
        Ok(connection)
    })
    .unwrap()
}

/// The tunnel is up from this address, and hosts talk through it.
pub(crate) fn up_from(gateway: &Causeway, sites: &Sites, address: impl Into<IpAddr>) {
    let address = address.into();
    wait::until(&format!("the tunnel to be up from {address}"), SOON, || {
        let connection = gateway.connection("peer")?;
        let from = connection["ike"]["local"].as_str().unwrap_or_default();
        let there = from.starts_with(&format!("{address}:"));
        anyhow::ensure!(connection["state"] == "up" && there, "{connection}");
        Ok(())
    })
    .unwrap();
    assert!(sites.a.reaches(&sites.b), "{}", gateway.log());
}

/// A start without the address that is configured, as before a lease has come; then the address; then another one by a
/// commit, before that is there; all without a restart. The sockets of the one before are closed.
#[test]
fn an_outer_address_may_come_late_and_change() {
    let (run, sites, _far, near) = lab();
    change(&sites, "del", FIRST);
    let datapath = Datapath::of_this_run().unwrap();
    let gateway = Causeway::with_store(&run, &sites.a.gateway, &near, datapath).unwrap();
    let status = down_for(&gateway, "no-address");
    assert_eq!(status["outage"]["expected"], "192.0.2.1 on this machine");
    assert!(!sites.a.reaches(&sites.b), "the site is open");
    change(&sites, "add", FIRST);
    up_from(&gateway, &sites, FIRST);

    let mut moved = near.json.clone();
    let address = moved.pointer_mut("/gateway/ip_configurations/default/address");
    *address.unwrap() = json!(SECOND);
    gateway.commit(&moved, &[]).unwrap();
    down_for(&gateway, "no-address");
    change(&sites, "add", SECOND);
    up_from(&gateway, &sites, SECOND);
    let bound = sites.a.gateway.run("ss", &["-Hlnu"]).unwrap();
    assert!(
        bound.contains("192.0.2.11:4500") && !bound.contains("192.0.2.1:"),
        "{bound}"
    );
}

/// An address that goes while the tunnel is up, and returns.
#[test]
fn an_outer_address_may_go_for_a_while() {
    let (run, sites, _far, mut near) = lab();
    let datapath = Datapath::of_this_run().unwrap();
    near.json["connections"]["peer"]["dpd_timeout_s"] = json!(9);
    let gateway = Causeway::with_store(&run, &sites.a.gateway, &near, datapath).unwrap();
    up_from(&gateway, &sites, FIRST);
    change(&sites, "del", FIRST);
    down_for(&gateway, "no-address");
    change(&sites, "add", FIRST);
    up_from(&gateway, &sites, FIRST);
}

/// A gateway that was set up once stays reachable for its administrator while another program has its port, says which
/// one, and gets on by itself when that ends.
#[test]
fn a_port_that_another_program_has_is_told_and_had_once_it_is_free() {
    let (run, sites, _far, near) = lab();
    let datapath = Datapath::of_this_run().unwrap();
    let mut gateway = Causeway::with_store(&run, &sites.a.gateway, &near, datapath).unwrap();
    up_from(&gateway, &sites, FIRST);
    for port in [500, 4500] {
        gateway.kill().unwrap();
        let holder = {
            let _inside = sites.a.gateway.enter().unwrap();
            UdpSocket::bind((FIRST, port)).unwrap()
        };
        gateway.restart().unwrap();
        let status = down_for(&gateway, "port-in-use");
        let told = status["outage"]["offered"].as_str().unwrap();
        let expected = format!("UDP 192.0.2.1:{port} is held by ");
        let own = format!("(pid {})", std::process::id());
        assert!(told.starts_with(&expected) && told.ends_with(&own), "{told}");
        let mut changed = near.json.clone();
        changed["connections"]["peer"]["mtu"] = json!(1300 + port % 7);
        gateway.commit(&changed, &[]).unwrap();
        drop(holder);
        up_from(&gateway, &sites, FIRST);
    }
}
