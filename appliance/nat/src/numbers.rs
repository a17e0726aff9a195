use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use ipnet::IpNet;
use thiserror::Error;

use crate::rule::{Kind, Mode, Rule, Rules};

/// The most sites whose rules translate their addresses: a zone of connection tracking has 16 bits, for two of them.
const SITES: u8 = u8::MAX;
/// The most bindings: half a mark of connection tracking.
const BINDINGS: u16 = u16::MAX;

/// A rule on a connection, with what it says: one that changes is another binding. Also the name of its counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingKey(String);

/// What bindings and sites are called in marks and zones of connection tracking, kept from program to program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of bindings.
    pub bindings: BTreeMap<BindingKey, u16>,
    /// Of sites with ingress rules.
    pub sites: BTreeMap<String, u8>,
}

/// More than can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooMany {
    /// A zone of connection tracking is for two sites, and has 16 bits.
    #[error("{count} sites have ingress rules; connection tracking can tell {limit} apart")]
    Sites {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A mark of connection tracking is for two bindings, and has 32 bits.
    #[error("{count} rules on connections; connection tracking can tell {limit} apart")]
    Bindings {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// nftables (1.0.6) translates prefix and port together for IPv4 only.
    #[error("{prefix} is more than one host; a port of IPv6 is translated for one host only")]
    Hosts {
        /// The internal prefix of the rule.
        prefix: IpNet,
    },
}

impl BindingKey {
    pub(crate) fn of(connection: &str, name: &str, mode: Mode, rule: &Rule) -> Self {
        let mut content = format!(
            "{connection}/{name}/{}/{}/{}",
            mode.word(),
            rule.internal,
            rule.external
        );
        match &rule.kind {
            Kind::Static { ports: None } => content.push_str("/static"),
            Kind::Static {
                ports: Some((internal, external)),
            } => {
                let _ = write!(content, "/static/{internal}/{external}");
            }
            Kind::Dynamic { ports } => {
                content.push_str("/dynamic");
                for range in ports {
                    let _ = write!(content, "/{}-{}", range.start(), range.end());
                }
            }
        }
        // A name of nftables begins with a letter or this, and has nothing but these.
        let plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let head = if plain { "" } else { "_" };
        let fit = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let name: String = name
            .chars()
            .map(|letter| if fit(letter) { letter } else { '_' })
            .collect();
        Self(format!("{head}{name}.{:016x}", fnv(&content)))
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let (_, hash) = text.rsplit_once('.')?;
        let whole = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| Self(text.to_owned()))
    }

    /// The name of the counter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Numbers {
    /// The number of each of these: that which it had, or one that nothing had when last seen, so that flows of before are
    /// not taken for its own.
    pub(crate) fn assign(&self, rules: &Rules) -> Result<Self, TooMany> {
        let keys: BTreeSet<BindingKey> = keys(rules).collect();
        let translated = rules.tunnels.values().filter(|tunnel| !tunnel.ingress.is_empty());
        let sites: BTreeSet<String> = translated.map(|tunnel| tunnel.site.clone()).collect();
        let (bindings, found) = (keys.len(), sites.len());
        Ok(Self {
            bindings: assign(keys, &self.bindings, BINDINGS).ok_or(TooMany::Bindings {
                count: bindings,
                limit: BINDINGS.into(),
            })?,
            sites: assign(sites, &self.sites, SITES).ok_or(TooMany::Sites {
                count: found,
                limit: SITES.into(),
            })?,
        })
    }
}

fn keys(rules: &Rules) -> impl Iterator<Item = BindingKey> {
    rules.tunnels.iter().flat_map(|(connection, tunnel)| {
        Mode::ALL.into_iter().flat_map(move |mode| {
            let rules = tunnel.rules(mode).iter();
            rules.map(move |(name, rule)| BindingKey::of(connection, name, mode, rule))
        })
    })
}

/// Numbers from 1 to `last`; `None` if they are not enough.
fn assign<K, N>(wanted: BTreeSet<K>, kept: &BTreeMap<K, N>, last: N) -> Option<BTreeMap<K, N>>
where
    K: Ord + Clone,
    N: Copy + Ord + From<u8> + TryFrom<u32>,
    u32: From<N>,
{
    let mut assigned: BTreeMap<K, N> = BTreeMap::new();
    let mut taken: BTreeSet<N> = BTreeSet::new();
    for key in &wanted {
        let number = kept.get(key).filter(|number| **number > N::from(0));
        if let Some(number) = number.filter(|number| taken.insert(**number)) {
            assigned.insert(key.clone(), *number);
        }
    }
    let numbers = || (1..=u32::from(last)).filter_map(|number| N::try_from(number).ok());
    let recent: BTreeSet<N> = kept.values().copied().collect();
    let unused = numbers().filter(|number| !taken.contains(number) && !recent.contains(number));
    let used = numbers().filter(|number| !taken.contains(number) && recent.contains(number));
    let mut free = unused.chain(used);
    for key in wanted {
        if let Entry::Vacant(place) = assigned.entry(key) {
            place.insert(free.next()?);
        }
    }
    Some(assigned)
}

/// The FNV-1a hash of 64 bits: no secret, and the same in every build.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
