//! Both sides replace the same IKE SA at once (RFC 7296 §2.8.2).

use std::time::Duration;

use crate::Pair;
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::ike;
use crate::situation::Lowest::{self, EastAnswers, EastAsks, WestAnswers, WestAsks};
use crate::situation::{EAST, LATE, MOMENT, ORDERS, WEST, situation, situations};

fn collide(pair: &mut Pair, lowest: Lowest) {
    lowest.collide(pair, ike, ike);
}

fn assert_made_by(pair: &mut Pair, side: bool) {
    if pair.calm {
        let initiator = [&pair.east, &pair.west].map(|site| site.standing().ike.unwrap().initiator);
        assert_eq!(initiator, [side == EAST, side == WEST]);
    }
}

fn one_stays(lowest: Lowest) {
    situation(|pair| {
        collide(pair, lowest);
        pair.run_for(MOMENT);
        assert_made_by(pair, lowest.winner());
    });
}

#[test]
fn ike_collision_with_the_lowest_nonce_in_easts_request() {
    one_stays(EastAsks);
}

#[test]
fn ike_collision_with_the_lowest_nonce_in_wests_answer() {
    one_stays(WestAnswers);
}

#[test]
fn ike_collision_with_the_lowest_nonce_in_wests_request() {
    one_stays(WestAsks);
}

#[test]
fn ike_collision_with_the_lowest_nonce_in_easts_answer() {
    one_stays(EastAnswers);
}

/// East learns late what became of its request; the old IKE SA may be gone by then.
#[test]
fn ike_collision_with_a_late_answer() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 2);
        assert_made_by(pair, lowest.winner());
    });
}

/// The loser never learns what became of its request, for the old IKE SA is closed: nothing of it is left a quarter of
/// a minute later.
#[test]
fn ike_collision_with_an_answer_that_never_arrives() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(Duration::from_secs(15));
        assert_made_by(pair, lowest.winner());
        pair.settled = pair.calm;
    });
}

/// West's request arrives while east closes the IKE SA that it is about.
#[test]
fn ike_collision_with_a_request_that_arrives_during_the_delete() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Late(Duration::from_millis(15))]);
        collide(pair, lowest);
        pair.run_for(MOMENT);
        assert_made_by(pair, EAST);
    });
}

/// West's request arrives when the IKE SA that it is about is long gone.
#[test]
fn ike_collision_with_a_request_that_arrives_after_the_delete() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 2);
        assert_made_by(pair, EAST);
    });
}

#[test]
fn ike_collision_with_late_deletes() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Ordinary, Late(LATE)]);
        pair.fate(WEST, [Ordinary, Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 3);
        assert_made_by(pair, lowest.winner());
    });
}

/// A request and the Delete that follows the other exchange are late, so that they cross.
#[test]
fn ike_collision_with_a_late_request_and_a_late_delete() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Late(Duration::from_millis(200))]);
        pair.fate(EAST, [Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 3);
        assert_made_by(pair, EAST);
    });
}

#[test]
fn ike_collision_with_a_lost_request() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, EAST);
    });
}

/// West's request is lost every time until east has closed the IKE SA.
#[test]
fn ike_collision_with_a_request_that_never_arrives() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Lost, Ordinary, Ordinary, Lost, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 8);
        assert_made_by(pair, EAST);
    });
}

#[test]
fn ike_collision_with_both_answers_lost() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Lost]);
        pair.fate(WEST, [Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, lowest.winner());
    });
}

#[test]
fn ike_collision_with_both_deletes_lost() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Ordinary, Lost]);
        pair.fate(WEST, [Ordinary, Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, lowest.winner());
    });
}
