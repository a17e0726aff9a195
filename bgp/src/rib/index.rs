use std::collections::BTreeMap;
use std::ops::Bound;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::table::NetId;
use crate::Family;

/// The prefixes of one family in their order, with their numbers, and back.
#[derive(Debug)]
pub(super) enum Index {
    Ipv4(Order<Ipv4Key>),
    Ipv6(Order<Ipv6Net>),
}

/// Keys by number, and numbers by key.
#[derive(Debug)]
pub(super) struct Order<K> {
    ids: BTreeMap<K, NetId>,
    keys: Vec<K>,
}

/// Address and length as one number: comparing it is most of the work of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ipv4Key(u64);

impl Index {
    pub(super) fn new(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4(Order {
                ids: BTreeMap::new(),
                keys: Vec::new(),
            }),
            Family::Ipv6 => Self::Ipv6(Order {
                ids: BTreeMap::new(),
                keys: Vec::new(),
            }),
        }
    }

    /// The number of a prefix, or this one for it from now on.
    pub(super) fn find_or_insert(&mut self, prefix: IpNet, new: NetId) -> Option<NetId> {
        match (self, prefix) {
            (Self::Ipv4(order), IpNet::V4(prefix)) => Some(order.find_or_insert(prefix.into(), new)),
            (Self::Ipv6(order), IpNet::V6(prefix)) => Some(order.find_or_insert(prefix, new)),
            (Self::Ipv4(_), IpNet::V6(_)) | (Self::Ipv6(_), IpNet::V4(_)) => None,
        }
    }

    pub(super) fn find(&self, prefix: IpNet) -> Option<NetId> {
        match (self, prefix) {
            (Self::Ipv4(order), IpNet::V4(prefix)) => order.ids.get(&prefix.into()).copied(),
            (Self::Ipv6(order), IpNet::V6(prefix)) => order.ids.get(&prefix).copied(),
            (Self::Ipv4(_), IpNet::V6(_)) | (Self::Ipv6(_), IpNet::V4(_)) => None,
        }
    }

    /// Forgets the prefix of this number; whether it had one.
    pub(super) fn remove(&mut self, id: NetId) -> bool {
        match self {
            Self::Ipv4(order) => order.remove(id),
            Self::Ipv6(order) => order.remove(id),
        }
    }

    pub(super) fn prefix(&self, id: NetId) -> Option<IpNet> {
        match self {
            Self::Ipv4(order) => order.keys.get(id.0 as usize).map(|key| IpNet::V4((*key).into())),
            Self::Ipv6(order) => order.keys.get(id.0 as usize).map(|key| IpNet::V6(*key)),
        }
    }

    /// All from this prefix on or after it, in order.
    pub(super) fn range(&self, from: Bound<IpNet>) -> Box<dyn Iterator<Item = (IpNet, NetId)> + '_> {
        match self {
            Self::Ipv4(order) => {
                let from = from.map(|prefix| match prefix {
                    IpNet::V4(prefix) => Ipv4Key::from(prefix),
                    IpNet::V6(_) => Ipv4Key(u64::MAX),
                });
                let range = order.ids.range((from, Bound::Unbounded));
                Box::new(range.map(|(key, id)| (IpNet::V4((*key).into()), *id)))
            }
            Self::Ipv6(order) => {
                let from = from.map(|prefix| match prefix {
                    IpNet::V6(prefix) => prefix,
                    IpNet::V4(_) => Ipv6Net::default(),
                });
                let range = order.ids.range((from, Bound::Unbounded));
                Box::new(range.map(|(key, id)| (IpNet::V6(*key), *id)))
            }
        }
    }
}

impl<K: Copy + Ord> Order<K> {
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
