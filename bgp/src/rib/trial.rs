use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::import::{Import, Refusal};
use super::{PeerIndex, Rib};
use crate::wire::update::{Context, Update};
use crate::{Families, Family, NeighbourName, Settings};

/// More prefixes of a family are not tried at once.
const MOST: u32 = 1_000_000;
/// So many prefixes are named of each decision.
const EXAMPLES: usize = 5;

/// What the rules for a neighbour would make of routes: tables of their own, which nothing else knows of.
#[derive(Debug)]
pub struct Trial {
    rib: Rib,
    peer: PeerIndex,
    context: Context,
    limit: u32,
    exceeded: BTreeMap<Family, IpNet>,
}

/// More prefixes came than are tried at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST} prefixes of {0}")]
pub struct TooMany(pub Family);

/// What became of the routes that were there at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By what decided: the term of the policy, or its default, that lets routes in; or why they are not.
    pub decisions: BTreeMap<Result<Option<usize>, Refusal>, Decided>,
    /// How the limit stands, by family.
    pub limits: BTreeMap<Family, LimitTried>,
}

/// Routes that fared alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// How many.
    pub routes: u64,
    /// The first prefixes.
    pub examples: Vec<IpNet>,
}

/// How many prefixes of a family there are, beside how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitTried {
    /// Prefixes at the end.
    pub received: u32,
    /// How many the neighbour may send.
    pub limit: u32,
    /// The first one beyond that, at which the session would have ended.
    pub exceeded_at: Option<IpNet>,
}

impl Trial {
    /// For a neighbour of these settings; nothing if there is no such.
    pub fn new(settings: &Settings, name: &NeighbourName) -> Option<Self> {
        let mut settings = settings.clone();
        let asn = settings.asn;
        let neighbour = settings.neighbours.get_mut(name)?;
        let limit = std::mem::replace(&mut neighbour.limits.prefixes, MOST);
        let context = Context {
            four_octet_asn: true,
            families: Families::ALL,
            add_path: Families::NONE,
            ipv6_next_hops: true,
            internal: neighbour.asn == asn,
            first_asn: None,
            as_sets: false,
        };
        let mut rib = Rib::new();
        rib.configure(Arc::new(settings));
        let peer = rib.add_peer(name);
        Some(Self {
            rib,
            peer,
            context,
            limit,
            exceeded: BTreeMap::new(),
        })
    }

    /// How a session with the neighbour reads messages.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Takes what an UPDATE says, as if the neighbour had sent it.
    pub fn take(&mut self, update: Update) -> Result<(), TooMany> {
        let withdrawn = Update {
            withdrawn: update.withdrawn,
            ..Update::default()
        };
        let one = |attributes: &Arc<_>, destination| Update {
            announced: vec![(Arc::clone(attributes), vec![destination])],
            ..Update::default()
        };
        let routes = update.announced.iter().flat_map(|(attributes, to)| {
            let each = to.iter();
            each.map(move |destination| one(attributes, *destination))
        });
        for update in std::iter::once(withdrawn).chain(routes) {
            let to = update.announced.iter().flat_map(|(_, to)| to).next().copied();
            let taken = self.rib.receive(self.peer, update);
            taken.map_err(|exceeded| TooMany(exceeded.family))?;
            let Some(prefix) = to.map(|destination| destination.prefix) else {
                continue;
            };
            let family = Family::of_prefix(&prefix);
            if self.rib.counts(self.peer, family).received > self.limit {
                self.exceeded.entry(family).or_insert(prefix);
            }
        }
        Ok(())
    }

    /// What became of all that is there.
    pub fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(import) = Import::new(&self.rib.configured, self.peer) else {
            return outcome;
        };
        for family in Family::ALL {
            let table = self.rib.tables.of(family);
            for id in table.index.ids() {
                let (Some(prefix), Some(net)) = (table.index.prefix(id), table.net(id)) else {
                    continue;
                };
                for path in net.paths.iter().filter(|path| !path.is_translated()) {
                    let judged = self.rib.decide(&import, prefix, path);
                    let decided = outcome
                        .decisions
                        .entry(judged.map(|decision| decision.term))
                        .or_default();
                    decided.routes += 1;
                    if decided.examples.len() < EXAMPLES {
                        decided.examples.push(prefix);
                    }
                }
            }
            let tried = LimitTried {
                received: self.rib.counts(self.peer, family).received,
                limit: self.limit,
                exceeded_at: self.exceeded.get(&family).copied(),
            };
            outcome.limits.insert(family, tried);
        }
        outcome
    }
}
