//! What peers that have not authenticated may cost: cookies and a bound on half-open IKE SAs (RFC 7296 §2.6).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::crypto::Secret;
use crate::v2::keys;
use crate::{Limits, Random};

/// How long a secret makes new cookies; its cookies are good for as long again.
const SECRET_LIFETIME: Duration = Duration::from_secs(60);

/// Octets of SHA-256.
const HASH: usize = 32;

/// The IKE SAs as responder that have not authenticated, by who started them.
#[derive(Default)]
pub(crate) struct HalfOpen {
    /// Our SPI by what its first message was and whence it came.
    started: BTreeMap<Start, u64>,
    starts: BTreeMap<u64, Start>,
    /// How many each source has.
    sources: BTreeMap<IpAddr, usize>,
    secrets: Option<Secrets>,
}

/// Where a first message came from, and its SHA-256: one that differs in anything is another start, lest
/// somebody who sees an SPI could keep its owner out (RFC 7296 §2.1).
type Start = (SocketAddr, [u8; HASH]);

/// What to do with a newcomer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may have a half-open IKE SA.
    Admitted,
    /// It must first show that it receives at its address: it is to repeat this cookie.
    Challenged(Vec<u8>),
    /// There is no room.
    Refused(Crowd),
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// How many half-open IKE SAs there would be.
    pub(crate) found: usize,
    /// How many there may be.
    pub(crate) most: usize,
    /// Of one source, not of all.
    pub(crate) of_one: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) spi: u64,
    pub(crate) nonce: &'a [u8],
    pub(crate) cookie: Option<&'a [u8]>,
}

struct Secrets {
    number: u8,
    current: Secret,
    previous: Option<Secret>,
    drawn: Instant,
}

impl HalfOpen {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.started.len()
    }

    /// The IKE SA that this very message started.
    pub(crate) fn started(&self, address: SocketAddr, message: &[u8]) -> Option<u64> {
        // Most newcomers have started nothing: for them nothing is hashed.
        let mut here = self
            .started
            .range((address, [0; HASH])..=(address, [u8::MAX; HASH]));
        here.next()?;
        self.started.get(&start(address, message)).copied()
    }

    /// One more, under this SPI of ours.
    pub(crate) fn insert(&mut self, address: SocketAddr, message: &[u8], spi: u64) {
        let start = start(address, message);
        self.started.insert(start, spi);
        self.starts.insert(spi, start);
        *self.sources.entry(source(address)).or_default() += 1;
    }

    /// It authenticated, failed to, or ran out of time.
    pub(crate) fn remove(&mut self, spi: u64) {
        let Some(start) = self.starts.remove(&spi) else {
            return;
        };
        self.started.remove(&start);
        let source = source(start.0);
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Whether a peer of IKEv1 may have a half-open SA. It cannot be asked for a cookie, so there is room only as long as
    /// nobody is: others still find theirs.
    pub(crate) fn has_room(&self, address: SocketAddr, limits: Limits) -> Result<(), Crowd> {
        let of_source = self.sources.get(&source(address)).copied().unwrap_or_default();
        let (most, of_source_most) = (
            limits.cookie_threshold.min(limits.half_open),
            limits.half_open_per_source,
        );
        let crowd = |present, most, of_one| Crowd {
            found: present + 1,
            most,
            of_one,
        };
        if of_source >= of_source_most {
            Err(crowd(of_source, of_source_most, true))
        } else if self.len() >= most {
            Err(crowd(self.len(), most, false))
        } else {
            Ok(())
        }
    }

    /// Judges a newcomer without keeping anything of it.
    pub(crate) fn admit(
        &mut self,
        newcomer: &Newcomer<'_>,
        limits: Limits,
        random: &mut dyn Random,
        now: Instant,
    ) -> Admission {
        if self.len() >= limits.cookie_threshold {
            let secrets = Secrets::refresh(self.secrets.take(), random, now);
            let expected = secrets.verify(newcomer, now);
            let fresh = secrets.cookie(newcomer);
            self.secrets = Some(secrets);
            if !expected {
                return Admission::Challenged(fresh);
            }
            // The address is its own: then it is fair to count.
            let of_source = self.sources.get(&source(newcomer.address)).copied();
            if let Some(found) = of_source.filter(|found| *found >= limits.half_open_per_source) {
                return crowded(found, limits.half_open_per_source, true);
            }
        }
        if self.len() >= limits.half_open {
            crowded(self.len(), limits.half_open, false)
        } else {
            Admission::Admitted
        }
    }
}

fn crowded(present: usize, most: usize, of_one: bool) -> Admission {
    Admission::Refused(Crowd {
        found: present + 1,
        most,
        of_one,
    })
}

/// Who has an IPv6 address has the other 2⁶⁴ of its network as well.
fn source(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

fn start(address: SocketAddr, message: &[u8]) -> Start {
    let mut hash = [0; HASH];
    hash.iter_mut()
        .zip(digest(&SHA256, message).as_ref())
        .for_each(|(to, from)| *to = *from);
    (address, hash)
}

impl Secrets {
    fn refresh(known: Option<Self>, random: &mut dyn Random, now: Instant) -> Self {
        let age = |secrets: &Self| now.saturating_duration_since(secrets.drawn);
        match known {
            Some(secrets) if age(&secrets) < SECRET_LIFETIME => secrets,
            older => {
                let mut drawn = vec![0; 32];
                random.fill(&mut drawn);
                let number = older.as_ref().map_or(0, |older| older.number.wrapping_add(1));
                let previous = older
                    .filter(|older| age(older) < SECRET_LIFETIME * 2)
                    .map(|older| older.current);
                Self {
                    number,
                    current: drawn.into(),
                    previous,
                    drawn: now,
                }
            }
        }
    }

    /// `<number of the secret> | prf(secret, Ni | IPi | SPIi)`, as RFC 7296 §2.6 suggests.
    fn cookie(&self, newcomer: &Newcomer<'_>) -> Vec<u8> {
        let mut cookie = vec![self.number];
        cookie.extend(newcomer.proof(&self.current));
        cookie
    }

    fn verify(&self, newcomer: &Newcomer<'_>, now: Instant) -> bool {
        let Some((number, claimed)) = newcomer.cookie.and_then(<[u8]>::split_first) else {
            return false;
        };
        let secret = if *number == self.number {
            Some(&self.current)
        } else if number.wrapping_add(1) == self.number {
            self.previous
                .as_ref()
                .filter(|_| now.saturating_duration_since(self.drawn) < SECRET_LIFETIME)
        } else {
            None
        };
        secret.is_some_and(|secret| verify_slices_are_equal(&newcomer.proof(secret), claimed).is_ok())
    }
}

impl Newcomer<'_> {
    fn proof(&self, secret: &Secret) -> Vec<u8> {
        keys::cookie(secret, self.nonce, self.address.ip(), self.spi)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 += 1;
            bytes.fill(self.0);
        }
    }

    const LIMITS: Limits = Limits {
        half_open: 2,
        cookie_threshold: 1,
        half_open_per_source: 2,
        half_open_timeout: Duration::from_secs(30),
    };

    fn newcomer<'a>(address: &str, cookie: Option<&'a [u8]>) -> Newcomer<'a> {
        Newcomer {
            address: address.parse().unwrap(),
            spi: 7,
            nonce: &[1; 32],
            cookie,
        }
    }

    /// A cookie is good for its address, SPI and nonce only, until two lifetimes of its secret have passed.
    #[test]
    fn cookies_are_bound_and_expire() {
        let (mut half_open, mut random, start) = (HalfOpen::default(), Counting(0), Instant::now());
        let admit = |half_open: &mut HalfOpen, random: &mut Counting, newcomer: &Newcomer<'_>, seconds| {
            half_open.admit(newcomer, LIMITS, random, start + Duration::from_secs(seconds))
        };
        let honest = newcomer("192.0.2.1:500", None);
        assert_eq!(
            admit(&mut half_open, &mut random, &honest, 0),
            Admission::Admitted
        );
        half_open.insert(honest.address, b"start", 1);
        let Admission::Challenged(cookie) = admit(&mut half_open, &mut random, &honest, 0) else {
            panic!("no cookie was asked for")
        };
        let shown = newcomer("192.0.2.1:500", Some(&cookie));
        assert_eq!(
            admit(&mut half_open, &mut random, &shown, 59),
            Admission::Admitted
        );
        assert_eq!(
            admit(&mut half_open, &mut random, &shown, 119),
            Admission::Admitted,
            "the previous secret"
        );
        assert!(matches!(
            admit(&mut half_open, &mut random, &shown, 240),
            Admission::Challenged(_)
        ));
        let stolen = newcomer("192.0.2.9:500", Some(&cookie));
        assert!(matches!(
            admit(&mut half_open, &mut random, &stolen, 1),
            Admission::Challenged(_)
        ));
    }

    #[test]
    fn the_bound_holds_even_with_cookies() {
        let (mut half_open, mut random, now) = (HalfOpen::default(), Counting(0), Instant::now());
        half_open.insert("192.0.2.7:500".parse().unwrap(), b"start", 1);
        half_open.insert("192.0.2.8:500".parse().unwrap(), b"start", 2);
        let honest = newcomer("192.0.2.1:500", None);
        let Admission::Challenged(cookie) = half_open.admit(&honest, LIMITS, &mut random, now) else {
            panic!("no cookie was asked for")
        };
        let shown = newcomer("192.0.2.1:500", Some(&cookie));
        assert_eq!(
            half_open.admit(&shown, LIMITS, &mut random, now),
            crowded(2, 2, false)
        );
    }

    /// Under load one source, or one IPv6 network, does not take the room of all others.
    #[test]
    fn one_source_has_only_so_many() {
        let (mut half_open, mut random, now) = (HalfOpen::default(), Counting(0), Instant::now());
        let limits = Limits {
            half_open: 100,
            ..LIMITS
        };
        let mut ask = |half_open: &mut HalfOpen, address: &str| {
            let Admission::Challenged(cookie) =
                half_open.admit(&newcomer(address, None), limits, &mut random, now)
            else {
                panic!("no cookie was asked for")
            };
            half_open.admit(&newcomer(address, Some(&cookie)), limits, &mut random, now)
        };
        for (spi, address) in [
            (1, "192.0.2.1:500"),
            (2, "192.0.2.1:501"),
            (3, "[2001:db8::1]:500"),
        ] {
            half_open.insert(address.parse().unwrap(), b"start", spi);
        }
        assert_eq!(ask(&mut half_open, "192.0.2.1:502"), crowded(2, 2, true));
        assert_eq!(ask(&mut half_open, "192.0.2.2:500"), Admission::Admitted);
        assert_eq!(ask(&mut half_open, "[2001:db8::2]:500"), Admission::Admitted);
        half_open.insert("[2001:db8::2]:500".parse().unwrap(), b"start", 4);
        assert_eq!(ask(&mut half_open, "[2001:db8::3]:500"), crowded(2, 2, true));
        half_open.remove(2);
        assert_eq!(ask(&mut half_open, "192.0.2.1:502"), Admission::Admitted);
    }
}
