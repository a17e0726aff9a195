//! Processor time that a responder spends on one IKEv2 handshake: IKE_SA_INIT and IKE_AUTH with a pre-shared key and
//! AES-GCM, up to an installed Child SA; the whole process, from `/proc`.
//!
//! One load generator, our engine as initiator for many sites over UDP, drives Causeway and strongSwan in turn, in two
//! namespaces. To be beaten: a third of strongSwan's time with X25519, a quarter with MODP-2048.
//!
//! Arguments: the number of rounds (3), and of handshakes in each (400).

use std::time::Duration;

use anyhow::{Context, Result};
use ike::crypto::Group;
use system_bench::handshake::{Plan, Responder, Scene};
use system_bench::print;

const CASES: [(&str, Group); 3] = [
    ("x25519", Group::X25519),
    ("ecp256", Group::Ecp256),
    ("modp2048", Group::Modp2048),
];
/// So many handshakes come before those that count.
const WARM_UP: usize = 16;

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
        let plan = Plan::of(handshakes + warm_up, group);
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

/// What all handshakes of a round cost a fresh responder.
fn round(responder: Responder, plan: &Plan) -> Result<Duration> {
    let mut scene = Scene::new(responder, plan)?;
    // The first few pay for what is made once in the life of a process.
    let before = scene.handshakes(WARM_UP)?;
    Ok(scene.handshakes(plan.sites.len() - WARM_UP)? - before)
}
