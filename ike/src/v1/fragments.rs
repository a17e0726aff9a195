//! Messages that travel in fragments, as common implementations of IKEv1 do it (vendor id FRAGMENTATION, payload 132): each packet
//! has a header like that of the message, and a piece of the message with its own header. Nothing protects a fragment; what
//! comes of them is judged as any message.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::Engine;
use crate::v2::fragments::longest_message;
use crate::v2::payloads::Datagram;
use crate::wire::Header;
use crate::wire::v1::registry::payload;
use crate::wire::v1::{FragmentPayload, Message};
use crate::{Connection, DropCause};

/// A message has at most so many octets.
const OCTETS: usize = 32 * 1024;
/// A message comes in at most so many fragments.
const FRAGMENTS: u8 = 128;
/// At most so many messages are not whole at a time.
const MESSAGES: usize = 64;

/// What has arrived of messages that are not whole yet: of one message for each SA, by our cookie.
#[derive(Default)]
pub(crate) struct Assemblies {
    /// The oldest first.
    order: VecDeque<u64>,
    known: BTreeMap<u64, Assembly>,
}

/// What has arrived of one message.
#[derive(Default)]
struct Assembly {
    id: u16,
    octets: usize,
    /// How many there are, once the last one came.
    total: Option<u8>,
    pieces: BTreeMap<u8, Vec<u8>>,
}

impl Assemblies {
    /// Takes a fragment for the SA with this cookie. The whole message comes back with its last one; `Err` for one that adds
    /// nothing, or too much.
    fn take(&mut self, spi: u64, fragment: FragmentPayload) -> Result<Option<Vec<u8>>, DropCause> {
        let unexpected = Err(DropCause::UnexpectedFragment);
        if fragment.number == 0 || fragment.number > FRAGMENTS {
            return unexpected;
        }
        let same = self.known.get(&spi).is_some_and(|known| known.id == fragment.id);
        if !same {
            self.forget(spi);
            while self.order.len() >= MESSAGES
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(spi);
        }
        let assembly = self.known.entry(spi).or_insert_with(|| Assembly {
            id: fragment.id,
            ..Assembly::default()
        });
        let octets = assembly.octets + fragment.data.len();
        if assembly.pieces.contains_key(&fragment.number) || octets > OCTETS {
            return unexpected;
        }
        if fragment.last {
            assembly.total = Some(fragment.number);
        }
        assembly.octets = octets;
        assembly.pieces.insert(fragment.number, fragment.data);
        let whole = assembly.total.map(usize::from) == Some(assembly.pieces.len());
        // Numbers are those of a set, so as many as the last one says are all of them, unless some are beyond it.
        let sound = assembly.pieces.last_key_value().map(|(last, _)| *last) == assembly.total;
        if !whole || !sound {
            return Ok(None);
        }
        let pieces = self.known.remove(&spi).map(|assembly| assembly.pieces);
        self.forget(spi);
        Ok(pieces.map(|pieces| pieces.into_values().flatten().collect()))
    }

    /// Gives up what came for an SA.
    fn forget(&mut self, spi: u64) {
        self.known.remove(&spi);
        self.order.retain(|known| *known != spi);
    }
}

/// A message as it is to travel: whole, or in fragments that stand one behind another, if the peer understands these. Their headers
/// name the exchange that phase 1 `began` by, whatever the message is of.
pub(super) fn divided(message: Vec<u8>, began: Option<u8>, settings: &Connection) -> Vec<u8> {
    let longest = longest_message(settings.fragment_size, settings.local.is_ipv6());
    let room = longest.saturating_sub(Header::LENGTH + FragmentPayload::BESIDE);
    let (Some(began), true, Ok(header)) = (
        began.filter(|_| room > 0),
        message.len() > longest,
        Header::decode(&message),
    ) else {
        return message;
    };
    let pieces = message.chunks(room);
    let (total, mut packets) = (pieces.len(), Vec::new());
    if total > usize::from(FRAGMENTS) {
        return message;
    }
    for (number, piece) in (1_u8..).zip(pieces) {
        let fragment = FragmentPayload {
            id: 1,
            number,
            last: usize::from(number) == total,
            data: piece.to_vec(),
        };
        let body = fragment.encode();
        Header {
            next_payload: payload::FRAGMENT,
            exchange_type: began,
            flags: 0,
            message_id: 0,
            length: u32::try_from(Header::LENGTH + body.len()).unwrap_or(u32::MAX),
            ..header
        }
        .encode(&mut packets);
        packets.extend(body);
    }
    packets
}

impl Engine {
    /// A fragment arrived for the SA with this cookie of ours. The message that is whole with it, if it is one of that SA.
    pub(super) fn assembled(&mut self, spi: u64, datagram: &Datagram) -> Option<Datagram> {
        let body = datagram.bytes.get(Header::LENGTH..).unwrap_or_default();
        let taken = FragmentPayload::decode(body).map_err(|_| DropCause::Malformed);
        let taken = taken.and_then(|fragment| self.v1.fragments.take(spi, fragment));
        let bytes = match taken {
            Ok(bytes) => bytes?,
            Err(cause) => {
                self.dropped(datagram.remote, Some(cause));
                return None;
            }
        };
        let cookies = |header: &Header| (header.initiator_spi, header.responder_spi);
        let header = Header::decode(&bytes).ok().filter(|header| {
            let same = cookies(header) == cookies(&datagram.header);
            same && header.version == Message::VERSION && header.next_payload != payload::FRAGMENT
        });
        let Some(header) = header else {
            self.dropped(datagram.remote, Some(DropCause::Malformed));
            return None;
        };
        let (local, remote) = (datagram.local, datagram.remote);
        Some(Datagram {
            local,
            remote,
            header,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(id: u16, number: u8, last: bool, octets: usize) -> FragmentPayload {
        FragmentPayload {
            id,
            number,
            last,
            data: vec![number; octets],
        }
    }

    #[test]
    fn fragments_come_in_any_order() {
        let mut all = Assemblies::default();
        for (number, last) in [(3, true), (1, false)] {
            assert_eq!(all.take(7, fragment(1, number, last, 2)), Ok(None));
        }
        assert_eq!(
            all.take(7, fragment(1, 1, false, 2)),
            Err(DropCause::UnexpectedFragment)
        );
        let whole = all.take(7, fragment(1, 2, false, 2));
        assert_eq!(whole, Ok(Some(vec![1, 1, 2, 2, 3, 3])));
        assert!(all.known.is_empty() && all.order.is_empty());
    }

    /// A fragment of another message takes the place of what was there; one that is none, or beyond the last, makes nothing whole.
    #[test]
    fn what_does_not_belong_together_makes_nothing_whole() {
        let mut all = Assemblies::default();
        assert_eq!(all.take(7, fragment(1, 1, false, 2)), Ok(None));
        assert_eq!(all.take(7, fragment(2, 2, true, 2)), Ok(None));
        assert_eq!(all.take(7, fragment(2, 3, false, 2)), Ok(None));
        for number in [0, 129, 255] {
            let taken = all.take(7, fragment(2, number, false, 2));
            assert_eq!(taken, Err(DropCause::UnexpectedFragment));
        }
        let mut all = Assemblies::default();
        assert_eq!(all.take(7, fragment(1, 2, true, 2)), Ok(None));
        assert_eq!(all.take(7, fragment(1, 5, false, 2)), Ok(None));
        assert_eq!(all.take(8, fragment(1, 1, false, 2)), Ok(None));
    }

    /// However many SAs fragments name, and however long these are, what they leave is bounded.
    #[test]
    fn memory_is_bounded() {
        let mut all = Assemblies::default();
        for spi in 0..10_000 {
            assert_eq!(all.take(spi, fragment(1, 1, false, 10)), Ok(None));
        }
        assert_eq!((all.known.len(), all.order.len()), (MESSAGES, MESSAGES));
        let mut refused = 0;
        for number in 2..=FRAGMENTS {
            let taken = all.take(9_999, fragment(1, number, false, 1_000));
            refused += usize::from(taken.is_err());
        }
        assert_eq!(refused, 127 - 32);
        let octets = all.known.values().map(|one| one.octets).max();
        assert!(octets.unwrap() <= OCTETS);
    }
}
