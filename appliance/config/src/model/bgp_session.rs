use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::address::address;
use super::bgp::{BgpTimers, HOLD_TIMES_S, default_local_address, is_apipa, suits};
use super::gateway::GatewayDraft;
use super::route_policy::PREFERENCES;
use super::{Bfd, BgpCapabilities, BgpSigning, GatewayBgp, Name, RoutePolicy, Site};
use crate::Reason;
use crate::reader::{Collection, Object, Value};

/// A BGP session with the site of a connection, through its tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionBgp {
    /// Our end of the session, one of the gateway's addresses for BGP.
    pub local_address: IpAddr,
    /// The policy for routes that the peer sends; all are accepted if `None`.
    pub import: Option<Name>,
    /// The policy for routes that it is sent; all are if `None`.
    pub export: Option<Name>,
    /// The peer opens the session, and we wait.
    pub passive: bool,
    /// What both sides can do with the session.
    pub capabilities: BgpCapabilities,
    /// The local preference of routes that come without one (RFC 4271 §9.1.1).
    pub local_preference: u32,
    /// How long the peer may be silent.
    pub timers: BgpTimers,
    /// How many routers the peer may be away.
    pub multihop: u8,
    /// How many routers the peer is away at most, by the TTL of what it sends (RFC 5082 §3); not checked if `None`.
    pub ttl_security: Option<u8>,
    /// How soon it is noticed that the peer is gone; by the hold time alone if `None`.
    pub bfd: Option<Bfd>,
    /// How its segments are authenticated.
    pub signing: BgpSigning,
    /// How many prefixes of one family the peer may send; one more ends the session.
    pub maximum_prefixes: u32,
    /// After how long a session begins anew that ended so; not by itself if `None`.
    pub restart_after: Option<Duration>,
}

/// What is done where the document leaves it open.
pub(crate) const MULTIHOP: u8 = 2;
pub(crate) const PREFIXES_PER_PEER: u32 = 4000;
pub(crate) const LOCAL_PREFERENCE: u32 = 100;
/// What may be written.
pub(crate) const HOPS: RangeInclusive<u64> = 1..=255;
pub(crate) const PREFIX_LIMITS: RangeInclusive<u64> = 1..=10_000_000;
pub(crate) const RESTARTS_S: RangeInclusive<u64> = 60..=86_400;

/// What a session depends on.
pub(super) struct Surroundings<'c> {
    pub(super) gateway: &'c GatewayDraft,
    pub(super) route_policies: &'c Collection<RoutePolicy>,
    /// The site, if it could be read.
    pub(super) site: Option<&'c Site>,
    /// Only pairs of prefixes may pass the tunnel.
    pub(super) policy_based: bool,
}

impl ConnectionBgp {
    pub(super) fn read(value: &Value<'_>, around: &Surroundings<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let mut policy = |key| {
            object.optional(key, None, |value| {
                let name = value.name()?;
                around
                    .route_policies
                    .has(value, &name, "route policy")
                    .then_some(Some(name))
            })
        };
        let (import, export) = (policy("import"), policy("export"));
        if around.policy_based {
            let detail =
                "policy-based selectors let only listed prefixes pass, not what BGP learns: take route-based";
            value.problem(Reason::BgpNeedsRouteBased, detail);
        }
        let ours = configured(value, around.gateway.bgp.as_ref(), "gateway");
        let peer = configured(value, around.site.map(|site| &site.bgp), "site");
        let local_address = local_address(&mut object, ours, peer.map(|peer| peer.address));
        let passive = object.optional("passive", false, Value::boolean);
        let capabilities = BgpCapabilities::read(&mut object, peer.is_some_and(|peer| peer.internal));
        let local_preference = object.optional("local_preference", LOCAL_PREFERENCE, |value| {
            value.whole(PREFERENCES)
        });
        let timers = timers(&mut object, ours);
        let multihop = object.optional("multihop", MULTIHOP, |value| value.whole(HOPS));
        let ttl_security = object.optional("ttl_security", None, |value| value.whole(HOPS).map(Some));
        let bfd = object.optional("bfd", None, |value| Bfd::read(value).map(Some));
        let signing = BgpSigning::read(&mut object);
        let maximum_prefixes = match object.take("maximum_prefixes") {
            Some(value) => value.whole(PREFIX_LIMITS),
            None => around
                .gateway
                .limits
                .as_ref()
                .map(|limits| limits.prefixes_per_peer),
        };
        let restart_after = object.optional("restart_after_s", None, |value| {
            value.whole(RESTARTS_S).map(Duration::from_secs).map(Some)
        });
        peer.filter(|_| !around.policy_based)?;
        Some(Self {
            local_address: local_address?,
            import: import?,
            export: export?,
            passive: passive?,
            capabilities: capabilities?,
            local_preference: local_preference?,
            timers: timers?,
            multihop: multihop?,
            ttl_security: ttl_security?,
            bfd: bfd?,
            signing: signing?,
            maximum_prefixes: maximum_prefixes?,
            restart_after: restart_after?,
        })
    }
}

/// The `bgp` of one side, which must be there.
fn configured<'c, T>(value: &Value<'_>, side: Option<&'c Option<T>>, whose: &str) -> Option<&'c T> {
    let found = side?;
    if found.is_none() {
        let detail = format!("there is no session without \"bgp\" of the {whose}");
        value.problem(Reason::BgpNotConfigured, detail);
    }
    found.as_ref()
}

/// Those of the gateway, unless the session has a hold time of its own.
fn timers(object: &mut Object<'_>, ours: Option<&GatewayBgp>) -> Option<BgpTimers> {
    match object.take("hold_time_s") {
        Some(value) => {
            let hold_time_s = value.whole(HOLD_TIMES_S);
            ours.zip(hold_time_s)
                .map(|(ours, hold_time_s)| ours.timers.held(hold_time_s))
        }
        None => ours.map(|ours| ours.timers),
    }
}

/// The address that is named, or the first that suits the peer.
fn local_address(object: &mut Object<'_>, ours: Option<&GatewayBgp>, peer: Option<IpAddr>) -> Option<IpAddr> {
    let written = object.take("local_address");
    if let Some(value) = written {
        let address = address(&value)?;
        let addresses = &ours?.addresses;
        if !addresses.contains(&address) {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let detail = format!("{address} is none of ours for BGP: {}", all.join(", "));
            value.problem(Reason::DanglingReference, detail);
            return None;
        }
        let peer = peer?;
        if !suits(address, peer) {
            let (reason, detail) = unsuited(address, peer);
            value.problem(reason, detail);
            return None;
        }
        return Some(address);
    }
    let (addresses, peer) = (&ours?.addresses, peer?);
    let found = default_local_address(addresses, peer);
    if found.is_none()
        && let Some(first) = addresses
            .iter()
            .find(|address| address.is_ipv4() == peer.is_ipv4())
            .or(addresses.first())
    {
        let (reason, detail) = unsuited(*first, peer);
        object.faulty(
            "local_address",
            reason,
            &format!("no address of ours will do: {detail}"),
        );
    }
    found
}

/// Why no session leads from one address to the other.
fn unsuited(ours: IpAddr, peer: IpAddr) -> (Reason, String) {
    if ours.is_ipv4() != peer.is_ipv4() {
        let detail = format!("our address {ours} and the peer {peer} are of different IP versions");
        return (Reason::AddressFamilyMismatch, detail);
    }
    let (link_local, other) = if is_apipa(ours) {
        (ours, peer)
    } else {
        (peer, ours)
    };
    let detail = format!("{link_local} is an APIPA address and {other} is not; both ends must be or neither");
    (Reason::ApipaMismatch, detail)
}
