//! Every reason why a connection is down or degraded is provoked, and read back as an operator reads it.

use std::time::Duration;

use ike::crypto::{Encryption, Group};
use ike::wire::registry::notify;
use ike::wire::{Header, Message, NotifyPayload, Payload};
use ike::{
    Authentication, CertificateReason, ConnectionState, Event, Identity, Input, Limits, Mode, Outage, Reason,
    Settings, Side, SignerReason, Stage, TrafficSelector,
};

use crate::certificates;
use crate::connections::by_name;
use crate::{Pair, connection, idle, name, rekey};

const MOMENT: Duration = Duration::from_millis(900);

/// Where a reason that the engine never gives is provoked: a file, and the test in it.
type Elsewhere = (&'static str, &'static str);

/// Where a reason is provoked that this engine alone does not give.
fn elsewhere(reason: Reason) -> Option<Elsewhere> {
    Some(match reason {
        Reason::Clock => (
            include_str!("../../../appliance/daemon/src/clock.rs"),
            "jumps_are_told_both_ways_and_steady_time_is_not",
        ),
        Reason::NoAddress => (
            include_str!("../../../appliance/daemon/src/outer.rs"),
            "an_address_that_is_not_there_is_told",
        ),
        Reason::PortInUse => (
            include_str!("../../../appliance/daemon/src/outer.rs"),
            "a_taken_port_is_told_with_its_holder_and_had_once_it_is_free",
        ),
        Reason::SecretUnusable => (
            include_str!("../../../appliance/daemon/src/http/tests/secrets.rs"),
            "a_machine_that_lost_its_key_starts_and_takes_its_secrets_anew",
        ),
        Reason::Certificate(CertificateReason::Missing) => {
            (include_str!("../../src/crypto/path.rs"), "nothing_is_missing")
        }
        Reason::Certificate(CertificateReason::Weak) => {
            (include_str!("../../src/crypto/path.rs"), "a_short_key_is_weak")
        }
        Reason::Signer(SignerReason::KeyMissing | SignerReason::SignerSlow) => return None,
        // Those of the providers of keys: their own tests provoke them, and the daemon takes each by its word.
        Reason::Signer(_) => (
            include_str!("../../../appliance/daemon/src/signer/fault.rs"),
            "every_word_of_a_provider_is_a_reason",
        ),
        _ => return None,
    })
}

/// Provokes a reason, each in its own way, and reads it back. A reason without a line here does not compile.
fn provoked(reason: Reason) -> Result<Outage, Elsewhere> {
    if let Some(elsewhere) = elsewhere(reason) {
        return Err(elsewhere);
    }
    let outage = match reason {
        Reason::Certificate(_) | Reason::Signer(_) => certificates::provoked(reason),
        Reason::Clock | Reason::NoAddress | Reason::PortInUse | Reason::SecretUnusable => unreachable!(),
        Reason::Starting => starting(),
        Reason::IkeProposalMismatch => after(MOMENT, |pair| {
            pair.0.ike_proposals[0].encryption = Encryption::AesGcm16(256);
        }),
        Reason::ChildProposalMismatch => after(MOMENT, |pair| {
            pair.0.esp_proposals[0].encryption = Encryption::AesGcm16(256);
        }),
        Reason::SelectorMismatch => after(MOMENT, |pair| {
            pair.0.lines[0].local = vec![TrafficSelector::network("10.1.0.0/16".parse().unwrap())];
            pair.1.lines[0].remote = vec![TrafficSelector::network("10.9.0.0/16".parse().unwrap())];
        }),
        Reason::KeyExchangeGroupRefused => group_refused(),
        Reason::AuthenticationFailed => after(MOMENT, |pair| {
            pair.0.authentication = Authentication::pre_shared_key(b"another".to_vec().into());
        }),
        Reason::PeerIdentityUnexpected => unexpected_identity(),
        Reason::NameDoesNotResolve => unresolved(),
        Reason::PeerUnreachable => unreachable(),
        Reason::PeerSilent => silent(),
        Reason::Redirected => redirected(),
        Reason::DatapathRefused => datapath_refused(),
        Reason::HalfOpenLimit => half_open_limit(),
        Reason::DeletedByPeer => deleted(),
        Reason::Idle => idle::idle(),
        Reason::LifetimeEnded => lifetime_ended(),
        Reason::Replaced => replaced(),
        Reason::Configuration => configured(),
        Reason::DisconnectedByAdmin => by_hand(Input::Disconnect(name("to-west"))),
        Reason::ResetByAdmin => by_hand(Input::Reset(name("to-west"))),
        Reason::ProtocolError => protocol_error(),
    };
    Ok(outage)
}

type Change = fn((&mut ike::Connection, &mut ike::Connection));

/// What east says some time after both began with these settings.
fn after(time: Duration, change: Change) -> Outage {
    let mut pair = Pair::with(|east, west| change((east, west)));
    pair.run_for(time);
    pair.east.outage()
}

/// An operator does this to what is up.
fn by_hand(input: Input) -> Outage {
    let mut pair = Pair::established();
    pair.tell_east(input);
    pair.east.outage()
}

/// Before anything was heard.
fn starting() -> Outage {
    Pair::with(|_, _| ()).east.outage()
}

/// Somebody who answers our IKE_SA_INIT with one notify.
fn answered(kind: u16, data: Vec<u8>) -> Outage {
    let mut pair = Pair::with(|_, _| ());
    let [request] = pair.network.seize().try_into().unwrap();
    let header = Message::decode(&request.bytes).unwrap().header;
    let header = Header {
        flags: Header::RESPONSE,
        ..header
    };
    let payloads = vec![Payload::Notify(NotifyPayload::new(kind, data))];
    let (local, remote) = (request.source, request.destination);
    let bytes = Message { header, payloads }.encode();
    pair.tell_east(Input::Datagram { local, remote, bytes });
    pair.east.outage()
}

/// A group is wanted that we did not offer.
fn group_refused() -> Outage {
    answered(
        notify::INVALID_KE_PAYLOAD,
        Group::Ecp384.id().to_be_bytes().to_vec(),
    )
}

/// "203.0.113.1" as RFC 5685 §9.1 writes it.
fn redirected() -> Outage {
    answered(notify::REDIRECT, vec![1, 4, 203, 0, 113, 1])
}

fn protocol_error() -> Outage {
    answered(notify::INVALID_SYNTAX, Vec::new())
}

/// West takes east for another.
fn unexpected_identity() -> Outage {
    let mut pair = Pair::with(|east, _| east.local_identity = Identity::Fqdn("other.example".into()));
    pair.run_for(MOMENT);
    pair.west.outage()
}

/// East knows west by a name that leads nowhere.
fn unresolved() -> Outage {
    let mut pair = Pair::new();
    pair.east.names.insert("west.example", Vec::new());
    let east = by_name("west.example");
    pair.configure_east([("to-west", east)]);
    pair.east.outage()
}

fn unreachable() -> Outage {
    let mut pair = Pair::with(|_, _| ());
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(12));
    pair.east.outage()
}

fn silent() -> Outage {
    let mut pair = Pair::established();
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(60));
    pair.west.outage()
}

fn datapath_refused() -> Outage {
    let mut pair = Pair::with(|_, _| ());
    pair.east.refuses = Some("state 0x1234: algorithm: not supported");
    pair.run_for(MOMENT);
    pair.east.outage()
}

fn half_open_limit() -> Outage {
    let mut pair = Pair::new();
    let limits = Limits {
        half_open: 0,
        ..Limits::default()
    };
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    let connections = [(name("to-east"), west)].into_iter().collect();
    pair.tell_west(Input::Settings(Box::new(Settings {
        connections,
        limits,
        ..Settings::default()
    })));
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(MOMENT);
    pair.west.outage()
}

fn deleted() -> Outage {
    let mut pair = Pair::established();
    pair.tell_west(Input::Shutdown);
    pair.run_for(Duration::from_millis(50));
    pair.east.outage()
}

/// Every wish to replace the child is refused until its time is over; before, the connection is degraded.
fn lifetime_ended() -> Outage {
    let mut pair = Pair::with(|east, west| {
        east.child_lifetime = Duration::from_secs(600);
        east.esp_proposals[0].groups = vec![Group::Ecp256];
        west.esp_proposals[0].groups = vec![Group::X25519];
    });
    pair.run_until_quiet();
    pair.run_for(Duration::from_secs(580));
    let standing = pair.east.standing();
    let degraded = standing.outage.expect("a rekey was refused");
    assert_eq!(standing.state, ConnectionState::Up);
    assert_eq!(
        (degraded.reason, degraded.side, degraded.stage),
        (Reason::ChildProposalMismatch, Side::Peer, Stage::CreateChildSa)
    );
    let down = |event: &Event| match event {
        Event::Down(_, outage) => Some(outage.clone()),
        _ => None,
    };
    pair.run_for(Duration::from_secs(120));
    let outage = pair.east.events.iter().find_map(down).expect("it went down");
    assert_eq!(
        outage.offered, "child-proposal-mismatch",
        "why nothing took its place"
    );
    outage
}

/// Both start at once, and the IKE_AUTH of the one whose IKE SA wins is late: the other is refused first.
fn replaced() -> Outage {
    let replaced = |event: &Event| match event {
        Event::AttemptFailed(_, outage) if outage.reason == Reason::Replaced => Some(outage.clone()),
        _ => None,
    };
    let attempt = |lost| {
        let mut pair = Pair::new();
        pair.network.loses = Some(lost);
        pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
        pair.configure_west([("to-east", connection("192.0.2.2", "192.0.2.1"))]);
        pair.run_for(Duration::from_millis(200));
        let told = pair.east.events.iter().chain(&pair.west.events);
        told.filter_map(replaced).next()
    };
    // Two requests, two answers, and then the IKE_AUTH of either.
    (4..6).find_map(attempt).expect("one of them wins")
}

fn configured() -> Outage {
    let pair = Pair::with(|_, _| ());
    pair.west.outage()
}

/// As a test writes it.
fn name_of(reason: Reason) -> String {
    match reason {
        Reason::Certificate(reason) => format!("{reason:?}"),
        Reason::Signer(reason) => format!("{reason:?}"),
        plain => format!("{plain:?}"),
    }
}

/// The word that is read back is the reason's, and there is one thing to do.
#[test]
fn every_reason_is_provoked_and_read_back() {
    for reason in Reason::all() {
        match provoked(reason) {
            Ok(outage) => assert_eq!(outage.reason, reason, "{outage:?}"),
            Err((file, test)) => assert!(
                file.contains(&format!("fn {test}()")) && file.contains(&name_of(reason)),
                "{reason:?} is not provoked by {test}"
            ),
        }
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
    let mut words: Vec<_> = Reason::all().into_iter().map(Reason::word).collect();
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
    assert_eq!(words.len(), Reason::all().len());
}

/// Both sides say what was offered and what was expected, as far as either can know.
#[test]
fn what_was_offered_and_expected_is_told() {
    let told = |reason| {
        let outage = provoked(reason).expect("an engine's reason");
        (outage.side, outage.stage, outage.offered, outage.expected)
    };
    let we =
        |stage, offered: &str, expected: &str| (Side::We, stage, offered.to_owned(), expected.to_owned());
    assert_eq!(
        told(Reason::PeerUnreachable),
        we(Stage::IkeSaInit, "requests to 192.0.2.2:500", "an answer")
    );
    assert_eq!(
        told(Reason::PeerSilent),
        we(Stage::Established, "requests to 192.0.2.1:500", "an answer")
    );
    assert_eq!(
        told(Reason::PeerIdentityUnexpected),
        we(Stage::IkeAuth, "other.example", "192.0.2.1")
    );
    assert_eq!(
        told(Reason::HalfOpenLimit),
        we(Stage::IkeSaInit, "1 half-open IKE SAs", "at most 0")
    );
    assert_eq!(
        told(Reason::DatapathRefused),
        we(Stage::Datapath, "state 0x1234: algorithm: not supported", "")
    );
    let peer =
        |stage, offered: &str, expected: &str| (Side::Peer, stage, offered.to_owned(), expected.to_owned());
    assert_eq!(
        told(Reason::Redirected),
        peer(Stage::IkeSaInit, "203.0.113.1", "192.0.2.2")
    );
    assert_eq!(
        told(Reason::KeyExchangeGroupRefused),
        peer(Stage::IkeSaInit, "X25519", "ECP_384")
    );
    assert_eq!(
        told(Reason::SelectorMismatch),
        peer(Stage::IkeAuth, "10.1.0.0/16 = 0.0.0.0/0", "")
    );
    assert_eq!(
        told(Reason::AuthenticationFailed),
        peer(Stage::IkeAuth, "192.0.2.1", "")
    );
}

/// What happens to a tunnel while it is up is told as well.
#[test]
fn what_happens_while_up_is_told() {
    let mut pair = Pair::established();
    rekey::child(&mut pair, true);
    pair.run_for(MOMENT);
    rekey::ike(&mut pair, true);
    pair.run_for(MOMENT);
    let words: Vec<_> = pair.west.events.iter().map(Event::word).collect();
    assert_eq!(words, ["up", "child-rekeyed", "ike-rekeyed"]);
    pair.east.restart();
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(MOMENT);
    let words: Vec<_> = pair.west.events.iter().skip(3).map(Event::word).collect();
    assert_eq!(words, ["replaced", "up"]);
}
