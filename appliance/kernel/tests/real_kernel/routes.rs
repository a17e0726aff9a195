//! Links, addresses, routes and the ruleset: on any kernel.

use std::collections::{BTreeMap, BTreeSet};

use appliance_kernel::{
    Event, Kernel, Key, Link, LinkKind, MaximumSegments, Object, RefusalKind, Removal, Request, Ruleset,
    Scope, Target,
};

use crate::*;

/// Addresses and routes wait for a link that others make, and come back when it goes and returns; the route of
/// last resort is there all the time.
#[test]
fn objects_follow_a_link_of_others() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let objects = [
            route("10.2.0.0/24"),
            route("fd02::/64"),
            address("169.254.21.2/30"),
            address("fd00::2/64"),
            external("cw-a"),
            last_resort("10.2.0.0/24"),
            last_resort("fd02::/64"),
        ];
        kernel.apply(want(objects.clone())).await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&objects[5..]));
        assert_eq!(kernel.waiting().len(), 5);
        for _ in 0..2 {
            ip("link add cw-a type veth peer name other");
            ip("link set other up");
            settle(&mut kernel, &mut notices).await;
            assert_eq!(kernel.refusals(), &BTreeMap::new());
            assert_eq!(keys(&kernel), all_keys(&objects));
            let routes = ip("route show proto 67");
            assert!(
                routes.contains("10.2.0.0/24 dev cw-a scope link metric 10"),
                "{routes}"
            );
            assert!(
                routes.contains("unreachable 10.2.0.0/24 metric 4294967294"),
                "{routes}"
            );
            assert!(ip("-6 route show proto 67").contains("fd02::/64 dev cw-a metric 10"));
            assert!(ip("addr show dev cw-a").contains("169.254.21.2/30"));
            assert!(ip("link show dev cw-a").contains("mtu 1400") && ip("link show dev cw-a").contains("UP"));
            ip("link del cw-a");
            let events = settle(&mut kernel, &mut notices).await;
            assert!(
                events.contains(&Event::Missing(Key::Link(name("cw-a")))),
                "{events:?}"
            );
            assert_eq!(keys(&kernel), all_keys(&objects[5..]));
        }
    });
}

/// The kernel is asked by which link it reaches an address: by the longest route, not by any to ourselves or to nowhere.
#[test]
fn the_way_to_an_address_is_told() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        ip("link set lo up");
        ip("link add cw-a type veth peer name other");
        ip("link set other up");
        let objects = [
            route("10.2.0.0/24"),
            route("fd02::/64"),
            address("169.254.21.2/30"),
            external("cw-a"),
            last_resort("10.2.0.0/16"),
            last_resort("fd02::/48"),
        ];
        kernel.apply(want(objects)).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        for (to, link) in [
            ("10.2.0.7", Some("cw-a")),
            ("fd02::7", Some("cw-a")),
            ("169.254.21.1", Some("cw-a")),
            ("169.254.21.2", None),
            ("10.2.1.7", None),
            ("fd02:0:0:1::7", None),
            ("192.0.2.7", None),
            ("2001:db8::7", None),
        ] {
            let way = kernel.way_to(ip_of(to)).await.unwrap();
            assert_eq!(way, link.map(name), "{to}");
        }
    });
}

/// Routes come, go and come again before anybody has read that they went: they are there, and nobody makes them once more.
#[test]
fn what_we_did_ourselves_is_not_taken_for_the_doing_of_others() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set other up");
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let routes: Vec<Object> = (0..300)
            .map(|number| last_resort(&format!("10.{}.{}.0/24", number / 256, number % 256)))
            .collect();
        kernel.apply(want([external("cw-a")])).await.unwrap();
        for _ in 0..3 {
            kernel.apply(want(routes.clone())).await.unwrap();
            let gone = routes.iter().map(|route| Request::Unwant(route.key()));
            kernel.apply(gone).await.unwrap();
            kernel.apply(want(routes.clone())).await.unwrap();
        }
        let events = settle(&mut kernel, &mut notices).await;
        assert_eq!((events, kernel.refusals()), (vec![], &BTreeMap::new()));
        ip("route del unreachable 10.0.7.0/24");
        let events = settle(&mut kernel, &mut notices).await;
        assert_eq!(events, [Event::Missing(routes[7].key())]);
        assert!(ip("route show proto 67").contains("unreachable 10.0.7.0/24"));
    });
}

/// What others delete is made again as soon as the kernel reports it, even when a link only went down.
#[test]
fn damage_is_repaired() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set other up");
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let objects = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            last_resort("10.2.0.0/24"),
        ];
        kernel.apply(want(objects.clone())).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        for damage in [
            "route del 10.2.0.0/24 dev cw-a metric 10",
            "route del unreachable 10.2.0.0/24",
            "addr flush dev cw-a",
            "link set cw-a down",
            "link set cw-a mtu 1300",
            "link set cw-a alias mine",
        ] {
            ip(damage);
            settle(&mut kernel, &mut notices).await;
            let routes = ip("route show proto 67");
            assert!(
                routes.contains("10.2.0.0/24 dev cw-a"),
                "after {damage}: {routes}"
            );
            assert!(
                routes.contains("unreachable 10.2.0.0/24"),
                "after {damage}: {routes}"
            );
            assert!(
                ip("addr show dev cw-a").contains("169.254.21.2/30"),
                "after {damage}"
            );
            assert!(ip("link show dev cw-a").contains("mtu 1400"), "after {damage}");
        }
        assert_eq!(kernel.refusals(), &BTreeMap::new());
    });
}

/// A restart touches nothing; what is wanted again stays, and the rest goes only when released.
#[test]
fn a_restart_adopts_what_is_there() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let old = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            last_resort("10.2.0.0/24"),
        ];
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel.apply(want(old.clone())).await.unwrap();
        drop(kernel);
        ip("link set other up");
        ip("route add 10.9.0.0/24 dev other proto static");

        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&old));
        let kept = [external("cw-a"), last_resort("10.2.0.0/24")];
        kernel.apply(want(kept.clone())).await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&old));
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        assert_eq!(keys(&kernel), all_keys(&kept));
        assert!(!ip("addr show dev cw-a").contains("169.254.21.2"));
        assert!(ip("route show").contains("10.9.0.0/24 dev other proto static"));
    });
}

/// Stopping leaves the routes of last resort, and nothing else; removing leaves nothing.
#[test]
fn removal_leaves_the_last_resort_unless_told() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let ruleset = Ruleset {
            tunnels: [name("cw-a")].into(),
            ..Ruleset::default()
        };
        let last = [last_resort("10.2.0.0/24"), last_resort("fd02::/64")];
        let rest = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            ruleset.into(),
        ];
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel
            .apply(want(last.iter().chain(&rest).cloned()))
            .await
            .unwrap();
        kernel
            .apply([Request::Remove(Removal::ExceptLastResort)])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), all_keys(&last));

        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&last));
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), BTreeSet::new());
        assert_eq!(ip("route show proto 67"), "");
        assert_eq!(ip("-6 route show proto 67"), "");
    });
}

/// A route of somebody else is not taken over; the refusal names the object, and an audit tries again.
#[test]
fn conflicts_are_named_and_tried_again() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set cw-a up");
        ip("route add 10.2.0.0/24 dev cw-a metric 10 proto static");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let refusal = kernel
            .apply(want([external("cw-a"), route("10.2.0.0/24")]))
            .await
            .unwrap_err();
        assert_eq!(refusal.object, "route 10.2.0.0/24 metric 10");
        assert_eq!(refusal.kind(), RefusalKind::Conflict);
        ip("route del 10.2.0.0/24 dev cw-a metric 10 proto static");
        kernel.audit().await.unwrap();
        assert_eq!(kernel.refusals(), &BTreeMap::new());
        assert!(ip("route show proto 67").contains("10.2.0.0/24 dev cw-a"));
    });
}

/// Many go with one request, and one that the kernel refuses among them keeps none of the others back.
#[test]
fn a_route_is_refused_among_many() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set cw-a up");
        ip("route add 10.2.77.0/24 dev cw-a metric 10 proto static");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let routes = (0..200).map(|number| route(&format!("10.2.{number}.0/24")));
        let objects = [external("cw-a")].into_iter().chain(routes);
        let refusal = kernel.apply(want(objects)).await.unwrap_err();
        let taken = "route 10.2.77.0/24 metric 10";
        assert_eq!(refusal.object, taken);
        let refused: Vec<String> = kernel.refusals().keys().map(ToString::to_string).collect();
        assert_eq!(refused, [taken]);
        assert_eq!(ip("route show proto 67").lines().count(), 199);
    });
}

/// The extended acknowledgement's text and attribute come through: a link cannot have an MTU that small.
#[test]
fn refusals_say_what_is_at_fault() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let tiny = Link {
            name: name("cw-a"),
            kind: LinkKind::External,
            mtu: 1,
            up: true,
            purpose: String::new(),
        };
        let refusal = kernel.apply(want([tiny.into()])).await.unwrap_err();
        assert_eq!(refusal.object, "link cw-a");
        assert_eq!(refusal.errno, libc::EINVAL);
        assert!(refusal.detail.contains("mtu"), "{refusal}");
        let Object::Route(mut foreign) = route("10.2.0.0/24") else {
            panic!()
        };
        foreign.target = Target::Link {
            link: name("cw-a"),
            source: Some(ip_of("203.0.113.9")),
        };
        ip("link set cw-a up");
        let refusal = kernel.apply(want([foreign.into()])).await.unwrap_err();
        assert!(refusal.detail.contains("prefsrc"), "{refusal}");
        assert_eq!(refusal.object, "route 10.2.0.0/24 metric 10");
    });
}

/// The table is what was asked for, found again after a restart, and replaced whole.
#[test]
fn segments_are_clamped_by_one_table() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let clamp = |segment| Ruleset {
            maximum_segments: [(
                name("cw-a"),
                MaximumSegments {
                    ipv4: segment,
                    ipv6: segment - 10,
                },
            )]
            .into(),
            closed: ["10.2.0.0/24", "10.2.1.0/24", "10.9.0.1/32", "fd02::/64"]
                .map(|prefix| prefix.parse().unwrap())
                .into(),
            tunnels: (0..40).map(|number| name(&format!("cw-{number}"))).collect(),
            local: [
                ("lan", "10.2.0.0/25"),
                ("br-lan", "10.9.0.1/32"),
                ("eth1.5", "fd02::/80"),
            ]
            .map(|(link, prefix)| (name(link), prefix.parse().unwrap()))
            .into(),
        };
        kernel.apply(want([clamp(1350).into()])).await.unwrap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(
            kernel.present().cloned().collect::<Vec<_>>(),
            [Object::Ruleset(clamp(1350))]
        );
        kernel.apply(want([clamp(1200).into()])).await.unwrap();
        let (kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(
            kernel.present().cloned().collect::<Vec<_>>(),
            [Object::Ruleset(clamp(1200))]
        );
    });
}
