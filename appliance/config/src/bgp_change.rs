use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::model::{Bfd, BgpCapabilities, BgpSigning, Connection, Name, RoutePolicy, SiteBgp};
use crate::{Change, ValidConfig};

/// What both ends tell each other when a session opens, or what carries it: another ends the session.
#[derive(PartialEq, Eq)]
struct Opening<'c> {
    asn: u32,
    router_id: Ipv4Addr,
    hold_time: Duration,
    keepalive: Duration,
    capabilities: &'c BgpCapabilities,
    multihop: u8,
    ttl_security: Option<u8>,
    peer: &'c SiteBgp,
}

/// What only we act on, while the session stays.
#[derive(PartialEq, Eq)]
struct Conduct<'c> {
    passive: bool,
    local_preference: u32,
    bfd: Option<Bfd>,
    /// What other keys than some of TCP-AO do, [`BgpSigning::goes_on_as`] says.
    signing: &'c BgpSigning,
    maximum_prefixes: u32,
    restart_after: Option<Duration>,
    advertise: &'c [IpNet],
    nat_route_translation: bool,
    import: Option<&'c RoutePolicy>,
    export: Option<&'c RoutePolicy>,
}

type Sessions<'c> = BTreeMap<IpAddr, (Opening<'c>, Conduct<'c>)>;

/// What `new` does to the BGP speaker of every site that we have a session with, before or after, coming from `old`.
/// Sessions of one site are told apart by our end of them; one that ends while another stays counts as a reset.
pub(crate) fn bgp_changes(old: &ValidConfig, new: &ValidConfig) -> BTreeMap<Name, Change> {
    let (old, new) = (peers(old), peers(new));
    let names: BTreeSet<&Name> = old.keys().chain(new.keys()).copied().collect();
    let changes = names.into_iter().map(|name| {
        let change = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => change(old, new),
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        (name.clone(), change)
    });
    changes.collect()
}

fn change(old: &Sessions<'_>, new: &Sessions<'_>) -> Change {
    let stays = |(address, (opening, conduct)): (&IpAddr, &(Opening<'_>, Conduct<'_>))| {
        new.get(address)
            .is_some_and(|(new, keys)| new == opening && conduct.signing.goes_on_as(keys.signing))
    };
    if !old.iter().all(stays) {
        Change::Reset
    } else if old == new {
        Change::Unchanged
    } else {
        Change::InPlace
    }
}

/// The sessions of enabled connections, by site and by our end of them.
fn peers(config: &ValidConfig) -> BTreeMap<&Name, Sessions<'_>> {
    let mut peers: BTreeMap<&Name, Sessions<'_>> = BTreeMap::new();
    let enabled = config
        .connections
        .values()
        .filter(|connection| connection.enabled);
    for connection in enabled {
        if let Some((address, session)) = session(config, connection) {
            peers
                .entry(&connection.site_name)
                .or_default()
                .insert(address, session);
        }
    }
    peers
}

fn session<'c>(
    config: &'c ValidConfig,
    connection: &'c Connection,
) -> Option<(IpAddr, (Opening<'c>, Conduct<'c>))> {
    let gateway = config.gateway.bgp.as_ref()?;
    let session = connection.bgp.as_ref()?;
    let policy = |name: &Option<Name>| config.route_policies.get(name.as_ref()?);
    let opening = Opening {
        asn: gateway.asn,
        router_id: gateway.router_id,
        hold_time: session.timers.hold_time,
        keepalive: session.timers.keepalive,
        capabilities: &session.capabilities,
        multihop: session.multihop,
        ttl_security: session.ttl_security,
        peer: connection.site.bgp.as_ref()?,
    };
    let conduct = Conduct {
        passive: session.passive,
        local_preference: session.local_preference,
        bfd: session.bfd,
        signing: &session.signing,
        maximum_prefixes: session.maximum_prefixes,
        restart_after: session.restart_after,
        advertise: &gateway.advertise,
        nat_route_translation: config.gateway.nat_route_translation,
        import: policy(&session.import),
        export: policy(&session.export),
    };
    Some((session.local_address, (opening, conduct)))
}
