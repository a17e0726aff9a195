//! Which connection a peer belongs to: by its identity, by its name, by whatever it proves.

use std::time::Duration;

use ike::crypto::Encryption;
use ike::{
    Authentication, Connection, ConnectionState, DropCause, Identity, Input, Mode, Reason, Remote, Settings,
};

use crate::lines::{one_on_demand, wanted};
use crate::selectors::assert_carried;
use crate::situation::{EAST, WEST};
use crate::{Pair, connection, name};

/// O=Acme, CN=`name`, its texts encoded as `tag` says: 12 UTF8String, 19 PrintableString.
fn distinguished_name(tag: u8, organization: &[u8; 4], name: &[u8; 4]) -> Identity {
    let mut der = vec![0x30, 0x1e];
    for (attribute, text) in [(10, organization), (3, name)] {
        der.extend([0x31, 0x0d, 0x30, 0x0b, 6, 3, 0x55, 4, attribute, tag, 4]);
        der.extend(text);
    }
    Identity::DistinguishedName(der)
}

#[test]
fn every_kind_of_identity_brings_a_tunnel_up() {
    let address = |text: &str| Identity::Address(text.parse().unwrap());
    let kinds = [
        (address("198.51.100.1"), address("198.51.100.1")),
        (address("2001:db8::1"), address("2001:db8::1")),
        (
            Identity::Fqdn("gw.example".to_owned()),
            Identity::Fqdn("GW.Example".to_owned()),
        ),
        (
            Identity::Email("gw@example".to_owned()),
            Identity::Email("gw@example".to_owned()),
        ),
        (Identity::KeyId(vec![0, 255]), Identity::KeyId(vec![0, 255])),
        (
            distinguished_name(12, b"Acme", b"gw 1"),
            distinguished_name(19, b"ACME", b"GW 1"),
        ),
    ];
    for (said, expected) in kinds {
        let mut pair = Pair::with(|east, west| {
            east.local_identity = said.clone();
            west.remote_identity = expected.clone().into();
        });
        pair.run_until_quiet();
        pair.assert_up();
    }
}

#[test]
fn another_distinguished_name_is_told_in_words() {
    let mut pair = Pair::with(|east, west| {
        east.local_identity = distinguished_name(12, b"Acme", b"gw 2");
        west.remote_identity = distinguished_name(12, b"Acme", b"gw 1").into();
    });
    pair.run_until_quiet();
    let outage = pair.west.outage();
    assert_eq!(outage.reason, Reason::PeerIdentityUnexpected);
    assert_eq!(
        (outage.offered.as_str(), outage.expected.as_str()),
        ("CN=gw 2,O=Acme", "CN=gw 1,O=Acme")
    );
}

/// West waits for east.
fn named() -> Pair {
    let mut pair = Pair::new();
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair
}

/// East's connection to a west that it knows by name.
pub(crate) fn by_name(host: &str) -> Connection {
    let remote = Remote::Name {
        host: host.to_owned(),
        port: 500,
    };
    Connection {
        remote,
        ..connection("192.0.2.1", "192.0.2.2")
    }
}

#[test]
fn a_peer_is_found_by_its_name() {
    let mut pair = named();
    pair.east
        .names
        .insert("west.example", vec!["2001:db8::2", "192.0.2.2", "192.0.2.9"]);
    pair.configure_east([("to-west", by_name("west.example"))]);
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.east.asked, ["west.example"]);
}

/// What the resolver says of a name that leads nowhere is the reason, and the name is asked for again with back-off.
#[test]
fn a_name_that_leads_nowhere_is_the_reason_and_is_asked_for_again() {
    for (answer, expected) in [
        (vec![], "no IPv4 address of a peer among []"),
        (
            vec!["2001:db8::2", "192.0.2.1", "0.0.0.0"],
            "no IPv4 address of a peer among [2001:db8::2, 192.0.2.1, 0.0.0.0]",
        ),
    ] {
        let mut pair = named();
        pair.east.names.insert("west.example", answer);
        pair.configure_east([("to-west", by_name("west.example"))]);
        let outage = pair.east.outage();
        assert_eq!(outage.reason, Reason::NameDoesNotResolve);
        assert_eq!(
            (outage.offered.as_str(), outage.expected.as_str()),
            ("west.example", expected)
        );
        assert!(!outage.reason.next_step(outage.side).is_empty());
        pair.run_for(Duration::from_secs(600));
        let asked = pair.east.asked.len();
        assert!((8..20).contains(&asked), "asked {asked} times in ten minutes");
        pair.east.names.insert("west.example", vec!["192.0.2.2"]);
        pair.run_for(Duration::from_secs(81));
        pair.assert_up();
    }
}

#[test]
fn a_resolver_that_never_answers_holds_nothing_up_for_ever() {
    let mut pair = named();
    pair.configure_east([("to-west", by_name("west.example"))]);
    pair.run_for(Duration::from_secs(31));
    let outage = pair.east.outage();
    assert_eq!(outage.reason, Reason::NameDoesNotResolve);
    assert_eq!(outage.expected, "no answer within 30 s");
    pair.east.names.insert("west.example", vec!["192.0.2.2"]);
    pair.run_for(Duration::from_secs(3));
    pair.assert_up();
}

/// An answer that comes late, or to a question of before, starts nothing.
#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut pair = named();
    pair.configure_east([("to-west", by_name("old.example"))]);
    pair.configure_east([("to-west", by_name("west.example"))]);
    let answer = |host: &str, address: &str| {
        let addresses = Ok(vec![address.parse().unwrap()]);
        Input::Resolved(name("to-west"), host.to_owned(), addresses)
    };
    pair.tell_east(answer("old.example", "192.0.2.9"));
    assert!(pair.network.history.is_empty());
    pair.tell_east(answer("west.example", "192.0.2.2"));
    pair.run_until_quiet();
    pair.assert_up();
    let sent = pair.network.history.len();
    pair.tell_east(answer("west.example", "192.0.2.9"));
    pair.run_until_quiet();
    assert_eq!(pair.network.history.len(), sent);
    pair.assert_up();
}

/// An answer is good for five minutes. Only then, or when somebody says "now", is the name asked for again, and never
/// while the tunnel is up.
#[test]
fn a_name_is_asked_for_again_only_while_the_tunnel_is_down() {
    let mut pair = named();
    pair.east.names.insert("west.example", vec!["192.0.2.2"]);
    pair.configure_east([("to-west", by_name("west.example"))]);
    pair.run_until_quiet();
    pair.east.names.insert("west.example", vec!["192.0.2.77"]);
    pair.run_for(Duration::from_secs(3600));
    pair.assert_up();
    assert_eq!(pair.east.asked.len(), 1, "it was up all the time");

    pair.network.cut = true;
    pair.run_for(Duration::from_secs(46));
    assert!(!pair.east.is_up());
    assert_eq!(pair.east.asked.len(), 2, "the answer was an hour old");
    pair.run_for(Duration::from_secs(200));
    assert_eq!(pair.east.asked.len(), 2, "the answer was fresh");
    let latest = pair.network.history.back().unwrap();
    assert_eq!(latest.destination.ip().to_string(), "192.0.2.77");
    pair.run_for(Duration::from_secs(200));
    assert_eq!(pair.east.asked.len(), 3);

    pair.network.cut = false;
    pair.east.names.insert("west.example", vec!["192.0.2.2"]);
    // The attempt that is under way ends first.
    pair.run_for(Duration::from_secs(12));
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(Duration::from_secs(90));
    pair.assert_up();
}

/// West knows its peers by what they prove: from whatever address, and each is told from the others.
#[test]
fn a_peer_from_anywhere_is_found_by_its_identity() {
    let mut pair = Pair::new();
    let anywhere = |remote: Remote, id: &str, secret: &[u8]| Connection {
        remote,
        mode: Mode::Default,
        remote_identity: Identity::Fqdn(id.to_owned()).into(),
        authentication: Authentication::pre_shared_key(secret.to_vec().into()),
        ..connection("192.0.2.2", "192.0.2.1")
    };
    pair.configure_west([
        ("a", anywhere(Remote::Any, "a.example", b"secret a")),
        ("b", anywhere(Remote::Any, "b.example", b"secret b")),
        ("c", {
            let host = "never-answered.example".to_owned();
            anywhere(Remote::Name { host, port: 500 }, "c.example", b"secret c")
        }),
    ]);
    for (known, id, secret) in [("b", "b.example", b"secret b"), ("c", "c.example", b"secret c")] {
        let east = Connection {
            local_identity: Identity::Fqdn(id.to_owned()),
            authentication: Authentication::pre_shared_key(secret.to_vec().into()),
            ..connection("192.0.2.1", "192.0.2.2")
        };
        pair.configure_east([("to-west", east)]);
        pair.run_until_quiet();
        assert!(pair.east.is_up(), "{:?}", pair.east.standing());
        let west = pair.west.snapshot().connections;
        assert_eq!(west[&name(known)].state, ConnectionState::Up, "{id}: {west:?}");
        assert_eq!(west[&name("a")].state, ConnectionState::Down);
    }
}

/// An identity alone opens nothing, and what is wrong is told of the connection that it names.
#[test]
fn a_peer_from_anywhere_must_prove_its_identity() {
    let mut pair = Pair::with(|east, west| {
        west.remote = Remote::Any;
        west.remote_identity = Identity::Fqdn("east.example".to_owned()).into();
        east.local_identity = Identity::Fqdn("east.example".to_owned());
        east.authentication = Authentication::pre_shared_key(b"another".to_vec().into());
    });
    pair.run_until_quiet();
    assert!(!pair.west.is_up());
    assert_eq!(pair.west.outage().reason, Reason::AuthenticationFailed);
}

/// Whatever its mode, a connection without an address starts nothing.
#[test]
fn a_connection_to_anywhere_never_starts() {
    let mut pair = Pair::new();
    let east = Connection {
        remote: Remote::Any,
        ..connection("192.0.2.1", "192.0.2.2")
    };
    pair.configure_east([("to-west", east)]);
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(Duration::from_secs(600));
    assert!(pair.network.history.is_empty());
    assert_eq!(pair.east.outage().reason, Reason::Configuration);
}

/// Where several peers may come from anywhere, a stranger's refusal is told of none: it could fill every status.
#[test]
fn a_stranger_is_told_of_only_where_one_connection_can_be_meant() {
    let two = |pair: &mut Pair, names: &[&'static str]| {
        let anywhere = |id: &str| Connection {
            remote: Remote::Any,
            remote_identity: Identity::Fqdn(id.to_owned()).into(),
            ..connection("192.0.2.2", "192.0.2.1")
        };
        let connections = names.iter().map(|id| (name(id), anywhere(id))).collect();
        pair.tell_west(Input::Settings(Box::new(Settings {
            connections,
            ..Settings::default()
        })));
    };
    for (names, expected) in [
        (&["a"][..], Reason::PeerIdentityUnexpected),
        (&["a", "b"][..], Reason::Configuration),
    ] {
        let mut pair = Pair::new();
        two(&mut pair, names);
        pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
        pair.run_until_quiet();
        let outage = pair.west.snapshot().connections[&name("a")].outage.clone();
        assert_eq!(outage.unwrap().reason, expected);
        assert_eq!(pair.east.outage().reason, Reason::AuthenticationFailed);
    }
}

/// Connections may differ in what they agree on, and one that is gone answers nobody any more.
#[test]
fn a_peer_from_anywhere_is_answered_as_long_as_its_connection_is_there() {
    let proposing = |encryption: Encryption, mut settings: Connection| {
        settings.ike_proposals[0].encryption = encryption;
        settings
    };
    let anywhere = |id: &str, encryption: Encryption| {
        let settings = Connection {
            remote: Remote::Any,
            remote_identity: Identity::Fqdn(id.to_owned()).into(),
            ..connection("192.0.2.2", "192.0.2.1")
        };
        proposing(encryption, settings)
    };
    let (usual, strong) = (Encryption::AesGcm16(128), Encryption::AesGcm16(256));
    let mut pair = Pair::new();
    pair.configure_west([("a", anywhere("a", usual)), ("b", anywhere("b", strong))]);
    let east = Connection {
        local_identity: Identity::Fqdn("b".to_owned()),
        ..connection("192.0.2.1", "192.0.2.2")
    };
    pair.configure_east([("to-west", proposing(strong, east))]);
    pair.run_until_quiet();
    assert_eq!(
        pair.west.snapshot().connections[&name("b")].state,
        ConnectionState::Up
    );

    pair.configure_west([("a", anywhere("a", usual))]);
    pair.run_until_quiet();
    assert!(!pair.east.is_up());
    assert_eq!(pair.east.outage().reason, Reason::IkeProposalMismatch);
    pair.configure_west([]);
    pair.run_for(Duration::from_secs(90));
    assert!(pair.west.drops(DropCause::NoConnection) > 0);
    assert!(!pair.east.is_up());
}

/// What only we act on changes under a tunnel that stays up; anything else has it negotiated anew.
#[test]
fn the_mode_and_the_patience_change_without_touching_the_tunnel() {
    let mut pair = Pair::established();
    let before = pair.east.standing().ike.unwrap().initiator_spi;
    let changed = || Connection {
        mode: Mode::ResponderOnly,
        dpd_timeout: Duration::from_secs(9),
        ..connection("192.0.2.1", "192.0.2.2")
    };
    pair.configure_east([("to-west", changed())]);
    pair.run_until_quiet();
    pair.assert_kept();
    assert_eq!(pair.east.standing().ike.unwrap().initiator_spi, before);
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(10));
    assert!(!pair.east.is_up(), "nine seconds of silence are enough now");
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(120));
    assert!(!pair.east.is_up(), "it waits for the peer now");

    let starting = Connection {
        mode: Mode::InitiatorOnly,
        ..changed()
    };
    pair.configure_east([("to-west", starting)]);
    pair.run_until_quiet();
    assert!(pair.east.is_up());
    let before = pair.east.standing().ike.unwrap().initiator_spi;
    let longer = Connection {
        child_lifetime: Duration::from_secs(3600),
        ..changed()
    };
    pair.configure_east([(
        "to-west",
        Connection {
            mode: Mode::Default,
            ..longer
        },
    )]);
    pair.run_until_quiet();
    assert_ne!(pair.east.standing().ike.unwrap().initiator_spi, before);
}

/// The modes say who starts the first IKE SA, and nothing of the exchanges after it.
#[test]
fn either_side_may_rekey_whoever_may_start() {
    for (east, west) in [
        (Mode::InitiatorOnly, Mode::ResponderOnly),
        (Mode::Default, Mode::ResponderOnly),
        (Mode::InitiatorOnly, Mode::Default),
    ] {
        let mut pair = Pair::with(|a, b| (a.mode, b.mode) = (east, west));
        pair.run_until_quiet();
        pair.assert_up();
        for input in [Input::RekeyChild, Input::RekeyIke] {
            pair.tell_west(input(name("to-east")));
            pair.run_until_quiet();
            pair.assert_kept();
            pair.tell_east(input(name("to-west")));
            pair.run_until_quiet();
            pair.assert_kept();
        }
    }
}

/// Who may only start is not started by the peer, and both waiting never meet.
#[test]
fn the_first_ike_sa_is_started_by_whom_the_mode_lets() {
    for (east, west, meet) in [
        (Mode::InitiatorOnly, Mode::InitiatorOnly, false),
        (Mode::ResponderOnly, Mode::ResponderOnly, false),
        (Mode::ResponderOnly, Mode::InitiatorOnly, true),
        (Mode::Default, Mode::Default, true),
    ] {
        let mut pair = Pair::with(|a, b| (a.mode, b.mode) = (east, west));
        pair.run_for(Duration::from_secs(300));
        assert_eq!(pair.east.is_up() && pair.west.is_up(), meet, "{east:?} {west:?}");
        let sent = !pair.network.history.is_empty();
        assert_eq!(sent, (east, west) != (Mode::ResponderOnly, Mode::ResponderOnly));
    }
}

/// The mode binds the first IKE SA: without one, who may only respond says nothing; with one it asks for lines as the
/// other side does.
#[test]
fn who_may_only_respond_asks_for_lines_once_an_ike_sa_stands() {
    let waits = |east: &mut Connection, west: &mut Connection| {
        one_on_demand(east, west);
        west.mode = Mode::ResponderOnly;
    };
    let mut pair = Pair::with(|east, west| {
        waits(east, west);
        east.mode = Mode::ResponderOnly;
    });
    for east in [EAST, WEST] {
        wanted(&mut pair, east, 1);
    }
    pair.run_for(Duration::from_secs(60));
    assert!(pair.network.history.is_empty());

    let mut pair = Pair::with(waits);
    pair.run_until_quiet();
    assert_carried(&pair, 1);
    assert_eq!(pair.west.watched[&name("to-east")].len(), 1);
    let sent = pair.network.history.len();
    wanted(&mut pair, WEST, 1);
    pair.run_until_quiet();
    assert_carried(&pair, 2);
    assert_eq!(pair.network.history[sent].source.ip(), pair.west.address);
}
