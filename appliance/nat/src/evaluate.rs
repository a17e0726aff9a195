use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::program::{Hook, Program, Side};

mod run;

use run::{Run, State};

/// The first packet of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The link that it comes in by; it is our own if `None`.
    pub link: Option<String>,
    /// The protocol, by IANA number.
    pub protocol: u8,
    /// Where it is from.
    pub source: End,
    /// Where it goes.
    pub destination: End,
}

/// An address, and a port if the protocol has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// What a program does to a packet, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What comes out.
    pub outcome: Outcome,
    /// The rules that translated it, in order.
    pub fired: Vec<Fired>,
    /// The zone in which connection tracking knows the flow.
    pub zone: u16,
}

/// A rule at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its number in [`Program::bindings`].
    pub binding: u16,
    /// What of the packet it translated.
    pub side: Side,
    /// The chain in which it did so.
    pub chain: String,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Passed(Passed),
    /// It is to the external prefix of a dynamic rule, and nobody inside has begun this flow.
    Refused {
        /// The rule's number in [`Program::bindings`].
        binding: u16,
        /// The chain that dropped it.
        chain: String,
    },
}

/// A packet that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The link that it goes out by; it is for us, or there is no route, if `None`.
    pub link: Option<String>,
    /// Where it is from now.
    pub source: Source,
    /// Where it goes now.
    pub destination: End,
}

/// Where a packet is from after translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This.
    Is(End),
    /// One of many.
    OneOf {
        /// An address of these.
        addresses: IpNet,
        /// A port, or id, of these; that of before if empty.
        ports: Vec<RangeInclusive<u16>>,
    },
}

/// An answer within a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The link that it goes out by; it is for us, or there is no route, if `None`.
    pub link: Option<String>,
    /// Where it is from now: where the flow was sent.
    pub source: End,
    /// Where it goes now: where the flow began.
    pub destination: End,
}

impl Source {
    /// Whether it can be this one.
    pub fn allows(&self, end: End) -> bool {
        match self {
            Self::Is(one) => *one == end,
            Self::OneOf { addresses, ports } => {
                let suits = |port: u16| ports.is_empty() || ports.iter().any(|range| range.contains(&port));
                addresses.contains(&end.address) && end.port.is_none_or(suits)
            }
        }
    }
}

impl Program {
    /// What becomes of the first packet of a flow, by the maps and chains as the kernel goes through them. `routes` tells the
    /// link that the main routes lead to; `None` if an address is ours or there is no route.
    pub fn evaluate(&self, packet: &Packet, routes: &dyn Fn(IpAddr) -> Option<String>) -> Verdict {
        let mut run = Run::new(self, State::of(packet), routes);
        let destination = match packet.link {
            Some(_) => run.pass(Hook::Before).then_some(Hook::Destination),
            None => {
                run.route();
                run.pass(Hook::BeforeOwn).then_some(Hook::DestinationOwn)
            }
        };
        let mut passes = destination.is_some_and(|hook| run.pass(hook));
        if passes {
            run.route();
            let source = if run.state.out_link.is_some() {
                Hook::Source
            } else {
                Hook::SourceOwn
            };
            passes = run.pass(source);
        }
        let outcome = match run.state.refused.take().filter(|_| !passes) {
            Some((binding, chain)) => Outcome::Refused { binding, chain },
            None => Outcome::Passed(Passed {
                link: run.state.out_link.clone(),
                source: run.state.translated_source(),
                destination: run.state.destination,
            }),
        };
        Verdict {
            outcome,
            zone: run.state.zone.unwrap_or(0),
            fired: run.state.fired,
        }
    }

    /// What becomes of an answer to a flow that began with `flow`, `passed`, and left as being from `source`. `None` if
    /// connection tracking does not know the answer for one: the program would be wrong.
    pub fn answer(
        &self,
        flow: &Packet,
        verdict: &Verdict,
        source: End,
        routes: &dyn Fn(IpAddr) -> Option<String>,
    ) -> Option<Answered> {
        let passed = match &verdict.outcome {
            Outcome::Passed(passed) => passed,
            Outcome::Refused { .. } => return None,
        };
        let answer = Packet {
            link: passed.link.clone(),
            protocol: flow.protocol,
            source: passed.destination,
            destination: source,
        };
        let mut run = Run::new(self, State::of(&answer), routes);
        if answer.link.is_some() {
            run.pass(Hook::Before);
        } else {
            run.route();
            run.pass(Hook::BeforeOwn);
        }
        let known = run.state.zone.unwrap_or(0) == verdict.zone && passed.source.allows(source);
        run.state.destination = flow.source;
        run.route();
        known.then(|| Answered {
            link: run.state.out_link.clone(),
            source: flow.destination,
            destination: flow.source,
        })
    }
}
