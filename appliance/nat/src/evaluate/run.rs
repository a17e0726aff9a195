use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{End, Fired, Packet, Source};
use crate::compile::MARK;
use crate::program::{
    Action, By, Condition, Element, Family, Field, Hook, Line, Map, Place, Program, Side, Target, Value,
};

/// A packet on its way, with what is known of it and its flow.
#[derive(Clone)]
pub(super) struct State {
    in_link: Option<String>,
    pub(super) out_link: Option<String>,
    protocol: u8,
    source: End,
    pub(super) destination: End,
    /// What the source becomes: the kernel chooses.
    pool: Option<Source>,
    mark: u32,
    flow: u32,
    pair: u32,
    pub(super) zone: Option<u16>,
    pub(super) fired: Vec<Fired>,
    pub(super) refused: Option<(u16, String)>,
}

/// A packet going through a program.
pub(super) struct Run<'p> {
    program: &'p Program,
    pub(super) state: State,
    routes: &'p dyn Fn(IpAddr) -> Option<String>,
}

/// How a chain, or a line, ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// With the next line, or the caller's next line.
    On,
    /// With the caller's next line.
    Back,
    /// The packet passes the hook.
    Passed,
    /// The packet is dropped.
    Dropped,
}

impl State {
    pub(super) fn of(packet: &Packet) -> Self {
        Self {
            in_link: packet.link.clone(),
            out_link: None,
            protocol: packet.protocol,
            source: packet.source,
            destination: packet.destination,
            pool: None,
            mark: 0,
            flow: 0,
            pair: 0,
            zone: None,
            fired: Vec::new(),
            refused: None,
        }
    }

    pub(super) fn translated_source(&self) -> Source {
        self.pool.clone().unwrap_or(Source::Is(self.source))
    }

    fn end(&self, side: Side) -> End {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }

    fn is(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.source.address.is_ipv4(),
            Family::V6 => self.source.address.is_ipv6(),
        }
    }

    fn translate(&mut self, side: Side, target: &Target) {
        let before = self.end(side);
        let after = match target {
            Target::Port { to: (net, port), .. } => End {
                address: host(net, before.address),
                port: Some(*port),
            },
            Target::Pool(addresses, ports) => {
                self.pool = Some(Source::OneOf {
                    addresses: *addresses,
                    ports: ports.iter().cloned().collect(),
                });
                return;
            }
        };
        match side {
            Side::Source => self.source = after,
            Side::Destination => self.destination = after,
        }
    }
}

impl<'p> Run<'p> {
    pub(super) fn new(
        program: &'p Program,
        state: State,
        routes: &'p dyn Fn(IpAddr) -> Option<String>,
    ) -> Self {
        Self {
            program,
            state,
            routes,
        }
    }

    /// Finds the way out, by the mark if it is one of ours.
    pub(super) fn route(&mut self) {
        let table = self.program.tables.get(&self.state.mark).cloned();
        self.state.out_link = table.or_else(|| (self.routes)(self.state.destination.address));
    }

    /// Whether the packet passes a hook.
    pub(super) fn pass(&mut self, hook: Hook) -> bool {
        self.chain(hook.chain()) != Turn::Dropped
    }

    fn chain(&mut self, name: &str) -> Turn {
        let program = self.program;
        let chain = program.chains.iter().find(|chain| chain.name == name);
        for line in chain.iter().flat_map(|chain| &chain.lines) {
            match self.line(name, line) {
                Turn::On => {}
                Turn::Back => return Turn::On,
                turn @ (Turn::Passed | Turn::Dropped) => return turn,
            }
        }
        Turn::On
    }

    fn line(&mut self, chain: &str, line: &Line) -> Turn {
        if !line.conditions.iter().all(|condition| self.holds(condition)) {
            return Turn::On;
        }
        for action in &line.actions {
            // Where nothing is found the rest of the line is for other packets.
            match self.act(chain, action) {
                Some(Turn::On) => {}
                Some(turn @ (Turn::Back | Turn::Passed | Turn::Dropped)) => return turn,
                None => return Turn::On,
            }
        }
        Turn::On
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::In(field, set) => self.find(*field, set).is_some(),
            Condition::PairFrom(pair) => self.state.pair >= *pair,
            Condition::PairHas(bit) => self.state.pair & bit == *bit,
            Condition::PairUpTo(pair) => self.state.pair <= *pair,
            Condition::Protocol(protocols) => protocols.contains(&self.state.protocol),
            // What is evaluated is the first packet of a flow.
            Condition::ErrorFor(_) | Condition::Unknown => false,
            Condition::Marked => self.state.mark & 0xffff_0000 == MARK,
        }
    }

    fn act(&mut self, chain: &str, action: &Action) -> Option<Turn> {
        match action {
            Action::Branch(field, map) => {
                return match self.find(*field, map)? {
                    Value::Jump(chain) => Some(self.chain(chain)),
                    Value::Goto(chain) => Some(self.last(chain)),
                    Value::Member
                    | Value::Zone(_)
                    | Value::Mark(_)
                    | Value::Prefix(_)
                    | Value::Counter(_) => None,
                };
            }
            Action::Jump(chain) => return Some(self.chain(chain)),
            Action::Mark(mark) => self.state.mark = *mark,
            Action::MarkFrom(field, map) => self.state.mark = self.find(*field, map)?.mark()?,
            Action::PairBy(field, map) => self.state.pair = self.find(*field, map)?.mark()?,
            Action::Pair(pair) => self.state.pair = *pair,
            Action::PairWith(mask, pair) => self.state.pair = self.state.pair & mask | pair,
            Action::Zone(zone) => {
                self.state.zone.get_or_insert(*zone);
            }
            Action::ZoneFrom(field, map) => {
                let zone = self.find(*field, map)?.zone()?;
                self.state.zone.get_or_insert(zone);
            }
            Action::Bind(side, binding) => self.bind(chain, *side, *binding),
            Action::BindBits(Side::Source, bits) => self.state.flow |= u32::from(*bits) << 16,
            Action::BindBits(Side::Destination, bits) => self.state.flow |= u32::from(*bits),
            Action::BindFrom(field, map) => self.state.flow = self.find(*field, map)?.mark()?,
            Action::Unbind(Side::Source) => self.state.flow &= 0xffff,
            Action::Unbind(Side::Destination) => self.state.flow &= 0xffff_0000,
            Action::Translate(side, target) => {
                self.state.translate(*side, target);
                return Some(Turn::Passed);
            }
            Action::TranslateBy(side, family, map) => {
                let found = self
                    .find(Field::Flow(*side), map)
                    .filter(|_| self.state.is(*family))?;
                return self.translate_by(chain, *side, found);
            }
            Action::Spread(shares) => return Some(self.spread(shares)),
            Action::Count(field, map) => {
                self.find(*field, map)?;
            }
            Action::Hit(counter) => self.refuse(chain, counter),
            Action::Drop => return Some(Turn::Dropped),
            Action::Accept => return Some(Turn::Passed),
            Action::Return => return Some(Turn::Back),
        }
        Some(Turn::On)
    }

    /// A chain that does not come back to this one.
    fn last(&mut self, chain: &str) -> Turn {
        match self.chain(chain) {
            Turn::On => Turn::Back,
            turn @ (Turn::Back | Turn::Passed | Turn::Dropped) => turn,
        }
    }

    fn bind(&mut self, chain: &str, side: Side, binding: u16) {
        let id = u32::from(binding);
        self.state.flow = match side {
            Side::Source => self.state.flow & 0xffff | id << 16,
            Side::Destination => self.state.flow & 0xffff_0000 | id,
        };
        self.state.fired.push(Fired {
            binding,
            side,
            chain: chain.to_owned(),
        });
    }

    /// To the same host of a prefix, by the rule that the flow's mark says.
    fn translate_by(&mut self, chain: &str, side: Side, found: &Value) -> Option<Turn> {
        let net = found.prefix()?;
        let (end, half) = match side {
            Side::Source => (&mut self.state.source, self.state.flow >> 16),
            Side::Destination => (&mut self.state.destination, self.state.flow & 0xffff),
        };
        end.address = host(&net, end.address);
        self.state.fired.push(Fired {
            binding: u16::try_from(half).unwrap_or_default(),
            side,
            chain: chain.to_owned(),
        });
        Some(Turn::Passed)
    }

    fn refuse(&mut self, chain: &str, counter: &str) {
        let mut all = self.program.bindings.iter();
        let of = all.find(|(_, binding)| binding.refused().as_deref() == Some(counter));
        self.state.refused = of.map(|(id, _)| (*id, chain.to_owned()));
    }

    /// Any of these chains: what each allows, together.
    fn spread(&mut self, shares: &[(u32, String)]) -> Turn {
        let (before, mut turn, mut all) = (self.state.clone(), Turn::Back, Vec::new());
        for (_, chain) in shares {
            self.state = before.clone();
            turn = self.last(chain);
            if let Some(Source::OneOf { ports, .. }) = &self.state.pool {
                all.extend(ports.iter().cloned());
            }
        }
        if let Some(Source::OneOf { ports, .. }) = &mut self.state.pool {
            *ports = all;
        }
        turn
    }

    /// What a map says of a packet.
    fn find(&self, field: Field, map: &str) -> Option<&'p Value> {
        let map: &'p Map = self.program.maps.iter().find(|known| known.name == map)?;
        let asked = self.asked(field)?;
        let mut elements = map.elements.iter();
        let found = elements.find(|(element, _)| asked.is(element));
        found.map(|(_, value)| value)
    }

    fn asked(&self, field: Field) -> Option<Asked> {
        let state = &self.state;
        let address = |side, family| state.is(family).then(|| state.end(side));
        Some(match field {
            Field::InLink => Asked::Link(self.place(By::InLink)?),
            Field::OutLink => Asked::Link(self.place(By::OutLink)?),
            Field::RouteLink => Asked::Link(self.place(By::RouteLink)?),
            Field::Address(by, side, family) => {
                Asked::Address(self.place(by)?, address(side, family)?.address)
            }
            Field::Port(by, side, family) => {
                let end = address(side, family)?;
                Asked::Port(self.place(by)?, end.address, state.protocol, end.port?)
            }
            Field::Mark => Asked::Number(state.mark),
            Field::Flow(Side::Source) => Asked::Number(state.flow >> 16),
            Field::Flow(Side::Destination) => Asked::Number(state.flow & 0xffff),
            Field::Pair => Asked::Number(state.pair),
        })
    }

    fn place(&self, by: By) -> Option<Place> {
        match by {
            By::InLink => self.state.in_link.clone().map(Place::Link),
            By::OutLink => self.state.out_link.clone().map(Place::Link),
            By::RouteLink => (self.routes)(self.state.destination.address).map(Place::Link),
            By::Mark => Some(Place::Mark(self.state.mark)),
        }
    }
}

/// What is looked for in a map.
enum Asked {
    Link(Place),
    Address(Place, IpAddr),
    Port(Place, IpAddr, u8, u16),
    Number(u32),
}

impl Asked {
    fn is(&self, element: &Element) -> bool {
        match (self, element) {
            (Self::Link(Place::Link(name)), Element::Link(known)) => name == known,
            (Self::Address(place, address), Element::Net(there, net)) => {
                place == there && net.contains(address)
            }
            (Self::Port(place, address, protocol, port), Element::Port(there, net, known, number)) => {
                place == there && net.contains(address) && protocol == known && port == number
            }
            (Self::Number(number), Element::Number(known)) => number == known,
            (
                Self::Link(_) | Self::Address(..) | Self::Port(..) | Self::Number(_),
                Element::Link(_) | Element::Net(..) | Element::Port(..) | Element::Number(_),
            ) => false,
        }
    }
}

/// The host of a prefix that has the same bits behind it as an address.
fn host(net: &IpNet, address: IpAddr) -> IpAddr {
    match (net, address) {
        (IpNet::V4(net), IpAddr::V4(address)) => {
            let mask = u32::from(net.netmask());
            Ipv4Addr::from(u32::from(net.network()) & mask | u32::from(address) & !mask).into()
        }
        (IpNet::V6(net), IpAddr::V6(address)) => {
            let mask = u128::from(net.netmask());
            Ipv6Addr::from(u128::from(net.network()) & mask | u128::from(address) & !mask).into()
        }
        (IpNet::V4(_), IpAddr::V6(_)) | (IpNet::V6(_), IpAddr::V4(_)) => address,
    }
}
