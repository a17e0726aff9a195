//! Encrypted messages: sealed, and opened so that nothing is believed yet (RFC 2409 appendix B).

use super::keys::Keys;
use crate::wire::Header;
use crate::wire::v1::{Message, Payload, chain};

/// What an encrypted message says. Whether it is genuine its hash tells.
pub(crate) struct Opened {
    pub(crate) payloads: Vec<Payload>,
    /// The payloads as they stand in the message, without padding.
    text: Vec<u8>,
    /// The type of the first of them.
    first: u8,
    /// The IV of what follows in the same exchange.
    pub(crate) next_iv: Vec<u8>,
}

impl Opened {
    /// Decrypts a message; `None` if what comes out is no chain of payloads.
    pub(crate) fn of(keys: &Keys, (header, bytes): (&Header, &[u8]), iv: &[u8]) -> Option<Self> {
        if !Message::is_encrypted(header) {
            return None;
        }
        let ciphertext = bytes.get(Header::LENGTH..)?;
        let mut text = keys.cipher().ok()?.decrypt(iv, ciphertext)?;
        let (payloads, octets) = chain::decode(header.next_payload, &text).ok()?;
        text.truncate(octets);
        Some(Self {
            payloads,
            text,
            first: header.next_payload,
            next_iv: last_block(ciphertext, iv),
        })
    }

    /// What a hash covers that is the first payload, and that hash.
    pub(crate) fn hashed(&self) -> Option<(&[u8], &[u8])> {
        let (Some(Payload::Hash(hash)), Ok(raw)) =
            (self.payloads.first(), chain::walk(self.first, &self.text))
        else {
            return None;
        };
        Some((hash, self.text.get(raw.first()?.end..)?))
    }

    /// The body of the first payload of this type, as it came.
    pub(crate) fn body(&self, kind: u8) -> Option<Vec<u8>> {
        body(self.first, &self.text, kind)
    }
}

/// The body of the first payload of this type in a chain, as it stands there.
pub(crate) fn body(first: u8, bytes: &[u8], kind: u8) -> Option<Vec<u8>> {
    let raw = chain::walk(first, bytes).ok()?;
    let found = raw.into_iter().find(|raw| raw.kind == kind);
    found.map(|raw| raw.body.to_vec())
}

/// A message that holds `text`, whose first payload is of type `first`, and the IV of what follows; one that could not be
/// sealed is as good as lost.
pub(crate) fn seal(
    keys: &Keys,
    header: Header,
    (first, text): (u8, Vec<u8>),
    iv: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let sealed = keys.cipher().and_then(|cipher| cipher.encrypt(iv, text));
    let ciphertext = sealed.unwrap_or_default();
    let mut message = Vec::with_capacity(Header::LENGTH + ciphertext.len());
    Header {
        next_payload: first,
        flags: header.flags | Message::ENCRYPTED,
        length: u32::try_from(Header::LENGTH + ciphertext.len()).unwrap_or(u32::MAX),
        ..header
    }
    .encode(&mut message);
    let next = last_block(&ciphertext, iv);
    message.extend(ciphertext);
    (message, next)
}

/// The same with a hash before the payloads, made of what covers them.
pub(crate) fn seal_hashed(
    keys: &Keys,
    header: Header,
    payloads: &[Payload],
    hash: impl Fn(&[u8]) -> Vec<u8>,
    iv: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let (second, behind) = chain::encode(payloads);
    let (first, mut text) = chain::encode(&[Payload::Hash(hash(&behind))]);
    if let Some(next) = text.first_mut() {
        *next = second;
    }
    text.extend(behind);
    seal(keys, header, (first, text), iv)
}

fn last_block(ciphertext: &[u8], iv: &[u8]) -> Vec<u8> {
    let start = ciphertext.len().saturating_sub(iv.len());
    ciphertext.get(start..).unwrap_or_default().to_vec()
}
