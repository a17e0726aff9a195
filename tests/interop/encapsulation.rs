//! ESP in UDP: where it was asked for, and where a NAT is in the way.

use system_tests::lab::capture::Class;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;

use crate::pair::{First, Kind, Pair, tunnels};

#[test]
fn encapsulation_can_be_asked_for_without_a_nat() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (mut near, mut far) = tunnels(&sites);
    near.encapsulate = true;
    far.encapsulate = true;
    let pair = Pair::start(run, sites, (near, far), (Kind::StrongSwan, First::Near));
    assert_eq!(pair.wait()["children"][0]["encapsulation"], "udp");
    pair.carries();
    let seen = pair.only_esp();
    assert!(
        seen.count(Class::EspInUdp) > 40 && seen.count(Class::Esp) == 0,
        "{seen:?}"
    );
}

#[test]
fn a_nat_between_the_gateways_is_found_and_crossed() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let run = Run::new().unwrap();
        let sites = Sites::with_nat(&run).unwrap();
        let (near, mut far) = tunnels(&sites);
        far.remote = "203.0.113.1".parse().unwrap();
        let pair = Pair::start(run, sites, (near, far), (kind, First::Near));
        let status = pair.wait();
        assert_eq!(status["ike"]["nat_local"], true, "{status}");
        assert_eq!(status["children"][0]["encapsulation"], "udp", "{status}");
        pair.carries();
        let seen = pair.only_esp();
        assert!(
            seen.count(Class::EspInUdp) > 40 && seen.count(Class::Esp) == 0,
            "{seen:?}"
        );
    }
}
