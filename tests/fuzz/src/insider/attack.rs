use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use ike::wire::registry::{exchange, notify, protocol};
use ike::wire::{DeletePayload, Header, NoncePayload, NotifyPayload, Payload, UnknownPayload};
use ike::{ChildId, Input, Mode, Spent};

use super::peer::{Peer, offer, public, selectors};
use crate::pair::{Datagram, End, name};
use crate::script::Script;

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ENGINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const MOST_EVENTS: usize = 64;
const MOST_PAYLOADS: u8 = 8;

/// An engine against a peer with the keys that keeps no rule; see [`super`].
pub fn insider(script: &[u8]) {
    Attack::new().play(&mut Script::new(script));
}

struct Attack {
    now: Instant,
    end: End,
    peer: Peer,
    /// The id of our next request.
    next: u32,
    /// What the engine asked last: exchange and message id.
    asked: Option<(u8, u32)>,
    /// What we sent last.
    last: Vec<u8>,
    /// The SPI of ours in the next proposal for a Child SA.
    spi: u32,
}

impl Attack {
    /// Both are established, with a Child SA.
    fn new() -> Self {
        let (now, mut end) = (Instant::now(), End::new(ENGINE, PEER).with_an_insider());
        let connections = end.settings.connections.values_mut();
        connections.for_each(|connection| connection.mode = Mode::ResponderOnly);
        let settings = end.settings.clone();
        end.tell(Input::Settings(Box::new(settings)), now);
        let sent = |datagrams: Vec<Datagram>| datagrams.into_iter().map(|datagram| datagram.bytes).collect();
        let between = (port(PEER), port(ENGINE));
        let peer = Peer::authenticated(between, |input| sent(end.tell(input, now)));
        let Some(peer) = peer else {
            panic!("the peer is not let in although it keeps the rules so far")
        };
        assert_eq!(end.children.len(), 1, "the first line came up");
        Self {
            now,
            end,
            peer,
            next: 2,
            asked: None,
            last: Vec::new(),
            spi: 0x0a0a_0000,
        }
    }

    fn play(&mut self, script: &mut Script<'_>) {
        for _ in 0..MOST_EVENTS {
            let Some(event) = script.octet() else { return };
            match event & 7 {
                0 | 1 => self.request(event, script),
                2 => self.answer(event, script),
                3 => self.octets(script),
                4 => self.tick(),
                5 => self.wish(event >> 3),
                6 => self.again(),
                _ => self.datapath(event >> 3),
            }
        }
    }

    /// Asks for something under the id that the engine expects, or another.
    fn request(&mut self, event: u8, script: &mut Script<'_>) {
        let exchange = match event >> 3 & 3 {
            0 => exchange::INFORMATIONAL,
            1 | 2 => exchange::CREATE_CHILD_SA,
            _ => exchange::IKE_AUTH,
        };
        let id = if event & 128 == 0 {
            self.next
        } else {
            self.next.wrapping_sub(2)
        };
        self.next = self.next.max(id.wrapping_add(1));
        let payloads = self.payloads(script);
        let bytes = self.peer.seal((exchange, id, Header::INITIATOR), &payloads);
        self.deliver(bytes);
    }

    /// Answers what the engine asked last.
    fn answer(&mut self, event: u8, script: &mut Script<'_>) {
        let Some((exchange, id)) = self.asked else { return };
        if event & 128 == 0 {
            self.asked = None;
        }
        let payloads = self.payloads(script);
        let flags = Header::INITIATOR | Header::RESPONSE;
        let bytes = self.peer.seal((exchange, id, flags), &payloads);
        self.deliver(bytes);
    }

    /// Any octets under good keys.
    fn octets(&mut self, script: &mut Script<'_>) {
        let (exchange, first) = (script.octet().unwrap_or(37), script.octet().unwrap_or(0));
        let length = script.octet().unwrap_or(0);
        let inside = script.octets(length.into());
        let bytes = self
            .peer
            .seal_octets((exchange, self.next, Header::INITIATOR), first, inside);
        self.next += 1;
        self.deliver(bytes);
    }

    fn tick(&mut self) {
        if let Some(deadline) = self.end.engine.deadline() {
            self.now = self.now.max(deadline.at);
            let sent = self.end.tick(self.now);
            self.hear(sent);
        }
    }

    /// Somebody on the engine's side wants something.
    fn wish(&mut self, which: u8) {
        let child = self.end.children.keys().next().copied();
        let input = match (which & 7, child) {
            (0, _) => Input::RekeyChild(name()),
            (1, _) => Input::RekeyIke(name()),
            (2, _) => Input::Connect(name()),
            (3, _) => Input::Wanted(name(), 2),
            (4, Some(child)) => Input::ChildSpent(child, Spent::Soft),
            (5, Some(child)) => Input::ChildSpent(child, Spent::Hard),
            (6, _) => Input::Reauthenticate(name()),
            _ => return,
        };
        let sent = self.end.tell(input, self.now);
        self.hear(sent);
    }

    fn again(&mut self) {
        let bytes = self.last.clone();
        self.deliver(bytes);
    }

    /// The datapath of the engine begins or stops to hesitate, or loses a child.
    fn datapath(&mut self, which: u8) {
        let lost: Option<ChildId> = self.end.children.keys().next_back().copied();
        let sent = match (which & 3, lost) {
            (0, _) => self.end.hesitate(0, self.now),
            (1, _) => self.end.hesitate(1, self.now),
            (2, _) => self.end.hesitate(2, self.now),
            (_, Some(child)) => self.end.lose(child, self.now),
            (_, None) => return,
        };
        self.hear(sent);
    }

    fn deliver(&mut self, bytes: Vec<u8>) {
        self.last.clone_from(&bytes);
        let (local, remote) = (port(ENGINE), port(PEER));
        let input = Input::Datagram { local, remote, bytes };
        let sent = self.end.tell(input, self.now);
        self.hear(sent);
    }

    fn hear(&mut self, sent: Vec<Datagram>) {
        for Datagram { bytes, .. } in sent {
            if let Some(heard) = self.peer.open(&bytes)
                && !heard.is_response()
            {
                self.asked = Some((heard.exchange_type, heard.message_id));
            }
        }
    }

    fn payloads(&mut self, script: &mut Script<'_>) -> Vec<Payload> {
        let count = script.octet().unwrap_or(0) % (MOST_PAYLOADS + 1);
        let mut payloads = Vec::new();
        for _ in 0..count {
            let Some(choice) = script.octet() else { break };
            self.payload(choice, script, &mut payloads);
        }
        payloads
    }

    fn payload(&mut self, choice: u8, script: &mut Script<'_>, payloads: &mut Vec<Payload>) {
        let more = choice >> 4;
        match choice & 15 {
            0 | 1 => payloads.push(self.rekeys(more)),
            2 | 3 => {
                self.spi += 1;
                let spi = self.spi.to_be_bytes().to_vec();
                payloads.push(Payload::SecurityAssociation(offer(protocol::ESP, spi)));
            }
            4 => payloads.push(Payload::SecurityAssociation(offer(protocol::IKE, vec![more; 8]))),
            5 | 6 => {
                let data = vec![script.octet().unwrap_or(0); 16 + usize::from(more)];
                payloads.push(Payload::Nonce(NoncePayload { data }));
            }
            7 => payloads.push(public(&[9; 32])),
            8 | 9 => payloads.extend(selectors(more & 3)),
            10 => payloads.push(self.deletes(protocol::ESP, more)),
            11 => payloads.push(self.deletes(protocol::IKE, more)),
            12 | 13 => {
                let kind = u16::try_from(script.word()).unwrap_or(notify::INITIAL_CONTACT);
                let data = vec![script.octet().unwrap_or(0); more.into()];
                payloads.push(Payload::Notify(NotifyPayload::new(kind, data)));
            }
            14 => payloads.push(Payload::Unknown(UnknownPayload {
                kind: 200,
                critical: more & 1 == 1,
                data: vec![more],
            })),
            _ => payloads.extend(self.last_line(more)),
        }
    }

    /// One of our SPIs: of a child that the engine has, or of none.
    fn child_spi(&self, which: u8) -> u32 {
        let mut children = self.end.children.values();
        let child = children.nth(which.into());
        child.map_or(0x0bad_0000, |pair| pair.outbound.spi)
    }

    fn rekeys(&self, which: u8) -> Payload {
        Payload::Notify(NotifyPayload {
            protocol: protocol::ESP,
            spi: self.child_spi(which).to_be_bytes().to_vec(),
            ..NotifyPayload::new(notify::REKEY_SA, Vec::new())
        })
    }

    fn deletes(&self, protocol: u8, which: u8) -> Payload {
        let spis = if protocol == protocol::ESP {
            vec![self.child_spi(which), self.child_spi(which + 1)]
        } else {
            Vec::new()
        };
        Payload::Delete(DeletePayload { protocol, spis })
    }

    /// All that a Child SA takes, at once.
    fn last_line(&mut self, line: u8) -> Vec<Payload> {
        self.spi += 1;
        let spi = self.spi.to_be_bytes().to_vec();
        let mut payloads = vec![
            Payload::SecurityAssociation(offer(protocol::ESP, spi)),
            Payload::Nonce(NoncePayload {
                data: self.spi.to_be_bytes().repeat(8),
            }),
        ];
        payloads.extend(selectors(line & 3));
        payloads
    }
}

fn port(address: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(address.into(), 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the peer says in the bytes' words is heard: it replaces a child, makes another one and deletes it.
    #[test]
    fn the_peer_is_understood() {
        let mut attack = Attack::new();
        let first = attack.child_spi(0);
        // CREATE_CHILD_SA with two payloads: REKEY_SA of the first child, and a whole child of its line.
        attack.play(&mut Script::new(&[8, 2, 0, 15]));
        assert_ne!(attack.child_spi(1), first);
        assert_eq!(attack.end.children.len(), 2, "until the old one is deleted");
        attack.play(&mut Script::new(&[0, 1, 10]));
        attack.play(&mut Script::new(&[8, 1, 15 | 1 << 4]));
        assert!(attack.end.children.len() >= 2, "another line has a child");
    }
}
