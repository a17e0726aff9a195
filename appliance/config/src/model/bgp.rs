use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::address::{address, prefix};
use super::asn::asn;
use crate::Reason;
use crate::reader::{Object, Value};

/// Our BGP speaker (RFC 4271).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayBgp {
    /// Our autonomous system.
    pub asn: u32,
    /// Where sessions may start from; of those that suit a peer, the first is the default.
    pub addresses: Vec<IpAddr>,
    /// The BGP identifier (RFC 6286).
    pub router_id: Ipv4Addr,
    /// How long a peer may be silent, unless its connection says otherwise.
    pub timers: BgpTimers,
    /// What is advertised as our own.
    pub advertise: Vec<IpNet>,
}

/// The timers of a session (RFC 4271 §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BgpTimers {
    /// How long a peer may be silent.
    pub hold_time: Duration,
    /// How long we are silent.
    pub keepalive: Duration,
}

/// The BGP speaker of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteBgp {
    /// Its autonomous system.
    pub asn: u32,
    /// Its address, the far end of every session with it.
    pub address: IpAddr,
    /// It is in our own autonomous system.
    pub internal: bool,
}

/// What is done where the document leaves it open.
pub(crate) const HOLD_TIME_S: u64 = 180;
pub(crate) const KEEPALIVE_S: u64 = 60;
/// What may be written; RFC 4271 §4.2 has no hold time of one or two seconds, and we none without end.
pub(crate) const HOLD_TIMES_S: RangeInclusive<u64> = 3..=65_535;
pub(crate) const KEEPALIVES_S: RangeInclusive<u64> = 1..=21_845;

/// Where cloud machines reach their host's metadata and its DNS; nobody else can have these addresses.
const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(168, 63, 129, 16)];

impl GatewayBgp {
    /// `space` is what is advertised where the document does not say; `None` if it could not be read.
    pub(super) fn read(value: &Value<'_>, space: Option<&[IpNet]>) -> Option<Self> {
        let mut object = value.object()?;
        let asn = object.required("asn", asn);
        let addresses = object.required("addresses", addresses);
        let router_id = match object.take("router_id") {
            Some(value) => router_id(&value),
            None => {
                let found = addresses.as_deref().map(default_router_id);
                if found == Some(None) {
                    object.lacks("router_id", "no address is IPv4, so say what the router id is");
                }
                found.flatten()
            }
        };
        let timers = timers(&mut object);
        let advertise = match object.take("advertise") {
            Some(value) => distinct(&value, value.list(prefix)?),
            None => space.map(<[IpNet]>::to_vec),
        };
        Some(Self {
            asn: asn?,
            addresses: addresses?,
            router_id: router_id?,
            timers: timers?,
            advertise: advertise?,
        })
    }
}

impl SiteBgp {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let asn = object.required("asn", asn);
        let address = object.required("address", speaker_address);
        let internal = object.optional("internal", false, Value::boolean);
        Some(Self {
            asn: asn?,
            address: address?,
            internal: internal?,
        })
    }
}

impl BgpTimers {
    /// These with another hold time, and at least three keepalives in it.
    pub(super) fn held(self, hold_time_s: u64) -> Self {
        Self {
            hold_time: Duration::from_secs(hold_time_s),
            keepalive: self
                .keepalive
                .min(Duration::from_secs(default_keepalive_s(hold_time_s))),
        }
    }
}

/// What stands for `keepalive_s` where it is left out.
pub(crate) fn default_keepalive_s(hold_time_s: u64) -> u64 {
    hold_time_s / 3
}

/// What stands for `router_id` where it is left out: the first IPv4 address, a link-local one only if there is no other.
pub(crate) fn default_router_id(addresses: &[IpAddr]) -> Option<Ipv4Addr> {
    let four = || {
        addresses.iter().filter_map(|address| match address {
            IpAddr::V4(four) => Some(*four),
            IpAddr::V6(_) => None,
        })
    };
    four().find(|address| !address.is_link_local()).or(four().next())
}

/// What stands for `local_address` where it is left out: for a link-local peer the address in its /30, or else the first
/// that is link-local; for another the first of its IP version that is not.
pub(crate) fn default_local_address(addresses: &[IpAddr], peer: IpAddr) -> Option<IpAddr> {
    let pair = |address: IpAddr| match (address, peer) {
        (IpAddr::V4(ours), IpAddr::V4(theirs)) => ours.to_bits() >> 2 == theirs.to_bits() >> 2,
        (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
    };
    let mut suited = addresses.iter().copied().filter(|address| suits(*address, peer));
    let first = suited.clone().next();
    suited.find(|address| is_apipa(peer) && pair(*address)).or(first)
}

/// Whether a session can lead from one address to the other: both link-local or neither, and of one IP version.
pub(super) fn suits(ours: IpAddr, theirs: IpAddr) -> bool {
    ours.is_ipv4() == theirs.is_ipv4() && is_apipa(ours) == is_apipa(theirs)
}

/// Whether the address is link-local (RFC 3927), as Azure calls it an APIPA address.
pub(crate) fn is_apipa(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.is_link_local())
}

fn timers(object: &mut Object<'_>) -> Option<BgpTimers> {
    let hold_time_s = object.optional("hold_time_s", HOLD_TIME_S, |value| value.whole(HOLD_TIMES_S));
    let most = default_keepalive_s(hold_time_s.unwrap_or(*HOLD_TIMES_S.end()));
    let keepalive_s = object.optional("keepalive_s", most, |value| {
        value.whole(*KEEPALIVES_S.start()..=most)
    });
    Some(BgpTimers {
        hold_time: Duration::from_secs(hold_time_s?),
        keepalive: Duration::from_secs(keepalive_s?),
    })
}

fn router_id(value: &Value<'_>) -> Option<Ipv4Addr> {
    match address(value)? {
        IpAddr::V4(four) => Some(four),
        IpAddr::V6(six) => {
            value.problem(
                Reason::InvalidAddress,
                format!("{six}; a router id looks like an IPv4 address"),
            );
            None
        }
    }
}

fn addresses(value: &Value<'_>) -> Option<Vec<IpAddr>> {
    let addresses = value.list(speaker_address)?;
    if addresses.is_empty() {
        value.problem(Reason::OutOfRange, "is empty; at least one address is needed");
        return None;
    }
    Some(addresses)
}

/// An address that a BGP speaker can have at an end of a tunnel.
fn speaker_address(value: &Value<'_>) -> Option<IpAddr> {
    let address = address(value)?;
    let why = match address {
        IpAddr::V4(four) if METADATA.contains(&four) => "is where cloud machines find their host",
        // RFC 3927 §2.1 sets the first and the last 256 aside; Azure only the two ends.
        IpAddr::V4(four)
            if four.is_link_local()
                && (four.octets() == [169, 254, 0, 0] || four.octets() == [169, 254, 255, 255]) =>
        {
            "is an end of its range: take one of 169.254.0.1 to 169.254.255.254"
        }
        IpAddr::V6(six) if six.is_unicast_link_local() => "has a meaning on one link only",
        IpAddr::V4(_) | IpAddr::V6(_) if address.is_loopback() => "leads nowhere but to oneself",
        IpAddr::V4(_) | IpAddr::V6(_) => return Some(address),
    };
    value.problem(Reason::InvalidAddress, format!("{address} {why}"));
    None
}

/// The prefixes in order, each once.
fn distinct(value: &Value<'_>, prefixes: Vec<IpNet>) -> Option<Vec<IpNet>> {
    let mut sorted = prefixes;
    sorted.sort_unstable();
    let twice = sorted.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    if let Some(prefix) = twice {
        value.problem(
            Reason::DuplicatePrefix,
            format!("{prefix} stands twice; leave one out"),
        );
        return None;
    }
    Some(sorted)
}
