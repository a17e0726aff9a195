use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::configured::Member;
use super::export::{Export, Withheld};
use super::import::{Import, Refusal};
use super::table::{Net, Path};
use super::tables::Rib;
use super::{Direction, PeerIndex};
use crate::translation::Translator;
use crate::wire::attribute::Attributes;
use crate::{Family, Neighbour, NeighbourName, Policy, Translation};

/// So many routes are looked at: the speaker is back at its sessions before anyone waits for it.
const MOST: u64 = 50_000;
/// So many routes are listed.
const LISTED: usize = 100;

/// By which other policy routes of one neighbour are to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparisonQuery {
    /// Whose routes.
    pub neighbour: NeighbourName,
    /// As what it is taken if it is not configured: a session that rests has sent nothing, and would be sent what there is.
    pub resting: Option<Neighbour>,
    /// Those that it sent, or those that it is sent.
    pub direction: Direction,
    /// In the place of the one that is configured.
    pub policy: Policy,
    /// Those inside this prefix only; then all of them are listed, and not only those that become something else.
    pub prefix: Option<IpNet>,
}

/// Routes by the policy that is configured and by another; nothing of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many were looked at.
    pub routes: u64,
    /// There are more, which were not.
    pub more: bool,
    /// How many of them become something else.
    pub changed: u64,
    /// The first by prefix.
    pub listed: Vec<Compared>,
}

/// One route by both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its prefix, as it came or as it would be sent.
    pub prefix: IpNet,
    /// Its path identifier (RFC 7911).
    pub path: u32,
    /// What it is.
    pub before: Fate,
    /// What it would be.
    pub after: Fate,
}

/// What becomes of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is let in, or sent, with these attributes; the term that decided by its position, or none for the default.
    Taken(Option<usize>, Arc<Attributes>),
    /// It is not let in.
    Refused(Refusal),
    /// It is not sent.
    Withheld(Withheld),
}

impl Fate {
    fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Taken(_, attributes) => Some(attributes),
            Self::Refused(_) | Self::Withheld(_) => None,
        }
    }
}

impl Comparison {
    fn add(&mut self, found: &mut BTreeMap<(IpNet, u32), Compared>, compared: Compared, all: bool) {
        self.routes += 1;
        let changed = compared.before.attributes() != compared.after.attributes();
        self.changed += u64::from(changed);
        if all || changed {
            found.insert((compared.prefix, compared.path), compared);
        }
        if found.len() > LISTED {
            found.pop_last();
        }
    }
}

impl Rib {
    /// What becomes of routes of a neighbour now, and what would by another policy with all else as it is; nothing if there is
    /// no such neighbour, nor one that rests.
    pub(crate) fn compare(&self, query: &ComparisonQuery) -> Option<Comparison> {
        let peer = self.peers.named(&query.neighbour);
        let none = Translation::default();
        let translator = Translator::new(
            query
                .resting
                .as_ref()
                .map_or(&none, |resting| &resting.translation),
        );
        let resting = query.resting.as_ref().map(|neighbour| Member {
            name: &query.neighbour,
            neighbour,
            translator: &translator,
            external: neighbour.asn != self.configured.settings.asn,
        });
        let member = peer.and_then(|peer| self.configured.member(peer)).or(resting)?;
        let mut changed = member.neighbour.clone();
        match query.direction {
            Direction::Import => changed.import = query.policy.clone(),
            Direction::Export => changed.export = query.policy.clone(),
        }
        let outlet = peer.and_then(|peer| self.peers.get(peer)?.outlet.as_ref());
        let both = Both {
            rib: self,
            peer,
            ipv6_next_hops: outlet.is_some_and(|outlet| outlet.ipv6_next_hops),
            before: member,
            after: Member {
                neighbour: &changed,
                ..member
            },
        };
        let mut comparison = Comparison::default();
        let mut found = BTreeMap::new();
        let prefix = query.prefix.map(|prefix| prefix.trunc());
        let families = outlet.map_or(member.neighbour.families, |outlet| outlet.families);
        for compared in families
            .iter()
            .flat_map(|family| both.all(query.direction, family, prefix))
        {
            if comparison.routes >= MOST {
                comparison.more = true;
                break;
            }
            comparison.add(&mut found, compared, prefix.is_some());
        }
        comparison.listed = found.into_values().collect();
        Some(comparison)
    }
}

/// A neighbour as it is configured and with the other policy.
struct Both<'a> {
    rib: &'a Rib,
    /// None of one that rests.
    peer: Option<PeerIndex>,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    ipv6_next_hops: bool,
    before: Member<'a>,
    after: Member<'a>,
}

impl Both<'_> {
    /// Its routes of a family, inside a prefix if there is one.
    fn all(
        &self,
        direction: Direction,
        family: Family,
        inside: Option<IpNet>,
    ) -> impl Iterator<Item = Compared> {
        let table = self.rib.tables.of(family);
        let ids = table.index.ids().filter_map(move |id| {
            let prefix = table.index.prefix(id)?;
            let asked = inside.is_none_or(|inside| inside.contains(&prefix));
            asked.then_some((prefix, table.net(id)?))
        });
        ids.flat_map(move |(prefix, net)| match direction {
            Direction::Import => self.came(prefix, net),
            Direction::Export => self.goes(prefix, net).into_iter().collect(),
        })
    }

    fn came(&self, prefix: IpNet, net: &Net) -> Vec<Compared> {
        let came = net
            .paths
            .iter()
            .filter(|path| self.peer.is_some_and(|peer| path.came_from(peer)));
        let compared = |path: &Path| Compared {
            prefix,
            path: path.id,
            before: self.let_in(self.before, prefix, path),
            after: self.let_in(self.after, prefix, path),
        };
        came.map(compared).collect()
    }

    /// Nothing where there is no route.
    fn goes(&self, prefix: IpNet, net: &Net) -> Option<Compared> {
        Some(Compared {
            prefix,
            path: 0,
            before: self.sent(self.before, prefix, net)?,
            after: self.sent(self.after, prefix, net)?,
        })
    }

    fn let_in(&self, member: Member<'_>, prefix: IpNet, path: &Path) -> Fate {
        let import = Import::of(&self.rib.configured, member);
        match self.rib.decide(&import, prefix, path) {
            Ok(decision) => Fate::Taken(decision.term, import.rewrite(&path.received, decision)),
            Err(refusal) => Fate::Refused(refusal),
        }
    }

    fn sent(&self, member: Member<'_>, prefix: IpNet, net: &Net) -> Option<Fate> {
        let export = Export::of(&self.rib.configured, member, self.ipv6_next_hops);
        let source = export.source(prefix, net)?;
        let family = Family::of_prefix(&prefix);
        let told = export
            .judge(prefix, source)
            .and_then(|decision| Ok((decision.term, export.rewrite(family, source, decision)?)));
        Some(match told {
            Ok((term, attributes)) => Fate::Taken(term, Arc::new(attributes)),
            Err(withheld) => Fate::Withheld(withheld),
        })
    }
}
