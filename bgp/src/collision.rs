//! Which of two connections with one neighbour survives (RFC 4271 §6.8), as pure functions.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::ConnectionId;

/// Connections of which one came so much later were not opened at once.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What the rule knows a speaker by, compared in this order (RFC 6286 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contender {
    /// Its BGP identifier.
    pub(crate) identifier: Ipv4Addr,
    /// Its autonomous system, which decides between equal identifiers.
    pub(crate) asn: u32,
}

/// What becomes of two connections once the OPEN of the newer one is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survivor {
    /// The one whose OPEN came just now.
    Newer,
    /// The other one.
    Older,
}

/// Two connections that are not established: the one that the greater speaker opened survives.
pub(crate) fn settle(ours: Contender, theirs: Contender, newer: ConnectionId) -> Survivor {
    let newer_is_ours = match newer {
        ConnectionId::Outgoing(_) => true,
        ConnectionId::Incoming(_) => false,
    };
    if (ours > theirs) == newer_is_ours {
        Survivor::Newer
    } else {
        Survivor::Older
    }
}

/// A new connection beside one that is established for so long: with graceful restart the neighbour has lost the old one
/// (RFC 4724 §4.2), without it the old one stays (RFC 4271 §6.8). Two connections that were opened at once may meet here,
/// too, if one of them was slow.
pub(crate) fn beside_established(graceful_restart: bool, age: Duration) -> Survivor {
    if graceful_restart && age >= AT_ONCE {
        Survivor::Newer
    } else {
        Survivor::Older
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(last: u8, asn: u32) -> Contender {
        let identifier = Ipv4Addr::new(10, 0, 0, last);
        Contender { identifier, asn }
    }

    #[test]
    fn the_connection_of_the_greater_identifier_survives() {
        let (low, high) = (contender(1, 65_002), contender(2, 65_001));
        let (ours, theirs) = (ConnectionId::Outgoing(1), ConnectionId::Incoming(1));
        assert_eq!(settle(high, low, ours), Survivor::Newer);
        assert_eq!(settle(high, low, theirs), Survivor::Older);
        assert_eq!(settle(low, high, ours), Survivor::Older);
        assert_eq!(settle(low, high, theirs), Survivor::Newer);
    }

    /// RFC 6286 §2.3: equal identifiers are told apart by the autonomous system.
    #[test]
    fn between_equal_identifiers_the_greater_system_decides() {
        let (low, high) = (contender(1, 65_001), contender(1, 65_002));
        assert_eq!(settle(high, low, ConnectionId::Outgoing(1)), Survivor::Newer);
        assert_eq!(settle(low, high, ConnectionId::Outgoing(1)), Survivor::Older);
    }

    /// RFC 4724 §4.2, but not for one that was opened at the same time and came late.
    #[test]
    fn an_established_session_yields_to_a_restart_alone() {
        let (now, later) = (Duration::ZERO, Duration::from_secs(60));
        assert_eq!(beside_established(true, later), Survivor::Newer);
        assert_eq!(beside_established(true, now), Survivor::Older);
        assert_eq!(beside_established(false, later), Survivor::Older);
    }

    /// Whatever comes first, both ends keep the same connection.
    #[test]
    fn both_ends_keep_the_same_one() {
        for (low, high) in [
            (contender(1, 9), contender(2, 1)),
            (contender(1, 1), contender(1, 2)),
        ] {
            // The connection that `high` opened is Outgoing there and Incoming at `low`.
            assert_eq!(settle(high, low, ConnectionId::Outgoing(7)), Survivor::Newer);
            assert_eq!(settle(low, high, ConnectionId::Incoming(3)), Survivor::Newer);
            assert_eq!(settle(high, low, ConnectionId::Incoming(8)), Survivor::Older);
            assert_eq!(settle(low, high, ConnectionId::Outgoing(4)), Survivor::Older);
        }
    }
}
