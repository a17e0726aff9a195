//! Routes that BGP learnt: on any kernel.

use std::collections::BTreeMap;
use std::time::Instant;

use appliance_kernel::{Event, Kernel, Key, Link, LinkKind, Object, Request, Route, Rule, Scope, Version};
use ipnet::{IpNet, Ipv4Net};

use crate::*;

fn wire(link: &str) {
    ip(&format!("link add {link} type veth peer name far-{link}"));
    ip(&format!("link set far-{link} up"));
    ip(&format!("link set {link} up"));
}

fn tunnel(link: &str) -> Object {
    wire(link);
    Link {
        name: name(link),
        kind: LinkKind::External,
        mtu: 1400,
        up: true,
        purpose: String::new(),
    }
    .into()
}

fn learnt(prefix: &str, links: &[&str]) -> Object {
    Route::learnt(
        prefix.parse().unwrap(),
        links.iter().map(|link| name(link)),
        false,
    )
    .into()
}

/// One way, several, another one: replaced in one step, in both families, and taken away whole.
#[test]
fn learnt_routes_have_several_ways() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let links = [tunnel("cw-a"), tunnel("cw-b")];
        kernel.apply(want(links.clone())).await.unwrap();
        for prefix in ["10.9.0.0/16", "fd09::/32"] {
            let family = if prefix.contains(':') { "-6 " } else { "" };
            let shown = || ip(&format!("{family}route show proto bgp"));
            for ways in [&["cw-a"][..], &["cw-a", "cw-b"], &["cw-b"], &["cw-b", "cw-a"]] {
                let route = learnt(prefix, ways);
                kernel.apply([Request::Want(route.clone())]).await.unwrap();
                settle(&mut kernel, &mut notices).await;
                let text = shown();
                for link in ["cw-a", "cw-b"] {
                    let dev = format!("dev {link}");
                    assert_eq!(
                        text.matches(&dev).count(),
                        usize::from(ways.contains(&link)),
                        "{text}"
                    );
                }
                assert!(text.contains("metric 186"), "{text}");
                assert!(kernel.present().any(|object| *object == route), "{text}");
            }
            let key = learnt(prefix, &["cw-a"]).key();
            kernel.apply([Request::Unwant(key)]).await.unwrap();
            assert_eq!(shown(), "");
        }
    });
}

/// Four thousand prefixes take less than 100 ms, are found again by the next run, and go when they are released.
#[test]
fn thousands_of_routes_go_in_at_once() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        kernel
            .apply(want([tunnel("cw-a"), tunnel("cw-b")]))
            .await
            .unwrap();
        settle(&mut kernel, &mut notices).await;
        let prefix = |number: u32| Ipv4Net::new((0x0a00_0000 + (number << 8)).into(), 24).unwrap();
        let routes: Vec<Object> = (0..4000)
            .map(|number| {
                Route::learnt(IpNet::V4(prefix(number)), [name("cw-a"), name("cw-b")], false).into()
            })
            .collect();
        let begun = Instant::now();
        kernel.apply(want(routes.clone())).await.unwrap();
        let taken = begun.elapsed();
        println!("4,000 routes of two ways in {taken:?}");
        let text = ip("route show proto bgp");
        assert_eq!(text.matches("metric 186").count(), 4000, "{text}");
        assert_eq!(settle(&mut kernel, &mut notices).await, []);
        ip("route add 10.200.0.0/16 dev cw-a proto bgp metric 20");

        let (mut next, mut notices) = Kernel::open().await.unwrap();
        let found = |kernel: &Kernel| {
            let is_learnt = |object: &&Object| matches!(object, Object::Route(route) if route.is_learnt());
            kernel.present().filter(is_learnt).count()
        };
        assert_eq!(found(&next), 4000);
        next.apply([Request::Release(Scope::Configured)]).await.unwrap();
        assert_eq!(
            ip("route show proto bgp metric 186")
                .lines()
                .filter(|line| line.starts_with("10."))
                .count(),
            4000
        );
        next.apply(want(routes[..10].to_vec())).await.unwrap();
        next.apply([Request::Release(Scope::Learnt)]).await.unwrap();
        settle(&mut next, &mut notices).await;
        assert_eq!(found(&next), 10);
        let text = ip("route show proto bgp");
        assert!(text.contains("10.200.0.0/16"), "another speaker's stay: {text}");
        ip("route flush proto bgp metric 186");
        let events = settle(&mut next, &mut notices).await;
        assert_eq!(found(&next), 10, "what somebody deletes is made again");
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::Missing(Key::Route(_)))),
            "{events:?}"
        );
    });
}

/// A learnt default route takes what others send, and neither the tunnels' own packets nor what has a more specific route.
#[test]
fn a_learnt_default_route_leaves_the_outer_path_alone() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        wire("wan0");
        ip("addr add 192.0.2.1/24 dev wan0");
        ip("addr add 10.1.0.1/24 dev wan0");
        ip("route add default via 192.0.2.254 metric 400");
        wire("lan0");
        ip("addr add 10.7.0.1/24 dev lan0");
        kernel.apply(want([tunnel("cw-a")])).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        let outer = "192.0.2.1".parse().unwrap();
        let rules = Rule::beside(Version::Four, [outer]);
        let default = Route::learnt("0.0.0.0/0".parse().unwrap(), [name("cw-a")], true);
        let objects: Vec<Object> = rules
            .into_iter()
            .map(Object::from)
            .chain([default.into()])
            .collect();
        kernel.apply(want(objects.clone())).await.unwrap();
        let way = |to: &str| ip(&format!("route get {to}"));
        assert!(way("203.0.113.10 from 192.0.2.1").contains("via 192.0.2.254 dev wan0"));
        assert!(way("203.0.113.10 from 10.1.0.1").contains("dev cw-a"));
        assert!(way("203.0.113.10").contains("dev cw-a"));
        assert!(way("10.7.0.9").contains("dev lan0"));
        // The uplink moves: the outer path follows, and without one there is none.
        ip("route replace default via 192.0.2.253 metric 400");
        assert!(way("203.0.113.10 from 192.0.2.1").contains("via 192.0.2.253 dev wan0"));
        ip("route del default metric 400");
        let (granted, text) = run("route get 203.0.113.10 from 192.0.2.1");
        assert!(!granted, "{text}");

        let (mut next, _notices) = Kernel::open().await.unwrap();
        assert_eq!(next.refusals(), &BTreeMap::new());
        assert!(
            objects
                .iter()
                .all(|object| next.present().any(|found| found == object))
        );
        next.apply([Request::Release(Scope::Learnt)]).await.unwrap();
        assert!(!ip("rule show").contains("17239"), "{}", ip("rule show"));
    });
}
