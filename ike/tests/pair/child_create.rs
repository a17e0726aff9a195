//! One more Child SA is made, for a selector line that comes on demand (RFC 7296 §1.3.1).

use std::time::Duration;

use ike::crypto::Group::{Ecp384, X25519};
use ike::{Connection, Input, LineStart, Mode};

use crate::network::Fate::{Late, Lost};
use crate::rekey::{child, ike};
use crate::selectors::{configured, line};
use crate::situation::{EAST, LATE, MOMENT, MOMENTS, ORDERS, WEST, situations_with};
use crate::{Pair, name};

const SIDES: [bool; 2] = [EAST, WEST];

/// Two lines, the second on demand; either side may ask for it.
fn two_lines(east: &mut Connection, west: &mut Connection) {
    let mut lines = [line(1, 1), line(2, 2)];
    lines[1].start = LineStart::OnDemand;
    configured(&lines)(east, west);
    west.mode = Mode::Default;
}

/// A packet of the second line wants through.
fn create(pair: &mut Pair, side: bool) {
    let connection = if side { "to-west" } else { "to-east" };
    pair.lines = 2;
    pair.tell(side, Input::Wanted(name(connection), 1));
}

fn count(pair: &Pair) -> (usize, usize) {
    (pair.east.datapath.len(), pair.west.datapath.len())
}

#[test]
fn child_create_by_either_side() {
    situations_with(two_lines, SIDES, |pair, side| {
        let sent = pair.network.history.len();
        create(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!((pair.network.history.len() - sent, count(pair)), (2, (2, 2)));
        }
    });
}

#[test]
fn child_create_request_late() {
    situations_with(two_lines, SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        create(pair, side);
        pair.run_for(MOMENT * 2);
        assert!(!pair.calm || count(pair) == (2, 2));
    });
}

#[test]
fn child_create_request_lost() {
    situations_with(two_lines, SIDES, |pair, side| {
        pair.fate(side, [Lost, Lost]);
        create(pair, side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || count(pair) == (2, 2));
    });
}

#[test]
fn child_create_answer_lost() {
    situations_with(two_lines, SIDES, |pair, side| {
        pair.fate(!side, [Lost, Lost]);
        create(pair, side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || count(pair) == (2, 2));
    });
}

/// Both sides want the same child at once: one of two stays.
#[test]
fn child_create_by_both_sides_at_once() {
    situations_with(two_lines, ORDERS, |pair, lowest| {
        lowest.collide(pair, create, create);
        pair.run_for(Duration::from_secs(12));
        assert!(!pair.calm || count(pair) == (2, 2));
    });
}

/// The same with one request so late that the other's child is there.
#[test]
fn child_create_by_both_sides_with_a_late_request() {
    situations_with(two_lines, SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        create(pair, EAST);
        create(pair, WEST);
        pair.run_for(Duration::from_secs(12));
        assert!(!pair.calm || count(pair) == (2, 2));
    });
}

/// INVALID_KE_PAYLOAD names the group that the responder wants for one more child too.
#[test]
fn child_create_with_a_wrong_guess() {
    let change = |east: &mut Connection, west: &mut Connection| {
        two_lines(east, west);
        east.esp_proposals[0].groups = vec![Ecp384, X25519];
        west.esp_proposals[0].groups = vec![X25519];
    };
    situations_with(change, SIDES, |pair, side| {
        let sent = pair.network.history.len();
        create(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(
                pair.network.history.len() - sent,
                if side == EAST { 4 } else { 2 }
            );
            let children =
                [&pair.east, &pair.west].map(|site| site.standing().children[1].algorithms.clone());
            assert!(
                children.iter().all(|child| child.ends_with("/X25519")),
                "{children:?}"
            );
        }
    });
}

/// One more child is asked for at every moment of the other one's rekey.
#[test]
fn child_create_during_a_rekey_by_the_other_side() {
    situations_with(two_lines, MOMENTS, |pair, (wait, side)| {
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        create(pair, !side);
        pair.run_for(Duration::from_secs(3));
    });
}

/// One more child is asked for at every moment of the IKE SA's rekey: it is refused for now, and made afterwards.
#[test]
fn child_create_during_an_ike_rekey_by_the_other_side() {
    situations_with(two_lines, MOMENTS, |pair, (wait, side)| {
        ike(pair, side);
        pair.run_for(Duration::from_millis(wait));
        create(pair, !side);
        pair.run_for(Duration::from_secs(5));
        create(pair, !side);
        pair.run_for(Duration::from_secs(15));
    });
}

/// The IKE SA is replaced at every moment of one more child's making.
#[test]
fn ike_rekey_during_a_child_create_by_the_other_side() {
    situations_with(two_lines, MOMENTS, |pair, (wait, side)| {
        create(pair, side);
        pair.run_for(Duration::from_millis(wait));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(5));
        create(pair, side);
        pair.run_for(Duration::from_secs(15));
    });
}
