//! Numbers that IANA assigns ("Border Gateway Protocol (BGP) Parameters", "Capability Codes"), as far as we speak of
//! them; RFC 4271 where no other document is named.

/// The two-octet number that stands for one that needs four (RFC 6793 §9).
pub const AS_TRANS: u16 = 23_456;

/// Message types.
pub mod message {
    /// OPEN (1).
    pub const OPEN: u8 = 1;
    /// UPDATE (2).
    pub const UPDATE: u8 = 2;
    /// NOTIFICATION (3).
    pub const NOTIFICATION: u8 = 3;
    /// KEEPALIVE (4).
    pub const KEEPALIVE: u8 = 4;
    /// ROUTE-REFRESH (5) (RFC 2918).
    pub const ROUTE_REFRESH: u8 = 5;
}

/// Optional parameters of an OPEN.
pub mod parameter {
    /// Capabilities (2) (RFC 5492).
    pub const CAPABILITIES: u8 = 2;
    /// Extended length (255) (RFC 9072).
    pub const EXTENDED_LENGTH: u8 = 255;
}

/// Capabilities.
pub mod capability {
    /// Multiprotocol extensions (1) (RFC 4760).
    pub const MULTIPROTOCOL: u8 = 1;
    /// Route refresh (2) (RFC 2918).
    pub const ROUTE_REFRESH: u8 = 2;
    /// Extended next hop encoding (5) (RFC 8950).
    pub const EXTENDED_NEXT_HOP: u8 = 5;
    /// Extended message (6) (RFC 8654).
    pub const EXTENDED_MESSAGE: u8 = 6;
    /// BGP role (9) (RFC 9234).
    pub const ROLE: u8 = 9;
    /// Graceful restart (64) (RFC 4724).
    pub const GRACEFUL_RESTART: u8 = 64;
    /// Four-octet AS numbers (65) (RFC 6793).
    pub const FOUR_OCTET_ASN: u8 = 65;
    /// ADD-PATH (69) (RFC 7911).
    pub const ADD_PATH: u8 = 69;
    /// Enhanced route refresh (70) (RFC 7313).
    pub const ENHANCED_REFRESH: u8 = 70;
    /// FQDN (73) (draft-walton-bgp-hostname-capability).
    pub const FQDN: u8 = 73;
}

/// Path attributes.
pub mod attribute {
    /// ORIGIN (1).
    pub const ORIGIN: u8 = 1;
    /// AS_PATH (2).
    pub const AS_PATH: u8 = 2;
    /// NEXT_HOP (3).
    pub const NEXT_HOP: u8 = 3;
    /// MULTI_EXIT_DISC (4).
    pub const MULTI_EXIT_DISC: u8 = 4;
    /// LOCAL_PREF (5).
    pub const LOCAL_PREF: u8 = 5;
    /// ATOMIC_AGGREGATE (6).
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// AGGREGATOR (7).
    pub const AGGREGATOR: u8 = 7;
    /// COMMUNITIES (8) (RFC 1997).
    pub const COMMUNITIES: u8 = 8;
    /// ORIGINATOR_ID (9) (RFC 4456).
    pub const ORIGINATOR_ID: u8 = 9;
    /// CLUSTER_LIST (10) (RFC 4456).
    pub const CLUSTER_LIST: u8 = 10;
    /// MP_REACH_NLRI (14) (RFC 4760).
    pub const MP_REACH_NLRI: u8 = 14;
    /// MP_UNREACH_NLRI (15) (RFC 4760).
    pub const MP_UNREACH_NLRI: u8 = 15;
    /// EXTENDED COMMUNITIES (16) (RFC 4360).
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// AS4_PATH (17) (RFC 6793).
    pub const AS4_PATH: u8 = 17;
    /// AS4_AGGREGATOR (18) (RFC 6793).
    pub const AS4_AGGREGATOR: u8 = 18;
    /// IPv6 Address Specific Extended Community (25) (RFC 5701); passed on, but its length is looked at.
    pub const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
    /// LARGE_COMMUNITY (32) (RFC 8092).
    pub const LARGE_COMMUNITY: u8 = 32;
    /// Only to Customer (35) (RFC 9234).
    pub const ONLY_TO_CUSTOMER: u8 = 35;

    /// What the registry calls it.
    pub fn name(code: u8) -> Option<&'static str> {
        Some(match code {
            ORIGIN => "ORIGIN",
            AS_PATH => "AS_PATH",
            NEXT_HOP => "NEXT_HOP",
            MULTI_EXIT_DISC => "MULTI_EXIT_DISC",
            LOCAL_PREF => "LOCAL_PREF",
            ATOMIC_AGGREGATE => "ATOMIC_AGGREGATE",
            AGGREGATOR => "AGGREGATOR",
            COMMUNITIES => "COMMUNITIES",
            ORIGINATOR_ID => "ORIGINATOR_ID",
            CLUSTER_LIST => "CLUSTER_LIST",
            MP_REACH_NLRI => "MP_REACH_NLRI",
            MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
            EXTENDED_COMMUNITIES => "EXTENDED COMMUNITIES",
            AS4_PATH => "AS4_PATH",
            AS4_AGGREGATOR => "AS4_AGGREGATOR",
            IPV6_EXTENDED_COMMUNITIES => "IPv6 EXTENDED COMMUNITIES",
            LARGE_COMMUNITY => "LARGE_COMMUNITY",
            ONLY_TO_CUSTOMER => "ONLY_TO_CUSTOMER",
            _ => return None,
        })
    }

    /// Its name, or its number.
    pub fn words(code: u8) -> String {
        name(code).map_or_else(|| format!("attribute {code}"), str::to_owned)
    }
}

/// Attribute flags (§4.3).
pub mod flag {
    /// Optional, not well-known.
    pub const OPTIONAL: u8 = 0x80;
    /// Passed on by those who do not know it; all that are well-known are.
    pub const TRANSITIVE: u8 = 0x40;
    /// Somebody on the way did not know it.
    pub const PARTIAL: u8 = 0x20;
    /// Its length has two octets.
    pub const EXTENDED_LENGTH: u8 = 0x10;
}

/// Error codes of a NOTIFICATION (§4.5).
pub mod error {
    /// Message Header Error (1).
    pub const HEADER: u8 = 1;
    /// OPEN Message Error (2).
    pub const OPEN: u8 = 2;
    /// UPDATE Message Error (3).
    pub const UPDATE: u8 = 3;
    /// Hold Timer Expired (4).
    pub const HOLD_TIMER: u8 = 4;
    /// Finite State Machine Error (5).
    pub const STATE_MACHINE: u8 = 5;
    /// Cease (6).
    pub const CEASE: u8 = 6;
    /// ROUTE-REFRESH Message Error (7) (RFC 7313).
    pub const ROUTE_REFRESH: u8 = 7;
    /// Send Hold Timer Expired (8) (RFC 9687).
    pub const SEND_HOLD_TIMER: u8 = 8;
}

/// Subcodes of a Message Header Error.
pub mod header_error {
    /// Connection Not Synchronized (1).
    pub const NOT_SYNCHRONIZED: u8 = 1;
    /// Bad Message Length (2).
    pub const BAD_LENGTH: u8 = 2;
    /// Bad Message Type (3).
    pub const BAD_TYPE: u8 = 3;
}

/// Subcodes of an OPEN Message Error.
pub mod open_error {
    /// Unspecific (0).
    pub const UNSPECIFIC: u8 = 0;
    /// Unsupported Version Number (1).
    pub const VERSION: u8 = 1;
    /// Bad Peer AS (2).
    pub const BAD_PEER_AS: u8 = 2;
    /// Bad BGP Identifier (3).
    pub const BAD_IDENTIFIER: u8 = 3;
    /// Unsupported Optional Parameter (4).
    pub const PARAMETER: u8 = 4;
    /// Unacceptable Hold Time (6).
    pub const HOLD_TIME: u8 = 6;
    /// Unsupported Capability (7) (RFC 5492).
    pub const CAPABILITY: u8 = 7;
    /// Role Mismatch (11) (RFC 9234).
    pub const ROLE: u8 = 11;
}

/// Subcodes of an UPDATE Message Error.
pub mod update_error {
    /// Malformed Attribute List (1).
    pub const ATTRIBUTE_LIST: u8 = 1;
    /// Unrecognized Well-known Attribute (2).
    pub const UNRECOGNIZED: u8 = 2;
    /// Missing Well-known Attribute (3).
    pub const MISSING: u8 = 3;
    /// Attribute Flags Error (4).
    pub const FLAGS: u8 = 4;
    /// Attribute Length Error (5).
    pub const LENGTH: u8 = 5;
    /// Invalid ORIGIN Attribute (6).
    pub const ORIGIN: u8 = 6;
    /// Invalid NEXT_HOP Attribute (8).
    pub const NEXT_HOP: u8 = 8;
    /// Optional Attribute Error (9).
    pub const OPTIONAL: u8 = 9;
    /// Invalid Network Field (10).
    pub const NETWORK: u8 = 10;
    /// Malformed AS_PATH (11).
    pub const AS_PATH: u8 = 11;
}

/// Subcodes of a Finite State Machine Error (RFC 6608).
pub mod state_error {
    /// Receive Unexpected Message in OpenSent State (1).
    pub const OPEN_SENT: u8 = 1;
    /// Receive Unexpected Message in OpenConfirm State (2).
    pub const OPEN_CONFIRM: u8 = 2;
    /// Receive Unexpected Message in Established State (3).
    pub const ESTABLISHED: u8 = 3;
}

/// Subcodes of Cease (RFC 4486).
pub mod cease {
    /// Maximum Number of Prefixes Reached (1).
    pub const PREFIXES: u8 = 1;
    /// Administrative Shutdown (2).
    pub const SHUTDOWN: u8 = 2;
    /// Peer De-configured (3).
    pub const DECONFIGURED: u8 = 3;
    /// Administrative Reset (4).
    pub const RESET: u8 = 4;
    /// Connection Rejected (5).
    pub const REJECTED: u8 = 5;
    /// Other Configuration Change (6).
    pub const CONFIGURATION: u8 = 6;
    /// Connection Collision Resolution (7).
    pub const COLLISION: u8 = 7;
    /// Out of Resources (8).
    pub const RESOURCES: u8 = 8;
    /// Hard Reset (9) (RFC 8538).
    pub const HARD_RESET: u8 = 9;
    /// BFD Down (10) (RFC 9384).
    pub const BFD_DOWN: u8 = 10;
}

/// Subcodes of a ROUTE-REFRESH Message Error (RFC 7313).
pub mod refresh_error {
    /// Invalid Message Length (1).
    pub const LENGTH: u8 = 1;
}
