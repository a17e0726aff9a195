//! Prefixes as NAT has them: what a neighbour behind rules sends, and what it is told.

use std::time::Duration;

use bgp::wire::refresh::{Refresh, RefreshKind};
use bgp::wire::update::{Context, Decoder};
use bgp::{
    ConnectionId, Direction, Event, Explanation, Families, Family, Input, Lies, Mapping, MappingKind,
    Neighbour, PrefixFilter, Refusal, RouteQuery, RouteRow, RouteTranslation, RouteView, Standing,
    Translated,
};

use crate::lone::{Said, announcement, announcement_by, end_of_rib, graceful, open, withdrawal};
use crate::{Lone, Network, name, prefix};

const SECOND: Duration = Duration::from_secs(1);

/// Our own prefix is 10.1.0.0/16, and that of the neighbour's site as well.
const THEIRS: &str = "10.1.0.0/16";
const SEEN: &str = "100.65.0.0/16";

fn mapping(rule: &str, internal: &str, external: &str) -> Mapping {
    Mapping {
        rule: rule.into(),
        internal: prefix(internal),
        external: prefix(external),
        kind: MappingKind::Static,
    }
}

fn behind(neighbour: &mut Neighbour) {
    neighbour.passive = true;
    neighbour.translation.ingress = vec![mapping("site", THEIRS, SEEN)];
}

/// A neighbour behind a rule, and another that is told of its routes.
fn three() -> (Lone, ConnectionId, ConnectionId) {
    let mut lone = Lone::with(behind);
    let peer = lone.establish_with(&open());
    let feed = lone.feed();
    lone.said(feed);
    (lone, peer, feed)
}

/// What was announced and withdrawn since the last call, by words.
fn told(lone: &mut Lone, connection: ConnectionId) -> Vec<String> {
    let mut decoder = Decoder::new(Context {
        four_octet_asn: true,
        families: Families::ALL,
        add_path: Families::NONE,
        ipv6_next_hops: false,
        internal: false,
        first_asn: None,
        as_sets: true,
    });
    let mut told = Vec::new();
    for said in lone.said(connection) {
        let Said::Update(body) = said else { continue };
        let update = decoder.decode(&body);
        told.extend(update.withdrawn.iter().map(|gone| format!("-{}", gone.prefix)));
        let announced = update.announced.iter().flat_map(|(_, destinations)| destinations);
        told.extend(announced.map(|there| format!("+{}", there.prefix)));
    }
    told.sort_unstable();
    told
}

fn rows(lone: &Lone, view: RouteView, to: &str) -> Vec<RouteRow> {
    let query = RouteQuery {
        view,
        family: Family::Ipv4,
        neighbour: None,
        filter: Some(PrefixFilter::Exact(prefix(to))),
        after: None,
        limit: 10,
    };
    lone.site.speaker.routes(&query).routes
}

fn what(rule: &str, what: Translated) -> Option<RouteTranslation> {
    Some(RouteTranslation {
        rule: rule.into(),
        what,
    })
}

/// A site that has our own prefix is reached by the one that stands for it, and others are told of that.
#[test]
fn an_overlapping_site_is_learnt_as_its_external_prefix() {
    let (mut lone, peer, feed) = three();
    lone.hears(peer, announcement(&[prefix(THEIRS), prefix("192.0.2.0/24")]));
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"));
    assert_eq!(lone.site.way(THEIRS), None, "that is ours");
    assert_eq!(told(&mut lone, feed), ["+100.65.0.0/16", "+192.0.2.0/24"]);
    let received = rows(&lone, RouteView::Received, THEIRS);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].standing, Standing::Best);
    assert_eq!(
        received[0].translation,
        what("site", Translated::To(prefix(SEEN)))
    );
    assert!(rows(&lone, RouteView::Received, SEEN).is_empty());
    let accepted = rows(&lone, RouteView::Accepted, SEEN);
    assert_eq!(accepted.len(), 1);
    assert_eq!(
        accepted[0].translation,
        what("site", Translated::From(prefix(THEIRS)))
    );
    assert!(rows(&lone, RouteView::Accepted, THEIRS).is_empty());
    let explained = lone
        .site
        .speaker
        .explain(&name("peer"), Direction::Import, prefix(THEIRS));
    let Some(Explanation::Import(paths)) = explained else {
        panic!("{explained:?}")
    };
    assert_eq!((paths.len(), &paths[0].decision), (1, &Ok(None)));
    assert_eq!(paths[0].translation, what("site", Translated::To(prefix(SEEN))));

    lone.hears(peer, withdrawal(&[prefix(THEIRS)]));
    assert_eq!(lone.site.way(SEEN), None);
    assert_eq!(told(&mut lone, feed), ["-100.65.0.0/16"]);
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    assert_eq!(told(&mut lone, feed), ["+100.65.0.0/16"]);
    lone.tell(Input::Tunnel(name("peer"), false));
    assert_eq!(told(&mut lone, feed), ["-100.65.0.0/16", "-192.0.2.0/24"]);
}

/// Refreshes, plain and enhanced, leave what was made of what comes again, and take what does not.
#[test]
fn a_refresh_is_of_what_was_sent() {
    let mut lone = Lone::with(behind);
    let mut enhanced = open();
    enhanced.capabilities.enhanced_refresh = true;
    let peer = lone.establish_with(&enhanced);
    let feed = lone.feed();
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    lone.said(feed);
    let mark = |kind| {
        let family = Family::Ipv4;
        Refresh { family, kind }.encode()
    };
    lone.hears(peer, mark(RefreshKind::Begin));
    assert!(rows(&lone, RouteView::Accepted, SEEN)[0].stale);
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    assert!(!rows(&lone, RouteView::Accepted, SEEN)[0].stale);
    lone.hears(peer, mark(RefreshKind::End));
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"));
    assert_eq!(told(&mut lone, feed), [""; 0], "nothing changed");
    lone.hears(peer, mark(RefreshKind::Begin));
    lone.hears(peer, mark(RefreshKind::End));
    assert_eq!(told(&mut lone, feed), ["-100.65.0.0/16"]);
}

/// Rules apply to what is there already: the session stays, the neighbour is not asked, and only what changes is told.
#[test]
fn other_rules_apply_in_place() {
    let (mut lone, peer, feed) = three();
    lone.hears(
        peer,
        announcement(&[prefix(THEIRS), prefix("10.7.0.0/24"), prefix("192.0.2.0/24")]),
    );
    assert_eq!(
        told(&mut lone, feed),
        ["+10.7.0.0/24", "+100.65.0.0/16", "+192.0.2.0/24"]
    );
    lone.said(peer);
    let mut apply = |ingress: Vec<Mapping>, expected: &[&str]| {
        let neighbour = lone.site.settings.neighbours.get_mut(&name("peer")).unwrap();
        neighbour.translation.ingress = ingress;
        lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
        assert_eq!(told(&mut lone, feed), expected);
        assert_eq!(lone.said(peer), [], "it is not asked");
    };
    apply(
        vec![mapping("other", THEIRS, "100.66.0.0/16")],
        &["+100.66.0.0/16", "-100.65.0.0/16"],
    );
    let both = || {
        vec![
            mapping("a", THEIRS, "100.66.0.0/16"),
            mapping("b", "10.7.0.0/24", "100.67.0.0/24"),
        ]
    };
    apply(both(), &["+100.67.0.0/24", "-10.7.0.0/24"]);
    apply(both().into_iter().rev().collect(), &[]);
    apply(Vec::new(), &["+10.7.0.0/24", "-100.66.0.0/16", "-100.67.0.0/24"]);
    apply(both(), &["+100.66.0.0/16", "+100.67.0.0/24", "-10.7.0.0/24"]);
    assert_eq!(lone.peer().established_count, 1);
}

/// What was made of routes that are kept over a restart is kept, and goes with those that do not come again.
#[test]
fn translated_routes_outlive_a_restart() {
    let mut lone = Lone::with(|neighbour| {
        behind(neighbour);
        neighbour
            .translation
            .ingress
            .push(mapping("b", "10.7.0.0/24", "100.67.0.0/24"));
    });
    let peer = lone.establish_with(&graceful(true, false));
    lone.hears(peer, announcement(&[prefix(THEIRS), prefix("10.7.0.0/24")]));
    lone.hears(peer, end_of_rib());
    lone.tell(Input::Closed(peer, Some("connection reset".to_owned())));
    assert!(lone.peer().restarting);
    assert!(rows(&lone, RouteView::Accepted, SEEN)[0].stale);
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"));
    let peer = lone.establish_with(&graceful(true, false));
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    assert_eq!(
        lone.site.way("100.67.0.0/24").as_deref(),
        Some("peer"),
        "it may still come"
    );
    lone.hears(peer, end_of_rib());
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"));
    assert_eq!(lone.site.way("100.67.0.0/24"), None);
}

/// A part of what is translated is not let in, more than that is, and both are told: once, until it came anew.
#[test]
fn what_is_translated_in_part_is_told() {
    let (mut lone, peer, feed) = three();
    let (part, more) = ("10.1.7.0/24", "10.0.0.0/8");
    lone.hears(
        peer,
        announcement(&[prefix(part), prefix(more), prefix("0.0.0.0/0")]),
    );
    assert_eq!(told(&mut lone, feed), ["+10.0.0.0/8"]);
    assert_eq!(lone.site.way("100.65.7.0/24"), None);
    let part = rows(&lone, RouteView::Received, part).remove(0);
    assert_eq!(part.standing, Standing::Refused(Refusal::PartlyTranslated));
    assert_eq!(part.translation, what("site", Translated::Not(Lies::Inside)));
    let more = rows(&lone, RouteView::Received, more).remove(0);
    assert_eq!(
        (more.standing, more.translation),
        (Standing::Best, what("site", Translated::Not(Lies::Around)))
    );
    let default = rows(&lone, RouteView::Received, "0.0.0.0/0").remove(0);
    assert_eq!((default.standing, default.translation), (Standing::Best, None));
    let listed = lone.peer();
    assert_eq!(
        (listed.partly_translated.len(), listed.partly_translated_count),
        (2, 2)
    );
    let partly = |lone: &Lone| {
        lone.site
            .count(|event| matches!(event, Event::PartlyTranslated(..)))
    };
    assert_eq!(partly(&lone), 1);
    let words = lone.site.events.iter().find_map(|(_, event)| match event {
        Event::PartlyTranslated(_, words) => Some(words.clone()),
        _ => None,
    });
    let words = words.unwrap();
    assert!(
        words.starts_with("10.1.7.0/24 received is a part of 10.1.0.0/16, which site translates"),
        "{words}"
    );
    assert!(words.ends_with("; 1 more"), "{words}");

    let again = announcement(&[prefix("10.1.7.0/24"), prefix("10.0.0.0/8")]);
    lone.run_for(20 * SECOND);
    lone.hears(peer, again.clone());
    assert_eq!(partly(&lone), 1, "that is known");
    lone.hears(peer, withdrawal(&[prefix("10.1.7.0/24"), prefix("10.0.0.0/8")]));
    assert_eq!(lone.peer().partly_translated_count, 0);
    for _ in 0..100 {
        lone.hears(peer, again.clone());
        lone.hears(peer, withdrawal(&[prefix("10.1.7.0/24"), prefix("10.0.0.0/8")]));
        lone.run_for(SECOND / 5);
    }
    let told = partly(&lone);
    assert!((2..=4).contains(&told), "{told} in twenty seconds");
}

/// The prefix that stands for theirs may come from them as it is: it counts until what it stands for comes.
#[test]
fn what_is_made_goes_before_what_came_so() {
    let (mut lone, peer, feed) = three();
    lone.hears(peer, announcement(&[prefix(SEEN)]));
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"));
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    let came = rows(&lone, RouteView::Received, SEEN).remove(0);
    assert_eq!(came.standing, Standing::Refused(Refusal::Superseded));
    let received = lone.peer().families[&Family::Ipv4].received;
    assert_eq!(received, 2, "both count for the limit");
    assert_eq!(lone.peer().partly_translated[0].lies, Lies::Superseded);
    lone.hears(peer, withdrawal(&[prefix(THEIRS)]));
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("peer"), "it came as it is");
    assert_eq!(lone.peer().partly_translated_count, 0);
    lone.hears(peer, withdrawal(&[prefix(SEEN)]));
    assert_eq!(lone.site.way(SEEN), None);
    let told = told(&mut lone, feed);
    assert_eq!(
        told.iter().filter(|told| told.starts_with('-')).count(),
        1,
        "it was there all the time: {told:?}"
    );
}

/// What was made of a route and what came so from another neighbour are two paths to one prefix.
#[test]
fn the_choice_is_between_what_was_made_and_what_came_so() {
    let (mut lone, peer, feed) = three();
    lone.hears(peer, announcement(&[prefix(THEIRS)]));
    lone.hears(feed, announcement_by(65_003, &[prefix(SEEN)]));
    let standing = |lone: &Lone| {
        let rows = rows(lone, RouteView::Accepted, SEEN);
        assert_eq!(rows.len(), 2);
        rows.into_iter()
            .find(|row| row.standing == Standing::Best)
            .unwrap()
            .from
            .unwrap()
    };
    assert_eq!(standing(&lone), name("peer"), "its router has the smaller number");
    let neighbour = lone.site.settings.neighbours.get_mut(&name("feed")).unwrap();
    neighbour.local_preference = 200;
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert_eq!(standing(&lone), name("feed"));
    assert_eq!(lone.site.way(SEEN).as_deref(), Some("feed"));
    let lost = rows(&lone, RouteView::Received, THEIRS).remove(0);
    assert_eq!(lost.standing, Standing::Lost(bgp::Step::LocalPreference));
    lone.hears(feed, withdrawal(&[prefix(SEEN)]));
    assert_eq!(standing_of_one(&lone), Standing::Best);
}

fn standing_of_one(lone: &Lone) -> Standing {
    rows(lone, RouteView::Received, THEIRS).remove(0).standing
}

/// Two sites that have the same prefix see each other by what stands for it: one of them translates for both.
#[test]
fn two_sites_with_one_prefix_reach_each_other() {
    let mut network = Network::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
    network.sites[1].settings.own = vec![prefix(THEIRS), prefix("10.2.7.0/24")];
    let west = network.sites[0]
        .settings
        .neighbours
        .get_mut(&name("west"))
        .unwrap();
    west.translation.ingress = vec![mapping("theirs", THEIRS, SEEN)];
    west.translation.egress = vec![mapping("ours", THEIRS, "100.64.0.0/16")];
    network.start();
    network.run_for(5 * SECOND);
    assert_eq!(
        network["east"]
            .kernel
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["10.2.7.0/24", SEEN]
    );
    assert_eq!(
        network["west"]
            .kernel
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["100.64.0.0/16"]
    );
    let since = network["east"].peer("west").since;

    network.change("east", "west", |west| {
        west.translation.egress = vec![mapping("ours", THEIRS, "100.99.0.0/16")];
    });
    network.run_for(SECOND);
    assert_eq!(
        network["west"]
            .kernel
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["100.99.0.0/16"]
    );
    network.change("east", "west", |west| {
        west.translation = bgp::Translation::default()
    });
    network.run_for(SECOND);
    assert!(network["west"].kernel.is_empty(), "it has that prefix itself");
    assert_eq!(network["east"].kernel.len(), 1);
    assert_eq!(network["east"].peer("west").since, since, "in one session");
}

/// Sites that have the same prefix each have their own that stands for it, and hear of the other's only by that.
#[test]
fn several_sites_with_one_prefix_have_one_each() {
    let sites = [("hub", 65_001), ("b", 65_002), ("c", 65_003)];
    let mut network = Network::idle(&sites, &[("hub", "b"), ("hub", "c")]);
    for site in 1..=2 {
        network.sites[site].settings.own = vec![prefix("10.50.0.0/24")];
    }
    for (site, seen) in [("b", "100.64.1.0/24"), ("c", "100.64.2.0/24")] {
        let neighbour = network.sites[0].settings.neighbours.get_mut(&name(site)).unwrap();
        neighbour.translation.ingress = vec![mapping(site, "10.50.0.0/24", seen)];
    }
    network.start();
    network.run_for(10 * SECOND);
    assert_eq!(network["hub"].way("100.64.1.0/24").as_deref(), Some("b"));
    assert_eq!(network["hub"].way("100.64.2.0/24").as_deref(), Some("c"));
    assert_eq!(network["hub"].kernel.len(), 2);
    assert_eq!(network["b"].way("100.64.2.0/24").as_deref(), Some("hub"));
    assert_eq!(network["c"].way("100.64.1.0/24").as_deref(), Some("hub"));
    assert!(!network["b"].forwards("10.50.0.0/24") && !network["b"].forwards("100.64.1.0/24"));
    network.configure("c", |settings| settings.own.clear());
    network.run_for(SECOND);
    assert!(!network["b"].forwards("100.64.2.0/24") && network["c"].forwards("100.64.1.0/24"));
}

/// What the document gets wrong of our own prefixes is told when it is applied.
#[test]
fn our_prefixes_that_are_translated_in_part_are_told() {
    let (mut lone, peer) = Lone::established();
    let neighbour = lone.site.settings.neighbours.get_mut(&name("peer")).unwrap();
    neighbour.translation.egress = vec![mapping("part", "10.1.7.0/24", "100.64.7.0/24")];
    let own = lone.site.settings.own[0].to_string();
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert_eq!(lone.said(peer), [], "it has that prefix already");
    let partly = &lone.peer().partly_translated;
    assert_eq!(
        (partly.len(), partly[0].direction, partly[0].lies),
        (1, Direction::Export, Lies::Around)
    );
    assert_eq!(partly[0].prefix.to_string(), own);
    assert_eq!(
        lone.site
            .count(|event| matches!(event, Event::PartlyTranslated(..))),
        1
    );
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert_eq!(
        lone.site
            .count(|event| matches!(event, Event::PartlyTranslated(..))),
        1
    );
    let explained = lone
        .site
        .speaker
        .explain(&name("peer"), Direction::Export, prefix(&own));
    let translation = what("part", Translated::Not(Lies::Around));
    assert_eq!(explained, Some(Explanation::Export(Ok(None), translation)));
}
