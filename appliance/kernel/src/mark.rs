//! How our objects are told from those of others.

use std::ops::RangeInclusive;

/// Interface ids of ours: every ESP state, policy and XFRM interface that bears one belongs to us.
pub const INTERFACE_IDS: RangeInclusive<u32> = 0x4357_0000..=0x4357_ffff;

/// The mark of packets that are translated and then leave by a tunnel, and the table of routes that they take there; each
/// tunnel has its own, which is the number of its connection. In the range of [`INTERFACE_IDS`].
pub const fn packet_mark(number: u16) -> u32 {
    *INTERFACE_IDS.start() | number as u32
}

/// Metric of the routes that marked packets take.
pub const MARKED_METRIC: u32 = 100;

/// Protocol number of our routes and addresses (`rtm_protocol`, `IFA_PROTO`); unassigned in Linux.
pub const PROTOCOL: u8 = 67;

/// Protocol number of the routes that BGP learnt (`RTPROT_BGP`). Other speakers use it too: ours bear one of the two metrics
/// below and lead into tunnels only.
pub const BGP_PROTOCOL: u8 = 186;

/// Metric of learnt routes in the main table: static routes into tunnels go first, default routes of uplinks last.
pub const BGP_METRIC: u32 = 186;

/// Metric of learnt routes in the table [`BESIDE_TABLE`].
pub const BESIDE_METRIC: u32 = 187;

/// The table of learnt routes that the tunnels' own packets must not take.
pub const BESIDE_TABLE: u32 = 0x4357;

/// How the names of all tunnel links begin.
pub const TUNNEL_PREFIX: &str = "cw-";

/// Alias of the tunnel links that we made or took over.
pub const LINK_ALIAS: &str = "causeway";

/// Alias of the devices of the machine that we set.
pub const DEVICE_ALIAS: &str = "causeway-device";

/// Alias of the VLAN links that we made.
pub const VLAN_ALIAS: &str = "causeway-vlan";

/// The group that links of ours are put into to be deleted together.
pub const DOOMED_GROUP: u32 = 0x4357_0000;

/// The nftables table of ours, in the family `inet`.
pub const NFT_TABLE: &str = "causeway";

/// The nftables table that translates, in the family `inet`.
pub const TRANSLATION_TABLE: &str = "causeway_nat";

/// The nftables table that closes the machine's own interfaces, in the family `inet`.
pub const FIREWALL_TABLE: &str = "causeway_firewall";

/// Metric of the routes of last resort: worse than any other.
pub const LAST_RESORT_METRIC: u32 = u32::MAX - 1;

/// Whether an interface id, or the mark of a packet, is in our range.
pub fn is_ours(interface_id: u32) -> bool {
    INTERFACE_IDS.contains(&interface_id)
}
