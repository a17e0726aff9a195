use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use appliance_config::ValidConfig;
use appliance_config::model::{
    BgpCapabilities, BgpRole, BgpSigning, Connection, ConnectionBgp, Family as Version, GatewayBgp, Name,
};
use bgp::bfd::BfdSettings;
use bgp::{Families, Family, Limits, Neighbour, NeighbourName, Role, Settings, Timers};

use super::numbering::number;
use super::route_policy::policy;
use super::route_translation::translation;
use super::session_end::{Distance, SessionEnd, Signing, TcpAoKey};
use super::{Addresses, InUse, Lacking, Rest, negotiated, resting};
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
    /// Sessions of the document that it does not run.
    pub(crate) resting: BTreeMap<NeighbourName, RestingSession>,
}

/// A session that nobody opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestingSession {
    /// What it would be.
    pub(crate) neighbour: Neighbour,
    /// Why not.
    pub(crate) rest: Rest,
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
        resting: BTreeMap::new(),
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
        let settled = self::neighbour(config, connection, session, (peer.asn, peer.address));
        let signing = match signing(&session.signing, secrets) {
            Ok(signing) => signing,
            Err(lacking) => {
                let resting = RestingSession {
                    neighbour: settled,
                    rest: Rest::NoSecret(lacking.clone()),
                };
                settings.resting.insert(neighbour, resting);
                continue;
            }
        };
        settings.ends.insert(
            neighbour.clone(),
            SessionEnd {
                link,
                local: session.local_address,
                remote: peer.address,
                distance: distance(session),
                signing,
                bfd: session.bfd.map(|bfd| BfdSettings {
                    interval: bfd.interval,
                    multiplier: bfd.multiplier,
                }),
                priority: connection.priority,
            },
        );
        settings.speaker.neighbours.insert(neighbour, settled);
    }
    settings.resting.extend(unspoken(config, addresses));
    settings
}

/// The sessions of connections that nobody negotiates.
fn unspoken(
    config: &ValidConfig,
    addresses: &Addresses,
) -> impl Iterator<Item = (NeighbourName, RestingSession)> {
    let mut rests = resting(config, addresses, &Lacking::new());
    config.connections.iter().filter_map(move |(name, connection)| {
        let (session, peer) = connection.bgp.as_ref().zip(connection.site.bgp.as_ref())?;
        let rest = rests.remove(name.as_str())?;
        let neighbour = self::neighbour(config, connection, session, (peer.asn, peer.address));
        Some((
            NeighbourName(Arc::from(name.as_str())),
            RestingSession { neighbour, rest },
        ))
    })
}

/// How segments are signed, or which secret that takes could not be had.
fn signing<'c>(signing: &'c BgpSigning, secrets: &Secrets) -> Result<Signing, &'c Name> {
    let value = |name: &'c Name| secrets.value(name).cloned().ok_or(name);
    match signing {
        BgpSigning::None => Ok(Signing::None),
        BgpSigning::Md5(secret) => value(secret).map(Signing::Md5),
        BgpSigning::TcpAo(keys) => {
            let keys = keys.iter().map(|key| {
                Ok(TcpAoKey {
                    secret: value(&key.secret)?,
                    send_id: key.send_id,
                    receive_id: key.receive_id,
                    algorithm: key.algorithm,
                    sign_options: key.sign_options,
                })
            });
            keys.collect::<Result<_, _>>().map(Signing::TcpAo)
        }
    }
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
    use secrecy::ExposeSecret;
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
        let Signing::Md5(key) = &end.signing else {
            panic!("{end:?}")
        };
        assert_eq!(key.expose_secret(), b"Geheim2");
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
        let resting = &bgp.resting[&name("to-azure")];
        assert_eq!((&resting.rest, resting.neighbour.asn), (&Rest::Disabled, 65515));
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

    /// Nothing is said without the key: a session whose key is not there rests.
    #[test]
    fn a_session_without_its_key_rests() {
        let mut document = document();
        let key = |secret: &str, id: u8| json!({ "secret": secret, "send_id": id, "receive_id": id });
        for connection in ["to-azure", "spare"] {
            let bgp = &mut document["connections"][connection]["bgp"];
            bgp["md5_secret"] = json!(null);
            bgp["tcp_ao"] = json!([key("md5", 1), key("lost", 2)]);
        }
        let bgp = desired(&document).bgp;
        assert!(bgp.ends.is_empty() && bgp.speaker.neighbours.is_empty());
        let rest = Rest::NoSecret("lost".parse().unwrap());
        assert_eq!(bgp.resting[&name("to-azure")].rest, rest);
        for connection in ["to-azure", "spare"] {
            document["connections"][connection]["bgp"]["tcp_ao"] = json!([key("md5", 1)]);
        }
        let end = desired(&document).bgp.ends[&name("to-azure")].clone();
        let Signing::TcpAo(keys) = &end.signing else {
            panic!("{end:?}")
        };
        assert_eq!((keys.len(), keys[0].secret.expose_secret()), (1, &b"Geheim2"[..]));
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
