//! Packets of one connection, taken by an admin and read by tcpdump.

use std::process::Command;
use std::time::Duration;

use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::tunnel::Datapath;

use crate::pair::tunnels;

/// What is below the tunnel is ESP of the peer alone, and what is in it are the pings, each way.
#[test]
fn packets_are_seen_on_both_sides_of_the_tunnel() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    let _far = Causeway::start(&run, &sites.b.gateway, &far.waiting(), datapath).unwrap();
    let gateway =
        Causeway::with_store(&run, &sites.a.gateway, &document(&[("peer", &near)]), datapath).unwrap();
    gateway.wait_for("peer", "up").unwrap();

    let folder = tempfile::tempdir().unwrap();
    let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(5, SOON).unwrap();
    let stranger = Ping::start(&sites.b.gateway, sites.a.outer, Duration::from_millis(20)).unwrap();
    stranger.wait_for(5, SOON).unwrap();
    let read = |what: &str| {
        let file = folder.path().join(what);
        let out = file.to_str().unwrap();
        gateway
            .causeway(&["capture", "peer", "--what", what, "--seconds", "2", "--out", out])
            .unwrap();
        let told = Command::new("tcpdump").args(["-nr", out]).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        String::from_utf8(told.stdout).unwrap()
    };
    let (outer, inner) = (read("outer"), read("inner"));
    let all = |lines: &str, what: &str| {
        assert!(lines.lines().count() > 20, "{lines}");
        for line in lines.lines() {
            assert!(line.contains(what), "{line}");
        }
    };
    all(&outer, "ESP(spi=");
    all(&inner, "ICMP echo");
    assert!(inner.contains("request") && inner.contains("reply"), "{inner}");
}
