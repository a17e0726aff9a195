use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Identity, Name, Policy, Site};

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
