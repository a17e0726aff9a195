//! Processor time that a responder spends on one IKEv2 handshake: IKE_SA_INIT and IKE_AUTH with a pre-shared key and
//! AES-GCM, up to an installed Child SA; the whole process, from `/proc`.
//!
//! One load generator, our engine as initiator for many sites over UDP, drives Causeway and strongSwan in turn, in two
//! namespaces. To be beaten: a third of strongSwan's time with X25519, a quarter with MODP-2048.
//!
//! Arguments: the number of rounds (3), and of handshakes in each (400).

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use ike::crypto::Group;
use system_bench::handshake::{Initiators, Plan, Responder};
use system_bench::print;
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;

const CASES: [(&str, Group); 3] = [
    ("x25519", Group::X25519),
    ("ecp256", Group::Ecp256),
    ("modp2048", Group::Modp2048),
];
/// So many sites begin at once, fewer than make either responder ask for cookies.
const AT_ONCE: usize = 8;
/// So many handshakes come before those that count.
const WARM_UP: usize = 16;
const HUB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds: u32 = arguments
        .next()
        .map_or(Ok(3), |count| count.parse())
        .context("rounds")?;
    let handshakes: u16 = arguments
        .next()
        .map_or(Ok(400), |count| count.parse())
        .context("handshakes")?;
    let warm_up = u16::try_from(WARM_UP)?;
    for (name, group) in CASES {
        let plan = Plan {
            sites: (1..=handshakes + warm_up).map(address).collect(),
            responder: HUB,
            group,
            secret: "bench.only.not.a.secret".to_owned(),
            at_once: AT_ONCE,
        };
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            ours += round(Responder::Causeway, &plan)?;
            theirs += round(Responder::StrongSwan, &plan)?;
        }
        let count = rounds * u32::from(handshakes);
        print(&format!(
            "ike-handshake/{name} ours={}µs peer={}µs ratio={:.2} n={count}",
            (ours / count).as_micros(),
            (theirs / count).as_micros(),
            ours.as_secs_f64() / theirs.as_secs_f64(),
        ));
    }
    Ok(())
}

/// 198.18.0.0/15 is for measurements (RFC 2544).
fn address(site: u16) -> Ipv4Addr {
    let [high, low] = site.to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

/// What all handshakes of a round cost a fresh responder.
fn round(responder: Responder, plan: &Plan) -> Result<Duration> {
    let run = Run::new()?;
    let (branch, hub) = (Namespace::new(&run, "branch")?, Namespace::new(&run, "hub")?);
    connect(
        &End {
            namespace: &branch,
            link: "wan",
            address: "192.0.2.1/24",
        },
        &End {
            namespace: &hub,
            link: "wan",
            address: "192.0.2.2/24",
        },
    )?;
    let addresses: Vec<_> = plan
        .sites
        .iter()
        .map(|site| format!("address add {site}/32 dev wan"))
        .collect();
    branch.ip(&addresses.iter().map(String::as_str).collect::<Vec<_>>())?;
    hub.ip(&[
        "address add 10.1.0.1/24 dev lo",
        "route add 198.18.0.0/16 via 192.0.2.1",
    ])?;
    let mut initiators = Initiators::new(&branch, plan.clone())?;
    let hub = responder.start(&run, &hub, plan)?;
    let mut handshakes = |count| -> Result<Duration> {
        initiators.run(count).with_context(|| hub.log())?;
        hub.spent()
    };
    // The first few pay for what is made once in the life of a process.
    let before = handshakes(WARM_UP)?;
    Ok(handshakes(plan.sites.len() - WARM_UP)? - before)
}
