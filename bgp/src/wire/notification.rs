//! NOTIFICATION (RFC 4271 §4.5, §6; RFC 4486; RFC 9003).

use super::framing::{self, MessageKind};
use super::octets::{length_u8, take_u8};
use super::registry::{cease, error, header_error, open_error, refresh_error, state_error, update_error};
use crate::Family;

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data, by code and subcode.
    pub data: Vec<u8>,
}

/// The only version of BGP that is spoken.
const VERSION: [u8; 2] = [0, 4];

impl Notification {
    /// One with code, subcode and data.
    pub fn new(code: u8, subcode: u8, data: Vec<u8>) -> Self {
        Self { code, subcode, data }
    }

    /// Reads the body of a NOTIFICATION. The error says what is wrong; it is not to be sent (§6.4).
    pub fn decode(mut body: &[u8]) -> Result<Self, Self> {
        let octets = &mut body;
        let (Some(code), Some(subcode)) = (take_u8(octets), take_u8(octets)) else {
            return Err(Self::bad_length(framing::HEADER + body.len()));
        };
        Ok(Self::new(code, subcode, body.to_vec()))
    }

    /// Writes the whole message. What of the data goes beyond 4,096 octets is left out.
    pub fn encode(&self) -> Vec<u8> {
        let room = framing::USUAL_LENGTH - framing::HEADER - 2;
        let mut out = framing::begin(MessageKind::Notification);
        out.extend([self.code, self.subcode]);
        out.extend(self.data.iter().take(room));
        framing::finish(&mut out, 0);
        out
    }

    /// The marker is not all ones (§6.1).
    pub fn not_synchronized() -> Self {
        Self::new(error::HEADER, header_error::NOT_SYNCHRONIZED, Vec::new())
    }

    /// A message has a length that it may not have; with that length (§6.1).
    pub fn bad_length(length: usize) -> Self {
        let length = super::octets::length_u16(length);
        Self::new(
            error::HEADER,
            header_error::BAD_LENGTH,
            length.to_be_bytes().to_vec(),
        )
    }

    /// There is no such message (§6.1).
    pub fn bad_type(kind: u8) -> Self {
        Self::new(error::HEADER, header_error::BAD_TYPE, vec![kind])
    }

    /// An OPEN that is malformed in a way that has no subcode (§6.2).
    pub fn malformed_open() -> Self {
        Self::new(error::OPEN, open_error::UNSPECIFIC, Vec::new())
    }

    /// Another version than 4, which we tell (§6.2).
    pub fn unsupported_version() -> Self {
        Self::new(error::OPEN, open_error::VERSION, VERSION.to_vec())
    }

    /// Its autonomous system is not the one that was expected (§6.2).
    pub fn bad_peer_as() -> Self {
        Self::new(error::OPEN, open_error::BAD_PEER_AS, Vec::new())
    }

    /// Its BGP identifier is zero, or ours (§6.2, RFC 6286 §2.2).
    pub fn bad_identifier() -> Self {
        Self::new(error::OPEN, open_error::BAD_IDENTIFIER, Vec::new())
    }

    /// An optional parameter that we do not know (§6.2).
    pub fn unsupported_parameter() -> Self {
        Self::new(error::OPEN, open_error::PARAMETER, Vec::new())
    }

    /// A hold time of one or two seconds, or one that we do not take (§6.2).
    pub fn unacceptable_hold_time() -> Self {
        Self::new(error::OPEN, open_error::HOLD_TIME, Vec::new())
    }

    /// It lacks a capability that we require (RFC 5492 §5): these, as they would stand in an OPEN.
    pub fn unsupported_capability(capabilities: Vec<u8>) -> Self {
        Self::new(error::OPEN, open_error::CAPABILITY, capabilities)
    }

    /// It lacks the capability for a family without which the session is of no use (RFC 5492 §5).
    pub fn unsupported_family(family: Family) -> Self {
        let [high, low] = family.afi().to_be_bytes();
        Self::unsupported_capability(vec![
            super::registry::capability::MULTIPROTOCOL,
            4,
            high,
            low,
            0,
            1,
        ])
    }

    /// Our role and its role do not fit (RFC 9234 §4.2).
    pub fn role_mismatch() -> Self {
        Self::new(error::OPEN, open_error::ROLE, Vec::new())
    }

    /// An UPDATE that resets the session (§6.3).
    pub fn update(subcode: u8, data: Vec<u8>) -> Self {
        Self::new(error::UPDATE, subcode, data)
    }

    /// Nothing came for the hold time (§6.5).
    pub fn hold_timer_expired() -> Self {
        Self::new(error::HOLD_TIMER, 0, Vec::new())
    }

    /// It took nothing for so long that it cannot be there (RFC 9687).
    pub fn send_hold_timer_expired() -> Self {
        Self::new(error::SEND_HOLD_TIMER, 0, Vec::new())
    }

    /// A message that is not expected in OpenSent (RFC 6608).
    pub fn unexpected_in_open_sent(kind: MessageKind) -> Self {
        Self::new(error::STATE_MACHINE, state_error::OPEN_SENT, vec![kind.number()])
    }

    /// A message that is not expected in OpenConfirm (RFC 6608).
    pub fn unexpected_in_open_confirm(kind: MessageKind) -> Self {
        Self::new(
            error::STATE_MACHINE,
            state_error::OPEN_CONFIRM,
            vec![kind.number()],
        )
    }

    /// A message that is not expected in Established (RFC 6608).
    pub fn unexpected_in_established(kind: MessageKind) -> Self {
        Self::new(
            error::STATE_MACHINE,
            state_error::ESTABLISHED,
            vec![kind.number()],
        )
    }

    /// More prefixes of a family than it may send (RFC 4486 §4): with the family and the limit.
    pub fn too_many_prefixes(family: Family, limit: u32) -> Self {
        let [high, low] = family.afi().to_be_bytes();
        let mut data = vec![high, low, 1];
        data.extend(limit.to_be_bytes());
        Self::new(error::CEASE, cease::PREFIXES, data)
    }

    /// We were told to end the session; why, for the people at the other end (RFC 9003).
    pub fn shutdown(communication: &str) -> Self {
        Self::new(error::CEASE, cease::SHUTDOWN, communicated(communication))
    }

    /// We were told to begin the session anew; why, for the people at the other end (RFC 9003).
    pub fn administrative_reset(communication: &str) -> Self {
        Self::new(error::CEASE, cease::RESET, communicated(communication))
    }

    /// Cease with a subcode of RFC 4486 and without data.
    pub fn cease(subcode: u8) -> Self {
        Self::new(error::CEASE, subcode, Vec::new())
    }

    /// This notification, and routes are not to be kept although graceful restart was agreed on (RFC 8538 §3).
    #[must_use]
    pub fn hard(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Self::new(error::CEASE, cease::HARD_RESET, data)
    }

    /// What a hard reset is about (RFC 8538 §3.1).
    pub fn inside_hard_reset(&self) -> Option<Self> {
        if (self.code, self.subcode) != (error::CEASE, cease::HARD_RESET) {
            return None;
        }
        Self::decode(&self.data).ok()
    }

    /// A ROUTE-REFRESH of a wrong length; with the whole message (RFC 7313 §5).
    pub fn bad_refresh_length(body: &[u8]) -> Self {
        let mut message = framing::begin(MessageKind::RouteRefresh);
        message.extend_from_slice(body);
        framing::finish(&mut message, 0);
        Self::new(error::ROUTE_REFRESH, refresh_error::LENGTH, message)
    }

    /// One word of a fixed list that names code and subcode.
    pub fn reason(&self) -> &'static str {
        self.meaning().0
    }

    /// What the peer's people want ours to know (RFC 9003), control characters left out.
    pub fn communication(&self) -> Option<String> {
        let mut data = self.data.as_slice();
        match (self.code, self.subcode) {
            (error::CEASE, cease::SHUTDOWN | cease::RESET) => {}
            (error::CEASE, cease::HARD_RESET) => return self.inside_hard_reset()?.communication(),
            _ => return None,
        }
        let length = usize::from(take_u8(&mut data)?);
        let text = std::str::from_utf8(data.get(..length)?).ok()?;
        let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
        (!text.is_empty()).then_some(text)
    }

    /// What it means, in plain words.
    pub fn words(&self) -> String {
        let meaning = self.meaning().1;
        let numbers = format!("code {}, subcode {}", self.code, self.subcode);
        if let Some(inside) = self.inside_hard_reset() {
            return format!("{meaning}: {}", inside.words());
        }
        match self.communication() {
            Some(text) => format!("{meaning} ({numbers}): \u{201c}{text}\u{201d}"),
            None => format!("{meaning} ({numbers})"),
        }
    }

    /// Its word, and its meaning.
    fn meaning(&self) -> (&'static str, &'static str) {
        let of_subcode = match self.code {
            error::HEADER => of_header(self.subcode),
            error::OPEN => of_open(self.subcode),
            error::UPDATE => of_update(self.subcode),
            error::STATE_MACHINE => of_state_machine(self.subcode),
            error::CEASE => of_cease(self.subcode),
            error::ROUTE_REFRESH if self.subcode == refresh_error::LENGTH => Some((
                "bad-route-refresh-length",
                "a ROUTE-REFRESH message had a wrong length",
            )),
            _ => None,
        };
        of_subcode.unwrap_or(match self.code {
            error::HEADER => ("message-header-error", "the header of a message was wrong"),
            error::OPEN => ("open-message-error", "the OPEN message was malformed"),
            error::UPDATE => ("update-message-error", "an UPDATE message was malformed"),
            error::HOLD_TIMER => ("hold-timer-expired", "nothing came for the hold time"),
            error::STATE_MACHINE => ("unexpected-message", "a message came that was not expected"),
            error::CEASE => ("cease", "the session was ended"),
            error::ROUTE_REFRESH => (
                "route-refresh-message-error",
                "a ROUTE-REFRESH message was malformed",
            ),
            error::SEND_HOLD_TIMER => (
                "send-hold-timer-expired",
                "nothing could be sent for too long, as the other side took nothing",
            ),
            _ => ("unknown-error", "an error that has no name"),
        })
    }
}

fn of_header(subcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match subcode {
        header_error::NOT_SYNCHRONIZED => (
            "connection-not-synchronized",
            "what came did not begin as a message does",
        ),
        header_error::BAD_LENGTH => (
            "bad-message-length",
            "a message had a length that it may not have",
        ),
        header_error::BAD_TYPE => ("bad-message-type", "there is no message of that type"),
        _ => return None,
    })
}

fn of_open(subcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match subcode {
        open_error::VERSION => ("unsupported-version", "that version of BGP is not spoken"),
        open_error::BAD_PEER_AS => (
            "bad-peer-as",
            "the autonomous system is not the one that was expected",
        ),
        open_error::BAD_IDENTIFIER => ("bad-bgp-identifier", "the BGP identifier cannot be used"),
        open_error::PARAMETER => (
            "unsupported-optional-parameter",
            "the OPEN message had an optional parameter that is not known",
        ),
        open_error::HOLD_TIME => ("unacceptable-hold-time", "the hold time is not accepted"),
        open_error::CAPABILITY => ("unsupported-capability", "a capability is missing"),
        open_error::ROLE => ("role-mismatch", "the roles of the two sides do not fit"),
        _ => return None,
    })
}

fn of_update(subcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match subcode {
        update_error::ATTRIBUTE_LIST => (
            "malformed-attribute-list",
            "the attributes of an UPDATE message could not be told apart",
        ),
        update_error::UNRECOGNIZED => (
            "unrecognized-well-known-attribute",
            "an UPDATE message had an attribute that all must know and that is not known",
        ),
        update_error::MISSING => (
            "missing-well-known-attribute",
            "an UPDATE message lacked an attribute that it must have",
        ),
        update_error::FLAGS => (
            "attribute-flags-error",
            "an attribute had flags that it may not have",
        ),
        update_error::LENGTH => (
            "attribute-length-error",
            "an attribute had a length that it may not have",
        ),
        update_error::ORIGIN => ("invalid-origin", "there is no such ORIGIN"),
        update_error::NEXT_HOP => ("invalid-next-hop", "the next hop is not the address of a host"),
        update_error::OPTIONAL => ("optional-attribute-error", "an optional attribute was malformed"),
        update_error::NETWORK => (
            "invalid-network-field",
            "the prefixes of an UPDATE message could not be read",
        ),
        update_error::AS_PATH => ("malformed-as-path", "an AS_PATH was malformed"),
        _ => return None,
    })
}

fn of_state_machine(subcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match subcode {
        state_error::OPEN_SENT => (
            "unexpected-message-in-open-sent",
            "another message than OPEN came first",
        ),
        state_error::OPEN_CONFIRM => (
            "unexpected-message-in-open-confirm",
            "another message than KEEPALIVE came after OPEN",
        ),
        state_error::ESTABLISHED => (
            "unexpected-message-in-established",
            "a message came that an established session does not have",
        ),
        _ => return None,
    })
}

fn of_cease(subcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match subcode {
        cease::PREFIXES => (
            "maximum-prefixes-reached",
            "more prefixes were sent than are allowed",
        ),
        cease::SHUTDOWN => ("administrative-shutdown", "somebody shut the session down"),
        cease::DECONFIGURED => ("peer-deconfigured", "the neighbour is no longer configured"),
        cease::RESET => ("administrative-reset", "somebody had the session begin anew"),
        cease::REJECTED => ("connection-rejected", "the connection was not wanted"),
        cease::CONFIGURATION => ("configuration-change", "the configuration changed"),
        cease::COLLISION => (
            "connection-collision",
            "there were two connections, and the other one was kept",
        ),
        cease::RESOURCES => ("out-of-resources", "memory or the like ran out"),
        cease::HARD_RESET => ("hard-reset", "the session was ended and its routes are not kept"),
        cease::BFD_DOWN => ("bfd-down", "BFD found the path between the two sides broken"),
        _ => return None,
    })
}

/// A shutdown communication: its length and at most 255 octets of whole characters (RFC 9003 §2).
fn communicated(text: &str) -> Vec<u8> {
    let end = text.floor_char_boundary(usize::from(u8::MAX));
    let text = text.get(..end).unwrap_or_default();
    let mut data = vec![length_u8(text.len())];
    data.extend_from_slice(text.as_bytes());
    data
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn body(message: &[u8]) -> &[u8] {
        message.get(framing::HEADER..).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for notification in [
            Notification::hold_timer_expired(),
            Notification::unsupported_version(),
            Notification::too_many_prefixes(Family::Ipv6, 4000),
            Notification::shutdown("bye"),
        ] {
            let message = notification.encode();
            assert_eq!(
                message[16..18],
                u16::try_from(message.len()).unwrap().to_be_bytes()
            );
            assert_eq!(Notification::decode(body(&message)), Ok(notification));
        }
    }

    /// RFC 4486 §4: AFI, SAFI and the limit.
    #[test]
    fn the_limit_of_prefixes_is_told() {
        let notification = Notification::too_many_prefixes(Family::Ipv4, 4000);
        assert_eq!(
            notification,
            Notification::new(6, 1, vec![0, 1, 1, 0, 0, 0x0f, 0xa0])
        );
        assert_eq!(notification.reason(), "maximum-prefixes-reached");
    }

    /// RFC 9003 §2: at most 255 octets, and no half of a character.
    #[test]
    fn a_long_communication_is_cut_between_characters() {
        let notification = Notification::shutdown(&"\u{e9}".repeat(200));
        assert_eq!(notification.data.first(), Some(&254));
        assert_eq!(notification.communication(), Some("\u{e9}".repeat(127)));
    }

    #[test]
    fn what_the_other_side_says_is_in_the_words() {
        let words = Notification::shutdown("new cable\u{7}").words();
        assert_eq!(
            words,
            "somebody shut the session down (code 6, subcode 2): \u{201c}new cable\u{201d}"
        );
        assert_eq!(Notification::new(6, 2, vec![2, 0xff, 0xff]).communication(), None);
        assert_eq!(Notification::new(6, 6, b"\x03bye".to_vec()).communication(), None);
    }

    /// RFC 8538 §3.1: it encloses the reason.
    #[test]
    fn a_hard_reset_tells_what_it_is_about() {
        let hard = Notification::shutdown("bye").hard();
        assert_eq!((hard.code, hard.subcode), (6, 9));
        assert_eq!(hard.inside_hard_reset(), Some(Notification::shutdown("bye")));
        assert_eq!(hard.communication().as_deref(), Some("bye"));
        assert!(hard.words().ends_with("\u{201c}bye\u{201d}"), "{}", hard.words());
        assert_eq!(Notification::shutdown("bye").inside_hard_reset(), None);
    }

    /// RFC 7313 §5: the data is the whole message.
    #[test]
    fn a_refresh_of_wrong_length_is_sent_back() {
        let notification = Notification::bad_refresh_length(&[0, 1, 1]);
        assert_eq!((notification.code, notification.subcode), (7, 1));
        assert_eq!(notification.data.get(16..), Some(&[0, 22, 5, 0, 1, 1][..]));
    }

    /// Data that does not fit is left out (RFC 4271 §4: 4,096 octets).
    #[test]
    fn a_notification_is_never_too_long() {
        let message = Notification::update(9, vec![0; 9000]).encode();
        assert_eq!(message.len(), framing::USUAL_LENGTH);
    }

    /// Every error has a word, and no two the same one.
    #[test]
    fn reasons_are_distinct() {
        let known = [(1, 3), (2, 11), (3, 11), (4, 0), (5, 3), (6, 10), (7, 1), (8, 0)];
        let all = known
            .into_iter()
            .flat_map(|(code, last)| (0..=last).map(move |subcode| (code, subcode)));
        let mut words = BTreeSet::new();
        for (code, subcode) in all {
            // Those that are deprecated or were never given out share the word of their code.
            if matches!((code, subcode), (2, 5 | 8..=10) | (3, 7)) {
                continue;
            }
            let reason = Notification::new(code, subcode, Vec::new()).reason();
            assert!(words.insert(reason), "{reason} names two errors");
        }
        assert_eq!(Notification::new(99, 0, Vec::new()).reason(), "unknown-error");
    }
}
