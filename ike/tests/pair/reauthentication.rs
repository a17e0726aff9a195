//! Both sides prove anew who they are, make before break: a new IKE SA with children of its own takes the place of the old one
//! (RFC 7296 §2.8.3, RFC 4478).

use std::time::Duration;

use ike::{Childless, Connection, Event, Identity, Input, Mode, Reason, Remote, Side};

use crate::certificates::Certified;
use crate::lines::{one_on_demand, wanted};
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::pki::{Authority, Kind, own};
use crate::rekey::{child, ike};
use crate::selectors::{assert_carried, configured, line};
use crate::situation::{EAST, LATE, MOMENT, MOMENTS, WEST, situation, situations, situations_with, spis};
use crate::{Pair, Site, name};

const SECOND: Duration = Duration::from_secs(1);

/// One side makes a new IKE SA in the place of the one that there is.
fn reauthenticate(pair: &mut Pair, east: bool) {
    let connection = name(if east { "to-west" } else { "to-east" });
    pair.tell(east, Input::Reauthenticate(connection));
}

fn times(site: &Site) -> usize {
    let done = |event: &&Event| matches!(event, Event::Reauthenticated(_));
    site.events.iter().filter(done).count()
}

/// Packets flow all the time, and each side tells once that both proved anew who they are.
#[test]
fn either_side_makes_a_new_ike_sa_and_no_packet_is_lost() {
    situations([EAST, WEST], |pair, east| {
        let (before, children) = (spis(&pair.east), pair.east.child().inbound.spi);
        reauthenticate(pair, east);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_ne!(spis(&pair.east), before);
            assert_ne!(pair.east.child().inbound.spi, children);
            assert_eq!(pair.east.standing().ike.unwrap().initiator, east);
            assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
        }
    });
}

/// The old IKE SA goes, and its children receive no longer than they may be needed.
#[test]
fn nothing_of_the_old_ike_sa_stays() {
    let mut pair = Pair::established();
    for east in [true, false] {
        reauthenticate(&mut pair, east);
        pair.run_for(MOMENT);
        assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
        pair.run_for(SECOND * 40);
        pair.assert_kept();
        assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (1, 1));
    }
}

/// A peer may take the old children away as soon as it reads our Delete, or our answer to its own: what left by them before is
/// given time to arrive.
#[test]
fn what_left_before_arrives_before_the_old_ike_sa_goes() {
    let step = Duration::from_millis(1);
    for side in [EAST, WEST] {
        let mut pair = Pair::established();
        let senders = |pair: &mut Pair| pair.side(side).senders.clone();
        let address = pair.side(side).address;
        let said = |pair: &Pair| {
            let sent = pair.network.history.iter();
            sent.filter(|packet| packet.source.ip() == address).count()
        };
        let before = senders(&mut pair);
        reauthenticate(&mut pair, EAST);
        let mut steps = 0;
        while senders(&mut pair) == before {
            pair.run_for(step);
            steps += 1;
            assert!(steps < 5_000, "nothing leaves by the new IKE SA");
        }
        let told = said(&pair);
        pair.run_for(step * 90);
        assert_eq!(said(&pair), told, "it says something too early");
        pair.run_for(step * 30);
        assert_eq!(said(&pair), told + 1, "it says nothing any more");
        pair.run_for(MOMENT);
        assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
    }
}

/// IKE_SA_INIT, IKE_AUTH, the Delete, and the question of the responder whether the old IKE SA is still there.
#[test]
fn a_new_ike_sa_takes_eight_messages() {
    let mut pair = Pair::established();
    let sent = pair.network.history.len();
    reauthenticate(&mut pair, EAST);
    pair.run_for(MOMENT);
    assert_eq!(pair.network.history.len() - sent, 8);
}

/// Whichever side began, both may do so at the same time: one of the two IKE SAs stays, the same on both sides.
#[test]
fn both_sides_at_once_settle_on_one() {
    situations(MOMENTS, |pair, (after, first)| {
        reauthenticate(pair, first);
        pair.run_for(Duration::from_millis(after));
        reauthenticate(pair, !first);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
        }
    });
}

/// Which of two stays is settled by their nonces, whose messages are late or not.
#[test]
fn both_sides_at_once_and_one_of_them_late() {
    situations([EAST, WEST], |pair, late| {
        pair.fate(late, [Ordinary, Late(LATE), Late(LATE)]);
        reauthenticate(pair, EAST);
        reauthenticate(pair, WEST);
        pair.run_for(MOMENT * 3);
    });
}

/// The other side must not notice anything of what the one does besides.
#[test]
fn rekeys_and_a_new_ike_sa_at_once() {
    situations(MOMENTS, |pair, (after, east)| {
        if after % 10 == 0 {
            child(pair, east);
        } else {
            ike(pair, east);
        }
        pair.run_for(Duration::from_millis(after));
        reauthenticate(pair, EAST);
        pair.run_for(MOMENT);
    });
}

/// Each message in turn is lost once; those of either side.
#[test]
fn a_lost_message_is_made_up_for() {
    situations(
        [(0, EAST), (1, EAST), (2, EAST), (0, WEST), (1, WEST), (2, WEST)],
        |pair, (which, side)| {
            let mut fates = [Ordinary; 3];
            fates[which] = Lost;
            pair.fate(side, fates);
            reauthenticate(pair, EAST);
            pair.run_for(SECOND * 3);
            if pair.calm {
                assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
            }
        },
    );
}

/// The answer to IKE_AUTH never arrives, so that only one side has the new IKE SA: the old one goes on, and another is made.
#[test]
fn an_answer_that_never_arrives_leaves_the_old_ike_sa() {
    situation(|pair| {
        if pair.calm {
            // The answers to IKE_SA_INIT and to the question about the old IKE SA arrive.
            pair.hold(WEST);
        }
        reauthenticate(pair, EAST);
        pair.run_for(Duration::from_millis(15));
        pair.release(WEST);
        pair.run_for(Duration::from_millis(6));
        if pair.calm {
            pair.fate(WEST, [Ordinary, Lost, Lost, Lost, Lost, Lost, Lost]);
        }
        pair.run_for(SECOND * 20);
    });
}

/// Several lines: the old IKE SA goes when all of them are carried by the new one, those on demand too.
#[test]
fn every_line_is_carried_anew_before_the_old_ike_sa_goes() {
    situations_with(one_on_demand, [EAST, WEST], |pair, east| {
        pair.lines = 2;
        wanted(pair, EAST, 1);
        pair.run_for(MOMENT);
        reauthenticate(pair, east);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_carried(pair, 2);
            assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
        }
    });
    for east in [EAST, WEST] {
        let mut pair = Pair::with(configured(&[line(0, 0), line(1, 1), line(2, 2)]));
        pair.run_until_quiet();
        assert_carried(&pair, 3);
        reauthenticate(&mut pair, east);
        pair.run_for(SECOND);
        assert_carried(&pair, 3);
        assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
        assert_ne!(pair.traffic.all_arrived(), 0);
    }
}

/// RFC 6023: the child of the new IKE SA is made by CREATE_CHILD_SA.
#[test]
fn an_ike_sa_without_a_child_at_first_takes_over_too() {
    let force = |east: &mut Connection, _: &mut Connection| east.childless = Childless::Force;
    situations_with(force, [EAST, WEST], |pair, east| {
        reauthenticate(pair, east);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
        }
    });
}

/// The side that started the IKE SA keeps the period; the other one only if that does not.
#[test]
fn a_period_is_kept_by_the_initiator() {
    let mut pair = Pair::with(|east, west| {
        east.reauthentication = Some(SECOND * 1000);
        west.reauthentication = Some(SECOND * 1000);
    });
    pair.run_until_quiet();
    let due = pair.east.standing().reauthentication.due.unwrap() - pair.now;
    assert!((SECOND * 785..=SECOND * 900).contains(&due), "{due:?}");
    pair.run_for(SECOND * 2600);
    pair.assert_kept();
    assert_eq!(times(&pair.east), times(&pair.west));
    assert!((2..=3).contains(&times(&pair.east)), "{}", times(&pair.east));
    assert!(pair.east.standing().ike.unwrap().initiator);
}

/// A responder says how long it believes a proof, and the initiator proves who it is before that ends (RFC 4478 §3).
#[test]
fn an_initiator_proves_anew_who_it_is_before_the_responder_forgets_it() {
    let mut pair = Pair::with(|_, west| west.reauthentication = Some(SECOND * 100));
    pair.run_for(SECOND);
    let due = pair.east.standing().reauthentication.due.unwrap() - pair.now;
    assert!((SECOND * 78..=SECOND * 90).contains(&due), "{due:?}");
    pair.run_for(SECOND * 98);
    assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
    assert!(pair.east.standing().ike.unwrap().initiator);
    ike(&mut pair, WEST);
    pair.run_for(SECOND * 100);
    assert_eq!(
        times(&pair.east),
        2,
        "an IKE SA that was rekeyed is as old as its proofs"
    );
    pair.assert_kept();
}

/// A new period counts from when both sides proved who they are, and takes nothing down.
#[test]
fn a_period_changes_in_place() {
    let mut pair = Pair::established();
    pair.run_for(SECOND * 200);
    let mut east = crate::connection("192.0.2.1", "192.0.2.2");
    assert_eq!(pair.east.standing().reauthentication.due, None);
    east.reauthentication = Some(SECOND * 3600);
    pair.configure_east([("to-west", east.clone())]);
    assert!(pair.east.standing().reauthentication.due.is_some());
    assert_eq!(times(&pair.east), 0);
    east.reauthentication = Some(SECOND * 100);
    pair.configure_east([("to-west", east)]);
    pair.run_for(SECOND);
    pair.assert_kept();
    assert_eq!(times(&pair.east), 1, "it is overdue");
}

/// A new certificate is used at once, unless that is not wanted.
#[test]
fn a_new_certificate_is_used_at_once() {
    for at_once in [true, false] {
        let certified = Certified::new(Kind::P256, |_| ());
        let mut pair = certified.run(|east, _| east.reauthenticate_on_renewal = at_once);
        let (mut east, _) = certified.connections();
        let renewed = certified.root.issue(("east", Kind::P256), |_| ());
        pair.east.signer.keys.insert("new-key".to_owned(), renewed.key);
        east.authentication.local = own("new-key", &[&renewed.der]);
        east.reauthenticate_on_renewal = at_once;
        pair.configure_east([("to-west", east.clone())]);
        pair.run_for(SECOND);
        pair.assert_kept();
        assert_eq!(
            (times(&pair.east), times(&pair.west)),
            (at_once.into(), at_once.into())
        );
        pair.configure_east([("to-west", east)]);
        pair.run_for(SECOND);
        assert_eq!(times(&pair.east), at_once.into(), "nothing changed");
    }
}

/// A proof that the peer does not believe: the old IKE SA stays, the reason is told, and it is tried again, less and less
/// often, until it is believed.
#[test]
fn a_proof_that_is_not_believed_takes_nothing_down() {
    let certified = Certified::new(Kind::P256, |_| ());
    let mut pair = certified.run(|_, _| ());
    let (mut east, mut west) = certified.connections();
    let other = Authority::root("Other");
    let strange = other.issue(("east", Kind::P256), |_| ());
    pair.east.signer.keys.insert("strange".to_owned(), strange.key);
    east.authentication.local = own("strange", &[&strange.der]);
    let sent = pair.network.history.len();
    pair.configure_east([("to-west", east)]);
    pair.run_for(SECOND * 600);
    pair.assert_kept();
    let standing = pair.east.standing();
    let outage = standing.reauthentication.outage.unwrap();
    assert_eq!(
        (outage.reason, outage.side),
        (Reason::AuthenticationFailed, Side::Peer)
    );
    assert_eq!(standing.outage, Some(outage.clone()));
    let told = |event: &&Event| matches!(event, Event::Degraded(_, found) if *found == outage);
    assert_eq!(pair.east.events.iter().filter(told).count(), 1);
    let messages = pair.network.history.len() - sent;
    assert!(
        (40..140).contains(&messages),
        "{messages} messages in ten minutes"
    );
    super::certificates::trust(&mut west).roots.insert(other.der());
    pair.configure_west([("to-east", west)]);
    pair.run_for(SECOND * 100);
    pair.assert_kept();
    let standing = pair.east.standing();
    assert_eq!((standing.outage, standing.reauthentication.outage), (None, None));
    assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
}

/// A key that nobody finds, or that does not sign in time, takes nothing down either.
#[test]
fn a_key_that_does_not_sign_takes_nothing_down() {
    for missing in [true, false] {
        let certified = Certified::new(Kind::P256, |_| ());
        let mut pair = certified.run(|_, _| ());
        let keys = std::mem::take(&mut pair.east.signer.keys);
        pair.east.signer.hesitates = !missing;
        reauthenticate(&mut pair, EAST);
        pair.run_for(SECOND * 25);
        let outage = pair.east.standing().reauthentication.outage.unwrap();
        assert!(matches!(outage.reason, Reason::Signer(_)), "{outage:?}");
        pair.assert_kept();
        (pair.east.signer.keys, pair.east.signer.hesitates) = (keys, false);
        pair.run_for(SECOND * 30);
        pair.assert_kept();
        assert_eq!((times(&pair.east), times(&pair.west)), (1, 1));
    }
}

/// A peer that only starts itself takes no new IKE SA of ours: the old one goes on.
#[test]
fn a_peer_that_refuses_keeps_what_there_is() {
    let mut pair = Pair::with(|east, west| {
        (east.mode, west.mode) = (Mode::InitiatorOnly, Mode::ResponderOnly);
    });
    pair.run_until_quiet();
    let before = spis(&pair.east);
    reauthenticate(&mut pair, WEST);
    pair.run_for(SECOND * 100);
    pair.assert_kept();
    assert_eq!(spis(&pair.east), before);
    assert!(pair.west.standing().reauthentication.outage.is_some());
    reauthenticate(&mut pair, EAST);
    pair.run_for(SECOND);
    pair.assert_kept();
    assert_ne!(spis(&pair.east), before);
    assert_eq!(pair.west.standing().outage, None);
}

/// The datapath of either side does not carry the new child: the old ones carry the traffic until it does.
#[test]
fn a_datapath_that_refuses_leaves_the_old_ike_sa() {
    for (east, side) in [(EAST, EAST), (EAST, WEST), (WEST, EAST), (WEST, WEST)] {
        let mut pair = Pair::established();
        pair.run_for(SECOND);
        pair.side(side).refuses = Some("no room");
        reauthenticate(&mut pair, east);
        pair.run_for(SECOND * 20);
        pair.side(side).refuses = None;
        pair.run_for(SECOND * 120);
        pair.assert_kept();
    }
}

/// A peer that lost the old IKE SA does not close it: what it does not know is not used for long.
#[test]
fn an_old_ike_sa_that_the_peer_has_lost_is_given_up() {
    let mut pair = Pair::established();
    pair.run_for(SECOND);
    pair.tell_east(Input::Settings(Box::default()));
    // Nobody hears the Delete.
    pair.network.seize();
    pair.configure_east([("to-west", crate::connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(SECOND);
    pair.assert_up();
    assert!(pair.west.child().sends, "by the new child");
    pair.run_for(SECOND * 60);
    pair.assert_up();
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (1, 1));
}

/// A peer that comes from elsewhere has left where it was, and nobody can close what it had there: what is sent follows it at once.
#[test]
fn a_peer_that_comes_from_elsewhere_is_followed() {
    let identity = || Identity::Fqdn("east.example".to_owned());
    let mut pair = Pair::with(|east, west| {
        (west.remote, west.mode) = (Remote::Any, Mode::ResponderOnly);
        west.remote_identity = identity().into();
        east.local_identity = identity();
    });
    pair.run_until_quiet();
    pair.assert_up();
    pair.run_for(SECOND);
    pair.tell_east(Input::Settings(Box::default()));
    // Nobody hears the Delete.
    pair.network.seize();
    pair.east.others.push("192.0.2.77".parse().unwrap());
    let elsewhere = Connection {
        local_identity: identity(),
        ..crate::connection("192.0.2.77", "192.0.2.2")
    };
    pair.configure_east([("to-west", elsewhere)]);
    pair.run_for(SECOND);
    pair.assert_up();
    assert!(pair.west.child().sends, "by the new child");
}

/// An operator who takes a connection down, or a stop, leaves neither of the two IKE SAs.
#[test]
fn both_ike_sas_go_when_the_connection_goes() {
    for after in [5, 15, 25, 35, 45, 55] {
        for stop in [true, false] {
            for east in [EAST, WEST] {
                let mut pair = Pair::established();
                reauthenticate(&mut pair, EAST);
                pair.run_for(Duration::from_millis(after));
                let connection = name(if east { "to-west" } else { "to-east" });
                pair.tell(
                    east,
                    if stop {
                        Input::Shutdown
                    } else {
                        Input::Disconnect(connection)
                    },
                );
                pair.run_for(SECOND * 90);
                assert!(pair.side(east).datapath.is_empty(), "{after} ms");
                if !stop {
                    assert!(pair.side(!east).datapath.is_empty(), "{after} ms");
                } else {
                    assert!(pair.side(east).engine.is_idle());
                }
            }
        }
    }
}
