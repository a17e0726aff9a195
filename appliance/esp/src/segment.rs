use crate::checksum::Sum;
use crate::packet::{self, TCP, UDP};
use crate::virtio::{Header, Offload};

/// No more header than this is repeated for every segment.
const HEADERS: usize = 256;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// A packet from the TUN interface was not what its virtio header said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Cuts a packet from the TUN interface into packets as they go over a wire, checksums complete, and hands them on
/// one by one. They are made where they lie: the headers of a segment overwrite the end of the one before it.
pub(crate) fn segment(
    header: Header,
    packet: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    match header.offload {
        Offload::None => {
            if header.needs_checksum {
                complete_checksum(header, packet)?;
            }
            each(packet);
            Ok(())
        }
        Offload::TcpV4 | Offload::TcpV6 | Offload::Udp => Segments::new(header, packet)?.each(packet, each),
    }
}

/// The field holds the sum of the pseudo header; the rest is added here.
fn complete_checksum(header: Header, packet: &mut [u8]) -> Result<(), Malformed> {
    let start = usize::from(header.checksum_start);
    let field = start + usize::from(header.checksum_offset);
    let mut checksum = Sum::default()
        .add(packet.get(start..).ok_or(Malformed)?)
        .complement();
    if header.checksum_offset == 6 && checksum == [0, 0] {
        checksum = [0xff, 0xff]; // UDP: zero would mean that there is none (RFC 768)
    }
    *chunk_mut(packet, field)? = checksum;
    Ok(())
}

/// How one large packet is cut.
struct Segments {
    v4: bool,
    tcp: bool,
    transport: usize,
    /// Octets of headers, the same for every segment.
    headers: usize,
    segment_len: usize,
    template: [u8; HEADERS],
    sequence: u32,
    identification: u16,
    flags: u8,
}

impl Segments {
    fn new(header: Header, packet: &[u8]) -> Result<Segments, Malformed> {
        let tcp = header.offload != Offload::Udp;
        let transport = usize::from(header.checksum_start);
        let v4 = packet.first().ok_or(Malformed)? >> 4 == 4;
        let minimum = if v4 {
            packet::IPV4_HEADER
        } else {
            packet::IPV6_HEADER
        };
        let headers = if tcp {
            transport + usize::from(packet.get(transport + 12).ok_or(Malformed)? >> 4) * 4
        } else {
            transport + 8
        };
        let segment_len = usize::from(header.segment_len);
        let shortest = transport + if tcp { 20 } else { 8 };
        if transport < minimum || headers < shortest || headers > packet.len() || segment_len == 0 {
            return Err(Malformed);
        }
        let mut template = [0; HEADERS];
        let source = packet.get(..headers).ok_or(Malformed)?;
        template
            .get_mut(..headers)
            .ok_or(Malformed)?
            .copy_from_slice(source);
        let sequence = if tcp {
            u32::from_be_bytes(*chunk(packet, transport + 4)?)
        } else {
            0
        };
        let flags = if tcp {
            *packet.get(transport + 13).ok_or(Malformed)?
        } else {
            0
        };
        let identification = u16::from_be_bytes(*chunk(packet, 4)?);
        Ok(Segments {
            v4,
            tcp,
            transport,
            headers,
            segment_len,
            template,
            sequence,
            identification,
            flags,
        })
    }

    fn each(mut self, packet: &mut [u8], mut each: impl FnMut(&[u8])) -> Result<(), Malformed> {
        let mut start = 0;
        let last = packet.len();
        loop {
            let end = (start + self.headers + self.segment_len).min(last);
            let segment = packet.get_mut(start..end).ok_or(Malformed)?;
            self.write_headers(segment, start == 0, end == last)?;
            each(segment);
            if end == last {
                return Ok(());
            }
            start = end - self.headers;
            self.identification = self.identification.wrapping_add(1);
            self.sequence = self
                .sequence
                .wrapping_add(u32::try_from(self.segment_len).map_err(|_| Malformed)?);
        }
    }

    fn write_headers(&self, segment: &mut [u8], first: bool, last: bool) -> Result<(), Malformed> {
        let template = self.template.get(..self.headers).ok_or(Malformed)?;
        segment
            .get_mut(..self.headers)
            .ok_or(Malformed)?
            .copy_from_slice(template);
        let total = u16::try_from(segment.len()).map_err(|_| Malformed)?;
        if self.v4 {
            *chunk_mut(segment, 2)? = total.to_be_bytes();
            *chunk_mut(segment, 4)? = self.identification.to_be_bytes();
            packet::set_ipv4_checksum(segment);
        } else {
            let extensions_and_payload = segment.len() - packet::IPV6_HEADER;
            *chunk_mut(segment, 4)? = u16::try_from(extensions_and_payload)
                .map_err(|_| Malformed)?
                .to_be_bytes();
        }
        let len = segment.len() - self.transport;
        let (protocol, field) = if self.tcp { (TCP, 16) } else { (UDP, 6) };
        let pseudo = packet::pseudo_header(packet::addresses(segment).ok_or(Malformed)?, protocol, len);
        let transport = segment.get_mut(self.transport..).ok_or(Malformed)?;
        if self.tcp {
            *chunk_mut(transport, 4)? = self.sequence.to_be_bytes();
            // The last segment ends the stream or pushes, the first tells of the reduced window (RFC 3168 §6.1.2).
            let end = if last { 0 } else { FIN | PSH };
            let begin = if first { 0 } else { CWR };
            *transport.get_mut(13).ok_or(Malformed)? = self.flags & !(end | begin);
        } else {
            *chunk_mut(transport, 4)? = u16::try_from(len).map_err(|_| Malformed)?.to_be_bytes();
        }
        *chunk_mut(transport, field)? = [0, 0];
        let mut checksum = pseudo.add(transport).complement();
        if !self.tcp && checksum == [0, 0] {
            checksum = [0xff, 0xff];
        }
        *chunk_mut(transport, field)? = checksum;
        Ok(())
    }
}

fn chunk<const N: usize>(octets: &[u8], at: usize) -> Result<&[u8; N], Malformed> {
    octets
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(Malformed)
}

fn chunk_mut<const N: usize>(octets: &mut [u8], at: usize) -> Result<&mut [u8; N], Malformed> {
    octets
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut())
        .ok_or(Malformed)
}

#[cfg(test)]
mod tests;
