//! Programs mean their rules: what the evaluator says of random packets is what the rules say, read off directly.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod naive;
mod world;

use std::collections::BTreeSet;

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
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the rules and the packet, the program does what the rules say.
    #[test]
    fn a_program_means_its_rules(seed: u64) {
        let world = World::random(seed);
        let program = compile(&world.rules, &Numbers::default()).unwrap();
        let mut dice = Dice(seed ^ 1);
        for number in 20_000..20_060 {
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
        for number in 20_000..20_060 {
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

    /// What stays from one program to the next keeps its number; what is new gets one that nothing had just before.
    #[test]
    fn numbers_are_kept(seed: u64, other: u64) {
        let before = compile(&World::random(seed).rules, &Numbers::default()).unwrap();
        let mut rules = World::random(seed).rules;
        let gone = format!("connection-{}", 1 + other % 4);
        rules.tunnels.remove(&gone);
        for (connection, tunnel) in World::random(other).rules.tunnels {
            rules.tunnels.entry(format!("{connection}-more")).or_insert(tunnel);
        }
        let after = compile(&rules, before.numbers()).unwrap();
        prop_assert_eq!(&after, &compile(&rules, before.numbers()).unwrap());
        let (old, new) = (before.numbers(), after.numbers());
        let ids: BTreeSet<u16> = new.bindings.values().copied().collect();
        prop_assert_eq!(ids.len(), new.bindings.len());
        for (key, id) in &new.bindings {
            match old.bindings.get(key) {
                Some(known) => prop_assert_eq!(known, id),
                None => prop_assert!(!old.bindings.values().any(|known| known == id)),
            }
        }
        for (site, class) in &new.sites {
            match old.sites.get(site) {
                Some(known) => prop_assert_eq!(known, class),
                None => prop_assert!(!old.sites.values().any(|known| known == class)),
            }
        }
    }
}
