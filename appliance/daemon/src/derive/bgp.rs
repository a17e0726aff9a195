use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use appliance_config::ValidConfig;
use appliance_config::model::{
    BgpCapabilities, BgpRole, Connection, ConnectionBgp, Family as Version, GatewayBgp, Name,
};
use aws_lc_rs::constant_time;
use bgp::bfd::BfdSettings;
use bgp::{Families, Family, Limits, Neighbour, NeighbourName, Role, Settings, Timers};
use secrecy::{ExposeSecret, SecretSlice};

use super::numbering::number;
use super::route_policy::policy;
use super::route_translation::translation;
use super::{Addresses, InUse, negotiated};
use crate::secrets::Secrets;

/// How long neighbours keep our routes while we start again (RFC 4724 §3); they wait no longer than for a hold time.
const RESTART_TIME: Duration = Duration::from_secs(120);
/// How long we wait for theirs; states of ESP that an earlier run left are kept for twice that.
const DEFERRAL_TIME: Duration = Duration::from_secs(60);
/// So many tunnels share a flow's prefix at most.
const MULTIPATH: u8 = 8;

/// What the BGP speaker is to run, and how each of its neighbours is reached.
#[derive(Debug, Clone)]
pub(crate) struct BgpSettings {
    /// For the speaker.
    pub(crate) speaker: Settings,
    /// For its sockets.
    pub(crate) ends: BTreeMap<NeighbourName, SessionEnd>,
}

/// The two ends of a session, and what its segments are like.
#[derive(Debug, Clone)]
pub(crate) struct SessionEnd {
    /// The link of the tunnel that they pass.
    pub(crate) link: String,
    /// Our end.
    pub(crate) local: IpAddr,
    /// The far end.
    pub(crate) remote: IpAddr,
    /// How far they go, and come.
    pub(crate) distance: Distance,
    /// Signs each of them (RFC 2385).
    pub(crate) md5: Option<SecretSlice<u8>>,
    /// Notices that the far end is gone.
    pub(crate) bfd: Option<BfdSettings>,
    /// Of several tunnels between the same ends the smallest that carries has the session.
    pub(crate) priority: u16,
}

/// Over how many routers segments travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    /// Ours start with this TTL.
    AtMost(u8),
    /// Ours start with 255, and the peer's arrive with at least this much (RFC 5082 §3).
    Checked(u8),
}

impl Distance {
    /// Whether no router is in between.
    pub(crate) fn is_next_door(self) -> bool {
        matches!(self, Self::AtMost(1) | Self::Checked(u8::MAX))
    }
}

impl SessionEnd {
    /// Whether the same sockets serve.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let socket = |end: &Self| (end.link.clone(), end.local, end.remote, end.distance);
        let signed = match (&self.md5, &other.md5) {
            (Some(one), Some(other)) => {
                constant_time::verify_slices_are_equal(one.expose_secret(), other.expose_secret()).is_ok()
            }
            (one, other) => one.is_none() && other.is_none(),
        };
        socket(self) == socket(other) && signed
    }
}

/// What follows for BGP. Without a speaker of ours there are no neighbours.
pub(super) fn settings(
    config: &ValidConfig,
    secrets: &Secrets,
    in_use: &InUse,
    addresses: &Addresses,
) -> BgpSettings {
    let mut settings = BgpSettings {
        speaker: Settings {
            host_name: config.system.hostname.clone(),
            ..no_speaker()
        },
        ends: BTreeMap::new(),
    };
    let Some(gateway) = &config.gateway.bgp else {
        return settings;
    };
    speak(&mut settings.speaker, gateway);
    let numbers = number(config.connections.keys(), in_use);
    for (name, connection) in negotiated(config, addresses) {
        let neighbour = NeighbourName(Arc::from(name.as_str()));
        let space = config.static_space(connection);
        settings.speaker.sites.insert(neighbour.clone(), space);
        let link = numbers.get(name).map(|numbering| numbering.link.clone());
        let session = connection.bgp.as_ref().zip(connection.site.bgp.as_ref());
        let (Some(link), Some((session, peer))) = (link, session) else {
            continue;
        };
        // The loading of secrets has ruled out that it is missing.
        let md5 = session.md5_secret.as_ref().map(|secret| secrets.value(secret));
        if matches!(md5, Some(None)) {
            continue;
        }
        settings.ends.insert(
            neighbour.clone(),
            SessionEnd {
                link,
                local: session.local_address,
                remote: peer.address,
                distance: distance(session),
                md5: md5.flatten().cloned(),
                bfd: session.bfd.map(|bfd| BfdSettings {
                    interval: bfd.interval,
                    multiplier: bfd.multiplier,
                }),
                priority: connection.priority,
            },
        );
        let speaker = (peer.asn, peer.address);
        let settled = self::neighbour(config, connection, session, speaker);
        settings.speaker.neighbours.insert(neighbour, settled);
    }
    settings
}

/// Without neighbours, which are all that it would have to do with.
pub(crate) fn no_speaker() -> Settings {
    Settings {
        multipath: MULTIPATH,
        restart_time: RESTART_TIME,
        deferral_time: DEFERRAL_TIME,
        ..Settings::none()
    }
}

fn speak(settings: &mut Settings, gateway: &GatewayBgp) {
    settings.asn = gateway.asn;
    settings.router_id = gateway.router_id;
    settings.own.clone_from(&gateway.advertise);
}

fn neighbour(
    config: &ValidConfig,
    connection: &Connection,
    session: &ConnectionBgp,
    (asn, remote): (u32, IpAddr),
) -> Neighbour {
    let named = |name: &Option<Name>| policy(name.as_ref().and_then(|name| config.route_policies.get(name)));
    Neighbour {
        site: Arc::from(connection.site_name.as_str()),
        local: session.local_address,
        remote,
        asn,
        passive: session.passive,
        timers: Timers {
            hold_time: session.timers.hold_time,
            keepalive: session.timers.keepalive,
            connect_retry: Timers::USUAL.connect_retry,
        },
        families: families(&session.capabilities),
        limits: Limits {
            prefixes: session.maximum_prefixes,
            restart_after: session.restart_after,
        },
        translation: translation(config, connection),
        import: named(&session.import),
        export: named(&session.export),
        role: session.capabilities.role.map(role),
        add_path: session.capabilities.add_path_receive,
        local_preference: session.local_preference,
        priority: connection.priority,
    }
}

fn families(capabilities: &BgpCapabilities) -> Families {
    let families = capabilities.families.iter().map(|version| match version {
        Version::V4 => Family::Ipv4,
        Version::V6 => Family::Ipv6,
    });
    families.collect()
}

fn role(role: BgpRole) -> Role {
    match role {
        BgpRole::Provider => Role::Provider,
        BgpRole::Customer => Role::Customer,
        BgpRole::Peer => Role::Peer,
        BgpRole::RouteServer => Role::RouteServer,
        BgpRole::RouteServerClient => Role::RouteServerClient,
    }
}

fn distance(session: &ConnectionBgp) -> Distance {
    match session.ttl_security {
        // RFC 5082 §3: the peer next door arrives with 255.
        Some(routers) => Distance::Checked(u8::MAX - routers.saturating_sub(1)),
        None => Distance::AtMost(session.multihop),
    }
}

#[cfg(test)]
mod tests {
    use bgp::{PrefixRange, Verdict};
    use ike::ConnectionName;
    use serde_json::{Value, json};

    use super::*;
    use crate::datapath::Kind;
    use crate::derive::{Desired, derive};

    fn document() -> Value {
        json!({
            "gateway": {
                "ip_configurations": { "default": { "address": "192.0.2.1" } },
                "address_space": ["10.1.0.0/16"],
                "bgp": { "asn": 65010, "addresses": ["169.254.21.2", "10.1.0.1"], "advertise": ["10.1.0.0/24"] },
            },
            "sites": {
                "azure": { "endpoint": "192.0.2.2", "address_space": ["10.2.0.0/24"],
                           "bgp": { "asn": 65515, "address": "169.254.21.1" } },
                "plain": { "endpoint": "192.0.2.3", "address_space": ["10.3.0.0/24"] },
            },
            "route_policies": { "in": { "default": "accept", "terms": [
                { "match": { "prefixes": ["10.9.0.0/16 le 24"], "peer": "azure" }, "set": { "prepend": 2 },
                  "then": "accept" } ] } },
            "connections": {
                "to-azure": { "site": "azure", "authentication": { "method": "psk", "secret": "psk" },
                              "bgp": { "md5_secret": "md5", "import": "in", "hold_time_s": 30 } },
                "spare": { "site": "azure", "priority": 200,
                           "authentication": { "method": "psk", "secret": "psk", "remote_id": "spare.example" },
                           "bgp": { "md5_secret": "md5", "import": "in", "hold_time_s": 30 } },
                "to-plain": { "site": "plain", "authentication": { "method": "psk", "secret": "psk" } },
            },
        })
    }

    fn desired(document: &Value) -> Desired {
        let config = appliance_config::parse(document.to_string().as_bytes()).unwrap();
        let secrets = Secrets::of(&[("psk", "Geheim1"), ("md5", "Geheim2")]);
        derive(
            &config,
            &secrets,
            Kind::Kernel,
            &InUse::new(),
            &Addresses::default(),
        )
    }

    fn name(text: &str) -> NeighbourName {
        NeighbourName(text.into())
    }

    #[test]
    fn a_session_becomes_a_neighbour_and_the_ends_of_its_sockets() {
        let bgp = desired(&document()).bgp;
        let speaker = &bgp.speaker;
        assert_eq!((speaker.asn, speaker.router_id), (65010, [10, 1, 0, 1].into()));
        assert_eq!(speaker.own, ["10.1.0.0/24".parse().unwrap()]);
        let sites: Vec<String> = speaker.sites.keys().map(ToString::to_string).collect();
        assert_eq!(
            sites,
            ["spare", "to-azure", "to-plain"],
            "static ones are advertised, too"
        );
        let neighbour = &speaker.neighbours[&name("to-azure")];
        assert_eq!((neighbour.asn, &*neighbour.site), (65515, "azure"));
        assert_eq!(neighbour.timers.hold_time, Duration::from_secs(30));
        assert_eq!(neighbour.limits.prefixes, 4000);
        assert_eq!(neighbour.export, bgp::Policy::ALL);
        let term = &neighbour.import.terms[0];
        let range = PrefixRange {
            prefix: "10.9.0.0/16".parse().unwrap(),
            lengths: 16..=24,
        };
        assert_eq!(term.condition.prefixes, Some(vec![range]));
        assert_eq!(term.condition.site.as_deref(), Some("azure"));
        assert_eq!((term.change.prepend, term.verdict), (2, Verdict::Accept));
        assert!(!speaker.neighbours.contains_key(&name("to-plain")));
        let end = &bgp.ends[&name("to-azure")];
        assert_eq!(end.link, "cw-to-azure");
        assert_eq!(
            (end.local, end.remote),
            ([169, 254, 21, 2].into(), [169, 254, 21, 1].into())
        );
        assert_eq!(end.distance, Distance::AtMost(2));
        assert_eq!(end.md5.as_ref().unwrap().expose_secret(), b"Geheim2");
    }

    #[test]
    fn capabilities_and_preference_of_a_session_are_those_of_the_document() {
        let neighbour = |said: Value| {
            let mut document = document();
            for connection in ["to-azure", "spare"] {
                let bgp = document["connections"][connection]["bgp"]
                    .as_object_mut()
                    .unwrap();
                bgp.extend(said.as_object().unwrap().clone());
            }
            desired(&document).bgp.speaker.neighbours[&name("to-azure")].clone()
        };
        let usual = neighbour(json!({}));
        assert_eq!((usual.families, usual.role), (Families::ALL, None));
        assert_eq!((usual.add_path, usual.local_preference), (true, 100));
        let said = json!({ "families": ["ipv6"], "add_path_receive": false, "local_preference": 7 });
        let other = neighbour(said);
        assert_eq!(other.families, Families::NONE.with(Family::Ipv6));
        assert_eq!((other.add_path, other.local_preference), (false, 7));
        for (word, role) in [
            ("provider", Role::Provider),
            ("customer", Role::Customer),
            ("peer", Role::Peer),
            ("route-server", Role::RouteServer),
            ("route-server-client", Role::RouteServerClient),
        ] {
            assert_eq!(neighbour(json!({ "role": word })).role, Some(role));
        }
    }

    /// RFC 5082 §3: the peer next door arrives with 255.
    #[test]
    fn ttl_security_counts_routers_from_255() {
        for (routers, smallest) in [(1, 255), (2, 254), (255, 1)] {
            let mut document = document();
            for connection in ["to-azure", "spare"] {
                document["connections"][connection]["bgp"]["ttl_security"] = json!(routers);
            }
            let end = desired(&document).bgp.ends[&name("to-azure")].clone();
            assert_eq!(end.distance, Distance::Checked(smallest));
        }
    }

    #[test]
    fn what_is_not_negotiated_has_no_session() {
        let mut document = document();
        document["connections"]["to-azure"]["enabled"] = json!(false);
        let bgp = desired(&document).bgp;
        assert_eq!(bgp.ends.keys().collect::<Vec<_>>(), [&name("spare")]);
        assert_eq!(bgp.speaker.neighbours.len(), 1);
        assert!(!bgp.speaker.sites.contains_key(&name("to-azure")));
        document["gateway"]["bgp"] = json!(null);
        for connection in ["to-azure", "spare"] {
            document["connections"][connection]["bgp"] = json!(null);
        }
        let bgp = desired(&document).bgp;
        assert!(bgp.ends.is_empty() && bgp.speaker.neighbours.is_empty() && bgp.speaker.sites.is_empty());
    }

    /// Each tunnel has our end, and a way to the far end of its own.
    #[test]
    fn the_ends_of_a_session_are_on_its_tunnel() {
        let network = desired(&document()).network;
        let tunnel = |name: &str| network.tunnels[&ConnectionName(name.into())].clone();
        let (first, second, plain) = (tunnel("to-azure"), tunnel("spare"), tunnel("to-plain"));
        assert_eq!(first.addresses, ["169.254.21.2/32".parse().unwrap()]);
        assert_eq!(
            (first.speaker.unwrap().rank, second.speaker.unwrap().rank),
            (0, 1)
        );
        assert_eq!(first.speaker.unwrap().address, IpAddr::from([169, 254, 21, 1]));
        assert_eq!((plain.speaker, plain.addresses.len()), (None, 0));
        let mut given = document();
        given["connections"]["to-azure"]["addresses"] = json!(["169.254.21.2/30"]);
        let tunnels = desired(&given).network.tunnels;
        let addresses = &tunnels[&ConnectionName("to-azure".into())].addresses;
        assert_eq!(
            *addresses,
            ["169.254.21.2/30".parse().unwrap()],
            "it is there already"
        );
    }
}
