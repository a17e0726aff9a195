//! Programs mean their rules: what the evaluator says of random packets is what the rules say, read off directly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_arguments
)]

mod naive;
mod world;

use appliance_nat::{Answered, End, Numbers, Outcome, Source, Verdict, compile};
use naive::{Choice, Expected, expected};
use proptest::prelude::*;
use world::{Dice, World};

/// The site behind a link, or the link itself.
fn side(world: &World, link: Option<&str>) -> Option<String> {
    let tunnel = world
        .rules
        .tunnels
        .values()
        .find(|tunnel| Some(&*tunnel.link) == link);
    tunnel
        .map(|tunnel| tunnel.site.clone())
        .or_else(|| link.map(str::to_owned))
}

fn heard(verdict: &Verdict) -> Expected {
    match &verdict.outcome {
        Outcome::Refused { .. } => Expected::Refused,
        Outcome::Passed(passed) => Expected::Passed {
            link: passed.link.clone(),
            source: match passed.source.clone() {
                Source::Is(end) => Choice::This(end),
                Source::OneOf { addresses, ports } => Choice::Among(addresses, ports),
            },
            destination: passed.destination,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the rules and the packet, the program does what the rules say.
    #[test]
    fn a_program_means_its_rules(seed: u64) {
        let world = World::random(seed);
        let program = compile(&world.rules, &Numbers::default()).unwrap();
        let mut dice = Dice(seed ^ 1);
        for number in 20_000..20_100 {
            let packet = world.packet(&mut dice, number);
            let verdict = program.evaluate(&packet, &|address| world.route(address));
            prop_assert_eq!(heard(&verdict), expected(&world, &packet), "{:?}", packet);
        }
    }

    /// An answer is in the zone of its flow, and comes back as being from where the flow was sent, to where it began.
    #[test]
    fn an_answer_finds_its_way_back(seed: u64) {
        let world = World::random(seed);
        let program = compile(&world.rules, &Numbers::default()).unwrap();
        let mut dice = Dice(seed ^ 2);
        let routes = |address| world.route(address);
        for number in 20_000..20_100 {
            let packet = world.packet(&mut dice, number);
            let verdict = program.evaluate(&packet, &routes);
            let Outcome::Passed(passed) = &verdict.outcome else { continue };
            let source = match &passed.source {
                Source::Is(end) => *end,
                Source::OneOf { addresses, ports } => End {
                    address: addresses.network(),
                    port: packet.source.port.and(ports.first().map(|range| *range.start())),
                },
            };
            if !world.is_answerable(&packet, passed.link.as_deref(), source) {
                continue;
            }
            let answer = program.answer(&packet, &verdict, source, &routes);
            prop_assert!(answer.is_some(), "unknown: {:?} {:?}", packet, verdict);
            let Answered { link, source, destination } = answer.unwrap();
            prop_assert_eq!((source, destination), (packet.destination, packet.source));
            prop_assert_eq!(
                side(&world, link.as_deref()),
                side(&world, packet.link.as_deref()),
                "{:?} {:?}", packet, verdict
            );
        }
    }
}
