//! A changed file is applied without touching tunnels that did not change.

use std::time::Duration;

use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::pair::tunnels;

#[test]
fn a_change_beside_a_tunnel_does_not_touch_it() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    let mut other = near.clone();
    other.remote = "192.0.2.9".parse().unwrap();
    other.remote_prefix = "10.9.0.0/24".to_owned();
    let two = document(&[("peer", &near), ("other", &other)]);
    let _far = Causeway::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let gateway = Causeway::with_document(&run, &sites.a.gateway, &two, datapath).unwrap();
    let before = gateway.wait_for("peer", "up").unwrap();
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(5, SOON).unwrap();
    other.remote_prefix = "10.8.0.0/24".to_owned();
    gateway
        .reload(&document(&[("peer", &near), ("other", &other)]))
        .unwrap();
    wait::until("the change to be applied", SOON, || {
        let routes = sites.a.gateway.run("ip", &["route", "show"])?;
        anyhow::ensure!(
            routes.contains("10.8.0.0/24") && !routes.contains("10.9.0.0/24"),
            "{routes}"
        );
        Ok(())
    })
    .unwrap();
    ping.wait_for(20, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    let after = gateway.connection("peer").unwrap();
    for spi in ["inbound_spi", "outbound_spi"] {
        assert_eq!(after["children"][0][spi], before["children"][0][spi]);
    }
    gateway.reload(&document(&[("peer", &near)])).unwrap();
    wait::until("the other to go", SOON, || {
        anyhow::ensure!(gateway.connection("other").is_err(), "it is still there");
        Ok(())
    })
    .unwrap();
    assert_eq!(gateway.connection("peer").unwrap()["state"], "up");
}
