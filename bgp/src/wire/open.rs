//! OPEN (RFC 4271 §4.2).

use std::net::Ipv4Addr;

use super::capability::Capabilities;
use super::framing::{self, MessageKind};
use super::notification::Notification;
use super::octets::{cut, length_u8, take, take_u8, take_u16};
use super::registry::{AS_TRANS, parameter};

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The autonomous system: that of the capability, or of the fixed field without it.
    pub asn: u32,
    /// Proposed hold time in seconds.
    pub hold_time: u16,
    /// The BGP identifier.
    pub identifier: Ipv4Addr,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// The only version of BGP that is spoken.
const VERSION: u8 = 4;

impl Open {
    /// Reads the body of an OPEN and checks what can be checked without knowing who sent it (§6.2).
    pub fn decode(mut body: &[u8]) -> Result<Self, Notification> {
        let octets = &mut body;
        let version = take_u8(octets).ok_or_else(Notification::malformed_open)?;
        if version != VERSION {
            return Err(Notification::unsupported_version());
        }
        let fixed = (
            take_u16(octets),
            take_u16(octets),
            take(octets).map(Ipv4Addr::from),
        );
        let (Some(asn), Some(hold_time), Some(identifier)) = fixed else {
            return Err(Notification::malformed_open());
        };
        let capabilities = parameters(body)?;
        let asn = autonomous_system(asn, capabilities.four_octet_asn)?;
        // One and two seconds are refused (§4.2).
        if matches!(hold_time, 1 | 2) {
            return Err(Notification::unacceptable_hold_time());
        }
        // Any number but zero (RFC 6286 §2.1).
        if identifier.is_unspecified() {
            return Err(Notification::bad_identifier());
        }
        Ok(Self {
            asn,
            hold_time,
            identifier,
            capabilities,
        })
    }

    /// Writes the whole message, with all capabilities in one optional parameter.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = framing::begin(MessageKind::Open);
        out.push(VERSION);
        out.extend(u16::try_from(self.asn).unwrap_or(AS_TRANS).to_be_bytes());
        out.extend(self.hold_time.to_be_bytes());
        out.extend(self.identifier.octets());
        let capabilities = self.capabilities.encode();
        if capabilities.is_empty() {
            out.push(0);
        } else {
            let length = length_u8(capabilities.len());
            out.extend([length.saturating_add(2), parameter::CAPABILITIES, length]);
            out.extend(capabilities);
        }
        framing::finish(&mut out, 0);
        out
    }
}

/// The optional parameters, in either encoding (§4.2, RFC 9072 §2).
fn parameters(mut rest: &[u8]) -> Result<Capabilities, Notification> {
    let octets = &mut rest;
    let length = take_u8(octets).ok_or_else(Notification::malformed_open)?;
    let extended = length != 0 && octets.first() == Some(&parameter::EXTENDED_LENGTH);
    let length = if extended {
        take_u8(octets);
        take_u16(octets).map(usize::from)
    } else {
        Some(usize::from(length))
    };
    if length != Some(octets.len()) {
        return Err(Notification::malformed_open());
    }
    let mut capabilities = Capabilities::default();
    while let Some(kind) = take_u8(octets) {
        let length = if extended {
            take_u16(octets).map(usize::from)
        } else {
            take_u8(octets).map(usize::from)
        };
        let value = length.and_then(|length| cut(octets, length));
        let value = value.ok_or_else(Notification::malformed_open)?;
        match kind {
            parameter::CAPABILITIES => capabilities.decode(value)?,
            _ => return Err(Notification::unsupported_parameter()),
        }
    }
    Ok(capabilities)
}

/// Which autonomous system the two fields together name: neither is zero (RFC 7607), and the short one is the long one
/// or stands for it (RFC 6793 §4.1).
fn autonomous_system(short: u16, long: Option<u32>) -> Result<u32, Notification> {
    let asn = long.unwrap_or(u32::from(short));
    if short == 0 || asn == 0 || (short != AS_TRANS && u32::from(short) != asn) {
        return Err(Notification::bad_peer_as());
    }
    Ok(asn)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::capability::GracefulRestart;
    use super::*;
    use crate::{Families, Family, Role};

    fn families() -> impl Strategy<Value = Families> {
        (any::<bool>(), any::<bool>()).prop_map(|(v4, v6)| {
            let families = if v4 {
                Families::NONE.with(Family::Ipv4)
            } else {
                Families::NONE
            };
            if v6 { families.with(Family::Ipv6) } else { families }
        })
    }

    fn restart() -> impl Strategy<Value = GracefulRestart> {
        (any::<bool>(), any::<bool>(), 0_u64..4096, any::<bool>()).prop_map(
            |(restarted, notification, time, forwarding)| GracefulRestart {
                restarted,
                notification,
                time: Duration::from_secs(time),
                families: vec![(Family::Ipv4, forwarding), (Family::Ipv6, !forwarding)],
            },
        )
    }

    fn role() -> impl Strategy<Value = Role> {
        prop_oneof![
            Just(Role::Provider),
            Just(Role::RouteServer),
            Just(Role::RouteServerClient),
            Just(Role::Customer),
            Just(Role::Peer)
        ]
    }

    prop_compose! {
        fn capabilities()(
            families in prop::option::of(families().prop_filter("some", |families| !families.is_empty())),
            flags in any::<[bool; 4]>(),
            graceful_restart in prop::option::of(restart()),
            add_path_receive in families(),
            add_path_send in families(),
            role in prop::option::of(role()),
            host_name in prop::option::of("[a-z]{1,64}"),
        ) -> Capabilities {
            Capabilities {
                families,
                route_refresh: flags[0],
                enhanced_refresh: flags[1],
                extended_messages: flags[2],
                ipv6_next_hops: flags[3],
                graceful_restart,
                add_path_receive,
                add_path_send,
                role,
                host_name,
                ..Capabilities::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            asn in prop_oneof![1_u32..23_456, 65_536..u32::MAX],
            hold_time in prop_oneof![Just(0_u16), 3..u16::MAX],
            identifier in 1..u32::MAX,
            mut capabilities in capabilities(),
        ) {
            capabilities.four_octet_asn = Some(asn);
            let open = Open { asn, hold_time, identifier: identifier.into(), capabilities };
            let message = open.encode();
            prop_assert!(message.len() <= 19 + 10 + 255);
            prop_assert_eq!(Open::decode(&message[19..]), Ok(open));
        }

        #[test]
        fn octets_are_an_open_or_a_refusal(body in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Err(refusal) = Open::decode(&body) {
                prop_assert_eq!(refusal.code, 2);
            }
        }
    }

    /// RFC 9072 §2: lengths of two octets.
    #[test]
    fn extended_parameters_are_read() {
        let usual = [4, 0xfd, 0xe9, 0, 180, 10, 0, 0, 1, 4, 2, 2, 2, 0];
        let extended = [4, 0xfd, 0xe9, 0, 180, 10, 0, 0, 1, 255, 255, 0, 5, 2, 0, 2, 2, 0];
        let open = Open::decode(&extended).unwrap();
        assert!(open.capabilities.route_refresh);
        assert_eq!(Ok(open), Open::decode(&usual));
    }
}
