//! Every reason why a session is down is provoked, and read back as an operator reads it.

use std::time::Duration;

use bgp::wire::framing::keepalive;
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::{ConnectionId, Families, Family, Input, LastError, Reason, Role, Side, SocketFault};
use strum::VariantArray;

use crate::lone::{announcement, message, open, prefixes};
use crate::site::address;
use crate::{Lone, name};

/// Provokes a reason, each in its own way, and reads it back. A reason without a line here does not compile.
fn provoked(reason: Reason) -> LastError {
    match reason {
        Reason::TunnelDown => without_session(|lone| lone.tell(Input::Tunnel(name("peer"), false))),
        Reason::WaitingForPeer => without_session(|_| ()),
        Reason::NotListening => deaf(SocketFault::Refused("Address already in use".to_owned())),
        Reason::AuthenticationUnavailable => deaf(SocketFault::Unauthenticated("no TCP-AO".to_owned())),
        Reason::ConnectFailed => refused_connection(),
        Reason::ConnectionLost => {
            after(|lone, id| lone.tell(Input::Closed(id, Some("connection reset".to_owned()))))
        }
        Reason::ConnectionClosed => after(|lone, id| lone.tell(Input::Closed(id, None))),
        Reason::HoldTimerExpired => after(|lone, _| lone.run_for(Duration::from_secs(91))),
        Reason::SendHoldTimerExpired => stalled(),
        Reason::PathLost => after(|lone, _| lone.tell(Input::PathLost(name("peer"), address(2)))),
        Reason::BadMessage => after(|lone, id| lone.hears(id, [0; 19])),
        Reason::UnsupportedVersion => with_octets(message(1, &[3, 0xfd, 0xea, 0, 90, 10, 255, 0, 2, 0])),
        Reason::BadPeerAs => with_open(|open| {
            (open.asn, open.capabilities.four_octet_asn) = (65_009, Some(65_009));
        }),
        Reason::BadIdentifier => with_open(|open| open.identifier = std::net::Ipv4Addr::UNSPECIFIED),
        Reason::UnacceptableHoldTime => with_open(|open| open.hold_time = 1),
        Reason::UnsupportedCapability => {
            with_open(|open| open.capabilities.families = Some(Families::NONE.with(Family::Ipv6)))
        }
        Reason::RoleMismatch => role_mismatch(),
        Reason::BadOpen => with_octets(message(1, &[4, 0xfd, 0xea, 0, 90, 10, 255, 0, 2, 3, 2, 9, 1])),
        Reason::MalformedUpdate => after(|lone, id| lone.hears(id, message(2, &[0, 9, 0, 0]))),
        Reason::MalformedRefresh => told(Notification::new(7, 1, Vec::new())),
        Reason::UnexpectedMessage => after(|lone, id| lone.hears(id, open().encode())),
        Reason::PrefixLimit => after(|lone, id| {
            for thousand in prefixes(4001).chunks(500) {
                lone.hears(id, announcement(thousand));
            }
        }),
        Reason::Shutdown => told(Notification::shutdown("moving to the new rack")),
        Reason::Deconfigured => told(Notification::cease(3).hard()),
        Reason::ResetByAdmin => after(|lone, _| lone.tell(Input::Clear(name("peer")))),
        Reason::ConnectionRejected => told(Notification::cease(5)),
        Reason::ConfigurationChanged => after(|lone, _| {
            lone.site
                .settings
                .neighbours
                .get_mut(&name("peer"))
                .unwrap()
                .families = Families::ALL;
            lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
        }),
        Reason::Collision => told(Notification::cease(7)),
        Reason::OutOfResources => told(Notification::cease(8)),
        Reason::OtherNotification => told(Notification::cease(99)),
    }
}

fn without_session(act: impl FnOnce(&mut Lone)) -> LastError {
    let mut lone = Lone::new();
    act(&mut lone);
    lone.last_error()
}

fn after(act: impl FnOnce(&mut Lone, ConnectionId)) -> LastError {
    let (mut lone, id) = Lone::established();
    act(&mut lone, id);
    assert!(!lone.site.is_established("peer"));
    assert_eq!(lone.site.downs().len(), 1, "told once: {:?}", lone.site.downs());
    lone.last_error()
}

fn told(notification: Notification) -> LastError {
    let error = after(|lone, id| lone.hears(id, notification.encode()));
    assert_eq!(error.side, Side::Peer);
    error
}

fn with_octets(octets: Vec<u8>) -> LastError {
    let mut lone = Lone::new();
    let id = lone.accept();
    lone.hears(id, octets);
    assert!(lone.closed.contains(&id));
    lone.last_error()
}

fn with_open(change: impl FnOnce(&mut Open)) -> LastError {
    let mut open = open();
    change(&mut open);
    with_octets(open.encode())
}

fn deaf(fault: SocketFault) -> LastError {
    without_session(|lone| lone.tell(Input::Listening(name("peer"), Err(fault))))
}

fn refused_connection() -> LastError {
    let mut lone = Lone::with(|_| ());
    lone.tell(Input::NotConnected(
        lone.asked[0],
        SocketFault::Refused("connection refused".to_owned()),
    ));
    lone.last_error()
}

fn role_mismatch() -> LastError {
    let mut lone = Lone::with(|neighbour| (neighbour.passive, neighbour.role) = (true, Some(Role::Customer)));
    let mut open = open();
    open.capabilities.role = Some(Role::Customer);
    let id = lone.accept();
    lone.hears(id, open.encode());
    assert_eq!(lone.refusal(id), (2, 11));
    lone.last_error()
}

/// It goes on saying that it is alive, and takes nothing.
fn stalled() -> LastError {
    let (mut lone, id) = Lone::established();
    lone.stalled = Some(id);
    while lone.site.is_established("peer") {
        lone.run_for(Duration::from_secs(20));
        lone.hears(id, keepalive());
    }
    lone.last_error()
}

#[test]
fn every_reason_is_provoked_and_read_back() {
    for reason in Reason::VARIANTS {
        let error = provoked(*reason);
        assert_eq!(error.reason, reason.word(), "{error:?}");
        assert_eq!(error.next_step, reason.next_step(error.side));
        assert!(!error.words.is_empty(), "{reason:?} says what was wrong");
        for side in [Side::We, Side::Peer] {
            let step = reason.next_step(side);
            assert!(
                step.ends_with('.') && !step.contains(". "),
                "not one step: {step}"
            );
        }
    }
}

/// One list, and in the README what each word means.
#[test]
fn words_are_kebab_case_differ_and_are_written_down() {
    let readme = include_str!("../../README.md");
    let mut words: Vec<_> = Reason::VARIANTS.iter().map(|reason| reason.word()).collect();
    for word in &words {
        let kebab = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(kebab, "{word}");
        assert!(
            readme.contains(&format!("| `{word}` |")),
            "{word} is not in the README"
        );
    }
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::VARIANTS.len());
}

/// What was offered and what was expected stands in the words, and the shutdown communication (RFC 9003).
#[test]
fn the_words_say_what_was_wrong() {
    let words = |reason| provoked(reason).words;
    assert_eq!(
        words(Reason::BadPeerAs),
        "it says that it is AS 65009; AS 65002 is expected"
    );
    assert_eq!(
        words(Reason::UnsupportedCapability),
        "it offers ipv6; ipv4 is configured here"
    );
    assert_eq!(
        words(Reason::RoleMismatch),
        "it says that it is a customer, and we are a customer"
    );
    assert_eq!(words(Reason::HoldTimerExpired), "nothing was heard for 90 s");
    assert_eq!(
        words(Reason::PrefixLimit),
        "it sent 4001 ipv4 prefixes; 4000 are allowed"
    );
    assert_eq!(words(Reason::UnexpectedMessage), "OPEN came in state Established");
    assert!(
        words(Reason::Shutdown).contains("moving to the new rack"),
        "{}",
        words(Reason::Shutdown)
    );
}
