//! The lab itself, with strongSwan at both ends: what fails here is not Causeway's fault.

use std::time::Duration;

use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

#[test]
fn strongswan_reaches_strongswan() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let near = Tunnel::between(&sites.a, &sites.b);
    let far = Tunnel::between(&sites.b, &sites.a);
    let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
    let _answers = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let asks = StrongSwan::start(&run, &sites.a.gateway, &near, datapath).unwrap();
    asks.initiate().unwrap();
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(50)).unwrap();
    ping.wait_for(10, Duration::from_secs(20)).unwrap();
    assert_eq!(ping.finish().lost, 0);
    let seen = capture.finish();
    assert!(seen.esp() >= 20 && seen.count(Class::Ike) >= 4, "{seen:?}");
    assert!(asks.associations().unwrap().contains("ESTABLISHED"));
}
