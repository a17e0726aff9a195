use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::configured::{Configured, Member};
use super::import::Refusal;
use super::inbound::Judged;
use super::table::{NetId, Path};
use super::tables::Rib;
use super::{Direction, PeerIndex};
use crate::translation::{Mapping, MappingKind, Meeting};
use crate::{Families, Family};

/// So many prefixes are listed of one neighbour; how many there are is told beside.
const LISTED: usize = 100;

/// What becomes of a prefix that a neighbour sent, before any filter looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Boundary<'a> {
    /// It is looked at as it is.
    Passes,
    /// It is looked at as the external prefix of this rule.
    Becomes(&'a Mapping),
    /// It is not looked at any further.
    Stays(&'a Mapping, Refusal),
}

/// What NAT has to do with a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTranslation {
    /// The rule that says so.
    pub rule: Arc<str>,
    /// What.
    pub what: Translated,
}

/// What NAT makes of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translated {
    /// It is looked at as this one from here on.
    To(IpNet),
    /// It is what was made of this one.
    From(IpNet),
    /// Nothing, though addresses in it are translated.
    Not(Lies),
}

/// How a prefix lies to a rule that does not translate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lies {
    /// It is a part of what the rule translates; so it is left out.
    Inside,
    /// It is inside what the rule hides behind few addresses; so it is left out.
    Hidden,
    /// The rule translates a part of it; it passes as it is.
    Around,
    /// The rule translates one port of its hosts; it passes as it is.
    Port,
    /// The rule makes another prefix into it; so it is left out where both are there.
    Superseded,
}

/// A prefix that a rule has to do with and does not translate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partly {
    /// Whether the neighbour sent it, or it is one of ours that is advertised there.
    pub direction: Direction,
    /// The prefix.
    pub prefix: IpNet,
    /// The internal prefix of the rule.
    pub internal: IpNet,
    /// The rule.
    pub rule: Arc<str>,
    /// How it lies to the rule.
    pub lies: Lies,
}

/// What came up of such prefixes since it was last told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The first.
    pub(crate) first: Option<Partly>,
    /// How many besides.
    pub(crate) more: u32,
}

impl News {
    fn add(&mut self, partly: Partly) {
        if self.first.is_none() {
            self.first = Some(partly);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

impl fmt::Display for Partly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prefix,
            internal,
            rule,
            ..
        } = self;
        let (what, none) = match self.direction {
            Direction::Import => ("received", "is not let in"),
            Direction::Export => ("of ours", "is not advertised there"),
        };
        match self.lies {
            Lies::Inside => write!(
                f,
                "{prefix} {what} is a part of {internal}, which {rule} translates as a whole: it {none}"
            ),
            Lies::Hidden => write!(
                f,
                "{prefix} {what} is in {internal}, whose hosts {rule} hides behind few addresses: it {none}"
            ),
            Lies::Around => write!(
                f,
                "{prefix} {what} is more than {internal}, which {rule} translates: it passes as it is"
            ),
            Lies::Port => write!(
                f,
                "{prefix} {what} has hosts in {internal}, of which {rule} translates one port: it passes as it is"
            ),
            Lies::Superseded => write!(
                f,
                "{prefix} {what} is also what {rule} makes of {internal}, which came as well: it {none}"
            ),
        }
    }
}

impl Rib {
    /// Whether NAT has to do with prefixes of this neighbour.
    pub(super) fn translates(&self, peer: PeerIndex) -> bool {
        let member = self.configured.member(peer);
        member.is_some_and(|member| !member.translator.is_empty())
    }

    /// What becomes of a prefix that it sent.
    pub(super) fn boundary(&self, peer: PeerIndex, prefix: IpNet) -> Boundary<'_> {
        let Some(member) = self.configured.member(peer) else {
            return Boundary::Passes;
        };
        let ingress = &member.translator.ingress;
        match (ingress.meet(prefix), ingress.behind(prefix)) {
            (Meeting::Exact(mapping) | Meeting::Inside(mapping), _) if is_hidden(mapping) => {
                Boundary::Stays(mapping, Refusal::Hidden)
            }
            (Meeting::Exact(mapping), _) => Boundary::Becomes(mapping),
            (Meeting::Inside(mapping), _) => Boundary::Stays(mapping, Refusal::PartlyTranslated),
            (Meeting::Around(_) | Meeting::Port(_) | Meeting::Apart, Some(mapping))
                if !is_hidden(mapping) && self.has_sent(peer, mapping.internal) =>
            {
                Boundary::Stays(mapping, Refusal::Superseded)
            }
            (Meeting::Around(_) | Meeting::Port(_) | Meeting::Apart, _) => Boundary::Passes,
        }
    }

    /// What it sent of this prefix changed: so does what NAT makes of it.
    pub(super) fn follow(&mut self, peer: PeerIndex, prefix: IpNet, id: NetId) {
        self.note_partly(peer, prefix, id);
        if let Boundary::Becomes(mapping) = self.boundary(peer, prefix) {
            let external = mapping.external;
            self.translate_again(peer, external);
        }
    }

    /// Makes anew all that NAT makes of what it sent.
    pub(super) fn translate_all(&mut self, peer: PeerIndex, families: Families) {
        for external in externals(&self.configured, peer) {
            if families.contains(Family::of_prefix(&external)) {
                self.translate_again(peer, external);
            }
        }
    }

    /// What NAT made of its prefixes by other rules goes, or becomes what these make of it.
    pub(super) fn translate_otherwise(&mut self, old: &Configured, peer: PeerIndex) {
        for external in externals(old, peer) {
            self.translate_again(peer, external);
        }
        let before = old.member(peer).map(|member| ours_partly(old, member));
        let member = self.configured.member(peer);
        let now = member.map(|member| ours_partly(&self.configured, member));
        let before = before.unwrap_or_default();
        let new = now
            .into_iter()
            .flatten()
            .filter(|partly| !before.contains(partly));
        if let Some(slot) = self.peers.get_mut(peer) {
            new.for_each(|partly| slot.news.add(partly));
        }
    }

    /// Where paths of this neighbour are that NAT made of others.
    pub(super) fn translated(&self, peer: PeerIndex, family: Family) -> Vec<NetId> {
        let externals = externals(&self.configured, peer).into_iter();
        externals
            .filter(|external| Family::of_prefix(external) == family)
            .filter_map(|external| self.tables.of(family).index.find(external))
            .collect()
    }

    /// Notes whether a prefix that it sent is one that NAT only in part has to do with.
    pub(super) fn note_partly(&mut self, peer: PeerIndex, prefix: IpNet, id: NetId) {
        let family = Family::of_prefix(&prefix);
        let received = self
            .peers
            .get(peer)
            .is_some_and(|slot| slot.flows.of(family).received.contains(id));
        let partly = self.partly_sent(peer, prefix).filter(|_| received);
        let Some(slot) = self.peers.get_mut(peer) else {
            return;
        };
        let noted = &mut slot.flows.of_mut(family).partly;
        match partly {
            Some(partly) => {
                if noted.insert(id) {
                    slot.news.add(partly);
                }
            }
            None => drop(noted.remove(id)),
        }
    }

    /// What NAT has to do with a prefix as it came.
    pub(super) fn translation(&self, peer: PeerIndex, prefix: IpNet) -> Option<RouteTranslation> {
        if let Boundary::Becomes(mapping) = self.boundary(peer, prefix) {
            return Some(mapping.makes(Translated::To(mapping.external)));
        }
        let partly = self.partly_sent(peer, prefix)?;
        Some(RouteTranslation {
            rule: partly.rule,
            what: Translated::Not(partly.lies),
        })
    }

    /// The rule by which a prefix is what NAT made of another that this neighbour sent.
    pub(super) fn made_of(&self, peer: PeerIndex, external: IpNet) -> Option<RouteTranslation> {
        let member = self.configured.member(peer)?;
        let mapping = member.translator.ingress.behind(external)?;
        Some(mapping.makes(Translated::From(mapping.internal)))
    }

    /// What NAT has to do with a prefix of ours at this neighbour, or with one that stands for it there.
    pub(super) fn translation_of_ours(&self, peer: PeerIndex, prefix: IpNet) -> Option<RouteTranslation> {
        let member = self.configured.member(peer)?;
        let egress = &member.translator.egress;
        let statics = &self.configured.statics;
        let behind = egress.behind(prefix);
        if let Some(mapping) = behind.filter(|mapping| statics.is_own(mapping.internal)) {
            return Some(mapping.makes(Translated::From(mapping.internal)));
        }
        if !statics.is_own(prefix) {
            return None;
        }
        if let Meeting::Exact(mapping) = egress.meet(prefix) {
            return Some(mapping.makes(Translated::To(mapping.external)));
        }
        let (mapping, lies) = lies(egress.meet(prefix))?;
        Some(mapping.makes(Translated::Not(lies)))
    }

    /// Those prefixes of a neighbour, and of ours at it, that NAT only in part has to do with: some, and how many there are.
    pub(crate) fn partly(&self, peer: PeerIndex) -> (Vec<Partly>, usize) {
        let member = self.configured.member(peer);
        let Some(member) = member.filter(|member| !member.translator.is_empty()) else {
            return (Vec::new(), 0);
        };
        let mut found = ours_partly(&self.configured, member);
        let mut count = found.len();
        for (family, flow) in self.peers.get(peer).into_iter().flat_map(|slot| {
            Family::ALL
                .into_iter()
                .map(|family| (family, slot.flows.of(family)))
        }) {
            count += flow.partly.len() as usize;
            let index = &self.tables.of(family).index;
            let prefixes = flow.partly.iter().filter_map(|id| index.prefix(id));
            let listed = prefixes.filter_map(|prefix| self.partly_sent(peer, prefix));
            found.extend(listed.take(LISTED.saturating_sub(found.len())));
        }
        found.truncate(LISTED);
        (found, count)
    }

    /// What came up of these since the last call.
    pub(crate) fn take_news(&mut self, peer: PeerIndex) -> News {
        let slot = self.peers.get_mut(peer);
        let slot = slot.filter(|slot| slot.news.first.is_some());
        slot.map(|slot| std::mem::take(&mut slot.news))
            .unwrap_or_default()
    }

    /// How a prefix that it sent lies to a rule that does not translate it.
    fn partly_sent(&self, peer: PeerIndex, prefix: IpNet) -> Option<Partly> {
        let member = self.configured.member(peer)?;
        let (mapping, lies) = match self.boundary(peer, prefix) {
            Boundary::Becomes(_) => None,
            Boundary::Stays(mapping, Refusal::Superseded) => Some((mapping, Lies::Superseded)),
            Boundary::Stays(mapping, _) if is_hidden(mapping) => Some((mapping, Lies::Hidden)),
            Boundary::Stays(mapping, _) => Some((mapping, Lies::Inside)),
            Boundary::Passes => lies(member.translator.ingress.meet(prefix)),
        }?;
        Some(Partly {
            direction: Direction::Import,
            prefix,
            internal: mapping.internal,
            rule: mapping.rule.clone(),
            lies,
        })
    }

    fn has_sent(&self, peer: PeerIndex, prefix: IpNet) -> bool {
        let family = Family::of_prefix(&prefix);
        let flow = self.peers.get(peer).map(|slot| slot.flows.of(family));
        let id = self.tables.of(family).index.find(prefix);
        flow.zip(id).is_some_and(|(flow, id)| flow.received.contains(id))
    }

    /// Makes anew the paths to one prefix that NAT makes of others, and judges again those that came so: they stand back
    /// behind them.
    fn translate_again(&mut self, peer: PeerIndex, external: IpNet) {
        let family = Family::of_prefix(&external);
        let made = self.made(peer, external);
        let table = self.tables.of_mut(family);
        let id = if made.is_empty() {
            table.index.find(external)
        } else {
            table.find_or_insert(external)
        };
        let Some(id) = id else {
            return;
        };
        let paths = table.net(id).into_iter().flat_map(|net| net.paths.clone());
        let came: Vec<Path> = paths.filter(|path| path.came_from(peer)).collect();
        let mut judged: Vec<Judged> = Vec::with_capacity(came.len());
        for path in &came {
            judged.push(self.judge(peer, external, &path.received, &mut None));
        }
        self.edit(family, id, |net| {
            net.paths.retain(|path| path.peer != peer);
            let came = came.into_iter().zip(judged).map(|(path, judged)| Path {
                accepted: judged.accepted,
                leads: judged.leads,
                ..path
            });
            net.paths.extend(came.chain(made));
        });
        self.count(peer, family, id);
        self.note_partly(peer, external, id);
    }

    /// The paths to this prefix that NAT makes of those that the neighbour sent.
    fn made(&mut self, peer: PeerIndex, external: IpNet) -> Vec<Path> {
        let member = self.configured.member(peer);
        let mapping = member.and_then(|member| member.translator.ingress.behind(external));
        let Some(internal) = mapping
            .filter(|mapping| !is_hidden(mapping))
            .map(|mapping| mapping.internal)
        else {
            return Vec::new();
        };
        let table = self.tables.of(Family::of_prefix(&internal));
        let net = table.index.find(internal).and_then(|id| table.net(id));
        let paths = net.into_iter().flat_map(|net| net.paths.clone());
        let came: Vec<Path> = paths.filter(|path| path.came_from(peer)).collect();
        let made = came.into_iter().map(|path| {
            let judged = self.judge_translated(peer, external, &path.received, &mut None);
            Path {
                accepted: judged.accepted,
                leads: judged.leads,
                marks: path.marks.translated(),
                ..path
            }
        });
        made.collect()
    }
}

impl Mapping {
    fn makes(&self, what: Translated) -> RouteTranslation {
        RouteTranslation {
            rule: self.rule.clone(),
            what,
        }
    }
}

/// Where paths of a neighbour may be that NAT made of others.
fn externals(configured: &Configured, peer: PeerIndex) -> Vec<IpNet> {
    let member = configured.member(peer).into_iter();
    member
        .flat_map(|member| member.translator.ingress.externals())
        .collect()
}

fn is_hidden(mapping: &Mapping) -> bool {
    mapping.kind == MappingKind::Dynamic
}

/// How a prefix lies to a rule that does not translate it.
fn lies(meeting: Meeting<'_>) -> Option<(&Mapping, Lies)> {
    match meeting {
        Meeting::Inside(mapping) => Some((mapping, Lies::Inside)),
        Meeting::Around(mapping) => Some((mapping, Lies::Around)),
        Meeting::Port(mapping) => Some((mapping, Lies::Port)),
        Meeting::Exact(_) | Meeting::Apart => None,
    }
}

/// Our own prefixes that the rules at a neighbour only in part have to do with.
fn ours_partly(configured: &Configured, member: Member<'_>) -> Vec<Partly> {
    if member.translator.egress.is_empty() {
        return Vec::new();
    }
    let own = configured.statics.own().filter_map(|prefix| {
        let (mapping, lies) = lies(member.translator.egress.meet(prefix))?;
        Some(Partly {
            direction: Direction::Export,
            prefix,
            internal: mapping.internal,
            rule: mapping.rule.clone(),
            lies,
        })
    });
    own.collect()
}
