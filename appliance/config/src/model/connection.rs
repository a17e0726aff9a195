use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::address::link_address;
use super::selectors::{Selectors, Spaces};
use super::{Identity, Name, Policy, Site};
use crate::reader::{Collection, Object, Value};

/// One tunnel to one site, every reference followed and every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// It is to run; a disabled one still keeps its site closed.
    pub enabled: bool,
    /// Who may start the first IKE SA.
    pub mode: Mode,
    /// Our outer address.
    pub local_address: IpAddr,
    /// The name of the site.
    pub site_name: Name,
    /// The site.
    pub site: Site,
    /// How both sides prove who they are.
    pub authentication: Authentication,
    /// What may be agreed on.
    pub policy: Policy,
    /// What may pass.
    pub selectors: Selectors,
    /// How long the peer may be silent before it is taken for dead.
    pub dpd_timeout: Duration,
    /// MTU of the tunnel link, in bytes.
    pub mtu: u16,
    /// Upper bound for the TCP MSS of what passes the tunnel, in bytes.
    pub tcp_mss: u16,
    /// When ESP travels in UDP.
    pub udp_encapsulation: UdpEncapsulation,
    /// Addresses on the tunnel link, each with its prefix length.
    pub addresses: Vec<IpNet>,
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

/// How both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The same secret on both sides.
    PreSharedKey {
        /// The name of the secret.
        secret: Name,
        /// Who we say we are.
        local_identity: Identity,
        /// Who the peer must prove to be.
        remote_identity: Identity,
    },
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
    pub(crate) ip_configurations: &'c Collection<IpAddr>,
    /// Our prefixes, if they could be read.
    pub(crate) address_space: Option<&'c [IpNet]>,
    pub(crate) sites: &'c Collection<Site>,
    pub(crate) policies: &'c Collection<Policy>,
}

/// What is done where the document leaves it open.
const DPD_TIMEOUT_S: u64 = 45;
const MTU: u16 = 1400;
const TCP_MSS: u16 = 1350;
/// Bytes of an IPv4 and a TCP header without options.
const IPV4_TCP_HEADERS: u16 = 40;

const MODE: &[(&str, Mode)] = &[
    ("Default", Mode::Default),
    ("InitiatorOnly", Mode::InitiatorOnly),
    ("ResponderOnly", Mode::ResponderOnly),
];
const UDP_ENCAPSULATION: &[(&str, UdpEncapsulation)] = &[
    ("auto", UdpEncapsulation::Auto),
    ("always", UdpEncapsulation::Always),
];

impl Connection {
    pub(crate) fn read(value: &Value<'_>, references: &References<'_>) -> Option<Self> {
        let mut object = value.object()?;
        object.later(&["bgp", "nat"]);
        let site = object.required("site", |value| references.sites.follow(value, "site"));
        let local_address = local_address(&mut object, references.ip_configurations);
        let ends = local_address.zip(site.as_ref().map(|(_, site)| site.endpoint));
        let policy = object.optional("policy", Policy::modern(), |value| {
            references
                .policies
                .follow(value, "policy")
                .map(|(_, policy)| policy)
        });
        let protocol = object.optional("protocol", (), |value| value.word(&[("IKEv2", ())], &["IKEv1"]));
        let spaces = Spaces {
            local: references.address_space,
            remote: site.as_ref().map(|(_, site)| site.address_space.as_slice()),
        };
        let selectors = match object.take("selectors") {
            Some(value) => Selectors::read(&value, spaces),
            None => Selectors::route_based(spaces),
        };
        let authentication = object.required("authentication", |value| Authentication::read(value, ends));
        let enabled = object.optional("enabled", true, Value::boolean);
        let mode = object.optional("mode", Mode::Default, |value| value.word(MODE, &[]));
        let dpd_timeout_s = object.optional("dpd_timeout_s", DPD_TIMEOUT_S, |value| value.whole(9..=3600));
        let (mtu, tcp_mss) = sizes(&mut object);
        let udp_encapsulation = object.optional("udp_encapsulation", UdpEncapsulation::Auto, |value| {
            value.word(UDP_ENCAPSULATION, &[])
        });
        let addresses = object.optional("addresses", Vec::new(), |value| value.list(link_address));
        protocol?;
        let (site_name, site) = site?;
        Some(Self {
            enabled: enabled?,
            mode: mode?,
            local_address: local_address?,
            site_name,
            site,
            authentication: authentication?,
            policy: policy?,
            selectors: selectors?,
            dpd_timeout: Duration::from_secs(dpd_timeout_s?),
            mtu: mtu?,
            tcp_mss: tcp_mss?,
            udp_encapsulation: udp_encapsulation?,
            addresses: addresses?,
        })
    }
}

/// The address of the IP configuration that is named, or of the only one there is.
fn local_address(object: &mut Object<'_>, configurations: &Collection<IpAddr>) -> Option<IpAddr> {
    if let Some(value) = object.take("ip_configuration") {
        return configurations
            .follow(&value, "IP configuration")
            .map(|(_, address)| address);
    }
    if configurations.is_ambiguous() {
        object.lacks(
            "ip_configuration",
            "there are several IP configurations: say which",
        );
    }
    configurations.only()
}

/// MTU and TCP MSS; the default of either follows the other where it must.
fn sizes(object: &mut Object<'_>) -> (Option<u16>, Option<u16>) {
    let mtu = object.optional("mtu", MTU, |value| value.whole(576..=9000));
    let most = mtu.unwrap_or(9000) - IPV4_TCP_HEADERS;
    let mss = object.optional("tcp_mss", TCP_MSS.min(most), |value| {
        value.whole(536..=u64::from(most))
    });
    (mtu, mss)
}

impl Authentication {
    /// `ends` are our address and the peer's: the identities that are left out.
    fn read(value: &Value<'_>, ends: Option<(IpAddr, IpAddr)>) -> Option<Self> {
        let mut object = value.object()?;
        let method = object.required("method", |value| value.word(&[("psk", ())], &["certificate"]));
        object.later(&["certificate", "peer"]);
        let secret = match method {
            Some(()) => object.required("secret", Value::name),
            None => object.take("secret").and_then(|value| value.name()),
        };
        let local = object.take("local_id").map(|value| Identity::read(&value));
        let remote = object.take("remote_id").map(|value| Identity::read(&value));
        let address = |address: Option<IpAddr>| address.map(Identity::Address);
        let local_identity = local.unwrap_or_else(|| address(ends.map(|(local, _)| local)));
        let remote_identity = remote.unwrap_or_else(|| address(ends.map(|(_, remote)| remote)));
        method?;
        Some(Self::PreSharedKey {
            secret: secret?,
            local_identity: local_identity?,
            remote_identity: remote_identity?,
        })
    }
}
