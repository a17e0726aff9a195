//! Changes through the API touch what they change, and come back by themselves unless they are confirmed.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Two tunnels between these sites: `peer` with their networks, and `other` with two more.
fn two_tunnels(tunnel: &Tunnel) -> Document {
    let mut other = tunnel.clone();
    other.local_prefix = tunnel.local_second.clone();
    other.remote_prefix = tunnel.remote_second.clone();
    let mut both = document(&[("peer", tunnel), ("other", &other)]);
    let (local, remote) = (json!(tunnel.local_prefix), json!(tunnel.remote_prefix));
    let json = &mut both.json;
    json["gateway"]["address_space"] = json!([local, other.local_prefix]);
    json["sites"]["peer"]["address_space"] = json!([remote]);
    json["sites"]["other"]["address_space"] = json!([other.remote_prefix]);
    for (connection, identity) in [("peer", "one.example"), ("other", "two.example")] {
        let authentication = &mut json["connections"][connection]["authentication"];
        authentication["local_id"] = json!(identity);
        authentication["remote_id"] = json!(identity);
    }
    both
}

/// The security parameter indexes of a connection.
fn spis(gateway: &Causeway, name: &str) -> (Value, Value) {
    let connection = gateway.connection(name).unwrap();
    let child = &connection["children"][0];
    (child["inbound_spi"].clone(), child["outbound_spi"].clone())
}

/// How many packets a connection has received by its present SAs.
fn packets(gateway: &Causeway, name: &str) -> u64 {
    let connection = gateway.connection(name).unwrap();
    connection["children"][0]["packets_in"].as_u64().unwrap()
}

/// Waits until this generation runs and a connection is up.
fn runs(gateway: &Causeway, generation: u32, connection: &str) {
    wait::until(&format!("generation {generation} to run"), SOON, || {
        let status = gateway.status()?;
        anyhow::ensure!(status["configuration"]["generation"] == generation, "{status}");
        Ok(())
    })
    .unwrap();
    gateway.wait_for(connection, "up").unwrap();
}

/// Of two connections one is changed: it is reset, and the other goes on with its SAs and without a lost packet. What is
/// not confirmed comes back in its time, also when the daemon is killed in between.
#[test]
fn one_of_two_connections_is_changed_and_comes_back_by_itself() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let near = two_tunnels(&Tunnel::between(&sites.a, &sites.b).starting());
    let far = two_tunnels(&Tunnel::between(&sites.b, &sites.a).waiting());
    let _far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let mut gateway = Causeway::with_store(&run, &sites.a.gateway, &near, datapath).unwrap();
    for name in ["peer", "other"] {
        gateway.wait_for(name, "up").unwrap();
    }
    let (peer, other) = (spis(&gateway, "peer"), spis(&gateway, "other"));
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(5, SOON).unwrap();
    let carried = packets(&gateway, "peer");

    let mut changed = near.json.clone();
    changed["connections"]["other"]["fragment_size"] = json!(1200);
    let report = gateway.commit(&changed, &["--confirm-within", "5"]).unwrap();
    assert_eq!(
        report["impact"]["connections"]["reset"],
        json!(["other"]),
        "{report}"
    );
    runs(&gateway, 2, "other");
    assert_ne!(spis(&gateway, "other"), other);
    runs(&gateway, 1, "other");
    ping.wait_for(20, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    assert_eq!(spis(&gateway, "peer"), peer);
    assert!(carried > 0 && packets(&gateway, "peer") > carried);

    gateway.commit(&changed, &["--confirm-within", "5"]).unwrap();
    gateway.kill().unwrap();
    gateway.restart().unwrap();
    runs(&gateway, 1, "other");
    let log = gateway.log();
    assert_eq!(
        log.matches("trial-over").count(),
        2,
        "once before the kill: {log}"
    );
    gateway.commit(&changed, &["--confirm-within", "60"]).unwrap();
    gateway.causeway(&["config", "confirm"]).unwrap();
    gateway.kill().unwrap();
    gateway.restart().unwrap();
    runs(&gateway, 4, "peer");
}
