/// Types of records (RFC 6396 §4).
pub(super) mod kind {
    pub(in crate::mrt) const TABLE_DUMP: u16 = 12;
    pub(in crate::mrt) const TABLE_DUMP_V2: u16 = 13;
    pub(in crate::mrt) const BGP4MP: u16 = 16;
    pub(in crate::mrt) const BGP4MP_ET: u16 = 17;
}

/// Subtypes of TABLE_DUMP_V2 (RFC 6396 §4.3, RFC 8050 §4).
pub(super) mod table {
    pub(in crate::mrt) const PEER_INDEX_TABLE: u16 = 1;
    pub(in crate::mrt) const RIB_IPV4_UNICAST: u16 = 2;
    pub(in crate::mrt) const RIB_IPV6_UNICAST: u16 = 4;
    pub(in crate::mrt) const RIB_IPV4_UNICAST_ADDPATH: u16 = 8;
    pub(in crate::mrt) const RIB_IPV6_UNICAST_ADDPATH: u16 = 10;
}

/// Subtypes of BGP4MP and BGP4MP_ET (RFC 6396 §4.4, RFC 8050 §3).
pub(super) mod log {
    pub(in crate::mrt) const MESSAGE: u16 = 1;
    pub(in crate::mrt) const MESSAGE_AS4: u16 = 4;
    pub(in crate::mrt) const STATE_CHANGE_AS4: u16 = 5;
    pub(in crate::mrt) const MESSAGE_LOCAL: u16 = 6;
    pub(in crate::mrt) const MESSAGE_AS4_LOCAL: u16 = 7;
    pub(in crate::mrt) const MESSAGE_ADDPATH: u16 = 8;
    pub(in crate::mrt) const MESSAGE_AS4_ADDPATH: u16 = 9;
}
