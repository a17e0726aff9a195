use std::net::IpAddr;

/// A range of addresses, ports and protocol (RFC 7296 §3.13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrafficSelector {
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port; for ICMP, type and code.
    pub start_port: u16,
    /// Last port, inclusive.
    pub end_port: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address, inclusive, of the same family.
    pub end: IpAddr,
}
