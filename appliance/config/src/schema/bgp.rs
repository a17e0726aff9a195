use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::model::bfd::{INTERVAL_MS, MULTIPLIER};
use crate::model::bgp::{HOLD_TIME_S, default_keepalive_s, default_local_address, default_router_id};
use crate::model::bgp_capabilities::{ADD_PATH_RECEIVE, FAMILY};
use crate::model::bgp_session::{LOCAL_PREFERENCE, MULTIHOP, PREFIXES_PER_PEER};
use crate::model::bgp_signing::{DEFAULT_ALGORITHM, SIGN_OPTIONS};
use crate::model::limits::NAT_RULES;

/// Our BGP speaker.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayBgp {
    /// Our autonomous system.
    #[schemars(schema_with = "limits::asn")]
    pub(super) asn: u32,
    /// Addresses of ours that sessions may start from; of those that suit a peer, the first is the default.
    #[schemars(schema_with = "limits::some_addresses")]
    pub(super) addresses: Vec<String>,
    /// The BGP identifier; the first IPv4 address of `addresses` if left out, a link-local one only if there is no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) router_id: Option<String>,
    /// Seconds that a peer may be silent.
    #[serde(default = "hold_time_s")]
    #[schemars(schema_with = "limits::hold_time_s")]
    pub(super) hold_time_s: u64,
    /// Seconds that we are silent; a third of the hold time if left out, and at most that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::keepalive_s")]
    pub(super) keepalive_s: Option<u64>,
    /// Prefixes that are advertised as our own, instead of `address_space`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::prefixes")]
    pub(super) advertise: Option<Vec<String>>,
}

/// How much the gateway takes on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Rules of translation.
    #[serde(default = "nat_rules")]
    #[schemars(schema_with = "limits::nat_rules")]
    pub(super) nat_rules: u16,
    /// Prefixes of one family from one BGP peer.
    #[serde(default = "prefixes_per_peer")]
    #[schemars(schema_with = "limits::prefix_limit")]
    pub(super) prefixes_per_peer: u32,
}

/// The BGP speaker of a site.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteBgp {
    /// Its autonomous system.
    #[schemars(schema_with = "limits::asn")]
    pub(super) asn: u32,
    /// Its address, the far end of every session with it.
    pub(super) address: String,
    /// It is in our own autonomous system.
    #[serde(default)]
    pub(super) internal: bool,
}

/// A BGP session with the site, through the tunnel.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionBgp {
    /// Our end of it, one of the gateway's addresses; if left out, the first that suits the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) local_address: Option<String>,
    /// The policy for routes that the peer sends; all are accepted if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) import: Option<String>,
    /// The policy for routes that it is sent; all are if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) export: Option<String>,
    /// The peer opens it, and we wait.
    #[serde(default)]
    pub(super) passive: bool,
    /// What we are to the peer (RFC 9234), which must be the counterpart: then routes do not leak. Not told if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::bgp_role")]
    pub(super) role: Option<String>,
    /// Whose routes are exchanged, over a session of either IP version.
    #[serde(default = "families")]
    #[schemars(schema_with = "limits::families")]
    pub(super) families: Vec<String>,
    /// The peer may send several paths to one prefix (RFC 7911).
    #[serde(default = "add_path_receive")]
    pub(super) add_path_receive: bool,
    /// The local preference of routes that come without one.
    #[serde(default = "local_preference")]
    #[schemars(schema_with = "limits::preference")]
    pub(super) local_preference: u32,
    /// Seconds that the peer may be silent; the gateway's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::hold_time_s")]
    pub(super) hold_time_s: Option<u64>,
    /// How many routers the peer may be away.
    #[serde(default = "multihop")]
    #[schemars(schema_with = "limits::multihop")]
    pub(super) multihop: u8,
    /// How many routers away the peer is at most: what comes from farther is dropped (RFC 5082). Not checked if left out;
    /// then `multihop` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::ttl_security")]
    pub(super) ttl_security: Option<u8>,
    /// Notices within a second or so that the peer is gone (RFC 5880), if it has BFD for this session, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bfd: Option<Bfd>,
    /// The name of the key that signs each segment (RFC 2385).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) md5_secret: Option<String>,
    /// Keys of the TCP authentication option (RFC 5925), instead of `md5_secret`: with the first we sign and ask the peer to
    /// sign, and the others are taken, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::tcp_ao::<TcpAoKey>")]
    pub(super) tcp_ao: Option<Vec<TcpAoKey>>,
    /// Prefixes of one family that the peer may send; the gateway's limit if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::prefix_limit")]
    pub(super) maximum_prefixes: Option<u32>,
    /// Seconds after which a session begins anew that had too many; not by itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::restart_after_s")]
    pub(super) restart_after_s: Option<u64>,
}

/// A key of the TCP authentication option.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpAoKey {
    /// The name of the key.
    #[schemars(schema_with = "limits::name")]
    pub(super) secret: String,
    /// What our segments call it: the peer's `receive_id`.
    pub(super) send_id: u8,
    /// What the peer's segments call it: its `send_id`.
    pub(super) receive_id: u8,
    /// As the peer has it (RFC 5926).
    #[serde(default = "tcp_ao_algorithm")]
    #[schemars(schema_with = "limits::tcp_ao_algorithm")]
    pub(super) algorithm: String,
    /// TCP options are signed, too, as the peer has it.
    #[serde(default = "sign_options")]
    pub(super) sign_options: bool,
}

/// Bidirectional forwarding detection.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bfd {
    /// Milliseconds between the packets that both sides are to send.
    #[serde(default = "bfd_interval_ms")]
    #[schemars(schema_with = "limits::bfd_interval_ms")]
    pub(super) interval_ms: u64,
    /// So many of them in a row may be missed.
    #[serde(default = "bfd_multiplier")]
    #[schemars(schema_with = "limits::bfd_multiplier")]
    pub(super) multiplier: u8,
}

impl GatewayBgp {
    /// Writes out the defaults that follow from other members.
    pub(super) fn fill(&mut self, address_space: &[String]) {
        let router_id = || default_router_id(&parsed(&self.addresses)).map(|id| id.to_string());
        self.router_id = self.router_id.take().or_else(router_id);
        self.keepalive_s
            .get_or_insert_with(|| default_keepalive_s(self.hold_time_s));
        self.advertise.get_or_insert_with(|| address_space.to_vec());
    }
}

impl ConnectionBgp {
    /// Writes out the defaults that follow from other members.
    pub(super) fn fill(&mut self, gateway: &GatewayBgp, limits: &Limits, peer: &SiteBgp) {
        let found = || default_local_address(&parsed(&gateway.addresses), peer.address.parse().ok()?);
        let local_address = self.local_address.take();
        self.local_address = local_address.or_else(|| found().map(|address| address.to_string()));
        self.hold_time_s.get_or_insert(gateway.hold_time_s);
        self.maximum_prefixes.get_or_insert(limits.prefixes_per_peer);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nat_rules: nat_rules(),
            prefixes_per_peer: prefixes_per_peer(),
        }
    }
}

fn parsed(addresses: &[String]) -> Vec<IpAddr> {
    addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}

fn hold_time_s() -> u64 {
    HOLD_TIME_S
}

fn nat_rules() -> u16 {
    NAT_RULES
}

fn prefixes_per_peer() -> u32 {
    PREFIXES_PER_PEER
}

fn bfd_interval_ms() -> u64 {
    INTERVAL_MS
}

fn bfd_multiplier() -> u8 {
    MULTIPLIER
}

fn tcp_ao_algorithm() -> String {
    DEFAULT_ALGORITHM.to_owned()
}

fn sign_options() -> bool {
    SIGN_OPTIONS
}

fn families() -> Vec<String> {
    FAMILY.iter().map(|(word, _)| (*word).to_owned()).collect()
}

fn add_path_receive() -> bool {
    ADD_PATH_RECEIVE
}

fn local_preference() -> u32 {
    LOCAL_PREFERENCE
}

fn multihop() -> u8 {
    MULTIHOP
}
