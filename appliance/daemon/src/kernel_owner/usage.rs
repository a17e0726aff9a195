use std::collections::BTreeMap;
use std::net::IpAddr;

use appliance_kernel::Flow;
use appliance_nat::{Kind, Program, Rule};

/// How many flows the rules translate, and what ports they take for it; counted flow by flow, of which there may be hundreds
/// of thousands.
#[derive(Debug)]
pub(super) struct Usage<'p> {
    program: &'p Program,
    flows: BTreeMap<u16, u64>,
    /// Of flows of dynamic rules: number of the binding, protocol, address and port.
    ports: Vec<(u16, u8, IpAddr, u16)>,
}

impl<'p> Usage<'p> {
    /// Of this program.
    pub(super) fn of(program: &'p Program) -> Self {
        Self {
            program,
            flows: BTreeMap::new(),
            ports: Vec::new(),
        }
    }

    /// One more flow. The halves of its mark say which rules translate its destination and its source.
    pub(super) fn count(&mut self, flow: &Flow) {
        let [high, higher, low, lower] = flow.mark.to_be_bytes();
        let source = u16::from_be_bytes([high, higher]);
        let destination = u16::from_be_bytes([low, lower]);
        for number in [Some(source), Some(destination).filter(|other| *other != source)] {
            if let Some(number) = number.filter(|number| self.program.bindings().contains_key(number)) {
                *self.flows.entry(number).or_default() += 1;
            }
        }
        let binding = self.program.bindings().get(&source);
        if binding.is_some_and(|binding| ports(&binding.rule).is_some()) {
            self.ports
                .push((source, flow.protocol, flow.answers_to, flow.port));
        }
    }

    /// The flows of each binding, and how many ports each dynamic one has in use: of the protocol that uses most, since each
    /// has all of them. Flows to different hosts may share a port.
    pub(super) fn sums(mut self) -> BTreeMap<u16, (u64, u64)> {
        self.ports.sort_unstable();
        self.ports.dedup();
        let mut used: BTreeMap<(u16, u8), u64> = BTreeMap::new();
        for (number, protocol, ..) in &self.ports {
            *used.entry((*number, *protocol)).or_default() += 1;
        }
        let mut sums: BTreeMap<u16, (u64, u64)> = self
            .flows
            .into_iter()
            .map(|(number, flows)| (number, (flows, 0)))
            .collect();
        for ((number, _), count) in used {
            if let Some((_, most)) = sums.get_mut(&number) {
                *most = count.max(*most);
            }
        }
        sums
    }
}

/// How many ports a dynamic rule has for each protocol.
pub(super) fn ports(rule: &Rule) -> Option<u64> {
    let Kind::Dynamic { ports } = &rule.kind else {
        return None;
    };
    let bits = rule.external.max_prefix_len() - rule.external.prefix_len();
    let addresses = 1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX);
    let each: u64 = ports
        .iter()
        .map(|range| u64::from(range.end().saturating_sub(*range.start())) + 1)
        .sum();
    Some(addresses.saturating_mul(each))
}

#[cfg(test)]
mod tests {
    use appliance_nat::{Numbers, Rules, Tunnel, compile};

    use super::*;

    fn program() -> Program {
        let rule = |kind, internal: &str, external: &str| Rule {
            kind,
            internal: internal.parse().unwrap(),
            external: external.parse().unwrap(),
        };
        let dynamic = Kind::Dynamic {
            ports: vec![1024..=1025, 2000..=2003],
        };
        let tunnel = Tunnel {
            link: "cw-b".to_owned(),
            number: 1,
            site: "b".to_owned(),
            ingress: [(
                "in".to_owned(),
                rule(Kind::Static { ports: None }, "10.2.0.0/24", "100.64.2.0/24"),
            )]
            .into(),
            egress: [("few".to_owned(), rule(dynamic, "10.1.0.0/24", "100.64.9.0/31"))].into(),
        };
        let rules = Rules {
            tunnels: [("b".to_owned(), tunnel)].into(),
        };
        compile(&rules, &Numbers::default()).unwrap()
    }

    /// A flow to a site is one of both rules; a port that two flows to different hosts share is one port.
    #[test]
    fn flows_and_ports_are_counted_by_rule() {
        let program = program();
        let number = |name: &str| {
            let mut bindings = program.bindings().iter();
            let (number, _) = bindings.find(|(_, binding)| binding.name == name).unwrap();
            *number
        };
        let (few, into) = (number("few"), number("in"));
        let mut usage = Usage::of(&program);
        for (protocol, port) in [(6, 1024), (6, 1024), (6, 2001), (17, 1024)] {
            usage.count(&Flow {
                mark: u32::from(few) << 16 | u32::from(into),
                protocol,
                answers_to: "100.64.9.1".parse().unwrap(),
                port,
            });
        }
        usage.count(&Flow {
            mark: 0xfff0_fff0,
            protocol: 6,
            answers_to: "100.64.9.1".parse().unwrap(),
            port: 7,
        });
        assert_eq!(usage.sums(), [(few, (4, 2)), (into, (4, 0))].into());
        assert_eq!(ports(&program.bindings()[&few].rule), Some(12));
        assert_eq!(ports(&program.bindings()[&into].rule), None);
    }
}
