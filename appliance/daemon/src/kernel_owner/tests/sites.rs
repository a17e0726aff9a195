//! Which tunnel has the routes of a site, and what is let be.

use std::time::Duration;

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Connected, Key, Object, Op, Target};
use ike::{ChildId, ConnectionName, EspPair};

use super::rig::*;
use crate::datapath::Request;

/// Whoever administers this machine from a network inside a site's prefix is not shut out when that network comes late,
/// and it is closed again when it goes.
#[tokio::test]
async fn a_network_of_our_own_is_let_be_as_long_as_it_is_there() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let lan = Connected {
        link: "lan".try_into().unwrap(),
        address: "10.2.0.129".parse().unwrap(),
        network: "10.2.0.128/25".parse().unwrap(),
    };
    let opened = || match kernel.objects().get(&Key::Ruleset) {
        Some(Object::Ruleset(ruleset)) => ruleset.local.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(opened(), 0);
    kernel.connect(lan.clone());
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(opened(), 1);
    kernel.disconnect(lan);
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(opened(), 0);
}

/// The link that has the route of a prefix.
fn way_to(kernel: &FakeKernel, prefix: &str) -> Option<String> {
    let prefix = prefix.parse().unwrap();
    kernel.objects().values().find_map(|object| match object {
        Object::Route(route) if route.prefix == prefix => match &route.target {
            Target::Link { link, .. } => Some(link.to_string()),
            Target::Gateway { .. } | Target::Learnt(_) | Target::Marked(..) | Target::Unreachable => None,
        },
        _ => None,
    })
}

/// Of two tunnels to one site the first that is up has its routes, and at every step there is a way or none in clear
/// text.
#[tokio::test]
async fn the_routes_of_a_site_go_over_the_first_of_its_tunnels_that_is_up() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let way = || way_to(&kernel, "10.2.0.0/24");
    assert_eq!(
        way().as_deref(),
        Some("cw-to-b"),
        "none is up: the smallest priority"
    );
    let before = kernel.performed().len();

    let second = EspPair {
        connection: ConnectionName("second".into()),
        remote: "192.0.2.3:500".parse().unwrap(),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-second"));
    assert!(rig.snapshot.borrow().idle.contains(&name()));

    rig.install(2, 0x100).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-to-b"));

    rig.tell(Request::Remove(ChildId(2))).await;
    assert_eq!(way().as_deref(), Some("cw-second"));

    kernel.lose(&inbound(0x200));
    rig.answered.recv().await.unwrap();
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-to-b"));

    let steps = kernel.performed().split_off(before);
    let routes = steps.iter().filter(|step| matches!(step.key(), Key::Route(_)));
    let removed = routes.filter(|step| matches!(step, Op::Delete(..)));
    assert_eq!(
        removed.count(),
        0,
        "routes are replaced, not taken away: {steps:?}"
    );
}

/// A route that could not be moved is moved soon after, and not with the next audit.
#[tokio::test(start_paused = true)]
async fn a_refused_route_is_tried_again_soon() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let route = kernel.objects().into_keys().find(|key| match key {
        Key::Route(route) => route.metric < 1_000_000,
        _ => false,
    });
    let route = route.unwrap();
    kernel.refuse(route.clone(), 105, "No buffer space available");
    let second = EspPair {
        connection: ConnectionName("second".into()),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-to-b"));
    assert_eq!(rig.snapshot.borrow().refused.len(), 1);
    kernel.accept(&route);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-second"));
    rig.ask(Request::Refresh).await;
    assert!(rig.snapshot.borrow().refused.is_empty());
}

/// A daemon that died left the second tunnel carrying traffic: its routes stay there until the first is up.
#[tokio::test]
async fn the_routes_stay_where_a_daemon_before_left_traffic() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let second = EspPair {
        connection: ConnectionName("second".into()),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    rig.crash();

    let mut rig = Rig::with(&kernel, with_second()).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-second"));
    rig.install(1, 0x100).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-to-b"));
}
