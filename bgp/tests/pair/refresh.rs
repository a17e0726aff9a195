//! Route refresh and enhanced route refresh (RFC 2918, RFC 7313).

use bgp::wire::open::Open;
use bgp::wire::refresh::{Refresh, RefreshKind};
use bgp::{ConnectionId, Family, Input};

use crate::lone::{Said, announcement, end_of_rib, message, open, prefixes};
use crate::{Lone, Network, name};

fn enhanced() -> Open {
    let mut open = open();
    open.capabilities.enhanced_refresh = true;
    open
}

fn refresh(kind: RefreshKind) -> Refresh {
    let family = Family::Ipv4;
    Refresh { family, kind }
}

fn session(open: &Open) -> (Lone, ConnectionId) {
    let mut lone = Lone::new();
    let connection = lone.establish_with(open);
    (lone, connection)
}

/// The answer to a request: all routes, between a beginning and an end if both sides know these.
#[test]
fn a_request_is_answered_with_all_routes() {
    let (mut lone, connection) = session(&enhanced());
    lone.hears(connection, refresh(RefreshKind::Request).encode());
    let said = lone.said(connection);
    assert_eq!(
        said.first(),
        Some(&Said::Refresh(refresh(RefreshKind::Begin))),
        "{said:?}"
    );
    assert_eq!(said.last(), Some(&Said::Refresh(refresh(RefreshKind::End))));
    let updates = said.iter().filter(|said| matches!(said, Said::Update(_))).count();
    assert!(updates >= 1 && updates + 2 == said.len(), "{said:?}");

    let (mut lone, connection) = session(&open());
    lone.hears(connection, refresh(RefreshKind::Request).encode());
    let said = lone.said(connection);
    assert!(
        !said.is_empty() && said.iter().all(|said| matches!(said, Said::Update(_))),
        "{said:?}"
    );
}

/// A thousand requests in one piece are answered once.
#[test]
fn a_flood_of_requests_is_one_request() {
    let (mut lone, connection) = session(&enhanced());
    lone.hears(connection, refresh(RefreshKind::Request).encode().repeat(1000));
    assert!(lone.said(connection).len() < 8);
}

/// What is not told again between beginning and end is gone (RFC 7313 §4).
#[test]
fn what_is_not_told_again_goes_at_the_end() {
    let (mut lone, connection) = session(&enhanced());
    lone.hears(connection, announcement(&prefixes(3)));
    lone.hears(connection, refresh(RefreshKind::Begin).encode());
    lone.hears(connection, announcement(&prefixes(2)));
    assert_eq!(lone.site.kernel.len(), 3);
    lone.hears(connection, refresh(RefreshKind::End).encode());
    assert_eq!(lone.site.kernel.len(), 2);
    // An end without a beginning means nothing.
    lone.hears(connection, refresh(RefreshKind::End).encode());
    assert_eq!(lone.site.kernel.len(), 2);
}

/// RFC 7313 §4: with graceful restart a beginning before End-of-RIB is ignored.
#[test]
fn a_beginning_before_end_of_rib_means_nothing() {
    let mut open = crate::lone::graceful(true, false);
    open.capabilities.enhanced_refresh = true;
    let (mut lone, connection) = session(&open);
    lone.hears(connection, announcement(&prefixes(3)));
    lone.hears(connection, refresh(RefreshKind::Begin).encode());
    lone.hears(connection, refresh(RefreshKind::End).encode());
    assert_eq!(lone.site.kernel.len(), 3);
    lone.hears(connection, end_of_rib());
    lone.hears(connection, refresh(RefreshKind::Begin).encode());
    lone.hears(connection, refresh(RefreshKind::End).encode());
    assert!(lone.site.kernel.is_empty());
}

/// RFC 7313 §5: a beginning of a wrong length ends the session; a family that we do not speak is ignored.
#[test]
fn malformed_ones_end_the_session() {
    let (mut lone, connection) = session(&enhanced());
    lone.hears(connection, message(5, &[0, 9, 0, 9]));
    assert!(lone.site.is_established("peer"));
    lone.hears(connection, message(5, &[0, 1, 1, 1, 0]));
    assert_eq!(lone.refusal(connection), (7, 1));
    assert_eq!(lone.last_error().reason, "malformed-refresh");
}

/// An operator asks for everything again, and gets it without a session being touched.
#[test]
fn an_operator_has_routes_sent_again() {
    let mut network = Network::established();
    network.input("east", Input::Refresh(name("west")));
    network.run_for(std::time::Duration::from_secs(1));
    let (east, west) = (network["east"].peer("west"), network["west"].peer("east"));
    assert_eq!(
        (east.established_count, east.sent.refreshes),
        (1, 3),
        "a request, and the ends of our answer"
    );
    assert_eq!(west.sent.refreshes, 2);
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
}
