//! Routes find their way through several speakers.

use std::time::Duration;

use bgp::Input;

use crate::lone::prefixes;
use crate::{Network, name, prefix};

const SECOND: Duration = Duration::from_secs(1);

/// A square: every prefix has two ways, and one is left when a tunnel goes.
#[test]
fn a_square_heals() {
    let sites = [("a", 65_001), ("b", 65_002), ("c", 65_003), ("d", 65_004)];
    let mut network = Network::idle(&sites, &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]);
    network.start();
    network.run_for(10 * SECOND);
    for site in &network.sites {
        assert_eq!(site.kernel.len(), 3, "{}: {:?}", site.name, site.kernel);
    }
    assert_eq!(network["a"].way("10.2.0.0/16").as_deref(), Some("b"));
    network.input("a", Input::Tunnel(name("b"), false));
    network.input("b", Input::Tunnel(name("a"), false));
    network.cut("a", "b");
    network.run_for(SECOND);
    assert_eq!(
        network["a"].way("10.2.0.0/16").as_deref(),
        Some("d"),
        "long before any hold timer"
    );
    assert_eq!(network["b"].way("10.1.0.0/16").as_deref(), Some("c"));
    network.mend();
    network.input("a", Input::Tunnel(name("b"), true));
    network.input("b", Input::Tunnel(name("a"), true));
    network.run_for(300 * SECOND);
    assert_eq!(network["a"].way("10.2.0.0/16").as_deref(), Some("b"));
}

/// Many routes pass a middle, whatever pieces they come in; then all are withdrawn.
#[test]
fn many_routes_pass_and_go_again() {
    for piece in [1000, usize::MAX] {
        let sites = [("east", 65_001), ("middle", 65_002), ("west", 65_003)];
        let mut network = Network::idle(&sites, &[("east", "middle"), ("middle", "west")]);
        network.piece = piece;
        for site in &mut network.sites {
            for neighbour in site.settings.neighbours.values_mut() {
                neighbour.limits.prefixes = 3000;
            }
        }
        network.sites[0]
            .settings
            .sites
            .insert(name("static"), prefixes(2000));
        network.start();
        network.run_for(20 * SECOND);
        assert_eq!(network["west"].kernel.len(), 2002);
        network.configure("east", |settings| {
            settings.sites.insert(name("static"), prefixes(7));
        });
        network.run_for(5 * SECOND);
        assert_eq!(network["west"].kernel.len(), 9);
    }
}

/// The kernel refuses a route: status says so until it takes it, or the route goes.
#[test]
fn refused_routes_are_shown() {
    let mut network = Network::established();
    let route = prefix("10.2.0.0/16");
    network.input("east", Input::RouteRefused(route, "no such link".to_owned()));
    let refused = network["east"].speaker.snapshot().refused;
    assert_eq!(refused.get(&route).map(String::as_str), Some("no such link"));
    network.input("east", Input::RouteTaken(route));
    assert!(network["east"].speaker.snapshot().refused.is_empty());
    network.input("east", Input::RouteRefused(route, "no such link".to_owned()));
    network.configure("west", |settings| settings.own.clear());
    network.run_for(SECOND);
    assert!(network["east"].speaker.snapshot().refused.is_empty());
}

/// The same inputs give the same actions, whatever the run.
#[test]
fn a_run_can_be_repeated() {
    let run = || {
        let mut network = Network::established();
        network.configure("east", |settings| settings.own = prefixes(500));
        network.run_for(10 * SECOND);
        let sites = network.sites.iter();
        let told = sites.map(|site| {
            let peers = site.speaker.snapshot().peers;
            let counts: Vec<_> = peers.values().map(|peer| (peer.sent, peer.received)).collect();
            (format!("{:?}", site.kernel), counts)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
