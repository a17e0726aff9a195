//! Of ten connections one is changed, and nine notice nothing.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Third octets of the networks, one per connection; the lab itself uses smaller ones.
const NUMBERS: std::ops::Range<u8> = 10..20;
/// The connection that is changed.
const CHANGED: u8 = 14;

fn name(number: u8) -> String {
    format!("to-{number}")
}

/// Ten tunnels between the same two gateways, for a pair of networks each.
fn ten_tunnels(near: (&Site, u8), far: (&Site, u8), mode: fn(Tunnel) -> Tunnel) -> Document {
    let tunnels: Vec<(String, Tunnel)> = NUMBERS
        .map(|number| {
            let (local, remote) = (network(near.1, number), network(far.1, number));
            let mut tunnel = Tunnel::joining([near.0.outer, far.0.outer], [&local, &remote]);
            (tunnel.local_id, tunnel.remote_id) = (identity(number), identity(number));
            (name(number), mode(tunnel))
        })
        .collect();
    let named: Vec<_> = tunnels
        .iter()
        .map(|(name, tunnel)| (name.as_str(), tunnel))
        .collect();
    let mut all = document(&named);
    let networks: Vec<_> = NUMBERS.map(|number| network(near.1, number)).collect();
    all.json["gateway"]["address_space"] = json!(networks);
    all
}

fn network(site: u8, number: u8) -> String {
    format!("10.{site}.{number}.0/24")
}

fn identity(number: u8) -> String {
    format!("{number}.example")
}

/// The host of a site gets an address in each of its ten networks, from which it speaks to the network of the same number.
fn settle(site: &Site, (own, other): (u8, u8)) {
    for number in NUMBERS {
        let (inside, beyond) = (network(own, number), network(other, number));
        let host = format!("10.{own}.{number}.10");
        let gateway = format!("10.{own}.0.1");
        site.host
            .ip(&[
                &format!("address add {host}/32 dev eth0"),
                &format!("route add {beyond} via {gateway} src {host}"),
            ])
            .unwrap();
        let route = format!("route add {inside} via {} dev lan", site.host_address);
        site.gateway.ip(&[&route]).unwrap();
    }
}

/// What a connection's SA has carried.
#[derive(Debug, PartialEq)]
struct Carried {
    spis: (Value, Value),
    counters: [u64; 4],
}

fn carried(gateway: &Causeway) -> Vec<(u8, Carried)> {
    let status = gateway.status().unwrap();
    let of = |number| {
        let child = &status["connections"][name(number)]["children"][0];
        let counter = |name: &str| child[name].as_u64().unwrap_or_else(|| panic!("{name}: {status}"));
        Carried {
            spis: (child["inbound_spi"].clone(), child["outbound_spi"].clone()),
            counters: ["packets_in", "packets_out", "bytes_in", "bytes_out"].map(counter),
        }
    };
    NUMBERS.map(|number| (number, of(number))).collect()
}

/// The one that is changed has new SAs; those of the nine others stay, their counters go on, and no packet is lost.
#[test]
fn changing_one_of_ten_connections_resets_that_one_only() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    settle(&sites.a, (1, 2));
    settle(&sites.b, (2, 1));
    let near = ten_tunnels((&sites.a, 1), (&sites.b, 2), Tunnel::starting);
    let far = ten_tunnels((&sites.b, 2), (&sites.a, 1), Tunnel::waiting);
    let _far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let gateway = Causeway::with_store(&run, &sites.a.gateway, &near, datapath).unwrap();
    for number in NUMBERS {
        gateway.wait_for(&name(number), "up").unwrap();
    }
    let ping = |number: u8| {
        let to: std::net::Ipv4Addr = [10, 2, number, 10].into();
        let ping = Ping::start(&sites.a.host, to, Duration::from_millis(50)).unwrap();
        ping.wait_for(2, SOON).unwrap();
        (number, ping)
    };
    let pings: Vec<_> = NUMBERS.map(ping).collect();
    let before = carried(&gateway);

    let mut changed = near.json.clone();
    changed["connections"][name(CHANGED)]["fragment_size"] = json!(1200);
    let report = gateway.commit(&changed, &[]).unwrap();
    let connections = &report["impact"]["connections"];
    assert_eq!(connections["reset"], json!([name(CHANGED)]), "{report}");
    assert_eq!(connections["changed_in_place"], json!([]), "{report}");
    wait::until("the changed one to have new SAs", SOON, || {
        let connection = gateway.connection(&name(CHANGED))?;
        let spi = &connection["children"][0]["inbound_spi"];
        let old = before
            .iter()
            .any(|(number, carried)| *number == CHANGED && carried.spis.0 == *spi);
        anyhow::ensure!(connection["state"] == "up" && !old, "{connection}");
        Ok(())
    })
    .unwrap();
    for (_, ping) in &pings {
        ping.wait_for(10, SOON).unwrap();
    }

    for ((number, before), (_, after)) in before.iter().zip(carried(&gateway)) {
        if *number == CHANGED {
            assert_ne!(before.spis, after.spis);
            continue;
        }
        assert_eq!(before.spis, after.spis, "of {number}");
        let grew = before.counters.iter().zip(after.counters);
        assert!(
            grew.into_iter().all(|(before, after)| *before < after),
            "{number}: {before:?}, {after:?}"
        );
    }
    for (number, ping) in pings {
        let answers = ping.finish();
        assert!(answers.lost == 0 || number == CHANGED, "{number}: {answers:?}");
    }
}
