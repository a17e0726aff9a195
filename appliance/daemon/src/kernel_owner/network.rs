use std::collections::{BTreeMap, BTreeSet};

use appliance_kernel::sysctl::{self, LinkSetting};
use appliance_kernel::{
    Address, Connected, Kernel, Key, Link, LinkKind, LinkName, MaximumSegments, Object, Refusal, Request,
    Route, Rule, Ruleset, Scope, Target, Version, XfrmState, mark,
};
use appliance_nat::Tunnel;
use ike::{ConnectionName, Input};
use ipnet::IpNet;
use tracing::{debug, warn};

use super::local::{closed, local};
use super::machine::Machine;
use crate::datapath::Kind;
use crate::derive::{NetworkSettings, TunnelSettings};
use crate::sockets::IKE_PORT;

/// Metric of routes into a tunnel; that of last resort is far above.
const TUNNEL_METRIC: u32 = 100;
/// Headers of IPv6 and TCP, in octets.
const IPV6_TCP_HEADERS: u16 = 60;

/// Makes sure that nothing for these prefixes leaves in clear text, before anything else is done.
pub(crate) async fn close(kernel: &mut Kernel, network: &NetworkSettings) -> Result<(), Refusal> {
    let machine = Machine {
        interfaces: &network.interfaces,
        devices: kernel.devices(),
        leases: &BTreeMap::new(),
    };
    let connected = machine.inner(kernel.connected());
    let firewall = machine.firewall(network, kernel.connected());
    let closed = kernel
        .apply(last_resort(network, &connected).map(Request::Want))
        .await;
    let ruleset = ruleset(network, &connected);
    if let Some(firewall) = firewall
        && let Err(refusal) = kernel.apply([Request::Want(firewall.into())]).await
    {
        warn!(%refusal, "this machine is open to whoever reaches it");
    }
    // The routes do without it, unless somebody else's lead elsewhere.
    if let Err(refusal) = kernel.apply([Request::Want(ruleset.into())]).await {
        warn!(%refusal, "routes of others could lead past the tunnels");
    }
    closed
}

fn last_resort(
    network: &NetworkSettings,
    connected: &BTreeSet<Connected>,
) -> impl Iterator<Item = Object> + use<> {
    let prefixes = closed(network, connected).into_iter();
    prefixes.map(|prefix| Object::from(Route::last_resort(prefix)))
}

/// All that keeps the sites closed.
pub(super) fn closing(
    network: &NetworkSettings,
    connected: &BTreeSet<Connected>,
) -> impl Iterator<Item = Request> + use<> {
    last_resort(network, connected)
        .chain([ruleset(network, connected).into()])
        .map(Request::Want)
}

/// Whatever the routes say, packets for the sites go by the tunnels; and TCP announces no more than fits through them.
fn ruleset(network: &NetworkSettings, connected: &BTreeSet<Connected>) -> Ruleset {
    let mut ruleset = Ruleset::default();
    for tunnel in network.tunnels.values() {
        if let Ok(link) = LinkName::try_from(tunnel.numbering.link.as_str()) {
            let segments = MaximumSegments {
                ipv4: tunnel.tcp_mss,
                ipv6: tunnel.tcp_mss.min(tunnel.mtu.saturating_sub(IPV6_TCP_HEADERS)),
            };
            ruleset.maximum_segments.insert(link.clone(), segments);
            ruleset.tunnels.insert(link);
        }
    }
    let closed: Vec<IpNet> = closed(network, connected).into_iter().collect();
    ruleset.closed = IpNet::aggregate(&closed).into_iter().collect();
    ruleset.local = local(network, connected);
    ruleset
}

/// Every object that follows from the configuration, but for the table that translates. Idle connections have no routes.
pub(super) fn objects(
    network: &NetworkSettings,
    datapath: Kind,
    idle: &BTreeSet<ConnectionName>,
    connected: &BTreeSet<Connected>,
) -> BTreeMap<Key, Object> {
    let mut objects: Vec<Object> = last_resort(network, connected).collect();
    for (name, tunnel) in &network.tunnels {
        let Ok(link) = LinkName::try_from(tunnel.numbering.link.as_str()) else {
            continue;
        };
        objects.extend(tunnel_objects((name, tunnel), &link, datapath));
        if !idle.contains(name) {
            objects.extend(tunnel.prefixes.iter().map(|prefix| route(*prefix, &link)));
        }
    }
    objects.push(ruleset(network, connected).into());
    objects.extend(network.translation.tunnels.values().flat_map(marked));
    objects.into_iter().map(|object| (object.key(), object)).collect()
}

/// By what packets leave whose destination is translated on the way to a site: by its tunnel, whatever is known of the
/// address that they have then.
fn marked(tunnel: &Tunnel) -> Vec<Object> {
    let Ok(link) = LinkName::try_from(tunnel.link.as_str()) else {
        return Vec::new();
    };
    let mark = mark::packet_mark(tunnel.number);
    let versions = tunnel
        .ingress
        .values()
        .map(|rule| Version::of(rule.external.addr()));
    let versions: BTreeSet<Version> = versions.collect();
    let objects = versions.into_iter().flat_map(|version| {
        let routes = Route::marked(version, mark, &link).map(Object::from);
        let rules = [Rule::Local(version), Rule::Marked(version, mark)];
        routes.into_iter().chain(rules.map(Object::from))
    });
    objects.collect()
}

fn tunnel_objects(
    (name, tunnel): (&ConnectionName, &TunnelSettings),
    link: &LinkName,
    datapath: Kind,
) -> Vec<Object> {
    let kind = match datapath {
        Kind::Kernel => LinkKind::Xfrm {
            interface_id: tunnel.numbering.interface_id,
            underlying: None,
        },
        Kind::User => LinkKind::External,
    };
    let mut objects = vec![
        Link {
            name: link.clone(),
            kind,
            mtu: u32::from(tunnel.mtu),
            up: true,
            purpose: name.0.to_string(),
        }
        .into(),
    ];
    objects.extend(tunnel.speaker.map(|speaker| {
        // Whatever carries the routes of the site: its session passes this tunnel.
        let metric = TUNNEL_METRIC.saturating_add(speaker.rank);
        route_of(IpNet::from(speaker.address), metric, link)
    }));
    objects.extend(tunnel.addresses.iter().map(|network| {
        Object::from(Address {
            link: link.clone(),
            network: *network,
        })
    }));
    objects
}

fn route(prefix: IpNet, link: &LinkName) -> Object {
    route_of(prefix, TUNNEL_METRIC, link)
}

fn route_of(prefix: IpNet, metric: u32, link: &LinkName) -> Object {
    let target = Target::Link {
        link: link.clone(),
        source: None,
    };
    Object::from(Route {
        prefix,
        metric,
        target,
    })
}

/// Lets go of states that a daemon before this one left for connections that are no longer configured, or lead elsewhere
/// now: they would carry on with whom nobody wants to talk any more.
pub(super) fn strangers(kernel: &Kernel, network: &NetworkSettings) -> Vec<Request> {
    let tunnels: BTreeMap<u32, &TunnelSettings> = network
        .tunnels
        .values()
        .map(|tunnel| (tunnel.numbering.interface_id, tunnel))
        .collect();
    let is_ours = |state: &&XfrmState| {
        tunnels.get(&state.interface_id).is_some_and(|tunnel| {
            let (one, other) = (state.source, state.destination);
            let (local, remote) = (tunnel.local, tunnel.remote);
            let between = |near, far| near == local && remote.is_none_or(|remote| remote == far);
            between(one, other) || between(other, one)
        })
    };
    let strange = kernel.adopted_states().filter(|state| !is_ours(state));
    let ids: BTreeSet<u32> = strange.map(|state| state.interface_id).collect();
    ids.into_iter()
        .map(|id| Request::Release(Scope::Child(id)))
        .collect()
}

/// What a daemon before this one left to receive by.
pub(super) fn orphans(kernel: &Kernel, network: &NetworkSettings) -> Vec<Input> {
    let orphan = |state: &XfrmState| {
        let mut tunnels = network.tunnels.iter();
        let (name, tunnel) =
            tunnels.find(|(_, tunnel)| tunnel.numbering.interface_id == state.interface_id)?;
        let ports = state.encapsulation;
        let (near, far) = ports.map_or((IKE_PORT, IKE_PORT), |ports| (ports.destination, ports.source));
        (state.destination == tunnel.local).then(|| Input::Orphaned {
            connection: name.clone(),
            local: (state.destination, near).into(),
            remote: (state.source, far).into(),
            spi: state.spi,
        })
    };
    kernel.adopted_states().filter_map(orphan).collect()
}

/// What leads from one set of objects to another.
pub(super) fn difference(before: &BTreeMap<Key, Object>, after: &BTreeMap<Key, Object>) -> Vec<Request> {
    let unwanted = before
        .keys()
        .filter(|key| !after.contains_key(key))
        .cloned()
        .map(Request::Unwant);
    let wanted = after
        .iter()
        .filter(|(key, object)| before.get(key) != Some(object));
    unwanted
        .chain(wanted.map(|(_, object)| Request::Want(object.clone())))
        .collect()
}

/// The kernel is to forget soon that it told of a packet that found no state: else it keeps silent about that flow for
/// half a minute, and remembers as many flows as somebody cares to try.
pub(super) fn shorten_acquires() {
    if let Err(refusal) = sysctl::write_acquire_lifetime(1) {
        debug!(%refusal, "acquire setting");
    }
}

/// Links with whether something is translated on them.
pub(super) type Links<'n> = BTreeSet<(&'n str, bool)>;

/// Those of tunnels.
pub(super) fn links(network: &NetworkSettings) -> Links<'_> {
    let tunnels = network.tunnels.iter();
    let translated = |name: &ConnectionName| network.translation.tunnels.contains_key(&*name.0);
    tunnels
        .map(|(name, tunnel)| (tunnel.numbering.link.as_str(), translated(name)))
        .collect()
}

/// Switches of a tunnel link: packets may come back another way, and the link needs no address of its own making. What is
/// translated comes with addresses that may be known elsewhere, or be ours.
pub(super) fn prepare((link, translated): (&str, bool)) {
    let Ok(link) = LinkName::try_from(link) else {
        return;
    };
    // The kernel takes the greater of this and that of `all`, so 2, "loose", and not 0 (ip-sysctl, rp_filter).
    let mut filter = 2;
    if translated {
        sysctl::free_path_filters();
        filter = 0;
    }
    for (setting, value) in [
        (LinkSetting::ReversePathFilter, filter),
        (LinkSetting::AcceptLocal, translated.into()),
        (LinkSetting::Ipv6AddressGeneration, 1),
    ] {
        if let Err(refusal) = setting.write(&link, value) {
            debug!(%refusal, "link setting");
        }
    }
}
