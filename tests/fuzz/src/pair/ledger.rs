use std::collections::{BTreeMap, BTreeSet};

use ike::wire::registry::{exchange, payload};
use ike::wire::{Header, Message, Payload};
use ike::{EspPair, EspSa};
use secrecy::ExposeSecret;

/// Octets of an explicit IV.
const IV: usize = 8;
/// A generic payload header, and the fragment fields of SKF (RFC 7383 §2.5).
const GENERIC: usize = 4;
const FRAGMENT: usize = 4;

/// A message with this IV under the keys of this IKE SA and this side.
type Sealed = (u64, u64, bool, Vec<u8>);

/// All that one end must never use twice.
#[derive(Default)]
pub(super) struct Ledger {
    /// Whether it sends with it, and the key.
    keys: BTreeSet<(bool, Vec<u8>)>,
    /// To which SPI a nonce of IKE_SA_INIT belongs.
    nonces: BTreeMap<Vec<u8>, u64>,
    sealed: BTreeMap<Sealed, Vec<u8>>,
}

impl Ledger {
    /// It installs a Child SA: its keys are new.
    pub(super) fn child(&mut self, pair: &EspPair) {
        for (sends, sa) in [(false, &pair.inbound), (true, &pair.outbound)] {
            assert!(
                self.keys.insert((sends, key(sa))),
                "a Child SA has the key of another"
            );
        }
        assert_ne!(
            key(&pair.inbound),
            key(&pair.outbound),
            "both directions have one key"
        );
    }

    /// It sends a message: its nonce and its IV are new, or it is sent once more.
    pub(super) fn message(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::decode(bytes) else {
            panic!("we send what we would not read")
        };
        let header = message.header;
        if header.exchange_type == exchange::IKE_SA_INIT {
            let spi = if header.is_response() {
                header.responder_spi
            } else {
                header.initiator_spi
            };
            for payload in message.payloads {
                if let Payload::Nonce(nonce) = payload {
                    let known = self.nonces.insert(nonce.data, spi);
                    assert!(
                        known.is_none_or(|known| known == spi),
                        "two IKE SAs have one nonce"
                    );
                }
            }
        }
        let start = match header.next_payload {
            payload::SK => Header::LENGTH + GENERIC,
            payload::SKF => Header::LENGTH + GENERIC + FRAGMENT,
            _ => return,
        };
        let iv = bytes.get(start..start + IV).unwrap_or_default().to_vec();
        let under = (
            header.initiator_spi,
            header.responder_spi,
            header.is_initiator(),
            iv,
        );
        let known = self.sealed.insert(under, bytes.to_vec());
        assert!(
            known.is_none_or(|known| known == bytes),
            "an IV was used for two messages"
        );
    }
}

fn key(sa: &EspSa) -> Vec<u8> {
    sa.keys.encryption_key.expose_secret().to_vec()
}
