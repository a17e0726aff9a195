/// What precedes every packet on a TUN interface with offloads: `struct virtio_net_hdr`, in the machine's order
/// (Virtual I/O Device 1.2 §5.1.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) needs_checksum: bool,
    pub(crate) checksum_valid: bool,
    pub(crate) offload: Offload,
    /// Octets before the first segment's payload.
    pub(crate) header_len: u16,
    /// Octets of payload in each segment but the last.
    pub(crate) segment_len: u16,
    /// Where the sum begins.
    pub(crate) checksum_start: u16,
    /// Where, counted from there, it is stored.
    pub(crate) checksum_offset: u16,
}

/// Whether a packet stands for several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Offload {
    #[default]
    None,
    TcpV4,
    TcpV6,
    Udp,
}

/// Octets of the header.
pub(crate) const LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const CHECKSUM_VALID: u8 = 2;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// Set beside TCP when congestion is marked; segments of ours treat CWR right either way.
const ECN: u8 = 0x80;

impl Header {
    /// `None` for an offload that was not asked for.
    pub(crate) fn decode(octets: &[u8; LEN]) -> Option<Header> {
        let &[flags, offload, a, b, c, d, e, f, g, h] = octets;
        let offload = match offload & !ECN {
            0 => Offload::None,
            TCP_V4 => Offload::TcpV4,
            TCP_V6 => Offload::TcpV6,
            UDP => Offload::Udp,
            _ => return None,
        };
        Some(Header {
            needs_checksum: flags & NEEDS_CHECKSUM != 0,
            checksum_valid: flags & CHECKSUM_VALID != 0,
            offload,
            header_len: u16::from_ne_bytes([a, b]),
            segment_len: u16::from_ne_bytes([c, d]),
            checksum_start: u16::from_ne_bytes([e, f]),
            checksum_offset: u16::from_ne_bytes([g, h]),
        })
    }

    pub(crate) fn encode(&self) -> [u8; LEN] {
        let offload = match self.offload {
            Offload::None => 0,
            Offload::TcpV4 => TCP_V4,
            Offload::TcpV6 => TCP_V6,
            Offload::Udp => UDP,
        };
        let needs = if self.needs_checksum { NEEDS_CHECKSUM } else { 0 };
        let valid = if self.checksum_valid { CHECKSUM_VALID } else { 0 };
        let [a, b] = self.header_len.to_ne_bytes();
        let [c, d] = self.segment_len.to_ne_bytes();
        let [e, f] = self.checksum_start.to_ne_bytes();
        let [g, h] = self.checksum_offset.to_ne_bytes();
        [needs | valid, offload, a, b, c, d, e, f, g, h]
    }
}
