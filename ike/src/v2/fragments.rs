//! Messages that arrive in fragments (RFC 7383).

use super::channel::Unopened;
use crate::DropCause;
use crate::crypto::{Opened, Protection};
use crate::wire::{FragmentPayload, Header, Message, Payload};

/// The payloads of one message take at most so many octets.
const OCTETS: usize = 32 * 1024;
/// One message comes in at most so many fragments.
const FRAGMENTS: u16 = 128;
/// What of an IPv4 packet is not IKE: the IP header, the UDP header and, on port 4500, the non-ESP marker.
const BESIDE_IPV4: u16 = 20 + 8 + 4;
/// The same for IPv6.
const BESIDE_IPV6: u16 = 40 + 8 + 4;

/// What has arrived of messages that are not whole yet: of one request and of one answer (the window is 1).
#[derive(Default)]
pub(crate) struct Assemblies {
    request: Option<Box<Assembly>>,
    answer: Option<Box<Assembly>>,
}

/// What has arrived of one message. Each fragment was authenticated before it came here.
struct Assembly {
    id: u32,
    exchange: u8,
    first: u8,
    octets: usize,
    /// As many as the message has.
    fragments: Vec<Option<Vec<u8>>>,
}

/// How long an IKE message may be so that its IP packet has at most `packet` octets.
pub(crate) fn longest_message(packet: u16, ipv6: bool) -> usize {
    let beside = if ipv6 { BESIDE_IPV6 } else { BESIDE_IPV4 };
    usize::from(packet.saturating_sub(beside))
}

/// The number of a fragment, if that is what the message is and the peer did send it.
pub(crate) fn number(keys: &Protection, bytes: &[u8]) -> Result<u16, Unopened> {
    let (_, fragment) = decode(bytes)?;
    open(keys, bytes, &fragment)?;
    Ok(fragment.number)
}

impl Assemblies {
    /// Takes a fragment. The whole message comes back with its last one.
    pub(crate) fn take(&mut self, keys: &Protection, bytes: &[u8]) -> Result<Opened, Unopened> {
        let (header, fragment) = decode(bytes)?;
        let place = if header.is_response() {
            &mut self.answer
        } else {
            &mut self.request
        };
        let of_message =
            |known: &&Assembly| (known.id, known.exchange) == (header.message_id, header.exchange_type);
        let known = place.as_deref().filter(of_message);
        if fragment.total > FRAGMENTS || known.is_some_and(|known| !known.wants(&fragment)) {
            return Err(Unopened::Forged(DropCause::UnexpectedFragment));
        }
        let payloads = open(keys, bytes, &fragment)?;
        // A larger total is another division of the same message, which takes the place of the former (§2.6).
        let known = place.take().filter(|known| of_message(&known.as_ref()));
        let same = known.filter(|known| known.fragments.len() == usize::from(fragment.total));
        let mut assembly = same.unwrap_or_else(|| Box::new(Assembly::new(&header, &fragment)));
        assembly.add(&fragment, payloads);
        if assembly.octets > OCTETS {
            return Err(Unopened::Forged(DropCause::UnexpectedFragment));
        }
        match assembly.whole() {
            Ok(opened) => Ok(opened),
            Err(assembly) => {
                *place = Some(assembly);
                Err(Unopened::Part)
            }
        }
    }

    /// Gives up what is not whole yet.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Assembly {
    fn new(header: &Header, fragment: &FragmentPayload) -> Self {
        Self {
            id: header.message_id,
            exchange: header.exchange_type,
            first: 0,
            octets: 0,
            fragments: vec![None; usize::from(fragment.total)],
        }
    }

    /// Whether a fragment can add something; it may still be forged.
    fn wants(&self, fragment: &FragmentPayload) -> bool {
        let total = usize::from(fragment.total);
        let place = usize::from(fragment.number).saturating_sub(1);
        let lacking = || self.fragments.get(place).is_some_and(Option::is_none);
        total > self.fragments.len() || (total == self.fragments.len() && lacking())
    }

    fn add(&mut self, fragment: &FragmentPayload, payloads: Vec<u8>) {
        if fragment.number == 1 {
            self.first = fragment.first;
        }
        self.octets += payloads.len();
        let place = usize::from(fragment.number).saturating_sub(1);
        if let Some(place) = self.fragments.get_mut(place) {
            *place = Some(payloads);
        }
    }

    /// The message, once nothing is lacking.
    fn whole(mut self: Box<Self>) -> Result<Opened, Box<Self>> {
        if self.fragments.iter().any(Option::is_none) {
            return Err(self);
        }
        Ok(Opened {
            first: self.first,
            payloads: self.fragments.drain(..).flatten().flatten().collect(),
        })
    }
}

/// A message that is one fragment and nothing else.
fn decode(bytes: &[u8]) -> Result<(Header, FragmentPayload), Unopened> {
    let malformed = Unopened::Forged(DropCause::Malformed);
    let Message { header, mut payloads } = Message::decode(bytes).map_err(|_| malformed)?;
    match (payloads.pop(), payloads.is_empty()) {
        (Some(Payload::Fragment(fragment)), true) => Ok((header, fragment)),
        _ => Err(malformed),
    }
}

/// Checks the integrity of a fragment and opens it.
fn open(keys: &Protection, bytes: &[u8], fragment: &FragmentPayload) -> Result<Vec<u8>, Unopened> {
    let malformed = Unopened::Forged(DropCause::Malformed);
    let associated = bytes.len().checked_sub(fragment.bytes.len()).ok_or(malformed)?;
    let (associated, body) = bytes.split_at_checked(associated).ok_or(malformed)?;
    Ok(keys.open(associated, body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Encryption, Group, Prf, Secret};
    use crate::proposal::IkeSuite;
    use crate::v2::channel::Channel;
    use crate::v2::keys::Said;
    use crate::wire::VendorIdPayload;
    use crate::wire::registry::exchange;

    struct Zeros;

    impl crate::Random for Zeros {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    /// One side of an IKE SA, whose messages have at most so many octets.
    fn side(initiator: bool, longest: usize) -> Channel {
        let suite = IkeSuite {
            encryption: Encryption::AesGcm16(128),
            integrity: None,
            prf: Prf::HmacSha2_256,
            group: Group::X25519,
            additional: Default::default(),
        };
        let said = Said {
            initiator_nonce: &[1; 32],
            responder_nonce: &[2; 32],
            initiator_spi: 3,
            responder_spi: 4,
        };
        let channel = Channel::new(suite, &said, &Secret::from(vec![5; 32]), initiator).unwrap();
        channel.with_fragments(Some(longest))
    }

    fn long(octets: usize) -> Vec<Payload> {
        let data = (0..=250).cycle().take(octets).collect();
        vec![
            Payload::VendorId(VendorIdPayload { data }),
            Payload::VendorId(VendorIdPayload { data: vec![9] }),
        ]
    }

    fn fragments(longest: usize, id: u32, octets: usize) -> Vec<Vec<u8>> {
        let sent = side(true, longest).request(exchange::INFORMATIONAL, id, &long(octets), &mut Zeros);
        let mut rest = sent.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let (first, others) = Header::split_first(rest);
            messages.push(first.to_vec());
            rest = others;
        }
        messages
    }

    const DUPLICATE: Result<Vec<Payload>, Unopened> = Err(Unopened::Forged(DropCause::UnexpectedFragment));
    const PART: Result<Vec<Payload>, Unopened> = Err(Unopened::Part);

    #[test]
    fn fragments_make_the_message_in_any_order_and_each_counts_once() {
        let mut receiver = side(false, 1000);
        let mut sent = fragments(300, 7, 1000);
        assert!(sent.len() > 3 && sent.iter().all(|message| message.len() <= 300));
        sent.rotate_left(2);
        let (last, others) = sent.split_last().unwrap();
        for fragment in others {
            assert_eq!(receiver.open(fragment), PART);
            assert_eq!(receiver.open(fragment), DUPLICATE);
        }
        assert_eq!(receiver.open(last), Ok(long(1000)));
    }

    /// RFC 7383 §2.6: fragments of two divisions of a message are never put together; the finer division wins.
    #[test]
    fn divisions_are_never_mixed() {
        let (coarse, fine) = (fragments(400, 7, 1000), fragments(300, 7, 1000));
        assert!(coarse.len() < fine.len());
        let mut receiver = side(false, 1000);
        for fragment in &coarse[1..] {
            assert_eq!(receiver.open(fragment), PART);
        }
        assert_eq!(receiver.open(&fine[0]), PART);
        assert_eq!(receiver.open(&coarse[0]), DUPLICATE);
        for fragment in &fine[1..fine.len() - 1] {
            assert_eq!(receiver.open(fragment), PART);
        }
        assert_eq!(receiver.open(&fine[fine.len() - 1]), Ok(long(1000)));
    }

    #[test]
    fn forged_fragments_displace_nothing() {
        let (coarse, fine) = (fragments(400, 7, 1000), fragments(300, 7, 1000));
        let mut receiver = side(false, 1000);
        for fragment in &coarse[1..] {
            assert_eq!(receiver.open(fragment), PART);
        }
        let mut forged = fine[0].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(
            receiver.open(&forged),
            Err(Unopened::Forged(DropCause::IntegrityFailed))
        );
        assert_eq!(receiver.open(&coarse[0]), Ok(long(1000)));
    }

    #[test]
    fn a_message_of_another_id_takes_the_place_of_one_that_is_not_whole() {
        let mut receiver = side(false, 1000);
        assert_eq!(receiver.open(&fragments(300, 7, 1000)[0]), PART);
        let next = fragments(300, 8, 1000);
        for fragment in &next[..next.len() - 1] {
            assert_eq!(receiver.open(fragment), PART);
        }
        assert_eq!(receiver.open(&next[next.len() - 1]), Ok(long(1000)));
    }

    #[test]
    fn what_one_message_may_take_is_bounded() {
        let mut receiver = side(false, 1000);
        let many = fragments(120, 7, 129 * 60);
        assert!(many.len() > usize::from(FRAGMENTS));
        assert_eq!(receiver.open(&many[0]), DUPLICATE);
        let long = fragments(1200, 7, OCTETS + 1);
        let judged: Vec<_> = long.iter().map(|fragment| receiver.open(fragment)).collect();
        assert!(judged.contains(&DUPLICATE) && judged.iter().all(Result::is_err));
    }

    /// Only who said so in IKE_SA_INIT gets fragments, and only from such a one they are taken.
    #[test]
    fn without_agreement_there_are_no_fragments() {
        let mut receiver = side(false, 1000).with_fragments(None);
        let fragment = &fragments(300, 7, 1000)[0];
        assert_eq!(
            receiver.open(fragment),
            Err(Unopened::Forged(DropCause::Malformed))
        );
        let mut sender = side(true, 300).with_fragments(None);
        let sent = sender.request(exchange::INFORMATIONAL, 7, &long(1000), &mut Zeros);
        assert_eq!(receiver.open(&sent), Ok(long(1000)));
    }
    /// RFC 9242 §3.3.2: both sides prove the same, whether a message came whole or in fragments, and every message and
    /// the order of the keys count.
    #[test]
    fn what_intermediate_messages_add_to_the_proofs_is_the_same_on_both_sides() {
        let run = |longest: usize, octets: usize| {
            let (mut initiator, mut responder) = (side(true, longest), side(false, longest));
            assert!(initiator.int_auth().is_empty());
            let kind = exchange::IKE_INTERMEDIATE;
            let request = initiator.request(kind, 1, &long(octets), &mut Zeros);
            let mut rest = request.as_slice();
            while !rest.is_empty() {
                let (first, others) = Header::split_first(rest);
                let opened = responder.open(first);
                assert_eq!(opened.is_ok(), others.is_empty());
                rest = others;
            }
            let answer = responder.answer(kind, 1, &long(20), &mut Zeros);
            assert!(initiator.open(&answer).is_ok());
            assert_eq!(initiator.int_auth(), responder.int_auth());
            initiator.int_auth()
        };
        let proved = run(2000, 1000);
        assert_eq!(proved, run(300, 1000));
        assert_ne!(proved, run(2000, 1001));
        assert_eq!(proved.len(), 2 * 32 + 4);
        assert!(proved.ends_with(&[0, 0, 0, 2]), "the id of IKE_AUTH");
    }
}
