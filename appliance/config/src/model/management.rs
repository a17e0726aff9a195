use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::address::prefix;
use super::{Name, Trust};
use crate::Reason;
use crate::reader::{Collection, Value};

/// Who may reach the API and the console, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// Where they are served over TLS; nowhere but on the Unix socket if there are none.
    pub listen: BTreeSet<SocketAddr>,
    /// From where they may be reached; see [`crate::ValidConfig::admits`] for what follows where there are none.
    pub allow_from: Vec<IpNet>,
    /// How long a change waits to be confirmed where a client asks for that and gives no time.
    pub confirm_within: Duration,
    /// What the certificates of clients must lead to, where they must have one (mutual TLS).
    pub client_trust: Option<Name>,
}

const PORT: u16 = 8443;
pub(crate) const CONFIRM_WITHIN_S: u64 = 120;
pub(crate) const CONFIRM_WITHINS_S: RangeInclusive<u64> = 10..=86_400;

impl Default for Management {
    fn default() -> Self {
        Self {
            listen: default_listen().into(),
            allow_from: Vec::new(),
            confirm_within: Duration::from_secs(CONFIRM_WITHIN_S),
            client_trust: None,
        }
    }
}

/// Every address of this machine, of either IP version.
pub(crate) fn default_listen() -> [SocketAddr; 2] {
    [
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT),
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
    ]
}

impl Management {
    pub(super) fn read(value: &Value<'_>, trust: &Collection<Trust>) -> Option<Self> {
        let mut object = value.object()?;
        let listen = object.optional("listen", default_listen().into(), listen);
        let allow_from = object.optional("allow_from", Vec::new(), |value| value.list(prefix));
        let confirm_within_s = object.optional("confirm_within_s", CONFIRM_WITHIN_S, |value| {
            value.whole(CONFIRM_WITHINS_S)
        });
        let client_trust = object.optional("client_trust", None, |value| {
            trust.follow(value, "trust").map(|(name, _)| Some(name))
        });
        Some(Self {
            listen: listen?,
            allow_from: allow_from?,
            confirm_within: Duration::from_secs(confirm_within_s?),
            client_trust: client_trust?,
        })
    }

    /// Whether a connection to this address and port reaches a listener.
    pub fn serves(&self, local: SocketAddr) -> bool {
        self.listen.iter().any(|listener| covers(listener, &local))
    }
}

/// Every listener once, and none where another listens already on every address.
fn listen(value: &Value<'_>) -> Option<BTreeSet<SocketAddr>> {
    let written = value.list(socket_address)?;
    let mut listeners = BTreeSet::new();
    for one in written {
        let other = listeners
            .iter()
            .find(|other| covers(other, &one) || covers(&one, other));
        if let Some(other) = other {
            let detail = format!("{one} and {other} are the same socket");
            value.problem(Reason::DuplicateAddress, detail);
            return None;
        }
        listeners.insert(one);
    }
    Some(listeners)
}

/// Whether what `listener` listens for includes connections to `local`.
fn covers(listener: &SocketAddr, local: &SocketAddr) -> bool {
    let anywhere = listener.ip().is_unspecified() && listener.is_ipv4() == local.is_ipv4();
    listener.port() == local.port() && (anywhere || listener.ip() == local.ip())
}

fn socket_address(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let bindable = |address: &SocketAddr| {
        let ip = address.ip();
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        let plain = match address {
            SocketAddr::V4(_) => true,
            SocketAddr::V6(address) => address.scope_id() == 0,
        };
        address.port() != 0 && plain && !ip.is_multicast() && !broadcast && ip == ip.to_canonical()
    };
    match text.parse::<SocketAddr>().ok().filter(bindable) {
        Some(address) => Some(address),
        None => value.wrong(
            Reason::InvalidAddress,
            text,
            "expected an address and a port such as 0.0.0.0:8443 or [::]:8443",
        ),
    }
}
