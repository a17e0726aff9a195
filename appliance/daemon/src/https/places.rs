use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// So many connections at once, and so many of one source.
const MOST: usize = 256;
const MOST_OF_SOURCE: usize = 32;

/// What one connection has among the others.
#[derive(Debug, Default)]
pub(crate) struct Place {
    known: AtomicBool,
    given_up: Notify,
}

impl Place {
    /// Somebody showed over it who they are: strangers do not push it out.
    pub(crate) fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Comes back when another connection needs the place.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

/// The connections that there are. When there is no room, the oldest goes over which nobody has shown who they are, of
/// the source that has most of those: so an admin gets in while others fill all places.
#[derive(Debug, Default)]
pub(super) struct Places {
    next: u64,
    taken: BTreeMap<u64, (IpAddr, Arc<Place>)>,
}

impl Places {
    /// A place for another connection, and its number; `None` if all are of those who are known.
    pub(super) fn take(&mut self, address: IpAddr) -> Option<(u64, Arc<Place>)> {
        let source = source(address);
        if self.of(source).count() >= MOST_OF_SOURCE {
            let oldest = self.of(source).find(|(_, known)| !known)?.0;
            self.give_up(oldest);
        } else if self.taken.len() >= MOST {
            let oldest = self.oldest_of_most()?;
            self.give_up(oldest);
        }
        let (number, place) = (self.next, Arc::new(Place::default()));
        self.next += 1;
        self.taken.insert(number, (source, place.clone()));
        Some((number, place))
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, number: u64) {
        self.taken.remove(&number);
    }

    /// The connections of a source, oldest first, and whether they are known.
    fn of(&self, source: IpAddr) -> impl Iterator<Item = (u64, bool)> {
        let of_source = self.taken.iter().filter(move |(_, (of, _))| *of == source);
        of_source.map(|(number, (_, place))| (*number, place.known.load(Ordering::Relaxed)))
    }

    fn oldest_of_most(&self) -> Option<u64> {
        let mut strangers: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (source, place)) in &self.taken {
            if !place.known.load(Ordering::Relaxed) {
                strangers.entry(*source).or_insert((0, *number)).0 += 1;
            }
        }
        let most = strangers
            .into_values()
            .max_by_key(|(count, oldest)| (*count, u64::MAX - oldest));
        most.map(|(_, oldest)| oldest)
    }

    fn give_up(&mut self, number: u64) {
        if let Some((_, place)) = self.taken.remove(&number) {
            place.given_up.notify_one();
        }
    }
}

/// An address, or the IPv6 network of 64 bits that it is of.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).unwrap().to_be_bytes())
    }

    #[test]
    fn one_source_pushes_out_its_own_connections_only() {
        let mut places = Places::default();
        let (other, _) = places.take(address(2)).unwrap();
        let first = places.take(address(1)).unwrap();
        first.1.is_known();
        let (second, _) = places.take(address(1)).unwrap();
        for _ in 0..MOST_OF_SOURCE - 1 {
            places.take(address(1)).unwrap();
        }
        assert_eq!(places.taken.len(), MOST_OF_SOURCE + 1);
        assert!(!places.taken.contains_key(&second));
        assert!(places.taken.contains_key(&first.0) && places.taken.contains_key(&other));
    }

    #[test]
    fn an_admin_gets_in_while_strangers_fill_all_places() {
        let mut places = Places::default();
        let known = places.take(address(0)).unwrap();
        known.1.is_known();
        for number in 1..MOST - 1 {
            places.take(address(number)).unwrap();
        }
        let (greedy, _) = places.take(address(1)).unwrap();
        for number in 1000..1400 {
            assert!(
                places.take(address(number)).is_some(),
                "{number}: {}",
                places.taken.len()
            );
        }
        assert_eq!(places.taken.len(), MOST);
        assert!(places.taken.contains_key(&known.0) && !places.taken.contains_key(&greedy));
        places.leave(known.0);
        assert_eq!(places.taken.len(), MOST - 1);
    }

    #[test]
    fn nobody_who_is_known_is_pushed_out() {
        let mut places = Places::default();
        for number in 0..MOST {
            places.take(address(number)).unwrap().1.is_known();
        }
        assert!(places.take(address(9999)).is_none());
        for _ in 0..MOST_OF_SOURCE {
            assert!(places.take(address(1)).is_none());
        }
    }
}
