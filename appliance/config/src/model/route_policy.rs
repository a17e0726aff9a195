use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::address::address;
use super::as_path::{self, AsPathPattern};
use super::{Community, Name, Site};
use crate::Reason;
use crate::reader::{Collection, Object, Value, shown};

/// What becomes of routes: the first term that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePolicy {
    /// In their order.
    pub terms: Vec<Term>,
    /// What becomes of a route that no term fits.
    pub default: Verdict,
}

/// One step of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Which routes it fits: those that meet every condition.
    pub condition: Condition,
    /// What is changed in those that it accepts.
    pub change: RouteChange,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// Whether a route is used, or passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept,
    /// It is not.
    Reject,
}

/// Which routes a term fits; what is left out fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The route is to one of these.
    pub prefixes: Option<Vec<PrefixRange>>,
    /// Its AS path has this length.
    pub as_path_length: Option<RangeInclusive<u16>>,
    /// Its AS path looks so.
    pub as_path: Option<AsPathPattern>,
    /// It bears all of these.
    pub communities: Vec<Community>,
    /// Where it comes from (RFC 4271 §5.1.1).
    pub origin: Option<Origin>,
    /// On import the site that it comes from, on export the one that it was learnt from.
    pub peer: Option<Name>,
}

/// Prefixes inside another, by their length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRange {
    /// The prefix that they are inside.
    pub prefix: IpNet,
    /// How long they are.
    pub lengths: RangeInclusive<u8>,
}

/// Where a route comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its own autonomous system.
    Igp,
    /// The protocol EGP.
    Egp,
    /// Elsewhere.
    Incomplete,
}

/// What is changed in a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteChange {
    /// LOCAL_PREF becomes this.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC becomes this.
    pub med: Option<u32>,
    /// All communities are taken off first.
    pub clear_communities: bool,
    /// Then these are.
    pub remove_communities: Vec<Community>,
    /// Then these are put on.
    pub add_communities: Vec<Community>,
    /// So often an autonomous system is put before the AS path: on export ours, on import the peer's.
    pub prepend: u8,
    /// NEXT_HOP becomes this.
    pub next_hop: Option<NextHop>,
}

/// Where packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// To our end of the session.
    Ours,
    /// To this address.
    Address(IpAddr),
}

pub(crate) const VERDICT: &[(&str, Verdict)] = &[("accept", Verdict::Accept), ("reject", Verdict::Reject)];
pub(crate) const ORIGIN: &[(&str, Origin)] = &[
    ("igp", Origin::Igp),
    ("egp", Origin::Egp),
    ("incomplete", Origin::Incomplete),
];
pub(crate) const TERMS: usize = 1000;
pub(crate) const PATH_LENGTHS: RangeInclusive<u64> = 0..=65_535;
pub(crate) const PREPENDS: RangeInclusive<u64> = 0..=32;
pub(crate) const PREFERENCES: RangeInclusive<u64> = 0..=4_294_967_295;

impl RoutePolicy {
    pub(crate) fn read(value: &Value<'_>, sites: &Collection<Site>) -> Option<Self> {
        let mut object = value.object()?;
        let terms = object.optional("terms", Vec::new(), |value| {
            let terms = value.list(|value| Term::read(value, sites))?;
            if terms.len() > TERMS {
                value.problem(
                    Reason::OutOfRange,
                    format!("{} terms; there can be {TERMS}", terms.len()),
                );
                return None;
            }
            Some(terms)
        });
        let default = object.optional("default", Verdict::Reject, |value| value.word(VERDICT, &[]));
        Some(Self {
            terms: terms?,
            default: default?,
        })
    }
}

impl Term {
    fn read(value: &Value<'_>, sites: &Collection<Site>) -> Option<Self> {
        let mut object = value.object()?;
        let condition = object.optional("match", Condition::default(), |value| {
            Condition::read(value, sites)
        });
        let change = object.optional("set", RouteChange::default(), RouteChange::read);
        let verdict = object.required("then", |value| value.word(VERDICT, &[]));
        let (condition, change, verdict) = (condition?, change?, verdict?);
        if verdict == Verdict::Reject && change != RouteChange::default() {
            let detail = "a route that is rejected is not changed: leave it out, or accept";
            object.faulty("set", Reason::RoutePolicyInconsistent, detail);
            return None;
        }
        Some(Self {
            condition,
            change,
            verdict,
        })
    }
}

impl Condition {
    fn read(value: &Value<'_>, sites: &Collection<Site>) -> Option<Self> {
        let mut object = value.object()?;
        let prefixes = object.optional("prefixes", None, |value| some(value, PrefixRange::read).map(Some));
        let as_path_length = object.optional("as_path_length", None, |value| path_length(value).map(Some));
        let as_path = object.optional("as_path", None, |value| as_path::read(value).map(Some));
        let communities = object.optional("communities", Vec::new(), communities);
        let origin = object.optional("origin", None, |value| value.word(ORIGIN, &[]).map(Some));
        let peer = object.optional("peer", None, |value| {
            let name = value.name()?;
            sites.has(value, &name, "site").then_some(Some(name))
        });
        Some(Self {
            prefixes: prefixes?,
            as_path_length: as_path_length?,
            as_path: as_path?,
            communities: communities?,
            origin: origin?,
            peer: peer?,
        })
    }
}

impl PrefixRange {
    /// `10.1.0.0/16` alone, or with `ge 20`, `le 24` or both.
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let Some(found) = Self::parse(text) else {
            let detail = format!(
                "\"{}\" is not a prefix such as 10.1.0.0/16, with \"ge 20\" or \"le 24\" or both after it",
                shown(text)
            );
            value.problem(Reason::InvalidPrefix, detail);
            return None;
        };
        let (prefix, least, most) = found;
        let longest = prefix.max_prefix_len();
        let lengths = match (least, most) {
            (None, None) => prefix.prefix_len()..=prefix.prefix_len(),
            (least, most) => least.unwrap_or(prefix.prefix_len())..=most.unwrap_or(longest),
        };
        if lengths.is_empty() || *lengths.start() < prefix.prefix_len() || *lengths.end() > longest {
            let detail = format!(
                "{text}: lengths go up from {} to at most {longest}",
                prefix.prefix_len()
            );
            value.problem(Reason::OutOfRange, detail);
            return None;
        }
        Some(Self { prefix, lengths })
    }

    fn parse(text: &str) -> Option<(IpNet, Option<u8>, Option<u8>)> {
        let words: Vec<&str> = text.split_ascii_whitespace().take(6).collect();
        let (prefix, rest) = words.split_first()?;
        let prefix: IpNet = prefix.parse().ok()?;
        let length = |text: &str| text.parse::<u8>().ok();
        let (least, most) = match rest {
            [] => (None, None),
            ["ge", least] => (Some(length(least)?), None),
            ["le", most] => (None, Some(length(most)?)),
            ["ge", least, "le", most] => (Some(length(least)?), Some(length(most)?)),
            _ => return None,
        };
        (prefix == prefix.trunc()).then_some((prefix, least, most))
    }
}

impl RouteChange {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let number = |value: &Value<'_>| value.whole(PREFERENCES).map(Some);
        let local_preference = object.optional("local_preference", None, number);
        let med = object.optional("med", None, number);
        let marks = object.optional("communities", (false, Vec::new(), Vec::new()), marks);
        let prepend = object.optional("prepend", 0, |value| value.whole(PREPENDS));
        let next_hop = object.optional("next_hop", None, |value| next_hop(value).map(Some));
        let (clear_communities, remove_communities, add_communities) = marks?;
        Some(Self {
            local_preference: local_preference?,
            med: med?,
            clear_communities,
            remove_communities,
            add_communities,
            prepend: prepend?,
            next_hop: next_hop?,
        })
    }
}

/// Whether communities are cleared, and which are removed and added.
fn marks(value: &Value<'_>) -> Option<(bool, Vec<Community>, Vec<Community>)> {
    let mut object = value.object()?;
    let clear = object.optional("clear", false, Value::boolean);
    let remove = object.optional("remove", Vec::new(), communities);
    let add = object.optional("add", Vec::new(), communities);
    let (clear, remove, add) = (clear?, remove?, add?);
    let both = remove.iter().any(|community| add.contains(community));
    if both || (clear && !remove.is_empty()) {
        let detail = if both {
            "is also added"
        } else {
            "all are taken off already, by \"clear\""
        };
        object.faulty("remove", Reason::RoutePolicyInconsistent, detail);
        return None;
    }
    Some((clear, remove, add))
}

/// Communities, in order and each once.
fn communities(value: &Value<'_>) -> Option<Vec<Community>> {
    let mut found = value.list(Community::read)?;
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn some<'d, T>(value: &Value<'d>, read: impl Fn(&Value<'d>) -> Option<T>) -> Option<Vec<T>> {
    let list = value.list(read)?;
    if list.is_empty() {
        value.problem(
            Reason::OutOfRange,
            "is empty, so nothing fits: leave it out to fit everything",
        );
        return None;
    }
    Some(list)
}

/// At least `ge` and at most `le`.
fn path_length(value: &Value<'_>) -> Option<RangeInclusive<u16>> {
    let mut object: Object<'_> = value.object()?;
    let least = object.optional("ge", 0, |value| value.whole(PATH_LENGTHS))?;
    let most = object.optional("le", u16::MAX, |value| value.whole(PATH_LENGTHS))?;
    if least > most {
        value.problem(
            Reason::OutOfRange,
            format!("no length is at least {least} and at most {most}"),
        );
        return None;
    }
    Some(least..=most)
}

fn next_hop(value: &Value<'_>) -> Option<NextHop> {
    if value.text()? == "self" {
        return Some(NextHop::Ours);
    }
    address(value).map(NextHop::Address)
}
