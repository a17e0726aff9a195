use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many attempts fail before anybody has to wait.
const FREE: u32 = 5;
/// The longest wait of a source, and of an account: nobody is locked out for good.
const SOURCE_WAIT: Duration = Duration::from_secs(900);
const ACCOUNT_WAIT: Duration = Duration::from_secs(60);
/// After so long without an attempt everything is forgotten.
const MEMORY: Duration = Duration::from_secs(3600);
/// So many sources and accounts are remembered; then the one that was quiet for longest is forgotten.
const MOST: usize = 4096;

/// Who shares one count: an address, or an IPv6 network of 64 bits, for whoever has one address of it has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source(IpAddr);

impl Source {
    /// That of an address; of the control socket without one.
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self(address.into()),
            Some(IpAddr::V6(address)) => {
                let network = u128::from(address) & (u128::MAX << 64);
                Self(Ipv6Addr::from(network).into())
            }
            None => Self(Ipv6Addr::UNSPECIFIED.into()),
        }
    }
}

/// Counts attempts that failed, by source and by account.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    sources: BTreeMap<Source, Failures>,
    accounts: BTreeMap<String, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn remaining(self, longest: Duration, now: Instant) -> Duration {
        let beyond = self.count.saturating_sub(FREE);
        if beyond == 0 {
            return Duration::ZERO;
        }
        let wait = Duration::from_secs(1_u64 << (beyond - 1).min(16)).min(longest);
        wait.saturating_sub(now.saturating_duration_since(self.last))
    }
}

impl Throttle {
    /// An attempt begins: it counts as failed until it has succeeded, so that many at once gain nothing. `Err` says how long
    /// to wait; such an attempt does not count. An account makes only those wait who have failed before: from elsewhere
    /// its owner comes in, whoever else tries.
    pub(crate) fn attempt(&mut self, source: Source, account: &str, now: Instant) -> Result<(), Duration> {
        forget(&mut self.sources, now);
        forget(&mut self.accounts, now);
        let (by_source, by_account) = (self.sources.get(&source), self.accounts.get(account));
        let mut wait = by_source.map_or(Duration::ZERO, |failures| failures.remaining(SOURCE_WAIT, now));
        if let (Some(_), Some(failures)) = (by_source, by_account) {
            wait = wait.max(failures.remaining(ACCOUNT_WAIT, now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        count(&mut self.sources, source, now);
        count(&mut self.accounts, account.to_owned(), now);
        Ok(())
    }

    /// It succeeded: the account begins anew. The source has this attempt forgiven and no others, or whoever has one
    /// account could try the next for ever.
    pub(crate) fn succeeded(&mut self, source: Source, account: &str) {
        self.accounts.remove(account);
        if let Some(failures) = self.sources.get_mut(&source) {
            failures.count = failures.count.saturating_sub(1);
            if failures.count == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

fn forget<K: Ord>(failures: &mut BTreeMap<K, Failures>, now: Instant) {
    failures.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
}

fn count<K: Ord + Clone>(all: &mut BTreeMap<K, Failures>, key: K, now: Instant) {
    if all.len() >= MOST && !all.contains_key(&key) {
        let quiet = all.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(quiet) = quiet.map(|(key, _)| key.clone()) {
            all.remove(&quiet);
        }
    }
    let failures = all.entry(key).or_insert(Failures { count: 0, last: now });
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of(Some(IpAddr::from([192, 0, 2, last])))
    }

    /// Fails as often as it may; the wait then.
    fn exhaust(throttle: &mut Throttle, source: Source, account: &str, now: Instant) -> Duration {
        loop {
            if let Err(wait) = throttle.attempt(source, account, now) {
                return wait;
            }
        }
    }

    #[test]
    fn waits_grow_and_have_an_end() {
        let (mut throttle, mut now) = (Throttle::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..14 {
            let wait = exhaust(&mut throttle, source(1), "alice", now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[12..], [900, 900]);
    }

    #[test]
    fn the_owner_of_an_account_comes_in_from_elsewhere_while_others_try() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for attacker in 1..100 {
            exhaust(&mut throttle, source(attacker), "alice", now);
        }
        throttle.attempt(source(200), "alice", now).unwrap();
        throttle.succeeded(source(200), "alice");
        throttle.attempt(source(200), "alice", now).unwrap();
    }

    #[test]
    fn a_source_that_has_failed_waits_for_an_account_that_others_try() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        throttle.attempt(source(9), "bob", now).unwrap();
        exhaust(&mut throttle, source(1), "alice", now);
        assert!(throttle.attempt(source(9), "alice", now).is_err());
        throttle.attempt(source(9), "bob", now).unwrap();
    }

    /// Whoever has an account of their own cannot use it to try that of another for ever.
    #[test]
    fn success_with_one_account_forgives_nothing_of_another() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let mut tried = 0;
        while throttle.attempt(source(1), "alice", now).is_ok() {
            tried += 1;
            if throttle.attempt(source(1), "mallory", now).is_ok() {
                throttle.succeeded(source(1), "mallory");
            }
        }
        assert!(tried <= 6, "{tried}");
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_memory_is_bounded() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let of = |address: &str| Source::of(Some(address.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), source(1));
        for number in 0..10_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            throttle
                .attempt(Source::of(Some(address)), &number.to_string(), now)
                .unwrap();
        }
        assert_eq!((throttle.sources.len(), throttle.accounts.len()), (MOST, MOST));
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        exhaust(&mut throttle, source(1), "alice", now);
        throttle.attempt(source(1), "alice", now + MEMORY).unwrap();
        assert_eq!(throttle.sources[&source(1)].count, 1);
    }
}
