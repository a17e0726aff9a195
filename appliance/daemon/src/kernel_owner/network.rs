use std::collections::{BTreeMap, BTreeSet};

use appliance_kernel::{
    Address, Kernel, Key, Link, LinkKind, LinkName, Object, Refusal, Request, Route, Ruleset, Target,
};
use ike::ConnectionName;
use ipnet::IpNet;

use crate::datapath::Kind;
use crate::derive::{NetworkSettings, TunnelSettings};

/// Metric of routes into a tunnel; that of last resort is far above.
const TUNNEL_METRIC: u32 = 100;

/// Makes sure that nothing for these prefixes leaves in clear text, before anything else is done.
pub(crate) async fn close(kernel: &mut Kernel, network: &NetworkSettings) -> Result<(), Refusal> {
    kernel
        .apply(
            network
                .closed
                .iter()
                .map(|prefix| Request::Want(Route::last_resort(*prefix).into())),
        )
        .await
}

/// Every object that follows from the configuration. Idle connections have no routes.
pub(super) fn objects(
    network: &NetworkSettings,
    datapath: Kind,
    idle: &BTreeSet<ConnectionName>,
) -> BTreeMap<Key, Object> {
    let last_resort = network
        .closed
        .iter()
        .map(|prefix| Object::from(Route::last_resort(*prefix)));
    let mut ruleset = Ruleset::default();
    let mut objects: Vec<Object> = last_resort.collect();
    for (name, tunnel) in &network.tunnels {
        let Ok(link) = LinkName::try_from(tunnel.numbering.link.as_str()) else {
            continue;
        };
        ruleset.maximum_segments.insert(link.clone(), tunnel.tcp_mss);
        objects.extend(tunnel_objects(tunnel, &link, datapath));
        if !idle.contains(name) {
            objects.extend(tunnel.prefixes.iter().map(|prefix| route(*prefix, &link)));
        }
    }
    objects.push(ruleset.into());
    objects.into_iter().map(|object| (object.key(), object)).collect()
}

fn tunnel_objects(tunnel: &TunnelSettings, link: &LinkName, datapath: Kind) -> Vec<Object> {
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
        }
        .into(),
    ];
    objects.extend(tunnel.addresses.iter().map(|network| {
        Object::from(Address {
            link: link.clone(),
            network: *network,
        })
    }));
    objects
}

fn route(prefix: IpNet, link: &LinkName) -> Object {
    let target = Target::Link {
        link: link.clone(),
        source: None,
    };
    Object::from(Route {
        prefix,
        metric: TUNNEL_METRIC,
        target,
    })
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
