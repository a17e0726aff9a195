//! The protected messages of one IKE SA (RFC 7296 §3.14), whole or in fragments (RFC 7383).

use super::fragments::{self, Assemblies};
use super::int_auth::IntAuth;
use super::keys::{ChildKeys, IkeKeys, Said, SideKeys};
use crate::crypto::{OpenError, Opened, Protection, ProtectionError, Secret};
use crate::proposal::{EspSuite, IkeSuite};
use crate::wire::registry::{exchange, payload};
use crate::wire::{FragmentPayload, Header, Payload, chain};
use crate::{DropCause, Random};

/// Keys of an IKE SA, ready for use.
pub(crate) struct Channel {
    keys: IkeKeys,
    initiator: bool,
    spis: (u64, u64),
    outgoing: Protection,
    incoming: Protection,
    /// No message is sent in one piece that has more octets; `None` if the peer cannot put fragments together.
    longest: Option<usize>,
    assemblies: Assemblies,
    /// Over the IKE_INTERMEDIATE messages, until the proofs are made.
    int_auth: Option<Box<IntAuth>>,
}

/// Why a protected message was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Anyone may have sent it.
    Forged(DropCause),
    /// The peer sent it, and there is more to come: it is a fragment, or repeats one.
    Part,
    /// The peer sent it, and it is not what RFC 7296 allows (§2.21.3).
    Invalid,
}

impl From<OpenError> for Unopened {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed => Self::Forged(DropCause::Malformed),
            OpenError::Integrity => Self::Forged(DropCause::IntegrityFailed),
            OpenError::Padding => Self::Invalid,
        }
    }
}

impl Channel {
    /// Keys of the SA from what both sides said. `None` if the suite cannot protect anything.
    pub(crate) fn new(suite: IkeSuite, said: &Said<'_>, shared: &Secret, initiator: bool) -> Option<Self> {
        Self::ready(IkeKeys::derive(suite.keys(), said, shared), said, initiator)
    }

    fn ready(mut keys: IkeKeys, said: &Said<'_>, initiator: bool) -> Option<Self> {
        let (ours, theirs) = if initiator {
            (&mut keys.initiator, &mut keys.responder)
        } else {
            (&mut keys.responder, &mut keys.initiator)
        };
        let (outgoing, incoming) = (ours.protection().ok()?, theirs.protection().ok()?);
        Some(Self {
            initiator,
            spis: (said.initiator_spi, said.responder_spi),
            outgoing,
            incoming,
            longest: None,
            assemblies: Assemblies::default(),
            int_auth: None,
            keys,
        })
    }

    /// Both sides understand fragments: none of ours is longer than `longest` octets, and the peer's are taken.
    pub(crate) fn with_fragments(self, longest: Option<usize>) -> Self {
        Self { longest, ..self }
    }

    /// Both sides have proved who they are.
    pub(crate) fn proved(mut self) -> Self {
        self.keys.forget_proofs();
        self
    }

    /// The keys of our side and the peer's.
    pub(crate) fn sides(&self) -> (&SideKeys, &SideKeys) {
        if self.initiator {
            (&self.keys.initiator, &self.keys.responder)
        } else {
            (&self.keys.responder, &self.keys.initiator)
        }
    }

    /// The keys of the IKE SA that replaces this one (§2.18). `None` if the suite cannot protect anything.
    pub(crate) fn rekeyed(
        &self,
        suite: IkeSuite,
        said: &Said<'_>,
        secrets: &[Secret],
        initiator: bool,
    ) -> Option<Self> {
        let keys = self.keys.rekey(suite.keys(), said, secrets);
        let successor = Self::ready(keys, said, initiator)?;
        Some(successor.with_fragments(self.longest))
    }

    /// The keys after one more key exchange before IKE_AUTH: SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr)
    /// (RFC 9370 §2.2.2). `None` as for [`Channel::new`].
    pub(crate) fn updated(&mut self, suite: IkeSuite, said: &Said<'_>, shared: &Secret) -> Option<Self> {
        let mut updated = self.rekeyed(suite, said, std::slice::from_ref(shared), self.initiator)?;
        updated.int_auth = self.int_auth.take();
        Some(updated)
    }

    /// Mixes a post-quantum preshared key into the keys, once and for good (RFC 8784 §3).
    pub(crate) fn mix(&mut self, ppk: &Secret) {
        self.keys.mix(ppk);
    }

    /// IntAuth, which both sides prove; empty without IKE_INTERMEDIATE exchanges (RFC 9242 §3.3.2).
    pub(crate) fn int_auth(&self) -> Vec<u8> {
        self.int_auth
            .as_ref()
            .map(|chain| chain.octets())
            .unwrap_or_default()
    }

    /// The keys of a child, from the nonces of IKE_SA_INIT or of the exchange that makes it and from that exchange's
    /// own secrets, if it has any (§2.17, RFC 9370 §2.2.4).
    pub(crate) fn child_keys(
        &self,
        suite: EspSuite,
        nonces: (&[u8], &[u8]),
        secrets: &[Secret],
    ) -> ChildKeys {
        self.keys
            .child((suite.encryption, suite.integrity), nonces, secrets)
    }

    /// A protected request.
    pub(crate) fn request(
        &mut self,
        exchange: u8,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        self.seal(exchange, 0, id, (payloads, random))
    }

    /// A protected answer.
    pub(crate) fn answer(
        &mut self,
        exchange: u8,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        self.seal(exchange, Header::RESPONSE, id, (payloads, random))
    }

    /// Opens a message that came under this SA's SPIs; of one in fragments, the last that was lacking opens it.
    pub(crate) fn open(&mut self, bytes: &[u8]) -> Result<Vec<Payload>, Unopened> {
        let opened = self.inside(bytes)?;
        chain::decode(opened.first, &opened.payloads).map_err(|_| Unopened::Invalid)
    }

    /// Whether the peer did send this request again. Only the first fragment of a repeated request asks for its
    /// answer (RFC 7383 §2.6.1).
    pub(crate) fn repeats(&self, bytes: &[u8]) -> Result<(), Unopened> {
        if !is_fragment(bytes) {
            return match self.incoming.open_message(bytes) {
                Ok(_) | Err(OpenError::Padding) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        match fragments::number(&self.incoming, bytes)? {
            1 => Ok(()),
            _ => Err(Unopened::Part),
        }
    }

    /// Gives up messages that are not whole.
    pub(crate) fn forget_fragments(&mut self) {
        self.assemblies.clear();
    }

    fn inside(&mut self, bytes: &[u8]) -> Result<Opened, Unopened> {
        let opened = if self.longest.is_some() && is_fragment(bytes) {
            self.assemblies.take(&self.incoming, bytes)?
        } else {
            self.incoming.open_message(bytes)?
        };
        if let Ok(header) = Header::decode(bytes) {
            self.witness(&header, opened.first, &opened.payloads);
        }
        Ok(opened)
    }

    /// What IKE_INTERMEDIATE messages say becomes part of the proofs.
    fn witness(&mut self, header: &Header, first: u8, inside: &[u8]) {
        if header.exchange_type == exchange::IKE_INTERMEDIATE {
            let keys = if header.is_initiator() {
                &self.keys.initiator
            } else {
                &self.keys.responder
            };
            let chain = self.int_auth.get_or_insert_default();
            chain.add(keys, header, (first, inside));
        }
    }

    /// Sealing fails only for messages beyond 64 KiB or after 2⁶⁴ of them; what is then not sent is as good as
    /// lost, so that the SA ends by its timers. Fragments stand one behind another.
    fn seal(&mut self, exchange: u8, flags: u8, id: u32, body: (&[Payload], &mut dyn Random)) -> Vec<u8> {
        let (payloads, random) = body;
        let flags = flags | if self.initiator { Header::INITIATOR } else { 0 };
        let (initiator_spi, responder_spi) = self.spis;
        let header = Header::new(initiator_spi, responder_spi, exchange, flags, id);
        let (first, inside) = chain::encode(payloads);
        self.witness(&header, first, &inside);
        let sealed = match self.longest {
            Some(longest) if self.outgoing.message_octets(inside.len()) > longest => {
                self.seal_fragments(header, (first, &inside), longest, random)
            }
            _ => self.seal_whole(header, (first, &inside), random),
        };
        sealed.unwrap_or_default()
    }

    fn seal_whole(
        &mut self,
        header: Header,
        (first, inside): (u8, &[u8]),
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, ProtectionError> {
        let mut octets = Vec::with_capacity(Header::LENGTH);
        header.encode(&mut octets);
        let header = octets.first_chunk().ok_or(ProtectionError::TooLong)?;
        self.outgoing.seal_message(header, first, inside, random)
    }

    /// The payloads in SKF, each with as much as fits (RFC 7383 §2.5).
    fn seal_fragments(
        &mut self,
        header: Header,
        (first, inside): (u8, &[u8]),
        longest: usize,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, ProtectionError> {
        let room = longest.saturating_sub(FRAGMENT_HEADERS);
        let room = self
            .outgoing
            .plaintext_octets(room)
            .ok_or(ProtectionError::TooLong)?;
        let parts = inside.chunks(room);
        let total = u16::try_from(parts.len()).map_err(|_| ProtectionError::TooLong)?;
        let mut sealed = Vec::new();
        for (number, part) in (1..=total).zip(parts) {
            let body = self.outgoing.sealed_octets(part.len());
            let length = u32::try_from(FRAGMENT_HEADERS + body).map_err(|_| ProtectionError::TooLong)?;
            let next_payload = payload::SKF;
            let header = Header {
                next_payload,
                length,
                ..header
            };
            let first = if number == 1 { first } else { payload::NONE };
            let mut message = Vec::with_capacity(FRAGMENT_HEADERS + body);
            header.encode(&mut message);
            FragmentPayload::encode_headers((first, number, total), body, &mut message);
            sealed.extend(self.outgoing.seal(message, part, random)?);
        }
        Ok(sealed)
    }
}

/// Octets before the IV of a fragment.
const FRAGMENT_HEADERS: usize = Header::LENGTH + 8;

fn is_fragment(bytes: &[u8]) -> bool {
    bytes.get(16) == Some(&payload::SKF)
}
