//! A tunnel that moves to other addresses instead of ending (RFC 4555).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;
use system_tests::lab::capture::Class;
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::tunnel::Datapath;

use crate::pair::{Far, First, Kind, Pair, tunnels};

/// Further addresses of the two gateways.
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 12));

/// Nothing passes to or from the first address of the first gateway.
const CUT: &str = "table ip cut {
  chain in {
    type filter hook prerouting priority -300
    ip saddr 192.0.2.1 drop
  }
  chain out {
    type filter hook output priority -300
    ip daddr 192.0.2.1 drop
  }
}";

/// A tunnel between gateways with two addresses each, up.
fn pair(kind: Kind, first: First) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    for (site, address) in [(&sites.a, OURS), (&sites.b, THEIRS)] {
        let add = format!("address add {address}/24 dev wan");
        site.gateway.ip(&[&add]).unwrap();
        // Or the second address goes with the first.
        site.gateway
            .set("ipv4/conf/wan/promote_secondaries", "1")
            .unwrap();
    }
    // strongSwan would tell us of this one too, which is not behind it as far as the tunnel is concerned.
    sites.b.gateway.ip(&["address del 10.2.1.1/24 dev lan"]).unwrap();
    let (mut near, mut far) = tunnels(&sites);
    (near.mobike, far.mobike) = (Some(vec![OURS]), Some(vec![THEIRS]));
    near.dpd_timeout = 9;
    let pair = Pair::start(run, sites, (near, far), (kind, first));
    let status = pair.wait();
    let extensions = status["ike"]["extensions"].as_array().expect("a list");
    assert!(extensions.iter().any(|word| word == "mobike"), "{status}");
    pair.carries();
    pair
}

/// What must outlive a move: the IKE SA, and the Child SAs where both datapaths can move them. Kernel states cannot be moved:
/// made anew, they would start their sequence numbers over. Nor can those of strongSwan's user-space plugin.
fn lasting(pair: &Pair) -> Vec<Value> {
    let status = pair.near.connection("peer").unwrap();
    let ike = ["initiator_spi", "responder_spi"].map(|spi| status["ike"][spi].clone());
    let child = ["inbound_spi", "outbound_spi"].map(|spi| status["children"][0][spi].clone());
    match (Datapath::of_this_run().unwrap(), &pair.far) {
        (Datapath::User, Far::Causeway(_)) => [ike, child].concat(),
        (Datapath::Kernel, _) | (_, Far::StrongSwan(_)) => ike.to_vec(),
    }
}

/// Something happens, and an end of the tunnel is soon at this address; the tunnel is the same, and traffic flows again.
fn moves(pair: &Pair, (end, address): (&str, IpAddr), happens: impl Fn(&Namespace)) {
    let before = lasting(pair);
    let (a, b) = (&pair.sites.a, &pair.sites.b);
    let ping = Ping::start(&a.host, b.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(5, SOON).unwrap();
    happens(&b.gateway);
    wait::until(&format!("the {end} end to be at {address}"), SOON, || {
        let status = pair.near.connection("peer")?;
        let there = status["ike"][end].as_str().unwrap_or_default();
        anyhow::ensure!(there.starts_with(&format!("{address}:")), "{status}");
        Ok(())
    })
    .unwrap();
    ping.wait_for(30, SOON).unwrap();
    drop(ping);
    pair.carries();
    assert_eq!(lasting(pair), before);
}

/// Our first address is cut off: we move to the second one.
#[test]
fn we_leave_a_dead_path() {
    for kind in [Kind::StrongSwan, Kind::Causeway] {
        let pair = pair(kind, First::Near);
        moves(&pair, ("local", OURS), |far| far.nft(CUT).unwrap());
        pair.only_esp();
    }
}

/// The peer loses the address that it started from: we follow it to another.
#[test]
fn we_follow_a_peer_that_moves() {
    let pair = pair(Kind::StrongSwan, First::Far);
    let gone = "address del 192.0.2.2/24 dev wan";
    moves(&pair, ("remote", THEIRS), |far| far.ip(&[gone]).unwrap());
    // Its system says of what was under way to the first address that nobody is there.
    let seen = pair.capture.finish();
    assert!(seen.count(Class::Clear) == 0 && seen.esp() > 0, "{seen:?}");
}
