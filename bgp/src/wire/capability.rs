//! Capabilities (RFC 5492) in an OPEN.

use std::time::Duration;

use crate::{Families, Family, Role};

/// All that one side says it can do. What it says twice counts once; what we do not know is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Multiprotocol (RFC 4760): none said means IPv4 (RFC 4271).
    pub families: Option<Families>,
    /// Four-octet AS numbers (RFC 6793).
    pub four_octet_asn: Option<u32>,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Extended messages (RFC 8654).
    pub extended_messages: bool,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
    /// Families that it can receive several paths of, and send (RFC 7911).
    pub add_path_receive: Families,
    /// The other direction.
    pub add_path_send: Families,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub ipv6_next_hops: bool,
    /// RFC 9234.
    pub role: Option<Role>,
    /// Host and domain name.
    pub host_name: Option<String>,
}

/// The graceful restart capability (RFC 4724 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulRestart {
    /// It has just started again.
    pub restarted: bool,
    /// It keeps routes when a NOTIFICATION ends the session (RFC 8538).
    pub notification: bool,
    /// How long it takes to start again, whole seconds up to 4095.
    pub time: Duration,
    /// Families, and whether their forwarding was preserved.
    pub families: Vec<(Family, bool)>,
}
