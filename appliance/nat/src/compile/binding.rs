use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Compiler, WITH_PORTS, after};
use crate::program::{Action, Binding, Condition, Data, Element, Family, Key, Line, Side, Target, Value};
use crate::rule::Kind;

/// Protocols whose ports, or ids, tell flows of one address apart (IANA protocol numbers): ICMP, TCP, UDP, DCCP, ICMPv6,
/// SCTP, UDP-Lite.
const TOLD_APART: [u8; 7] = [1, 6, 17, 33, 58, 132, 136];

impl Compiler<'_> {
    /// The chains of one rule on one connection: what it does to the first packet of a flow, each way.
    pub(super) fn binding(&mut self, id: u16, binding: Binding) {
        if let Some((source, destination)) = self.ways(id, &binding) {
            let about = about(&binding);
            self.chain(format!("source_{id}"), &about, source);
            self.chain(format!("destination_{id}"), &about, destination);
        }
        self.bindings.insert(id, binding);
    }

    /// What one rule does to the source, and to the destination; `None` if maps say it.
    fn ways(&mut self, id: u16, binding: &Binding) -> Option<(Vec<Line>, Vec<Line>)> {
        let (internal, external) = (binding.rule.internal, binding.rule.external);
        match &binding.rule.kind {
            Kind::Static { ports: None } => None,
            Kind::Static {
                ports: Some((inside, outside)),
            } => {
                let (inside, outside) = ((internal, *inside), (external, *outside));
                let (to, back) = (
                    Target::Port {
                        from: inside,
                        to: outside,
                    },
                    Target::Port {
                        from: outside,
                        to: inside,
                    },
                );
                Some((
                    bind_port(id, Side::Source, to),
                    bind_port(id, Side::Destination, back),
                ))
            }
            Kind::Dynamic { ports } => {
                let refused = binding.refused().into_iter().map(Action::Hit);
                let drop = Line {
                    conditions: Vec::new(),
                    actions: refused.chain([Action::Drop]).collect(),
                };
                Some((self.pool(id, binding, ports), vec![drop]))
            }
        }
    }

    /// Translates one side of a flow by the static rule for all traffic whose number was looked up: writes that into half of the
    /// flow's mark, and looks up there the prefix that it makes. nftables cannot put two numbers together, so a line does so with each
    /// bit that numbers of these rules have.
    pub(super) fn translator(&mut self, side: Side) {
        let whole = self
            .bindings
            .iter()
            .filter(|(_, binding)| binding.rule.is_whole());
        let whole: Vec<(u16, IpNet)> = whole
            .map(|(id, binding)| (*id, after(side, &binding.rule)))
            .collect();
        let used = whole.iter().fold(0, |used, (id, _)| used | id);
        if used == 0 {
            return;
        }
        let bits = (0..u16::BITS).map(|place| 1_u16 << place);
        let bits = bits.filter(|bit| used & bit != 0).map(|bit| Line {
            conditions: vec![Condition::PairHas(bit.into())],
            actions: vec![Action::BindBits(side, bit)],
        });
        let mut lines: Vec<Line> = [Line::of(Action::Unbind(side))].into_iter().chain(bits).collect();
        lines.push(Line::of(Action::Pair(0)));
        for family in Family::ALL {
            let (name, about) = match side {
                Side::Source => ("external", "what rules make of sources"),
                Side::Destination => ("internal", "what rules make of destinations"),
            };
            let name = format!("{name}{}", family.digit());
            let of = whole.iter().filter(|(_, net)| Family::of(net) == family);
            let elements = of.map(|(id, net)| (Element::Number((*id).into()), Value::Prefix(*net)));
            let elements = elements.collect();
            self.map(&name, about, Key::Mark, Data::Prefix(family));
            if let Some(map) = self.maps.last_mut() {
                map.elements = elements;
            }
            lines.push(Line::of(Action::TranslateBy(side, family, name)));
        }
        self.chain(
            translator(side).to_owned(),
            "by the rule that was looked up",
            lines,
        );
    }

    /// Many behind few. The kernel takes one range of ports at a time, so several have a chain each, and the dice decide:
    /// a flow that finds its range full has another chance when its host tries again.
    fn pool(&mut self, id: u16, binding: &Binding, ports: &[RangeInclusive<u16>]) -> Vec<Line> {
        let about = about(binding);
        let external = binding.rule.external;
        let translate = |range: &RangeInclusive<u16>| {
            Action::Translate(Side::Source, Target::Pool(external, Some(range.clone())))
        };
        let with_ports = match ports {
            [range] => translate(range),
            several => {
                let mut shares = Vec::new();
                for (index, range) in several.iter().enumerate() {
                    let chain = format!("source_{id}_{}", index + 1);
                    let line = Line {
                        conditions: vec![Condition::Protocol(TOLD_APART.into())],
                        actions: vec![translate(range)],
                    };
                    self.chain(chain.clone(), &about, vec![line]);
                    let size = u32::from(*range.end()).saturating_sub(u32::from(*range.start())) + 1;
                    shares.push((size, chain));
                }
                Action::Spread(shares)
            }
        };
        vec![
            Line::of(Action::Bind(Side::Source, id)),
            Line {
                conditions: vec![Condition::Protocol(TOLD_APART.into())],
                actions: vec![with_ports],
            },
            Line::of(Action::Translate(Side::Source, Target::Pool(external, None))),
        ]
    }
}

/// The chain that translates by a rule that was looked up.
pub(super) fn translator(side: Side) -> &'static str {
    match side {
        Side::Source => "translate_source",
        Side::Destination => "translate_destination",
    }
}

fn about(binding: &Binding) -> String {
    format!("{}: {}", binding.connection, binding.name)
}

fn bind_port(id: u16, side: Side, target: Target) -> Vec<Line> {
    vec![
        Line::of(Action::Bind(side, id)),
        Line {
            conditions: vec![Condition::Protocol(WITH_PORTS.into())],
            actions: vec![Action::Translate(side, target)],
        },
    ]
}
