//! A tunnel comes up whoever begins, carries traffic in both directions, and nothing else is seen outside.

use std::time::Duration;

use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::tunnel::Datapath;

use crate::pair::{First, Kind, Pair, tunnels};

fn comes_up_and_carries(kind: Kind, first: First) {
    let pair = Pair::up(kind, first);
    let behind = Capture::start(&pair.sites.b.host, "eth0").unwrap();
    pair.carries();
    let status = pair.near.connection("peer").unwrap();
    assert_eq!(status["ike"]["initiator"], first == First::Near, "{status}");
    let child = &status["children"][0];
    assert!(child["packets_in"].as_u64() > Some(20), "{status}");
    assert!(child["packets_out"].as_u64() > Some(20), "{status}");
    let link = status["interface"].as_str().expect("the tunnel has a link");
    let shown = pair.sites.a.gateway.run("ip", &["link", "show", link]).unwrap();
    assert!(shown.contains("mtu 1400"), "{shown}");
    let sizes = behind.finish().segment_sizes;
    assert_eq!(
        sizes.first(),
        Some(&1350),
        "the SYN of the stream was not clamped: {sizes:?}"
    );
    let seen = pair.only_esp();
    assert!(seen.count(Class::Ike) >= 4, "{seen:?}");
    let encapsulated = Datapath::of_this_run().unwrap() == Datapath::User;
    let (expected, other) = if encapsulated {
        (Class::EspInUdp, Class::Esp)
    } else {
        (Class::Esp, Class::EspInUdp)
    };
    assert!(seen.count(expected) > 40 && seen.count(other) == 0, "{seen:?}");
}

#[test]
fn causeway_begins_with_causeway() {
    comes_up_and_carries(Kind::Causeway, First::Near);
}

#[test]
fn causeway_answers_causeway() {
    comes_up_and_carries(Kind::Causeway, First::Far);
}

#[test]
fn causeway_begins_with_strongswan() {
    comes_up_and_carries(Kind::StrongSwan, First::Near);
}

#[test]
fn causeway_answers_strongswan() {
    comes_up_and_carries(Kind::StrongSwan, First::Far);
}

/// What the network loses of what the peer sends is told, and stays told when the keys are replaced.
#[test]
fn packets_lost_on_the_way_are_counted_by_sequence_numbers() {
    let pair = Pair::up(Kind::StrongSwan, First::Near);
    let (a, b) = (&pair.sites.a, &pair.sites.b);
    let lost = || -> anyhow::Result<u64> {
        let connection = pair.near.connection("peer")?;
        let lost = &connection["carried"]["packets_lost"];
        lost.as_u64()
            .ok_or_else(|| anyhow::anyhow!("no packets_lost in {connection}"))
    };
    let ping = Ping::start(&b.host, a.host_address, Duration::from_millis(20)).unwrap();
    ping.wait_for(20, SOON).unwrap();
    assert_eq!(lost().unwrap(), 0);
    // One ESP packet of the peer in four is lost before it reaches us; ours are not.
    let rule = "table ip loss { chain in { type filter hook prerouting priority -300; iif wan \
                ip protocol { esp, udp } numgen inc mod 4 == 0 drop\n}\n}";
    a.gateway.nft(rule).unwrap();
    ping.wait_for(40, SOON).unwrap();
    a.gateway.nft("delete table ip loss").unwrap();
    ping.wait_for(5, SOON).unwrap();
    let answers = ping.finish();
    let told = lost().unwrap();
    assert!(
        answers.lost > 0 && told.abs_diff(answers.lost as u64) <= 2,
        "{told}, {answers:?}"
    );
    pair.near.rekey("peer", false).unwrap();
    pair.carries();
    assert_eq!(lost().unwrap(), told);
}

/// Two gateways that name no policy use ML-KEM-768, for the IKE SA and whenever keys are replaced.
#[test]
fn modern_gateways_use_ml_kem() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (mut near, mut far) = tunnels(&sites);
    (near.built_in, far.built_in) = (Some("modern"), Some("modern"));
    let pair = Pair::start(run, sites, (near, far), (Kind::Causeway, First::Near));
    let before = pair.wait();
    let ike = "AES_GCM_16_256/PRF_HMAC_SHA2_384/X25519/KE1_ML_KEM_768";
    assert_eq!(before["ike"]["algorithms"], ike, "{before}");
    for ike in [false, true] {
        pair.near.rekey("peer", ike).unwrap();
    }
    let after = wait::until("both kinds of keys to be replaced", SOON, || {
        let after = pair.near.connection("peer")?;
        let other = |part: &str| after.pointer(part) != before.pointer(part);
        let through = other("/ike/initiator_spi") && other("/children/0/inbound_spi");
        anyhow::ensure!(
            through && after["children"].as_array().is_some_and(|all| all.len() == 1),
            "{after}"
        );
        Ok(after)
    })
    .unwrap();
    assert_eq!(after["ike"]["algorithms"], ike, "{after}");
    let child = "AES_GCM_16_256/ESN/X25519/KE1_ML_KEM_768";
    assert_eq!(after["children"][0]["algorithms"], child, "{after}");
    pair.carries();
    pair.only_esp();
}
