use std::collections::BTreeMap;
use std::ops::Bound;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::table::NetId;
use crate::Family;

/// The numbers of the prefixes of one family, and back. A tree, because neighbours send prefixes that are near each
/// other together: a hash table of a million takes twice as long, since each of its places is far from the last.
#[derive(Debug)]
pub(super) enum Index {
    Ipv4(Numbers<Ipv4Key>),
    Ipv6(Numbers<Ipv6Net>),
}

/// Keys by number, and numbers by key.
#[derive(Debug)]
pub(super) struct Numbers<K> {
    ids: BTreeMap<K, NetId>,
    keys: Vec<K>,
}

/// Address and length as one number: comparing it is most of the work of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ipv4Key(u64);

impl Index {
    pub(super) fn new(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4(Numbers::new()),
            Family::Ipv6 => Self::Ipv6(Numbers::new()),
        }
    }

    /// The number of a prefix, or this one for it from now on.
    pub(super) fn find_or_insert(&mut self, prefix: IpNet, new: NetId) -> Option<NetId> {
        match (self, prefix) {
            (Self::Ipv4(numbers), IpNet::V4(prefix)) => Some(numbers.find_or_insert(prefix.into(), new)),
            (Self::Ipv6(numbers), IpNet::V6(prefix)) => Some(numbers.find_or_insert(prefix, new)),
            (Self::Ipv4(_), IpNet::V6(_)) | (Self::Ipv6(_), IpNet::V4(_)) => None,
        }
    }

    pub(super) fn find(&self, prefix: IpNet) -> Option<NetId> {
        match (self, prefix) {
            (Self::Ipv4(numbers), IpNet::V4(prefix)) => numbers.ids.get(&prefix.into()).copied(),
            (Self::Ipv6(numbers), IpNet::V6(prefix)) => numbers.ids.get(&prefix).copied(),
            (Self::Ipv4(_), IpNet::V6(_)) | (Self::Ipv6(_), IpNet::V4(_)) => None,
        }
    }

    /// Forgets the prefix of this number; whether it had one.
    pub(super) fn remove(&mut self, id: NetId) -> bool {
        match self {
            Self::Ipv4(numbers) => numbers.remove(id),
            Self::Ipv6(numbers) => numbers.remove(id),
        }
    }

    /// The prefix that has this number, or had it last.
    pub(super) fn prefix(&self, id: NetId) -> Option<IpNet> {
        match self {
            Self::Ipv4(numbers) => numbers
                .keys
                .get(id.0 as usize)
                .map(|key| IpNet::V4((*key).into())),
            Self::Ipv6(numbers) => numbers.keys.get(id.0 as usize).map(|key| IpNet::V6(*key)),
        }
    }

    /// The numbers of the prefixes after this one, or of all, in the order of their prefixes.
    pub(super) fn ids_after(&self, after: Option<IpNet>) -> Box<dyn Iterator<Item = NetId> + '_> {
        match (self, after) {
            (Self::Ipv4(numbers), Some(IpNet::V4(after))) => Box::new(numbers.after(after.into())),
            (Self::Ipv6(numbers), Some(IpNet::V6(after))) => Box::new(numbers.after(after)),
            (Self::Ipv4(_) | Self::Ipv6(_), None) => self.ids(),
            (Self::Ipv4(_), Some(IpNet::V6(_))) | (Self::Ipv6(_), Some(IpNet::V4(_))) => {
                Box::new(std::iter::empty())
            }
        }
    }

    /// All numbers that are given out, in the order of their prefixes.
    pub(super) fn ids(&self) -> Box<dyn Iterator<Item = NetId> + '_> {
        match self {
            Self::Ipv4(numbers) => Box::new(numbers.ids.values().copied()),
            Self::Ipv6(numbers) => Box::new(numbers.ids.values().copied()),
        }
    }
}

impl<K: Copy + Ord> Numbers<K> {
    fn new() -> Self {
        Self {
            ids: BTreeMap::new(),
            keys: Vec::new(),
        }
    }

    fn find_or_insert(&mut self, key: K, new: NetId) -> NetId {
        let id = *self.ids.entry(key).or_insert(new);
        if id == new {
            match self.keys.get_mut(id.0 as usize) {
                Some(slot) => *slot = key,
                None => self.keys.push(key),
            }
        }
        id
    }

    fn after(&self, key: K) -> impl Iterator<Item = NetId> {
        let beyond = (Bound::Excluded(key), Bound::Unbounded);
        self.ids.range(beyond).map(|(_, id)| *id)
    }

    fn remove(&mut self, id: NetId) -> bool {
        let key = self.keys.get(id.0 as usize);
        key.is_some_and(|key| self.ids.get(key) == Some(&id) && self.ids.remove(key).is_some())
    }
}

impl From<Ipv4Net> for Ipv4Key {
    fn from(prefix: Ipv4Net) -> Self {
        Self(u64::from(u32::from(prefix.addr())) << 8 | u64::from(prefix.prefix_len()))
    }
}

impl From<Ipv4Key> for Ipv4Net {
    fn from(key: Ipv4Key) -> Self {
        let [_, _, _, a, b, c, d, length] = key.0.to_be_bytes();
        Self::new([a, b, c, d].into(), length).unwrap_or_default()
    }
}
