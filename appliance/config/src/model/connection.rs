use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::address::link_address;
use super::authentication::Parties;
use super::bgp_session::Surroundings;
use super::selectors::{Selectors, Spaces};
use super::{
    Authentication, Certificate, ConnectionBgp, ConnectionNat, Endpoint, GatewayDraft, IpConfiguration,
    LocalAddress, Name, NatRule, Policy, RoutePolicy, Site, Trust,
};
use crate::Reason;
use crate::reader::{Collection, Object, Value};

/// One tunnel to one site, every reference followed and every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// It is to run; a disabled one still keeps its site closed.
    pub enabled: bool,
    /// The version of IKE.
    pub protocol: Protocol,
    /// IKEv1: phase 1 begins by aggressive mode, and the peer may begin so.
    pub aggressive_mode: bool,
    /// Who may start the first IKE SA.
    pub mode: Mode,
    /// Our outer address.
    pub local_address: LocalAddress,
    /// The name of the site.
    pub site_name: Name,
    /// The site.
    pub site: Site,
    /// Where the peer's gateway is: that of the site, unless the connection has one of its own.
    pub endpoint: Endpoint,
    /// Which of several connections to its site carries the traffic: of those that are up, the one with the smallest,
    /// and of these the one whose name comes first.
    pub priority: u16,
    /// How both sides prove who they are.
    pub authentication: Authentication,
    /// The name of the policy.
    pub policy_name: Name,
    /// What may be agreed on.
    pub policy: Policy,
    /// What may pass.
    pub selectors: Selectors,
    /// How long the peer may be silent before it is taken for dead.
    pub dpd_timeout: Duration,
    /// IKEv1: after how long without a packet it is closed until one wants through; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// When both sides prove anew who they are.
    pub reauthentication: Reauthentication,
    /// MTU of the tunnel link, in bytes.
    pub mtu: u16,
    /// Upper bound for the TCP MSS of what passes the tunnel, in bytes.
    pub tcp_mss: u16,
    /// When ESP travels in UDP.
    pub udp_encapsulation: UdpEncapsulation,
    /// Bytes of the longest IP packet with a part of an IKE message.
    pub fragment_size: u16,
    /// Whether the first Child SA is made in IKE_AUTH.
    pub childless: Childless,
    /// Addresses on the tunnel link, each with its prefix length.
    pub addresses: Vec<IpNet>,
    /// The tunnel may move to other outer addresses, of ours to these; `None` if it may not.
    pub mobike: Option<Vec<LocalAddress>>,
    /// It goes to another gateway where the peer says so.
    pub allow_redirect: bool,
    /// The BGP session through it, if there is one.
    pub bgp: Option<ConnectionBgp>,
    /// What is translated.
    pub nat: ConnectionNat,
}

/// When both sides prove anew who they are, in a new IKE SA that takes the place of the old one (RFC 7296 §2.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reauthentication {
    /// So long after they did so last; `None` only if the peer wants it.
    pub period: Option<Duration>,
    /// At once where the certificate changes by which we do.
    pub on_renewal: bool,
}

/// Whether IKE_AUTH makes an IKE SA alone (RFC 6023).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Childless {
    /// Where the peer begins so.
    Allow,
    /// Where we begin, too.
    Force,
    /// In no case.
    Never,
}

/// Who may start the first IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both sides.
    Default,
    /// Only we.
    InitiatorOnly,
    /// Only the peer.
    ResponderOnly,
}

/// The version of IKE that negotiates a connection; it cannot change once the connection is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 2409.
    IkeV1,
    /// RFC 7296.
    IkeV2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IkeV1 => "IKEv1",
            Self::IkeV2 => "IKEv2",
        })
    }
}

/// When ESP travels in UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpEncapsulation {
    /// Behind a NAT; in the user-space datapath always.
    Auto,
    /// Always.
    Always,
}

/// What a connection may refer to.
pub(crate) struct References<'c> {
    pub(crate) gateway: &'c GatewayDraft,
    pub(crate) sites: &'c Collection<Site>,
    pub(crate) policies: &'c Collection<Policy>,
    pub(crate) certificates: &'c Collection<Certificate>,
    pub(crate) trust: &'c Collection<Trust>,
    pub(crate) nat_rules: &'c Collection<NatRule>,
    pub(crate) route_policies: &'c Collection<RoutePolicy>,
}

impl<'c> References<'c> {
    fn parties(&self, local: Option<&'c LocalAddress>, remote: Option<&'c Endpoint>) -> Parties<'c> {
        Parties {
            local,
            remote,
            certificates: self.certificates,
            trust: self.trust,
        }
    }
}

/// What is done where the document leaves it open.
pub(crate) const PRIORITY: u16 = 100;
pub(crate) const DPD_TIMEOUT_S: u64 = 45;
/// As policy-based Azure gateways have it.
const IDLE_TIMEOUT_S: u64 = 300;
pub(crate) const MTU: u16 = 1400;
const TCP_MSS: u16 = 1350;
pub(crate) const FRAGMENT_SIZE: u16 = 1280;
/// What may be written.
pub(crate) const PRIORITIES: RangeInclusive<u64> = 0..=65_535;
pub(crate) const DPD_TIMEOUTS_S: RangeInclusive<u64> = 9..=3600;
/// 0 for never.
pub(crate) const IDLE_TIMEOUTS_S: RangeInclusive<u64> = 0..=86_400;
/// Up to a year; less than five minutes serves nobody but whoever counts handshakes.
pub(crate) const REAUTHENTICATE_S: RangeInclusive<u64> = 300..=31_536_000;
pub(crate) const MTUS: RangeInclusive<u64> = 576..=9000;
pub(crate) const FRAGMENT_SIZES: RangeInclusive<u64> = 576..=9000;
pub(crate) const SMALLEST_TCP_MSS: u64 = 536;
/// Bytes of an IPv4 and a TCP header without options.
const IPV4_TCP_HEADERS: u16 = 40;

pub(crate) const MODE: &[(&str, Mode)] = &[
    ("Default", Mode::Default),
    ("InitiatorOnly", Mode::InitiatorOnly),
    ("ResponderOnly", Mode::ResponderOnly),
];
pub(crate) const PROTOCOL: &[(&str, Protocol)] = &[("IKEv1", Protocol::IkeV1), ("IKEv2", Protocol::IkeV2)];
pub(crate) const UDP_ENCAPSULATION: &[(&str, UdpEncapsulation)] = &[
    ("auto", UdpEncapsulation::Auto),
    ("always", UdpEncapsulation::Always),
];

pub(crate) const CHILDLESS: &[(&str, Childless)] = &[
    ("allow", Childless::Allow),
    ("force", Childless::Force),
    ("never", Childless::Never),
];

impl Connection {
    pub(crate) fn read(value: &Value<'_>, references: &References<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let site = object.required("site", |value| references.sites.follow(value, "site"));
        let endpoint = match object.take("endpoint") {
            Some(value) => Endpoint::read(&value),
            None => site.as_ref().map(|(_, site)| site.endpoint.clone()),
        };
        let configuration = ip_configuration(&mut object, &references.gateway.ip_configurations);
        let outer = configuration.as_ref();
        let local_address = outer.map(|(_, found)| found.towards(endpoint.as_ref()));
        let priority = object.optional("priority", PRIORITY, |value| value.whole(PRIORITIES));
        let protocol = object.optional("protocol", Protocol::IkeV2, |value| value.word(PROTOCOL, &[]));
        let inside = Inside::read(
            &mut object,
            references,
            site.as_ref().map(|(_, site)| site),
            outer.map(|(name, _)| name),
        );
        let policy = policy(&mut object, references.policies, (protocol, inside.policy_based));
        let parties = references.parties(local_address.as_ref(), endpoint.as_ref());
        let authentication = object.required("authentication", |value| Authentication::read(value, &parties));
        let enabled = object.optional("enabled", true, Value::boolean);
        let mode = mode(&mut object, endpoint.as_ref());
        let (dpd_timeout, reauthentication) = (dpd_timeout(&mut object), reauthentication(&mut object));
        let (mtu, tcp_mss) = sizes(&mut object);
        let (udp_encapsulation, fragment_size, childless) = transport(&mut object);
        let addresses = object.optional("addresses", Vec::new(), |value| value.list(link_address));
        let (mobike, allow_redirect) = moves(&mut object, references, endpoint.as_ref());
        let (aggressive_mode, idle_timeout) = version_1(&mut object, (protocol, inside.policy_based));
        let (site_name, site) = site?;
        let (policy_name, policy) = policy?;
        Some(Self {
            enabled: enabled?,
            protocol: protocol?,
            aggressive_mode: aggressive_mode?,
            mode: mode?,
            local_address: local_address?,
            site_name,
            site,
            endpoint: endpoint?,
            priority: priority?,
            authentication: authentication?,
            policy_name,
            policy,
            selectors: inside.selectors?,
            dpd_timeout: dpd_timeout?,
            idle_timeout: idle_timeout?,
            reauthentication: reauthentication?,
            mtu: mtu?,
            tcp_mss: tcp_mss?,
            udp_encapsulation: udp_encapsulation?,
            fragment_size: fragment_size?,
            childless: childless?,
            addresses: addresses?,
            mobike: mobike?,
            allow_redirect: allow_redirect?,
            bgp: inside.bgp?,
            nat: inside.nat?,
        })
    }
}

/// How long the peer may be silent.
fn dpd_timeout(object: &mut Object<'_>) -> Option<Duration> {
    let seconds = object.optional("dpd_timeout_s", DPD_TIMEOUT_S, |value| {
        value.whole(DPD_TIMEOUTS_S)
    });
    seconds.map(Duration::from_secs)
}

/// Whether both sides prove anew who they are, and when.
fn reauthentication(object: &mut Object<'_>) -> Option<Reauthentication> {
    let period = object.optional("reauthenticate_s", None, |value| {
        value.whole(REAUTHENTICATE_S).map(Some)
    });
    let on_renewal = object.optional("reauthenticate_on_renewal", true, Value::boolean);
    Some(Reauthentication {
        period: period?.map(Duration::from_secs),
        on_renewal: on_renewal?,
    })
}

/// The policy that is named, or the one of those that name none: what is modern IKEv1 cannot negotiate.
fn policy(
    object: &mut Object<'_>,
    policies: &Collection<Policy>,
    (protocol, policy_based): (Option<Protocol>, bool),
) -> Option<(Name, Policy)> {
    let (name, policy) = match (object.take("policy"), protocol) {
        (Some(value), _) => return policies.follow(&value, "policy"),
        (None, Some(Protocol::IkeV1)) if policy_based => {
            (Policy::AZURE_POLICY_BASED, Policy::azure_policy_based())
        }
        (None, Some(Protocol::IkeV1)) => (Policy::AZURE_DEFAULT, Policy::azure_default()),
        (None, Some(Protocol::IkeV2) | None) => (Policy::MODERN, Policy::modern()),
    };
    name.parse().ok().zip(Some(policy))
}

/// What passes the tunnel, who speaks BGP through it, and what is translated, each as far as it could be read.
struct Inside {
    selectors: Option<Selectors>,
    policy_based: bool,
    bgp: Option<Option<ConnectionBgp>>,
    nat: Option<ConnectionNat>,
}

impl Inside {
    fn read(
        object: &mut Object<'_>,
        references: &References<'_>,
        site: Option<&Site>,
        configuration: Option<&Name>,
    ) -> Self {
        let gateway = references.gateway;
        let spaces = Spaces {
            local: gateway.address_space.as_deref(),
            remote: site.map(|site| site.address_space.as_slice()),
            speaker: site.and_then(|site| Some(site.bgp.as_ref()?.address)),
        };
        let (selectors, policy_based) = match object.take("selectors") {
            Some(value) => Selectors::read(&value, spaces),
            None => (Selectors::route_based(spaces), false),
        };
        let surroundings = Surroundings {
            gateway,
            route_policies: references.route_policies,
            site,
            policy_based,
        };
        let bgp = object.optional("bgp", None, |value| {
            ConnectionBgp::read(value, &surroundings).map(Some)
        });
        let nat = object.optional("nat", ConnectionNat::default(), |value| {
            let nat = ConnectionNat::read(value, references.nat_rules, configuration)?;
            let possible = !policy_based || nat.is_empty();
            if !possible {
                let detail =
                    "policy-based selectors name addresses as they are: take route-based, or no rules";
                value.problem(Reason::NatNeedsRouteBased, detail);
            }
            possible.then_some(nat)
        });
        Self {
            selectors,
            policy_based,
            bgp,
            nat,
        }
    }
}

/// How ESP and IKE travel, and how IKE begins.
fn transport(object: &mut Object<'_>) -> (Option<UdpEncapsulation>, Option<u16>, Option<Childless>) {
    let encapsulation = object.optional("udp_encapsulation", UdpEncapsulation::Auto, |value| {
        value.word(UDP_ENCAPSULATION, &[])
    });
    let size = object.optional("fragment_size", FRAGMENT_SIZE, |value| {
        value.whole(FRAGMENT_SIZES)
    });
    let childless = object.optional("childless", Childless::Allow, |value| value.word(CHILDLESS, &[]));
    (encapsulation, size, childless)
}

/// Whether, and to which addresses of ours, the tunnel may move; and whether it goes to another gateway.
fn moves(
    object: &mut Object<'_>,
    references: &References<'_>,
    endpoint: Option<&Endpoint>,
) -> (Option<Option<Vec<LocalAddress>>>, Option<bool>) {
    let address = |name: &Value<'_>| {
        let configurations = &references.gateway.ip_configurations;
        let (_, configuration) = configurations.follow(name, "IP configuration")?;
        Some(configuration.towards(endpoint))
    };
    let mobike = object.optional("mobike", None, |value| {
        let mut object = value.object()?;
        let addresses = object.optional("ip_configurations", Vec::new(), |value| value.list(address));
        addresses.map(Some)
    });
    (mobike, object.optional("allow_redirect", false, Value::boolean))
}

/// What only IKEv1 has: whether phase 1 is aggressive mode, and after how long without a packet the connection is closed.
fn version_1(
    object: &mut Object<'_>,
    (protocol, policy_based): (Option<Protocol>, bool),
) -> (Option<bool>, Option<Option<Duration>>) {
    let possible = |value: &Value<'_>, wanted: bool, what: &str| {
        let possible = !wanted || protocol != Some(Protocol::IkeV2);
        if !possible {
            value.problem(
                Reason::ModeImpossible,
                format!("{what} is of IKEv1: leave it out"),
            );
        }
        possible
    };
    let aggressive = object.optional("aggressive_mode", false, |value| {
        let wanted = value.boolean()?;
        possible(value, wanted, "aggressive mode").then_some(wanted)
    });
    let usual = if policy_based && protocol == Some(Protocol::IkeV1) {
        IDLE_TIMEOUT_S
    } else {
        0
    };
    let idle = object.optional("idle_timeout_s", usual, |value| {
        let seconds: u64 = value.whole(IDLE_TIMEOUTS_S)?;
        possible(value, seconds > 0, "closing what is idle").then_some(seconds)
    });
    let idle = idle.map(|seconds| (seconds > 0).then(|| Duration::from_secs(seconds)));
    (aggressive, idle)
}

/// The IP configuration that is named, or the only one there is.
fn ip_configuration(
    object: &mut Object<'_>,
    configurations: &Collection<IpConfiguration>,
) -> Option<(Name, IpConfiguration)> {
    if let Some(value) = object.take("ip_configuration") {
        return configurations.follow(&value, "IP configuration");
    }
    if configurations.is_ambiguous() {
        object.lacks(
            "ip_configuration",
            "there are several IP configurations: say which",
        );
    }
    configurations.only()
}

/// A peer that comes from anywhere cannot be called.
fn mode(object: &mut Object<'_>, endpoint: Option<&Endpoint>) -> Option<Mode> {
    let only_they = endpoint == Some(&Endpoint::Any);
    let default = if only_they {
        Mode::ResponderOnly
    } else {
        Mode::Default
    };
    object.optional("mode", default, |value| {
        let mode = value.word(MODE, &[])?;
        let possible = !only_they || mode == Mode::ResponderOnly;
        if !possible {
            let detail = "a peer that may be anywhere cannot be called: leave it out, or ResponderOnly";
            value.problem(Reason::ModeImpossible, detail);
        }
        possible.then_some(mode)
    })
}

/// MTU and TCP MSS; the default of either follows the other where it must.
fn sizes(object: &mut Object<'_>) -> (Option<u16>, Option<u16>) {
    let mtu = object.optional("mtu", MTU, |value| value.whole(MTUS));
    let most = largest_tcp_mss(mtu.unwrap_or(9000));
    let mss = object.optional("tcp_mss", default_tcp_mss(mtu.unwrap_or(9000)), |value| {
        value.whole(SMALLEST_TCP_MSS..=u64::from(most))
    });
    (mtu, mss)
}

fn largest_tcp_mss(mtu: u16) -> u16 {
    mtu.saturating_sub(IPV4_TCP_HEADERS)
}

/// What stands for `tcp_mss` where it is left out.
pub(crate) fn default_tcp_mss(mtu: u16) -> u16 {
    TCP_MSS.min(largest_tcp_mss(mtu))
}
