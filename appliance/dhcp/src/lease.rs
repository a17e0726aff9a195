//! What a server grants, checked.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::message::Message;
use crate::options::{Options, code};

/// More servers of a kind than this are not remembered.
const SERVERS: usize = 8;
/// A server that wants to be asked more often is not believed.
const SHORTEST: Duration = Duration::from_secs(10);
/// What stands for a lease without end (RFC 2131 §3.3).
const INFINITE: u32 = u32::MAX;
/// The smallest MTU that an interface may have (RFC 791).
const SMALLEST_MTU: u16 = 576;

/// What a server granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// The length of its network's prefix.
    pub prefix_length: u8,
    /// The router to everywhere else, if any.
    pub router: Option<Ipv4Addr>,
    /// Servers for names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Servers for the time by NTP (RFC 2132 §8.3).
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The MTU of the network, if the server says so.
    pub mtu: Option<u16>,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// For how long; `None` for ever.
    pub duration: Option<Duration>,
    /// After which time it is renewed (T1), and after which with whatever server (T2); of [`Lease::duration`].
    pub renewal: Option<(Duration, Duration)>,
}

/// A lease and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What was granted.
    pub lease: Lease,
    /// When it was asked for, which all its times are measured from (RFC 2131 §4.4.1).
    pub since: Instant,
}

/// Why there is no lease any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A server said no to it.
    Refused,
    /// It was not renewed in time.
    Expired,
}

impl Lease {
    /// Reads what an offer or acknowledgement grants; `None` where that cannot be used.
    pub(crate) fn read(message: &Message) -> Option<Lease> {
        let options = &message.options;
        let address = Some(message.yours).filter(is_host)?;
        let server = options.address(code::SERVER_IDENTIFIER).filter(is_host)?;
        let prefix_length = prefix_length(options, address)?;
        if prefix_length < 31 && is_edge(address, prefix_length) {
            return None;
        }
        let seconds = options.number(code::LEASE_TIME)?;
        let duration = (seconds != INFINITE).then(|| Duration::from_secs(seconds.into()));
        if duration.is_some_and(|duration| duration < SHORTEST) {
            return None;
        }
        Some(Lease {
            address,
            prefix_length,
            router: options
                .addresses(code::ROUTER)
                .find(|router| is_host(router) && *router != address),
            name_servers: servers(options, code::DOMAIN_NAME_SERVER),
            ntp_servers: servers(options, code::NTP_SERVERS),
            mtu: options
                .short(code::INTERFACE_MTU)
                .filter(|mtu| *mtu >= SMALLEST_MTU),
            server,
            duration,
            renewal: duration.map(|duration| renewal(options, duration)),
        })
    }
}

impl Held {
    /// When it ends, if ever.
    pub fn end(&self) -> Option<Instant> {
        self.since.checked_add(self.lease.duration?)
    }

    /// When it is to be renewed (T1).
    pub fn renewal(&self) -> Option<Instant> {
        self.since.checked_add(self.lease.renewal?.0)
    }

    /// When any server will do (T2).
    pub fn rebinding(&self) -> Option<Instant> {
        self.since.checked_add(self.lease.renewal?.1)
    }

    /// Whether it still holds.
    pub fn holds(&self, now: Instant) -> bool {
        self.end().is_none_or(|end| now < end)
    }
}

/// Those of an option that is a list of them.
fn servers(options: &Options, code: u8) -> Vec<Ipv4Addr> {
    let servers = options.addresses(code).filter(is_host);
    servers.take(SERVERS).collect()
}

/// T1 and T2; what is not said or makes no sense is half and seven eighths of the whole (RFC 2131 §4.4.5).
fn renewal(options: &Options, duration: Duration) -> (Duration, Duration) {
    let said = |code| {
        options
            .number(code)
            .map(|seconds| Duration::from_secs(seconds.into()))
    };
    let (half, late) = (duration / 2, duration * 7 / 8);
    match (said(code::RENEWAL_TIME), said(code::REBINDING_TIME)) {
        (Some(first), Some(second)) if first >= SHORTEST / 2 && first < second && second < duration => {
            (first, second)
        }
        (_, _) => (half, late),
    }
}

/// A server that says no mask means that of the address's class.
fn prefix_length(options: &Options, address: Ipv4Addr) -> Option<u8> {
    let Some(mask) = options.address(code::SUBNET_MASK) else {
        let [first, ..] = address.octets();
        return Some(match first {
            ..128 => 8,
            128..192 => 16,
            192.. => 24,
        });
    };
    let bits = u32::from(mask);
    let length = bits.leading_ones();
    let is_prefix = bits.checked_shl(length).is_none_or(|rest| rest == 0);
    u8::try_from(length)
        .ok()
        .filter(|length| is_prefix && *length > 0)
}

/// Whether an address can be that of one host.
fn is_host(address: &Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224 && !address.is_loopback()
}

/// Whether an address is the first or the last of its network.
fn is_edge(address: Ipv4Addr, prefix_length: u8) -> bool {
    let host = u32::MAX.checked_shr(prefix_length.into()).unwrap_or_default();
    let part = u32::from(address) & host;
    part == 0 || part == host
}
