//! The Child SAs of a connection, and what passed them.

use std::time::Instant;

use ike::{ChildSnapshot, Encapsulation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::datapath::Counters;

/// What passed a connection; octets as they are inside the tunnel.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct CarriedStatus {
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// What the peer has sent and did not arrive: the gaps in the sequence numbers of ESP (RFC 4303, section 2.2).
    packets_lost: u64,
}

/// A Child SA.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChildStatus {
    inbound_spi: String,
    outbound_spi: String,
    algorithms: String,
    encapsulation: &'static str,
    local_selectors: Vec<String>,
    remote_selectors: Vec<String>,
    since_s: u64,
    /// When we begin to replace it, unless the peer does before.
    rekey_in_s: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// What the peer has sent and did not arrive; one that comes late is taken off again.
    packets_lost: u64,
}

impl CarriedStatus {
    pub(super) fn new(counters: Counters) -> Self {
        let Counters {
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            packets_lost,
        } = counters;
        Self {
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            packets_lost,
        }
    }
}

impl ChildStatus {
    pub(super) fn new(child: &ChildSnapshot, counters: Counters, now: Instant) -> Self {
        Self {
            inbound_spi: format!("{:08x}", child.inbound_spi),
            outbound_spi: format!("{:08x}", child.outbound_spi),
            algorithms: child.algorithms.clone(),
            encapsulation: match child.encapsulation {
                Encapsulation::None => "none",
                Encapsulation::Udp => "udp",
            },
            local_selectors: child.local_selectors.iter().map(ToString::to_string).collect(),
            remote_selectors: child.remote_selectors.iter().map(ToString::to_string).collect(),
            since_s: now.saturating_duration_since(child.since).as_secs(),
            rekey_in_s: child.rekey.saturating_duration_since(now).as_secs(),
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            packets_lost: counters.packets_lost,
        }
    }
}
