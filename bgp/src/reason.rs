//! Why a session is down: one word, the same in API, console, log and metrics.

use std::time::Instant;

use crate::wire::notification::Notification;
use crate::wire::registry::{cease, error, open_error};
use crate::{LastError, Side, SocketFault};

/// Why a session ended or does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray)]
pub enum Reason {
    /// The tunnel that leads to the neighbour does not carry.
    TunnelDown,
    /// The neighbour is to open the session, and has not.
    WaitingForPeer,
    /// What the neighbour opens cannot be taken.
    NotListening,
    /// This machine cannot authenticate segments as the session wants them.
    AuthenticationUnavailable,
    /// No TCP connection came about.
    ConnectFailed,
    /// The TCP connection broke.
    ConnectionLost,
    /// The neighbour closed the TCP connection without a word.
    ConnectionClosed,
    /// Nothing was heard for the hold time.
    HoldTimerExpired,
    /// Nothing could be sent for too long (RFC 9687).
    SendHoldTimerExpired,
    /// BFD lost the path (RFC 5882, RFC 9384).
    PathLost,
    /// Octets that are no message.
    BadMessage,
    /// Another version of BGP.
    UnsupportedVersion,
    /// Another autonomous system than the one that is configured.
    BadPeerAs,
    /// A BGP identifier that cannot be.
    BadIdentifier,
    /// A hold time that cannot be.
    UnacceptableHoldTime,
    /// No family, or another capability, in common.
    UnsupportedCapability,
    /// Roles that do not fit each other (RFC 9234).
    RoleMismatch,
    /// An OPEN that is wrong in another way.
    BadOpen,
    /// An UPDATE that nothing milder could be done about (RFC 7606).
    MalformedUpdate,
    /// A ROUTE-REFRESH that is wrong (RFC 7313).
    MalformedRefresh,
    /// A message at the wrong time (RFC 6608).
    UnexpectedMessage,
    /// More prefixes than allowed.
    PrefixLimit,
    /// A side was shut down.
    Shutdown,
    /// A side no longer has the other configured.
    Deconfigured,
    /// An operator had the session started anew.
    ResetByAdmin,
    /// A side does not take connections now.
    ConnectionRejected,
    /// The configuration of the session changed.
    ConfigurationChanged,
    /// Of two connections this was the one too many.
    Collision,
    /// A side has no room.
    OutOfResources,
    /// A NOTIFICATION that we have no word for.
    OtherNotification,
}

/// An end, and all that is known of why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Which side found the fault.
    pub(crate) side: Side,
    /// The reason word.
    pub(crate) reason: Reason,
    /// What was wrong, what was offered and what was expected.
    pub(crate) words: String,
    /// What we tell the neighbour, or what it told us; what is inside, if it is a hard reset.
    pub(crate) notification: Option<Notification>,
    /// Routes are not kept, whatever was agreed (RFC 8538 §3).
    pub(crate) hard: bool,
}

/// A reason: its word, and the next step where we found it and where the peer did.
struct Row {
    reason: Reason,
    word: &'static str,
    if_we: &'static str,
    if_peer: &'static str,
}

impl Row {
    const fn new(reason: Reason, word: &'static str, [if_we, if_peer]: [&'static str; 2]) -> Self {
        Self {
            reason,
            word,
            if_we,
            if_peer,
        }
    }

    const fn both(reason: Reason, word: &'static str, step: &'static str) -> Self {
        Self::new(reason, word, [step, step])
    }
}

/// Every reason, in the order of [`Reason`].
const TABLE: &[Row] = &[
    Row::both(
        Reason::TunnelDown,
        "tunnel-down",
        "Look at the connection that leads to the neighbour; its session starts by itself once that is up.",
    ),
    Row::both(
        Reason::WaitingForPeer,
        "waiting-for-peer",
        "Have the neighbour open the session, or turn `passive` off here.",
    ),
    Row::both(
        Reason::NotListening,
        "not-listening",
        "Find out who else has TCP port 179 here (`ss -tlnp sport = 179`) and stop it; then it is tried by itself.",
    ),
    Row::both(
        Reason::AuthenticationUnavailable,
        "authentication-unavailable",
        "Run a kernel with TCP-AO (Linux 6.7 or later, CONFIG_TCP_AO), or have both sides use `md5_secret` instead.",
    ),
    Row::both(
        Reason::ConnectFailed,
        "connect-failed",
        "Check the neighbour's address, that it runs BGP, and that TCP 179 passes through the tunnel.",
    ),
    Row::both(
        Reason::ConnectionLost,
        "connection-lost",
        "Check the path through the tunnel; the session is tried again by itself.",
    ),
    Row::both(
        Reason::ConnectionClosed,
        "connection-closed",
        "Look in the neighbour's log for why it closed the connection.",
    ),
    Row::new(
        Reason::HoldTimerExpired,
        "hold-timer-expired",
        [
            "Check that the neighbour is alive and that the tunnel carries packets from it.",
            "Check that the tunnel carries packets to the neighbour; it heard nothing from us.",
        ],
    ),
    Row::new(
        Reason::SendHoldTimerExpired,
        "send-hold-timer-expired",
        [
            "Find out why the neighbour no longer reads; it is overloaded or its TCP is stalled.",
            "Look at the load of this machine; the neighbour found that we no longer read.",
        ],
    ),
    Row::both(
        Reason::PathLost,
        "path-lost",
        "Check the path through the tunnel; BFD heard nothing on it.",
    ),
    Row::new(
        Reason::BadMessage,
        "bad-message",
        [
            "Check that the neighbour speaks BGP on this port, and its software for faults.",
            "Report this with the neighbour's log; it could not read what we sent.",
        ],
    ),
    Row::both(
        Reason::UnsupportedVersion,
        "unsupported-version",
        "Have the neighbour speak BGP version 4.",
    ),
    Row::new(
        Reason::BadPeerAs,
        "bad-peer-as",
        [
            "Set the neighbour's AS number here to the one that it uses, or change the one that it uses.",
            "Have the neighbour expect our AS number, or change ours.",
        ],
    ),
    Row::both(
        Reason::BadIdentifier,
        "bad-identifier",
        "Give both sides different, valid router ids.",
    ),
    Row::both(
        Reason::UnacceptableHoldTime,
        "unacceptable-hold-time",
        "Set a hold time of zero, or of three seconds or more, that both sides accept.",
    ),
    Row::both(
        Reason::UnsupportedCapability,
        "unsupported-capability",
        "Configure an address family that both sides have, and what else the words name.",
    ),
    Row::both(
        Reason::RoleMismatch,
        "role-mismatch",
        "Make the roles on both sides fit each other, such as customer and provider.",
    ),
    Row::new(
        Reason::BadOpen,
        "bad-open",
        [
            "Look at the neighbour's software; its OPEN breaks the protocol.",
            "Look in the neighbour's log for what it did not like in our OPEN.",
        ],
    ),
    Row::new(
        Reason::MalformedUpdate,
        "malformed-update",
        [
            "Look at the neighbour's software; its message breaks the protocol as the words say.",
            "Report this with the neighbour's log; it found fault with a message of ours.",
        ],
    ),
    Row::new(
        Reason::MalformedRefresh,
        "malformed-refresh",
        [
            "Look at the neighbour's software; its message breaks the protocol as the words say.",
            "Report this with the neighbour's log; it found fault with a message of ours.",
        ],
    ),
    Row::new(
        Reason::UnexpectedMessage,
        "unexpected-message",
        [
            "Look at the neighbour's software; its message breaks the protocol as the words say.",
            "Report this with the neighbour's log; it found fault with a message of ours.",
        ],
    ),
    Row::new(
        Reason::PrefixLimit,
        "prefix-limit",
        [
            "Have the neighbour send fewer prefixes or raise the limit, then clear the session.",
            "Advertise fewer prefixes to the neighbour, or have its limit raised.",
        ],
    ),
    Row::new(
        Reason::Shutdown,
        "shutdown",
        [
            "Start the speaker again when the session is wanted.",
            "Ask the neighbour's operator; the session is shut down there.",
        ],
    ),
    Row::new(
        Reason::Deconfigured,
        "deconfigured",
        [
            "Configure the neighbour again if it is wanted.",
            "Have the neighbour configure us again.",
        ],
    ),
    Row::both(
        Reason::ResetByAdmin,
        "reset-by-admin",
        "Wait for the session to come back; an operator had it started anew.",
    ),
    Row::new(
        Reason::ConnectionRejected,
        "connection-rejected",
        [
            "Find out from the earlier error why the session is held down, and clear it.",
            "Have the neighbour configure us, or clear its session with us.",
        ],
    ),
    Row::both(
        Reason::ConfigurationChanged,
        "configuration-changed",
        "Wait for the session to come back with its new configuration.",
    ),
    Row::both(
        Reason::Collision,
        "collision",
        "Wait for the other connection of the same session to become established.",
    ),
    Row::new(
        Reason::OutOfResources,
        "out-of-resources",
        [
            "Give this machine more memory, or take fewer routes.",
            "Have the neighbour get more memory, or send it fewer routes.",
        ],
    ),
    Row::both(
        Reason::OtherNotification,
        "other-notification",
        "Look up the code and subcode in the documents of the neighbour's software.",
    ),
];

/// More of what a peer said than this is not told.
const CHARACTERS: usize = 500;

impl Ending {
    /// We end or give up what BGP has no NOTIFICATION for.
    pub(crate) fn ours(reason: Reason, words: impl Into<String>) -> Self {
        Self {
            side: Side::We,
            reason,
            words: words.into(),
            notification: None,
            hard: false,
        }
    }

    /// There is no socket to speak by.
    pub(crate) fn without_socket(fault: SocketFault, refused: Reason) -> Self {
        match fault {
            SocketFault::Refused(words) => Self::ours(refused, words),
            SocketFault::Unauthenticated(words) => Self::ours(Reason::AuthenticationUnavailable, words),
        }
    }

    /// We end it with this NOTIFICATION.
    pub(crate) fn refusing(notification: Notification, words: impl Into<String>) -> Self {
        let reason = Reason::of(notification.code, notification.subcode);
        Self {
            notification: Some(notification),
            hard: reason.is_final(),
            ..Self::ours(reason, words)
        }
    }

    /// The same, where the NOTIFICATION says it all.
    pub(crate) fn refused(notification: Notification) -> Self {
        let words = notification.words();
        Self::refusing(notification, words)
    }

    /// What it found fault with cannot be read, and is not answered (RFC 4271 §6.4).
    pub(crate) fn unanswered(fault: Notification) -> Self {
        Self {
            notification: None,
            ..Self::refused(fault)
        }
    }

    /// The neighbour ended it with a NOTIFICATION.
    pub(crate) fn told(notification: Notification) -> Self {
        let words = notification.words();
        let inner = notification.inside_hard_reset();
        let hard = inner.is_some();
        let cause = inner.unwrap_or(notification);
        Self {
            side: Side::Peer,
            reason: Reason::of(cause.code, cause.subcode),
            words,
            notification: Some(cause),
            hard,
        }
    }

    /// The connection ended without a NOTIFICATION.
    pub(crate) fn broke(why: Option<String>) -> Self {
        let (side, reason, words) = match why {
            Some(why) => (Side::We, Reason::ConnectionLost, why),
            None => (
                Side::Peer,
                Reason::ConnectionClosed,
                "the neighbour closed the connection without a NOTIFICATION".to_owned(),
            ),
        };
        Self {
            side,
            reason,
            words,
            notification: None,
            hard: false,
        }
    }

    /// For status and journal, with what a peer said cut to a bearable length.
    pub(crate) fn told_at(&self, at: Instant) -> LastError {
        let mut words: String = self.words.chars().take(CHARACTERS).collect();
        if words.len() < self.words.len() {
            words.push('…');
        }
        let notification = self.notification.as_ref();
        LastError {
            side: self.side,
            reason: self.reason.word(),
            words,
            next_step: self.reason.next_step(self.side),
            notification: notification.map(|told| (told.code, told.subcode)),
            at,
        }
    }
}

impl Reason {
    /// The reason in one stable word.
    pub fn word(self) -> &'static str {
        self.row().map_or("", |row| row.word)
    }

    /// What an operator can do about it, in one sentence.
    pub fn next_step(self, side: Side) -> &'static str {
        self.row().map_or("", |row| match side {
            Side::We => row.if_we,
            Side::Peer => row.if_peer,
        })
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.reason == self)
    }

    /// The word for a code and a subcode; for a subcode that we do not know, that of its code.
    pub(crate) fn of(code: u8, subcode: u8) -> Self {
        match (code, subcode) {
            (error::HEADER, _) => Self::BadMessage,
            (error::OPEN, open_error::VERSION) => Self::UnsupportedVersion,
            (error::OPEN, open_error::BAD_PEER_AS) => Self::BadPeerAs,
            (error::OPEN, open_error::BAD_IDENTIFIER) => Self::BadIdentifier,
            (error::OPEN, open_error::HOLD_TIME) => Self::UnacceptableHoldTime,
            (error::OPEN, open_error::CAPABILITY) => Self::UnsupportedCapability,
            (error::OPEN, open_error::ROLE) => Self::RoleMismatch,
            (error::OPEN, _) => Self::BadOpen,
            (error::UPDATE, _) => Self::MalformedUpdate,
            (error::HOLD_TIMER, _) => Self::HoldTimerExpired,
            (error::STATE_MACHINE, _) => Self::UnexpectedMessage,
            (error::CEASE, cease::PREFIXES) => Self::PrefixLimit,
            (error::CEASE, cease::SHUTDOWN) => Self::Shutdown,
            (error::CEASE, cease::DECONFIGURED) => Self::Deconfigured,
            (error::CEASE, cease::RESET) => Self::ResetByAdmin,
            (error::CEASE, cease::REJECTED) => Self::ConnectionRejected,
            (error::CEASE, cease::CONFIGURATION) => Self::ConfigurationChanged,
            (error::CEASE, cease::COLLISION) => Self::Collision,
            (error::CEASE, cease::RESOURCES) => Self::OutOfResources,
            (error::CEASE, cease::BFD_DOWN) => Self::PathLost,
            (error::ROUTE_REFRESH, _) => Self::MalformedRefresh,
            (error::SEND_HOLD_TIMER, _) => Self::SendHoldTimerExpired,
            _ => Self::OtherNotification,
        }
    }

    /// After such an end the neighbour gets a pause before it is spoken to again (RFC 4271 §8.1.1): the same would only
    /// happen again.
    pub(crate) fn calls_for_pause(self) -> bool {
        match self {
            Self::BadMessage
            | Self::UnsupportedVersion
            | Self::BadPeerAs
            | Self::BadIdentifier
            | Self::UnacceptableHoldTime
            | Self::UnsupportedCapability
            | Self::RoleMismatch
            | Self::BadOpen
            | Self::MalformedUpdate
            | Self::MalformedRefresh
            | Self::UnexpectedMessage
            | Self::OutOfResources => true,
            Self::TunnelDown
            | Self::WaitingForPeer
            | Self::ConnectFailed
            | Self::NotListening
            | Self::AuthenticationUnavailable
            | Self::ConnectionLost
            | Self::ConnectionClosed
            | Self::HoldTimerExpired
            | Self::SendHoldTimerExpired
            | Self::PathLost
            | Self::PrefixLimit
            | Self::Shutdown
            | Self::Deconfigured
            | Self::ResetByAdmin
            | Self::ConnectionRejected
            | Self::ConfigurationChanged
            | Self::Collision
            | Self::OtherNotification => false,
        }
    }

    /// Such an end of ours takes the routes along even where both sides would keep them: it is a hard reset (RFC 8538 §3).
    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Self::PrefixLimit
                | Self::Shutdown
                | Self::Deconfigured
                | Self::ConfigurationChanged
                | Self::PathLost
        )
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn every_reason_stands_in_the_table_once() {
        let listed: Vec<_> = TABLE.iter().map(|row| row.reason).collect();
        assert_eq!(listed, Reason::VARIANTS);
    }
}
