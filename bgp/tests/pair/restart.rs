//! Graceful restart, both roles (RFC 4724, RFC 8538).

use std::time::Duration;

use bgp::wire::framing::keepalive;
use bgp::{Event, Input};

use crate::lone::{announcement, end_of_rib, graceful, open, prefixes};
use crate::{Lone, Network, name};

const SECOND: Duration = Duration::from_secs(1);

/// Three sites in a line: what the outer ones tell each other passes the middle.
fn line() -> Network {
    let sites = [("east", 65_001), ("middle", 65_002), ("west", 65_003)];
    let mut network = Network::idle(&sites, &[("east", "middle"), ("middle", "west")]);
    network.start();
    network.run_for(10 * SECOND);
    assert_eq!(network["east"].way("10.3.0.0/16").as_deref(), Some("middle"));
    network
}

/// Lets time pass and looks every tenth of a second whether these sites forward to these prefixes.
fn without_a_gap(network: &mut Network, time: Duration, ways: &[(&str, &str)]) {
    let end = network.now + time;
    while network.now < end {
        network.run_for(SECOND / 10);
        for (site, to) in ways {
            assert!(network[site].forwards(to), "{site} has no way to {to}");
        }
    }
}

const ALL: [(&str, &str); 4] = [
    ("east", "10.3.0.0/16"),
    ("west", "10.1.0.0/16"),
    ("middle", "10.1.0.0/16"),
    ("middle", "10.3.0.0/16"),
];

/// A speaker that crashes and comes back loses no packet: not its own, and not those that pass through it.
#[test]
fn a_crash_of_the_middle_leaves_no_gap() {
    for away in [0, 5, 60] {
        let mut network = line();
        network.crash("middle");
        without_a_gap(&mut network, away * SECOND, &ALL);
        let middle = network.place("middle");
        network.run(middle);
        without_a_gap(&mut network, 200 * SECOND, &ALL);
        assert!(
            network["middle"].left.is_empty(),
            "what the old run left is taken over or released"
        );
        assert!(network["east"].is_established("middle"));
        let converged = network["middle"].count(|event| matches!(event, Event::Converged));
        assert_eq!(converged, 2, "once in either run");
        let restarts = network["east"].count(|event| matches!(event, Event::Restarting(_)));
        assert_eq!(restarts, 1, "{away} s: {:#?}", network["east"].events);
    }
}

/// The same when the daemon is told to come back at once.
#[test]
fn an_orderly_restart_leaves_no_gap() {
    let mut network = line();
    network.input("middle", Input::Shutdown { restarting: true });
    network.crash("middle");
    without_a_gap(&mut network, 5 * SECOND, &ALL);
    let middle = network.place("middle");
    network.run(middle);
    without_a_gap(&mut network, 200 * SECOND, &ALL);
}

/// What is gone when the middle comes back goes everywhere, once all have told what they have.
#[test]
fn what_went_during_a_restart_goes_after_it() {
    let mut network = line();
    network.crash("middle");
    network.configure("west", |settings| settings.own.clear());
    network.run_for(5 * SECOND);
    let middle = network.place("middle");
    network.run(middle);
    network.run_for(200 * SECOND);
    assert!(!network["middle"].forwards("10.3.0.0/16"));
    assert!(!network["east"].forwards("10.3.0.0/16"));
    assert!(network["east"].forwards("10.2.0.0/16"));
}

/// A neighbour that does not come back in time is given up.
#[test]
fn the_restart_time_bounds_the_wait() {
    let mut network = line();
    network.crash("middle");
    network.run_for(115 * SECOND);
    assert!(network["east"].forwards("10.3.0.0/16"));
    assert!(network["east"].peer("middle").restarting);
    network.run_for(10 * SECOND);
    assert!(!network["east"].forwards("10.3.0.0/16"));
    assert_eq!(
        network["east"].count(|event| matches!(event, Event::RestartOver(_))),
        1
    );
}

/// With a restart time of zero nothing of ours is kept.
#[test]
fn a_restart_time_of_zero_keeps_nothing() {
    let mut network = Network::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
    network.sites[0].settings.restart_time = Duration::ZERO;
    network.start();
    network.run_for(5 * SECOND);
    network.break_connections("east", "west");
    assert!(!network["west"].forwards("10.1.0.0/16"));
    assert!(
        network["east"].forwards("10.2.0.0/16"),
        "the other side wants its routes kept"
    );
}

/// Selection waits for every neighbour that can say when it is done; one that is not there bounds it by the timer.
#[test]
fn an_absent_neighbour_is_waited_for_until_the_deferral_ends() {
    let mut network = line();
    network.crash("middle");
    network.cut("middle", "west");
    let middle = network.place("middle");
    network.run(middle);
    network.run_for(80 * SECOND);
    assert!(network["middle"].speaker.snapshot().converging);
    assert!(
        network["middle"].forwards("10.3.0.0/16"),
        "the kernel still has the old route"
    );
    network.run_for(15 * SECOND);
    assert!(!network["middle"].speaker.snapshot().converging);
    assert!(!network["middle"].forwards("10.3.0.0/16"));
    assert!(network["middle"].forwards("10.1.0.0/16"));
}

/// A first start has nothing to keep: routes are used as they come.
#[test]
fn a_first_start_waits_for_nobody() {
    let sites = [("east", 65_001), ("west", 65_002), ("absent", 65_003)];
    let mut network = Network::idle(&sites, &[("east", "west"), ("east", "absent")]);
    network.cut("east", "absent");
    network.start();
    network.run_for(3 * SECOND);
    assert!(network["east"].kernel.contains_key(&crate::prefix("10.2.0.0/16")));
}

fn restarted(open: &bgp::wire::open::Open, first: &[ipnet::IpNet]) -> (Lone, bgp::ConnectionId) {
    let mut lone = Lone::new();
    let connection = lone.establish_with(open);
    lone.hears(connection, announcement(first));
    lone.hears(connection, end_of_rib());
    (lone, connection)
}

/// RFC 4724 §4.2: only TCP's end keeps routes; with RFC 8538 a NOTIFICATION does so, too, unless it is a hard reset.
#[test]
fn which_ends_keep_routes() {
    use bgp::wire::notification::Notification;
    let cease = Notification::cease(4);
    let cases = [
        (None, false, true),
        (None, true, true),
        (Some(cease.clone()), false, false),
        (Some(cease.clone()), true, true),
        (Some(cease.hard()), true, false),
    ];
    for (notification, told, kept) in cases {
        let (mut lone, connection) = restarted(&graceful(true, told), &prefixes(3));
        match &notification {
            Some(notification) => lone.hears(connection, notification.encode()),
            None => lone.tell(Input::Closed(connection, None)),
        }
        assert_eq!(
            lone.site.kernel.len(),
            if kept { 3 } else { 0 },
            "{notification:?}, {told}"
        );
    }
    let mut lone = Lone::new();
    let connection = lone.establish_with(&open());
    lone.hears(connection, announcement(&prefixes(3)));
    lone.tell(Input::Closed(connection, None));
    assert!(
        lone.site.kernel.is_empty(),
        "without the capability nothing is kept"
    );
}

/// After its return what it does not tell again goes with its End-of-RIB.
#[test]
fn what_is_not_told_again_goes_with_end_of_rib() {
    let (mut lone, connection) = restarted(&graceful(true, false), &prefixes(3));
    lone.tell(Input::Closed(connection, None));
    let connection = lone.establish_with(&graceful(true, false));
    lone.hears(connection, announcement(&prefixes(2)));
    assert_eq!(lone.site.kernel.len(), 3);
    lone.hears(connection, end_of_rib());
    assert_eq!(lone.site.kernel.len(), 2);
}

/// It does not even say End-of-RIB: a bound of ours sweeps.
#[test]
fn a_neighbour_that_never_finishes_is_swept_in_time() {
    let mut fast = graceful(true, false);
    fast.hold_time = 0;
    let (mut lone, connection) = restarted(&fast, &prefixes(3));
    lone.tell(Input::Closed(connection, None));
    let connection = lone.establish_with(&fast);
    lone.hears(connection, announcement(&prefixes(1)));
    lone.run_for(359 * SECOND);
    assert_eq!(lone.site.kernel.len(), 3);
    lone.run_for(2 * SECOND);
    assert_eq!(lone.site.kernel.len(), 1);
}

/// RFC 4724 §4.2: it came back and did not forward meanwhile, or no longer speaks of restarts.
#[test]
fn routes_go_at_once_when_forwarding_was_lost() {
    for again in [graceful(false, false), open()] {
        let (mut lone, connection) = restarted(&graceful(true, false), &prefixes(3));
        lone.tell(Input::Closed(connection, None));
        assert_eq!(lone.site.kernel.len(), 3);
        lone.establish_with(&again);
        assert!(lone.site.kernel.is_empty());
    }
}

/// RFC 4724 §4.2: what was stale already when it restarts once more does not get another chance.
#[test]
fn a_second_restart_takes_what_is_stale_from_the_first() {
    let (mut lone, connection) = restarted(&graceful(true, false), &prefixes(3));
    lone.tell(Input::Closed(connection, None));
    let connection = lone.establish_with(&graceful(true, false));
    lone.hears(connection, announcement(&prefixes(1)));
    lone.tell(Input::Closed(connection, None));
    assert_eq!(lone.site.kernel.len(), 1);
}

/// After our restart a neighbour without graceful restart is waited for until it has fallen silent.
#[test]
fn a_neighbour_without_end_of_rib_is_done_when_it_is_silent() {
    let mut lone = Lone::new();
    let connection = after_our_restart(&mut lone, &open());
    lone.run_for(SECOND);
    lone.hears(connection, announcement(&prefixes(2)));
    lone.run_for(SECOND * 3 / 2);
    assert!(lone.site.kernel.is_empty(), "there may be more");
    lone.run_for(SECOND);
    assert_eq!(lone.site.kernel.len(), 2);
}

/// Our OPEN says that we restarted, and that the kernel kept our routes, only when both are true.
#[test]
fn the_open_says_what_was_kept() {
    let said = |lone: &mut Lone| {
        let connection = lone.accept();
        match lone.said(connection).remove(0) {
            crate::lone::Said::Open(open) => {
                let restart = open.capabilities.graceful_restart.expect("it is offered");
                (restart.restarted, restart.families[0].1)
            }
            other => panic!("{other:?}"),
        }
    };
    let mut lone = Lone::new();
    assert_eq!(said(&mut lone), (false, false));
    lone.site.start_again(9);
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert_eq!(said(&mut lone), (true, true));
}

/// We are there again, and the neighbour opens its session.
fn after_our_restart(lone: &mut Lone, open: &bgp::wire::open::Open) -> bgp::ConnectionId {
    lone.site.settings.neighbours.remove(&name("feed"));
    lone.site.start_again(9);
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    lone.tell(Input::Tunnel(name("peer"), true));
    let connection = lone.accept();
    lone.hears(connection, open.encode());
    lone.hears(connection, keepalive());
    connection
}

/// FRR 8 says End-of-RIB a second before it sends its routes, and for two minutes after its own start that it restarted as
/// well: what the kernel still has stays until they come.
#[test]
fn an_end_of_rib_before_any_route_is_not_believed_at_once() {
    for restarted_as_well in [false, true] {
        let (mut lone, _) = restarted(&graceful(true, true), &prefixes(3));
        let connection = after_our_restart(&mut lone, &graceful(restarted_as_well, true));
        lone.hears(connection, end_of_rib());
        lone.run_for(SECOND);
        let there = |prefix: &ipnet::IpNet| lone.site.forwards(&prefix.to_string());
        assert!(prefixes(3).iter().all(there), "{restarted_as_well}");
        lone.hears(connection, announcement(&prefixes(3)));
        lone.run_for(3 * SECOND);
        assert_eq!(lone.site.kernel.len(), 3);
        assert!(lone.site.left.is_empty() && !lone.site.speaker.snapshot().converging);
    }
}

/// One that has nothing to say does not hold everybody up.
#[test]
fn an_end_of_rib_without_routes_is_believed_after_a_moment() {
    let (mut lone, _) = restarted(&graceful(true, true), &prefixes(3));
    let connection = after_our_restart(&mut lone, &graceful(false, true));
    lone.hears(connection, end_of_rib());
    lone.run_for(3 * SECOND);
    assert!(!lone.site.speaker.snapshot().converging);
    assert!(lone.site.left.is_empty() && lone.site.kernel.is_empty());
}
