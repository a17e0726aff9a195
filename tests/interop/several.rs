//! Several tunnels to one site.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Nothing passes between the addresses of the first tunnel, either way.
const CUT: &str = "table ip cut {
  chain in {
    type filter hook prerouting priority -300
    ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop
  }
  chain out {
    type filter hook output priority -300
    ip saddr 192.0.2.2 ip daddr 192.0.2.1 drop
  }
}";

/// The silence that ends a tunnel, in seconds.
const SILENCE: usize = 9;

/// Two tunnels between these sites, each between two addresses of its own; the first is preferred.
fn two_tunnels(near: &Site, far: &Site, (local, remote): (&str, &str)) -> Document {
    let mut document = document(&[("first", &Tunnel::between(near, far))]);
    let json = &mut document.json;
    json["gateway"]["ip_configurations"]["second"] = json!({ "address": local });
    let first = &mut json["connections"]["first"];
    first["ip_configuration"] = json!("default");
    first["dpd_timeout_s"] = json!(SILENCE);
    first["priority"] = json!(10);
    let mut second = first.clone();
    second["ip_configuration"] = json!("second");
    second["endpoint"] = json!(remote);
    second["authentication"] = json!({ "method": "psk", "secret": "psk-first" });
    second["priority"] = json!(20);
    json["connections"]["second"] = second;
    document
}

/// Waits until the routes of the other site lead into this tunnel, at each gateway.
fn goes_over(gateways: &[&Causeway], name: &str) {
    wait::until(&format!("the traffic to go over {name}"), SOON, || {
        for gateway in gateways {
            for tunnel in ["first", "second"] {
                let standby = gateway.connection(tunnel)?["standby"] == Value::Bool(true);
                anyhow::ensure!(standby == (tunnel != name), "{tunnel} at {}", gateway.id());
            }
        }
        Ok(())
    })
    .unwrap();
}

/// The traffic goes over the preferred tunnel; when it dies, over the other, within a second; and back again when it is
/// there again. Nothing ever leaves in clear text.
#[test]
fn traffic_moves_to_the_tunnel_that_is_up() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    sites.a.gateway.ip(&["addr add 192.0.2.11/24 dev wan"]).unwrap();
    sites.b.gateway.ip(&["addr add 192.0.2.12/24 dev wan"]).unwrap();
    let (near, far) = (
        two_tunnels(&sites.a, &sites.b, ("192.0.2.11", "192.0.2.12")),
        two_tunnels(&sites.b, &sites.a, ("192.0.2.12", "192.0.2.11")),
    );
    let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
    let far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    let over = |name: &str| goes_over(&[&near, &far], name);
    for gateway in [&near, &far] {
        gateway.wait_for("first", "up").unwrap();
        gateway.wait_for("second", "up").unwrap();
    }
    over("first");
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(20, SOON).unwrap();

    sites.b.gateway.nft(CUT).unwrap();
    for gateway in [&near, &far] {
        wait::until("the first to be given up", SOON, || {
            let connection = gateway.connection("first")?;
            anyhow::ensure!(connection["state"] != "up", "{connection}");
            Ok(())
        })
        .unwrap();
    }
    over("second");
    ping.wait_for(50, Duration::from_secs(2)).unwrap();
    let answers = ping.finish();
    let most = (SILENCE + 3) * 50;
    assert!(answers.lost <= most, "{answers:?}");

    sites.b.gateway.nft("delete table ip cut").unwrap();
    wait::until("the first to be up again", SOON, || {
        near.connect("first")?;
        let connection = near.connection("first")?;
        anyhow::ensure!(connection["state"] == "up", "{connection}");
        Ok(())
    })
    .unwrap();
    over("first");
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(50, SOON).unwrap();
    assert_eq!(ping.finish().lost, 0);
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
}
