//! What we say of ourselves in an OPEN, and what follows from both (RFC 4271 §6.2, RFC 5492), as pure functions.

use std::time::Duration;

use crate::reason::Ending;
use crate::wire::capability::{Capabilities, GracefulRestart};
use crate::wire::notification::Notification;
use crate::wire::open::Open;
use crate::wire::registry::capability;
use crate::wire::update::Context;
use crate::{Advanced, Families, Family, Negotiated, Neighbour, Role, Settings};

/// The most that a graceful restart capability can say: twelve bits (RFC 4724 §3).
const LONGEST_RESTART: Duration = Duration::from_secs(4095);

/// What is true of us at this moment, besides what is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// We have just started again, and wait for routes (RFC 4724 §3, "Restart State").
    pub(crate) restarted: bool,
    /// The kernel carried our routes all the time ("Forwarding State").
    pub(crate) forwarding: bool,
}

/// All that two OPENs settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// For status, and for what the session does.
    pub(crate) negotiated: Negotiated,
    /// What the neighbour says of its own restarts (RFC 4724 §3).
    pub(crate) restart: Option<GracefulRestart>,
    /// How its updates are read.
    pub(crate) context: Context,
}

/// Our OPEN to this neighbour.
pub(crate) fn our_open(settings: &Settings, neighbour: &Neighbour, standing: Standing) -> Open {
    let internal = neighbour.asn == settings.asn;
    let keeps = !settings.restart_time.is_zero();
    let families = neighbour.families.iter().filter(|_| keeps);
    let restart = GracefulRestart {
        restarted: standing.restarted,
        notification: true,
        time: settings.restart_time.min(LONGEST_RESTART),
        families: families.map(|family| (family, standing.forwarding)).collect(),
    };
    let hold_time = u16::try_from(neighbour.timers.hold_time.as_secs()).unwrap_or(u16::MAX);
    Open {
        asn: settings.asn,
        hold_time,
        identifier: settings.router_id,
        capabilities: Capabilities {
            families: Some(neighbour.families),
            four_octet_asn: Some(settings.asn),
            route_refresh: true,
            enhanced_refresh: true,
            extended_messages: true,
            graceful_restart: Some(restart),
            add_path_receive: if neighbour.add_path {
                neighbour.families
            } else {
                Families::NONE
            },
            add_path_send: Families::NONE,
            ipv6_next_hops: neighbour.families.contains(Family::Ipv4),
            // RFC 9234 §4.1: only between autonomous systems.
            role: neighbour.role.filter(|_| !internal),
            unknown_role: None,
            host_name: settings.host_name.clone(),
        },
    }
}

/// Judges the neighbour's OPEN beside ours.
pub(crate) fn agree(ours: &Open, theirs: &Open, neighbour: &Neighbour) -> Result<Agreed, Ending> {
    let internal = ours.asn == neighbour.asn;
    check_identity(ours, theirs, neighbour)?;
    let (mine, its) = (&ours.capabilities, &theirs.capabilities);
    let families = common_families(mine, its)?;
    check_roles(mine.role, its)?;
    let hold_time = Duration::from_secs(ours.hold_time.min(theirs.hold_time).into());
    let four_octet_asn = its.four_octet_asn.is_some();
    let ipv6_next_hops = mine.ipv6_next_hops && its.ipv6_next_hops;
    let add_path = mine.add_path_receive.common(its.add_path_send).common(families);
    let advanced = Advanced {
        four_octet_asn,
        route_refresh: its.route_refresh,
        enhanced_refresh: its.route_refresh && its.enhanced_refresh,
        extended_messages: its.extended_messages,
        graceful_restart: its.graceful_restart.as_ref().map(|restart| restart.time),
        graceful_notification: its
            .graceful_restart
            .as_ref()
            .is_some_and(|restart| restart.notification),
        add_path,
        ipv6_next_hops,
        role: its.role.filter(|_| mine.role.is_some()),
        host_name: its.host_name.clone(),
    };
    Ok(Agreed {
        negotiated: Negotiated {
            router_id: theirs.identifier,
            asn: theirs.asn,
            hold_time,
            keepalive: interval(neighbour.timers.keepalive, hold_time),
            families,
            advanced,
        },
        restart: its.graceful_restart.clone(),
        context: Context {
            four_octet_asn,
            families,
            add_path,
            ipv6_next_hops,
            internal,
            // RFC 7947 §2.2.2: a route server passes paths on without itself.
            first_asn: (!internal && mine.role != Some(Role::RouteServerClient)).then_some(theirs.asn),
            // RFC 9774 §3.
            as_sets: false,
        },
    })
}

/// A third of the hold time, or less if that is configured (RFC 4271 §4.4).
fn interval(configured: Duration, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    if configured.is_zero() {
        third
    } else {
        configured.min(third)
    }
}

/// Who it is: the system that is configured, and not ourselves (RFC 4271 §6.2, RFC 6286 §2.2).
fn check_identity(ours: &Open, theirs: &Open, neighbour: &Neighbour) -> Result<(), Ending> {
    // RFC 7607: nobody is system zero, whatever is configured.
    if theirs.asn != neighbour.asn || theirs.asn == 0 {
        let words = format!(
            "it says that it is AS {}; AS {} is expected",
            theirs.asn, neighbour.asn
        );
        return Err(Ending::refusing(Notification::bad_peer_as(), words));
    }
    if theirs.identifier == ours.identifier && theirs.asn == ours.asn {
        let words = format!("its identifier {} is our own, in the same AS", theirs.identifier);
        return Err(Ending::refusing(Notification::bad_identifier(), words));
    }
    Ok(())
}

/// The families of both; the capability that is missed is named in the answer (RFC 5492 §5).
fn common_families(ours: &Capabilities, theirs: &Capabilities) -> Result<Families, Ending> {
    let plain = Families::NONE.with(Family::Ipv4);
    let (ours, theirs) = (ours.families.unwrap_or(plain), theirs.families.unwrap_or(plain));
    let common = ours.common(theirs);
    if !common.is_empty() {
        return Ok(common);
    }
    let mut data = Vec::new();
    for family in ours.iter() {
        let [high, low] = family.afi().to_be_bytes();
        data.extend([capability::MULTIPROTOCOL, 4, high, low, 0, 1]);
    }
    let words = format!(
        "it offers {}; {} is configured here",
        listed(theirs),
        listed(ours)
    );
    Err(Ending::refusing(
        Notification::unsupported_capability(data),
        words,
    ))
}

fn listed(families: Families) -> String {
    let words: Vec<_> = families.iter().map(|family| family.to_string()).collect();
    if words.is_empty() {
        "no family that we know".to_owned()
    } else {
        words.join(" and ")
    }
}

/// Only these pairs are allowed (RFC 9234 §4.2); a side that says nothing fits everything.
fn check_roles(ours: Option<Role>, its: &Capabilities) -> Result<(), Ending> {
    let mismatch = |words| Err(Ending::refusing(Notification::role_mismatch(), words));
    let (ours, theirs) = match (ours, its.role, its.unknown_role) {
        (Some(ours), Some(theirs), _) => (ours, theirs),
        (Some(_), None, Some(number)) => {
            return mismatch(format!("its role {number} is one that we do not know"));
        }
        (None, _, _) | (Some(_), None, None) => return Ok(()),
    };
    let fits = match ours {
        Role::Provider => theirs == Role::Customer,
        Role::Customer => theirs == Role::Provider,
        Role::RouteServer => theirs == Role::RouteServerClient,
        Role::RouteServerClient => theirs == Role::RouteServer,
        Role::Peer => theirs == Role::Peer,
    };
    if fits {
        return Ok(());
    }
    mismatch(format!(
        "it says that it is a {}, and we are a {}",
        spoken(theirs),
        spoken(ours)
    ))
}

fn spoken(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "route server",
        Role::RouteServerClient => "route server client",
        Role::Customer => "customer",
        Role::Peer => "peer",
    }
}
