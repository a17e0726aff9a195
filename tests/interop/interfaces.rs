//! Interfaces as the document has them: given to the kernel, changed, brought back, and leased from a real DHCP server.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use system_tests::lab::dhcp::{DhcpServer, Grant};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::outer::up_from;
use crate::pair::tunnels;

/// The second gateway, which lets the first come from anywhere, and what the first one is configured with: its own links
/// too.
fn lab() -> (Run, Sites, Causeway, Document) {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, far) = tunnels(&sites);
    let mut anywhere = document(&[("peer", &far.waiting())]);
    anywhere.json["sites"]["peer"]["endpoint"] = json!("any");
    let datapath = Datapath::of_this_run().unwrap();
    let far = Causeway::with_document(&run, &sites.b.gateway, &anywhere, datapath).unwrap();
    let mut near = document(&[("peer", &near.starting())]);
    near.json["interfaces"] = json!({
        "wan": { "role": "wan",
                 "ipv4": { "method": "static", "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.2" } },
        "lan": { "role": "lan",
                 "ipv4": { "method": "static", "addresses": ["10.1.0.1/24", "10.1.1.1/24"] },
                 "ipv6": { "method": "static", "addresses": ["fd00:1::1/64"] } } });
    (run, sites, far, near)
}

fn start(run: &Run, sites: &Sites, document: &Document) -> Causeway {
    let datapath = Datapath::of_this_run().unwrap();
    Causeway::with_store(run, &sites.a.gateway, document, datapath).unwrap()
}

/// What `ip` says in the first gateway.
fn shown(sites: &Sites, arguments: &str) -> String {
    let words: Vec<&str> = arguments.split(' ').collect();
    sites.a.gateway.run("ip", &words).unwrap()
}

/// Waits until `ip` says this of the first gateway, and not that.
fn until(sites: &Sites, arguments: &str, has: &[&str], lacks: &[&str]) {
    wait::until(&format!("ip {arguments} to say {has:?}"), SOON, || {
        let said = shown(sites, arguments);
        let there = has.iter().all(|text| said.contains(text));
        let gone = !lacks.iter().any(|text| said.contains(text));
        anyhow::ensure!(there && gone, "{said}");
        Ok(())
    })
    .unwrap();
}

fn interface(gateway: &Causeway, name: &str) -> Value {
    gateway.status().unwrap()["interfaces"][name].clone()
}

/// Addresses, MTU and default route become what the document says; an address that it does not name goes. A commit that
/// moves the address of the gateway's own hosts cuts them off, and is taken back when nobody confirms it, also when the
/// daemon is killed meanwhile. The tunnel is not touched by that. Neither is the machine cut off when causewayd stops.
#[test]
fn interfaces_are_as_the_document_says_and_come_back() {
    let (run, sites, _far, near) = lab();
    let foreign = "address add 198.51.100.9/24 dev wan";
    sites.a.gateway.ip(&[foreign]).unwrap();
    let mut gateway = start(&run, &sites, &near);
    let first = Ipv4Addr::new(192, 0, 2, 1);
    up_from(&gateway, &sites, first);
    let (lan, default) = ("address show lan", "route show default proto 67");
    until(&sites, "address show wan", &["192.0.2.1/24"], &["198.51.100.9"]);
    until(&sites, default, &["via 192.0.2.2 dev wan"], &[]);
    let up = interface(&gateway, "lan");
    assert!(up["state"] == "up" && up["outage"].is_null(), "{up}");
    let spi = || gateway.connection("peer").unwrap()["ike"]["initiator_spi"].clone();
    let before = spi();

    let mut moved = near.json.clone();
    moved["interfaces"]["lan"]["ipv4"]["addresses"] = json!(["10.1.0.254/24", "10.1.1.1/24"]);
    moved["interfaces"]["lan"]["mtu"] = json!(1400);
    let report = gateway.check(&moved).unwrap();
    let readdressed = &report["impact"]["interfaces"]["readdressed"];
    assert_eq!(*readdressed, json!(["lan"]), "{report}");
    gateway.commit(&moved, &["--confirm-within", "5"]).unwrap();
    let (old, new) = ("10.1.0.1/24", "10.1.0.254/24");
    until(&sites, lan, &[new, "10.1.1.1/24", "mtu 1400"], &[old]);
    assert!(sites.a.host.reaches(IpAddr::from([10, 1, 0, 254])));
    until(&sites, lan, &[old, "10.1.1.1/24", "mtu 1500"], &[new]);
    up_from(&gateway, &sites, first);
    assert_eq!(spi(), before, "the tunnel is another one");

    dies_on_trial(&mut gateway, &sites, &moved);
    up_from(&gateway, &sites, first);
    gateway.stop().unwrap();
    assert!(shown(&sites, lan).contains(old));
    assert!(shown(&sites, default).contains("192.0.2.2"));
}

/// Killed while a change is on trial, the next start goes back once its time is over.
fn dies_on_trial(gateway: &mut Causeway, sites: &Sites, moved: &Value) {
    gateway.commit(moved, &["--confirm-within", "5"]).unwrap();
    until(sites, "address show lan", &["10.1.0.254/24"], &["10.1.0.1/24"]);
    gateway.kill().unwrap();
    assert!(shown(sites, "address show lan").contains("10.1.0.254/24"));
    gateway.restart().unwrap();
    let before = ["10.1.0.1/24", "mtu 1500"];
    until(sites, "address show lan", &before, &["10.1.0.254"]);
}

/// A device that is plugged in while the daemon runs is set then; and one that is unplugged is told of.
#[test]
fn a_device_may_come_later() {
    let (run, sites, _far, mut near) = lab();
    near.json["interfaces"]["spare"] = json!({ "role": "lan", "match": { "mac": "02:00:00:00:77:01" },
        "ipv4": { "method": "static", "addresses": ["10.1.77.1/24"] } });
    let gateway = start(&run, &sites, &near);
    let missing = interface(&gateway, "spare");
    assert_eq!(missing["outage"]["reason"], "device-missing", "{missing}");
    let plug = "link add late address 02:00:00:00:77:01 type veth peer name other";
    sites.a.gateway.ip(&[plug]).unwrap();
    until(&sites, "address show late", &["10.1.77.1/24", "UP"], &[]);
    assert_eq!(interface(&gateway, "spare")["outage"]["reason"], "no-carrier");
    sites.a.gateway.ip(&["link set other up"]).unwrap();
    wait::until("the interface to be up", SOON, || {
        let spare = interface(&gateway, "spare");
        anyhow::ensure!(spare["state"] == "up" && spare["device"] == "late", "{spare}");
        Ok(())
    })
    .unwrap();
    sites.a.gateway.ip(&["link delete late"]).unwrap();
    wait::until("the device to be missing", SOON, || {
        let spare = interface(&gateway, "spare");
        anyhow::ensure!(spare["outage"]["reason"] == "device-missing", "{spare}");
        Ok(())
    })
    .unwrap();
}

/// A VLAN carries packets to a host of its own, and is gone with its place in the document. A kernel without VLANs cannot
/// show that; the machine's has them.
#[test]
fn a_vlan_is_made_and_carries_packets() {
    let (run, sites, _far, near) = lab();
    let host = [
        "link add link eth0 name eth0.20 type vlan id 20",
        "address add 10.1.20.10/24 dev eth0.20",
        "link set eth0.20 up",
    ];
    if let Err(error) = sites.a.host.ip(&host) {
        assert_eq!(Datapath::of_this_run().unwrap(), Datapath::User, "{error}");
        eprintln!("SKIPPED a_vlan_is_made_and_carries_packets: {error}");
        return;
    }
    let gateway = start(&run, &sites, &near);
    let mut tagged = near.json.clone();
    tagged["interfaces"]["lan.20"] = json!({ "role": "lan", "vlan": { "parent": "lan", "id": 20 },
        "ipv4": { "method": "static", "addresses": ["10.1.20.1/24"] } });
    gateway.commit(&tagged, &[]).unwrap();
    until(
        &sites,
        "-d address show lan.20",
        &["vlan protocol 802.1Q id 20", "10.1.20.1/24"],
        &[],
    );
    assert!(sites.a.host.reaches(IpAddr::from([10, 1, 20, 1])));
    assert_eq!(interface(&gateway, "lan.20")["state"], "up");
    gateway.commit(&near.json, &[]).unwrap();
    until(&sites, "link", &["lan"], &["lan.20"]);
}

/// Without a lease the site is closed and status says why; with one the tunnel comes up; it goes on over a crash while no
/// server answers; and it follows when a server has another address for us.
#[test]
fn a_tunnel_follows_the_lease_of_its_interface() {
    let (run, sites, _far, mut near) = lab();
    sites
        .a
        .gateway
        .ip(&["address flush dev wan", "route flush dev wan"])
        .unwrap();
    near.json["interfaces"]["wan"]["ipv4"] = json!({ "method": "dhcp" });
    near.json["gateway"]["ip_configurations"]["default"] = json!({ "interface": "wan" });
    let mut gateway = start(&run, &sites, &near);
    let dark = gateway.connection("peer").unwrap();
    assert_eq!(
        (&dark["state"], &dark["outage"]["reason"]),
        (&json!("down"), &json!("no-address")),
        "{dark}"
    );
    wait::until("the interface to ask", SOON, || {
        let wan = interface(&gateway, "wan");
        anyhow::ensure!(wan["outage"]["reason"] == "no-lease", "{wan}");
        anyhow::ensure!(wan["dhcp"]["phase"] == "selecting", "{wan}");
        Ok(())
    })
    .unwrap();
    assert!(!sites.a.reaches(&sites.b), "the site is open");

    let grant = |last| Grant {
        address: Ipv4Addr::new(192, 0, 2, last),
        router: Ipv4Addr::new(192, 0, 2, 2),
        seconds: 30,
    };
    let serve = |last| DhcpServer::start(&run, &sites.b.gateway, "wan", grant(last)).unwrap();
    let server = serve(50);
    up_from(&gateway, &sites, grant(50).address);
    until(
        &sites,
        "route show default proto 67",
        &["via 192.0.2.2 dev wan"],
        &[],
    );
    let lease = interface(&gateway, "wan")["dhcp"]["lease"].clone();
    assert_eq!(lease["address"], "192.0.2.50/24", "{lease}");
    assert_eq!(lease["ntp_servers"], json!(["192.0.2.2"]), "{lease}");
    let renewed = || interface(&gateway, "wan")["dhcp"]["lease"]["since_s"].as_u64();
    let before = renewed().unwrap();
    wait::until("a renewal", SOON, || {
        anyhow::ensure!(renewed().is_some_and(|since| since < before), "{}", server.log());
        Ok(())
    })
    .unwrap();

    drop(server);
    gateway.kill().unwrap();
    gateway.restart().unwrap();
    until(&sites, "-4 address show wan", &["192.0.2.50/24"], &[]);
    up_from(&gateway, &sites, grant(50).address);

    let _another = serve(60);
    up_from(&gateway, &sites, grant(60).address);
    until(&sites, "-4 address show wan", &["192.0.2.60/24"], &["192.0.2.50"]);
}
