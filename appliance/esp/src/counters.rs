/// What one pair of SAs has carried; inner octets, without ESP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sealed and sent.
    pub packets_out: u64,
    /// Inner octets received.
    pub bytes_in: u64,
    /// Inner octets sent.
    pub bytes_out: u64,
    /// Packets that the peer has sent by their sequence numbers, and that did not arrive; one that comes late is
    /// taken off again (RFC 4303 §2.2).
    pub packets_missing: u64,
    /// Packets not accepted, by cause.
    pub drops: Drops,
}

/// Packets that were not passed on, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Seen before, or older than the anti-replay window (RFC 4303 §3.4.3).
    pub replay: u64,
    /// The ICV was wrong (RFC 4303 §3.4.4).
    pub integrity: u64,
    /// Too short, wrongly padded, or no IP packet inside.
    pub malformed: u64,
    /// No inbound SA has this SPI.
    pub unknown_spi: u64,
    /// The inner packet lies outside the traffic selectors (RFC 4301 §5.2).
    pub selector: u64,
    /// Congestion was marked outside on a packet that cannot say so inside (RFC 6040 §4.2).
    pub congestion: u64,
    /// No outbound SA took the packet: none is installed, or its sequence numbers are used up.
    pub no_sa: u64,
    /// The socket or the TUN interface would not take the packet.
    pub output: u64,
}

impl Drops {
    /// Adds what another place has counted.
    pub fn add(&mut self, other: &Drops) {
        self.replay += other.replay;
        self.integrity += other.integrity;
        self.malformed += other.malformed;
        self.unknown_spi += other.unknown_spi;
        self.selector += other.selector;
        self.congestion += other.congestion;
        self.no_sa += other.no_sa;
        self.output += other.output;
    }
}
