//! The options of a message (RFC 2132), by code.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Codes of the options that a client uses (RFC 2132).
pub mod code {
    /// §3.3.
    pub const SUBNET_MASK: u8 = 1;
    /// §3.5.
    pub const ROUTER: u8 = 3;
    /// §3.8.
    pub const DOMAIN_NAME_SERVER: u8 = 6;
    /// §3.14.
    pub const HOST_NAME: u8 = 12;
    /// §5.1.
    pub const INTERFACE_MTU: u8 = 26;
    /// §8.3.
    pub const NTP_SERVERS: u8 = 42;
    /// §9.1.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// §9.2.
    pub const LEASE_TIME: u8 = 51;
    /// §9.3.
    pub const OVERLOAD: u8 = 52;
    /// §9.6.
    pub const MESSAGE_TYPE: u8 = 53;
    /// §9.7.
    pub const SERVER_IDENTIFIER: u8 = 54;
    /// §9.8.
    pub const PARAMETER_REQUEST_LIST: u8 = 55;
    /// §9.9.
    pub const MESSAGE: u8 = 56;
    /// §9.10.
    pub const MAXIMUM_MESSAGE_SIZE: u8 = 57;
    /// §9.11.
    pub const RENEWAL_TIME: u8 = 58;
    /// §9.12.
    pub const REBINDING_TIME: u8 = 59;
    /// §9.14.
    pub const CLIENT_IDENTIFIER: u8 = 61;
}

const PAD: u8 = 0;
const END: u8 = 255;

/// What a message is (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client looks for servers.
    Discover,
    /// A server has an address.
    Offer,
    /// A client takes it, or wants to keep it.
    Request,
    /// A client found it in use.
    Decline,
    /// A server grants it.
    Ack,
    /// A server does not.
    Nak,
    /// A client needs it no longer.
    Release,
    /// A client has an address and wants the rest.
    Inform,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Discover,
        Kind::Offer,
        Kind::Request,
        Kind::Decline,
        Kind::Ack,
        Kind::Nak,
        Kind::Release,
        Kind::Inform,
    ];
}

/// The options of one message. What a code says in several pieces is one value (RFC 3396).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    /// Adds an option.
    #[must_use]
    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.0.entry(code).or_default().extend_from_slice(value);
        self
    }

    /// Adds the type of the message.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        let number = (1u8..).zip(Kind::ALL).find(|(_, one)| *one == kind);
        self.with(code::MESSAGE_TYPE, &[number.map_or(0, |(number, _)| number)])
    }

    /// The value of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    /// The type of the message.
    pub fn kind(&self) -> Option<Kind> {
        let [number] = self.get(code::MESSAGE_TYPE)? else {
            return None;
        };
        let place = usize::from(number.checked_sub(1)?);
        Kind::ALL.get(place).copied()
    }

    /// An option that is one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.get(code)?.try_into().ok()?;
        Some(octets.into())
    }

    /// An option that is a list of addresses; what does not fill one is cut off.
    pub fn addresses(&self, code: u8) -> impl Iterator<Item = Ipv4Addr> {
        let octets = self.get(code).unwrap_or_default().chunks_exact(4);
        octets.filter_map(|one| <[u8; 4]>::try_from(one).ok().map(Ipv4Addr::from))
    }

    /// An option that is a number of four octets.
    pub fn number(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(code)?.try_into().ok()?))
    }

    /// An option that is a number of two octets.
    pub fn short(&self, code: u8) -> Option<u16> {
        Some(u16::from_be_bytes(self.get(code)?.try_into().ok()?))
    }

    /// Reads a field of options; `false` when the last one is cut short. An end is not insisted on: there are servers that
    /// leave it out.
    pub(crate) fn read(&mut self, mut field: &[u8]) -> bool {
        while let Some((code, rest)) = field.split_first() {
            match *code {
                PAD => field = rest,
                END => return true,
                code => {
                    let Some((length, rest)) = rest.split_first() else {
                        return false;
                    };
                    let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else {
                        return false;
                    };
                    self.0.entry(code).or_default().extend_from_slice(value);
                    field = rest;
                }
            }
        }
        true
    }

    /// Writes all options and the end; a long value in pieces (RFC 3396 §5).
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        for (code, value) in &self.0 {
            let mut pieces: Vec<&[u8]> = value.chunks(255).collect();
            if pieces.is_empty() {
                pieces.push(&[]);
            }
            for piece in pieces {
                bytes.push(*code);
                bytes.push(u8::try_from(piece.len()).unwrap_or(u8::MAX));
                bytes.extend_from_slice(piece);
            }
        }
        bytes.push(END);
    }
}
