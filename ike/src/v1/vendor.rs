//! What peers announce by vendor ids.

use hex_literal::hex;

use crate::wire::VendorIdPayload;
use crate::wire::v1::Payload;
use crate::wire::v1::registry::exchange;

/// RFC 3947 §3.1: MD5 of "RFC 3947".
const NAT_TRAVERSAL: [u8; 16] = hex!("4a131c81070358455c5728f20e95452f");
/// draft-ietf-ipsec-nat-t-ike-03.
const NAT_TRAVERSAL_03: [u8; 16] = hex!("7d9419a65310ca6f2c179d9215529d56");
/// draft-ietf-ipsec-nat-t-ike-02 with a line feed, as most hash it.
const NAT_TRAVERSAL_02: [u8; 16] = hex!("90cb80913ebb696e086381b5ec427b1f");
/// RFC 3706 §5.1.
const DEAD_PEER_DETECTION: [u8; 16] = hex!("afcad71368a1f1c96b8696fc77570100");

/// MD5 of "FRAGMENTATION", and, as others send it after that, the bit of phase 1.
const FRAGMENTATION: [u8; 20] = hex!("4048b7d56ebce88525e7de7f00d6c2d380000000");
/// Octets of it that tell it.
const TELLING: usize = 16;

/// What a peer understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// NAT traversal, in the numbers of RFC 3947 or of its drafts.
    pub(crate) traversal: Option<Traversal>,
    /// Dead peer detection.
    pub(crate) dead_peers: bool,
    /// Messages in fragments.
    fragments: bool,
}

/// Which numbers NAT traversal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traversal {
    /// Those of RFC 3947.
    Standard,
    /// Those of its drafts 02 and 03.
    Draft,
}

impl Announced {
    /// The exchange that fragments are said to be of, if the peer understands them.
    pub(crate) fn fragments(&self, aggressive: bool) -> Option<u8> {
        let began = if aggressive {
            exchange::AGGRESSIVE
        } else {
            exchange::MAIN_MODE
        };
        self.fragments.then_some(began)
    }

    /// What the vendor ids of a message say.
    pub(crate) fn of(payloads: &[Payload]) -> Self {
        let says = |id: &[u8]| {
            let mut all = payloads.iter();
            all.any(|payload| matches!(payload, Payload::VendorId(found) if found.data == id))
        };
        let traversal = if says(&NAT_TRAVERSAL) {
            Some(Traversal::Standard)
        } else if says(&NAT_TRAVERSAL_03) || says(&NAT_TRAVERSAL_02) {
            Some(Traversal::Draft)
        } else {
            None
        };
        let mut all = payloads.iter();
        let fragments = all.any(|payload| {
            let telling = FRAGMENTATION.get(..TELLING).unwrap_or_default();
            matches!(payload, Payload::VendorId(found) if found.data.starts_with(telling))
        });
        Self {
            traversal,
            dead_peers: says(&DEAD_PEER_DETECTION),
            fragments,
        }
    }
}

/// What we announce.
pub(crate) fn announcements() -> Vec<Payload> {
    let all = [
        NAT_TRAVERSAL,
        NAT_TRAVERSAL_03,
        NAT_TRAVERSAL_02,
        DEAD_PEER_DETECTION,
    ];
    let all = all.iter().map(<[u8; 16]>::as_slice);
    let all = all.chain([FRAGMENTATION.as_slice()]);
    all.map(|id| Payload::VendorId(VendorIdPayload { data: id.to_vec() }))
        .collect()
}
