//! Messages as bytes (RFC 2131 §2).

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::options::{Options, code};

/// Length before the options: the fixed fields and the magic cookie.
const FIXED: usize = 240;
const SNAME: usize = 44;
const FILE: usize = 108;
const COOKIE: usize = 236;
/// What options begin with (RFC 2131 §3).
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const ETHERNET: u8 = 1;
const BROADCAST: u16 = 0x8000;
/// The shortest message that relays and servers take (RFC 1542 §2.1).
const SHORTEST: usize = 300;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A client.
    Request,
    /// A server.
    Reply,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `op`.
    pub operation: Operation,
    /// `xid`, which an answer repeats.
    pub transaction: u32,
    /// `secs` since the client began.
    pub seconds: u16,
    /// Whether the answer has to be a broadcast.
    pub broadcast: bool,
    /// `ciaddr`, the address that the client has.
    pub client: Ipv4Addr,
    /// `yiaddr`, the address that it gets.
    pub yours: Ipv4Addr,
    /// `chaddr`, the client's Ethernet address.
    pub hardware: [u8; 6],
    /// The rest.
    pub options: Options,
}

/// Bytes that are no message for an Ethernet client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("truncated {what}")]
    Truncated {
        /// Which part.
        what: &'static str,
    },
    /// No magic cookie: BOOTP.
    #[error("no DHCP message")]
    NoCookie,
    /// For other hardware than Ethernet.
    #[error("not for Ethernet")]
    NotEthernet,
    /// Neither request nor reply.
    #[error("unknown operation")]
    Operation,
}

impl Message {
    /// Reads the payload of a datagram.
    ///
    /// # Errors
    /// What makes it no message.
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        let truncated = |what| DecodeError::Truncated { what };
        let (fixed, field) = bytes.split_at_checked(FIXED).ok_or(truncated("message"))?;
        let part = |start: usize, length: usize| {
            let part = fixed.get(start..).and_then(|rest| rest.get(..length));
            part.ok_or(truncated("message"))
        };
        let four = |start| part(start, 4)?.try_into().map_err(|_| truncated("message"));
        let two = |start| part(start, 2)?.try_into().map_err(|_| truncated("message"));
        let (operation, hardware) = match part(0, 3)? {
            [1, ETHERNET, 6] => (Operation::Request, part(28, 6)?),
            [2, ETHERNET, 6] => (Operation::Reply, part(28, 6)?),
            [1 | 2, _, _] => return Err(DecodeError::NotEthernet),
            _ => return Err(DecodeError::Operation),
        };
        if four(COOKIE)? != MAGIC {
            return Err(DecodeError::NoCookie);
        }
        let mut options = Options::default();
        let mut whole = options.read(field);
        // RFC 2131 §4.1: the options themselves first, then `file`, then `sname`.
        let overload = options
            .get(code::OVERLOAD)
            .and_then(|value| value.first())
            .copied();
        if matches!(overload, Some(1 | 3)) {
            whole &= options.read(part(FILE, 128)?);
        }
        if matches!(overload, Some(2 | 3)) {
            whole &= options.read(part(SNAME, 64)?);
        }
        if !whole {
            return Err(truncated("option"));
        }
        let seconds: [u8; 2] = two(8)?;
        let flags: [u8; 2] = two(10)?;
        let address = |start| four(start).map(|octets: [u8; 4]| Ipv4Addr::from(octets));
        Ok(Message {
            operation,
            transaction: u32::from_be_bytes(four(4)?),
            seconds: u16::from_be_bytes(seconds),
            broadcast: u16::from_be_bytes(flags) & BROADCAST != 0,
            client: address(12)?,
            yours: address(16)?,
            hardware: hardware.try_into().map_err(|_| truncated("message"))?,
            options,
        })
    }

    /// The payload of a datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SHORTEST);
        bytes.extend_from_slice(&match self.operation {
            Operation::Request => [1, ETHERNET, 6, 0],
            Operation::Reply => [2, ETHERNET, 6, 0],
        });
        bytes.extend_from_slice(&self.transaction.to_be_bytes());
        bytes.extend_from_slice(&self.seconds.to_be_bytes());
        bytes.extend_from_slice(&if self.broadcast { BROADCAST } else { 0 }.to_be_bytes());
        bytes.extend_from_slice(&self.client.octets());
        bytes.extend_from_slice(&self.yours.octets());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.hardware);
        bytes.resize(COOKIE, 0);
        bytes.extend_from_slice(&MAGIC);
        self.options.write(&mut bytes);
        if bytes.len() < SHORTEST {
            bytes.resize(SHORTEST, 0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::options::Kind;

    fn message() -> impl Strategy<Value = Message> {
        let options = proptest::collection::btree_map(
            (1u8..255).prop_filter("overload changes what is read", |code| *code != code::OVERLOAD),
            proptest::collection::vec(any::<u8>(), 0..600),
            0..6,
        );
        let fields = (any::<bool>(), any::<u32>(), any::<u16>(), any::<bool>());
        (fields, any::<[[u8; 4]; 2]>(), any::<[u8; 6]>(), options).prop_map(
            |((reply, transaction, seconds, broadcast), [client, yours], hardware, options)| Message {
                operation: if reply {
                    Operation::Reply
                } else {
                    Operation::Request
                },
                transaction,
                seconds,
                broadcast,
                client: client.into(),
                yours: yours.into(),
                hardware,
                options: options
                    .iter()
                    .fold(Options::default(), |all, (code, value)| all.with(*code, value)),
            },
        )
    }

    proptest! {
        /// What is written is what is read, long options too.
        #[test]
        fn messages_are_read_back(message in message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        /// Whatever the bytes, they are read or refused.
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700), cut in 0usize..700) {
            let _ = Message::decode(&bytes);
            let mut reply = vec![2, 1, 6];
            reply.resize(COOKIE, 0);
            reply.extend(MAGIC);
            reply.extend(bytes.iter().take(cut));
            let _ = Message::decode(&reply);
        }
    }

    /// Options may go on in `file` and `sname` (RFC 2131 §4.1), in that order.
    #[test]
    fn options_overload_other_fields() {
        let mut reply = vec![2, 1, 6];
        reply.resize(COOKIE, 0);
        reply.extend(MAGIC);
        reply.extend([52, 1, 3, 53, 1, 5, 6, 2, 192, 0, 255]);
        reply[FILE..FILE + 5].copy_from_slice(&[6, 2, 2, 1, 255]);
        reply[SNAME..SNAME + 7].copy_from_slice(&[54, 4, 192, 0, 2, 9, 255]);
        let message = Message::decode(&reply).unwrap();
        assert_eq!(message.options.kind(), Some(Kind::Ack));
        assert_eq!(
            message.options.address(code::SERVER_IDENTIFIER),
            Some([192, 0, 2, 9].into())
        );
        let servers: Vec<_> = message.options.addresses(code::DOMAIN_NAME_SERVER).collect();
        assert_eq!(servers, [Ipv4Addr::from([192, 0, 2, 1])]);
    }

    /// Each part that is missing is told.
    #[test]
    fn what_is_no_message_is_refused() {
        let good = Message {
            operation: Operation::Reply,
            transaction: 7,
            seconds: 0,
            broadcast: false,
            client: Ipv4Addr::UNSPECIFIED,
            yours: [192, 0, 2, 1].into(),
            hardware: [2, 0, 0, 0, 0, 1],
            options: Options::default().of_kind(Kind::Offer),
        };
        let encoded = good.encode();
        assert!(encoded.len() >= SHORTEST);
        let changed = |place: usize, octet: u8| {
            let mut bytes = encoded.clone();
            bytes[place] = octet;
            Message::decode(&bytes).unwrap_err()
        };
        assert_eq!(changed(0, 3), DecodeError::Operation);
        assert_eq!(changed(1, 6), DecodeError::NotEthernet);
        assert_eq!(changed(COOKIE, 0), DecodeError::NoCookie);
        assert_eq!(
            Message::decode(&encoded[..FIXED + 2]),
            Err(DecodeError::Truncated { what: "option" })
        );
        assert_eq!(
            Message::decode(&encoded[..20]),
            Err(DecodeError::Truncated { what: "message" })
        );
    }
}
