use std::net::{Ipv4Addr, SocketAddr};

use ike::crypto::{Encryption, Group, KeyExchange, Prf, Protection, Secret};
use ike::v2::keys::{IkeKeys, Proven, Said, Suite};
use ike::wire::registry::{exchange, protocol};
use ike::wire::{
    AuthPayload, Header, IdentificationPayload, KeyExchangePayload, Message, NoncePayload, Payload, Proposal,
    SecurityAssociationPayload, SelectorsPayload, Transform, chain,
};
use ike::{Input, TrafficSelector};

use crate::random::Sequence;

/// The SPI of the peer's IKE SA.
const SPI: u64 = 0x1111_2222_3333_4444;
const NONCE: [u8; 32] = [5; 32];
const SECRET: &[u8] = b"fuzz";
const SUITE: Suite = Suite {
    encryption: Encryption::AesGcm16(128),
    integrity: None,
    prf: Prf::HmacSha2_256,
};

/// An initiator made by hand, with an established IKE SA.
pub(super) struct Peer {
    spis: (u64, u64),
    ours: Protection,
    theirs: Protection,
    random: Sequence,
}

impl Peer {
    /// Authenticates to an engine that expects it. `tell` returns what it sends.
    pub(super) fn authenticated(
        (address, to): (SocketAddr, SocketAddr),
        mut tell: impl FnMut(Input) -> Vec<Vec<u8>>,
    ) -> Option<Self> {
        let mut random = Sequence(99);
        let ours = KeyExchange::start(Group::X25519, &mut random).ok()?;
        let header = Header::new(SPI, 0, exchange::IKE_SA_INIT, Header::INITIATOR, 0);
        let payloads = vec![
            Payload::SecurityAssociation(offer(protocol::IKE, Vec::new())),
            public(ours.public()),
            Payload::Nonce(NoncePayload { data: NONCE.to_vec() }),
        ];
        let request = Message { header, payloads }.encode();
        let arrives = |bytes| Input::Datagram {
            local: to,
            remote: address,
            bytes,
        };
        let answer = tell(arrives(request.clone())).into_iter().find_map(|bytes| {
            let message = Message::decode(&bytes).ok()?;
            (message.header.initiator_spi == SPI).then_some(message)
        })?;
        let (mut theirs, mut nonce) = (Vec::new(), Vec::new());
        for payload in answer.payloads {
            match payload {
                Payload::KeyExchange(found) => theirs = found.data,
                Payload::Nonce(found) => nonce = found.data,
                _other => {}
            }
        }
        let said = Said {
            initiator_nonce: &NONCE,
            responder_nonce: &nonce,
            initiator_spi: SPI,
            responder_spi: answer.header.responder_spi,
        };
        let mut keys = IkeKeys::derive(SUITE, &said, &ours.finish(&theirs).ok()?);
        let (identity, proof) = proof(&keys, address, (&request, &nonce));
        let mut peer = Self {
            spis: (SPI, answer.header.responder_spi),
            ours: keys.initiator.protection().ok()?,
            theirs: keys.responder.protection().ok()?,
            random,
        };
        let [initiator, responder] = selectors(0);
        let payloads = [
            Payload::IdentificationInitiator(identity),
            proof,
            Payload::SecurityAssociation(offer(protocol::ESP, vec![9, 9, 9, 9])),
            initiator,
            responder,
        ];
        let request = peer.seal((exchange::IKE_AUTH, 1, Header::INITIATOR), &payloads);
        tell(arrives(request));
        Some(peer)
    }

    /// A message of ours with these payloads: exchange, message id and flags.
    pub(super) fn seal(&mut self, head: (u8, u32, u8), payloads: &[Payload]) -> Vec<u8> {
        let (first, inside) = chain::encode(payloads);
        self.seal_octets(head, first, &inside)
    }

    /// A message of ours with any octets inside.
    pub(super) fn seal_octets(
        &mut self,
        (exchange, id, flags): (u8, u32, u8),
        first: u8,
        inside: &[u8],
    ) -> Vec<u8> {
        let mut header = Vec::new();
        Header::new(self.spis.0, self.spis.1, exchange, flags, id).encode(&mut header);
        let header = header.first_chunk();
        let sealed = header.map(|header| self.ours.seal_message(header, first, inside, &mut self.random));
        sealed.and_then(Result::ok).unwrap_or_default()
    }

    /// The header of what the engine sent to us, if it is about our IKE SA and in one piece.
    pub(super) fn open(&self, bytes: &[u8]) -> Option<Header> {
        let header = Header::decode(bytes).ok()?;
        if (header.initiator_spi, header.responder_spi) != self.spis {
            return None;
        }
        let opened = self.theirs.open_message(bytes).ok()?;
        let payloads = chain::decode(opened.first, &opened.payloads);
        assert!(payloads.is_ok(), "the engine seals what cannot be read");
        Some(header)
    }
}

/// IDi and AUTH.
fn proof(
    keys: &IkeKeys,
    address: SocketAddr,
    (request, nonce): (&[u8], &[u8]),
) -> (IdentificationPayload, Payload) {
    let data = match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(address) => address.ip().octets().to_vec(),
    };
    let identity = IdentificationPayload {
        kind: 1,
        reserved: [0; 3],
        data,
    };
    let mut body = Vec::new();
    identity.encode(&mut body);
    let proven = Proven {
        message: request,
        peer_nonce: nonce,
        identity: &body,
        intermediate: &[],
    };
    let secret: Secret = SECRET.to_vec().into();
    let data = keys.initiator.shared_key_proof(&secret, &proven);
    let proof = AuthPayload { method: 2, data };
    (identity, Payload::Authentication(proof))
}

/// The only proposal that the engine takes, for an IKE SA or a Child SA.
pub(super) fn offer(protocol: u8, spi: Vec<u8>) -> SecurityAssociationPayload {
    let transform = |kind, id, key_length| Transform {
        kind,
        id,
        key_length,
        unknown_attribute: false,
    };
    let mut transforms = vec![transform(1, 20, Some(128))];
    if protocol == protocol::IKE {
        transforms.extend([transform(2, 5, None), transform(4, 31, None)]);
    } else {
        transforms.push(transform(5, 1, None));
    }
    let proposal = Proposal {
        number: 1,
        protocol,
        spi,
        transforms,
    };
    SecurityAssociationPayload {
        proposals: vec![proposal],
    }
}

pub(super) fn public(octets: &[u8]) -> Payload {
    Payload::KeyExchange(KeyExchangePayload {
        group: Group::X25519.id(),
        data: octets.to_vec(),
    })
}

/// TSi and TSr of one of the lines, as the initiator sees them.
pub(super) fn selectors(line: u8) -> [Payload; 2] {
    let network = |site: u8| {
        let network = format!("{}/24", Ipv4Addr::new(10, site, line, 0));
        let selectors = network.parse().map(TrafficSelector::network);
        SelectorsPayload {
            selectors: selectors.into_iter().collect(),
            unknown: 0,
        }
    };
    [
        Payload::SelectorsInitiator(network(1)),
        Payload::SelectorsResponder(network(2)),
    ]
}
