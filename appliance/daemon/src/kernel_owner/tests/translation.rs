//! Rules of translation.

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Connected, Key, Object, Target};

use super::rig::*;
use crate::datapath::Request;
use crate::derive::NetworkSettings;

/// A site that has our addresses: it is known by others here, and so are we there.
fn translated(external: &str) -> NetworkSettings {
    let rule = |kind, internal: &str, external: &str| appliance_nat::Rule {
        kind,
        internal: internal.parse().unwrap(),
        external: external.parse().unwrap(),
    };
    let plain = appliance_nat::Kind::Static { ports: None };
    let dynamic = appliance_nat::Kind::Dynamic {
        ports: vec![1024..=1027],
    };
    let mut network = network();
    let tunnel = network.tunnels.get_mut(&name()).unwrap();
    tunnel.prefixes = vec![external.parse().unwrap()];
    network.closed = [external.parse().unwrap()].into();
    let rules = appliance_nat::Tunnel {
        link: tunnel.numbering.link.clone(),
        number: tunnel.numbering.number(),
        site: "b".to_owned(),
        ingress: [("in".to_owned(), rule(plain, "10.0.0.0/24", external))].into(),
        egress: [("few".to_owned(), rule(dynamic, "10.0.0.0/24", "100.64.9.1/32"))].into(),
    };
    network.translation.tunnels = [(name().0.to_string(), rules)].into();
    network
}

/// The links that routes into tunnels for this prefix leave by.
fn routed(kernel: &FakeKernel, prefix: &str) -> usize {
    let prefix: ipnet::IpNet = prefix.parse().unwrap();
    let objects = kernel.objects();
    let routes = objects.values().filter(
        |object| matches!(object, Object::Route(route) if route.prefix == prefix && matches!(route.target, Target::Link { .. })),
    );
    routes.count()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_translated_has_no_routes() {
    let kernel = FakeKernel::new();
    kernel.refuse(Key::Translation, 0, "nft: syntax error");
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    assert_eq!(routed(&kernel, "100.64.2.0/24"), 0);
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().clone();
    assert!(!shown.translation.in_place);
    assert_eq!(shown.refused[0].detail, "nft: syntax error");
    assert_eq!(shown.translation.refused.as_ref(), shown.refused.first());
    assert_eq!(shown.translation.closed, [name()].into());
    kernel.accept(&Key::Translation);
    rig.later(2).await;
    assert_eq!(routed(&kernel, "100.64.2.0/24"), 1, "it is tried again");
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    assert!(shown.in_place);
    assert_eq!((shown.refused, shown.closed), (None, [].into()));
    let marked =
        |object: &Object| matches!(object, Object::Route(route) if route.key().mark == Some(INTERFACE_ID));
    assert_eq!(
        kernel.objects().values().filter(|object| marked(object)).count(),
        2
    );
}

/// More sites than can be told apart: though there is no table, it is told that there should be, and why there is none.
#[tokio::test]
async fn more_than_can_be_translated_is_told() {
    let kernel = FakeKernel::new();
    let mut network = translated("100.64.2.0/24");
    let one = network.translation.tunnels[&*name().0].clone();
    let many = (0..300_u16).map(|number| {
        let mut tunnel = one.clone();
        (tunnel.link, tunnel.number) = (format!("cw-{number}"), number + 100);
        tunnel.site = format!("site-{number}");
        (format!("to-{number}"), tunnel)
    });
    network.translation.tunnels.extend(many);
    let rig = Rig::with(&kernel, network).await;
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    assert!(shown.wanted && !shown.in_place);
    assert!(shown.refused.is_some() && shown.closed.contains(&name()));
}

/// The rules of before stay, with the routes to what they translate; and when they are asked for again, nothing is to be
/// done.
#[tokio::test]
async fn a_refused_translation_leaves_that_of_before() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let before = kernel.objects();
    kernel.refuse(Key::Translation, 0, "nft: no such file");
    let refused = rig
        .ask(|answer| Request::Network(Box::new(translated("100.64.3.0/24")), answer))
        .await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].detail, "nft: no such file");
    assert_eq!(kernel.objects()[&Key::Translation], before[&Key::Translation]);
    let refused = rig
        .ask(|answer| Request::Network(Box::new(translated("100.64.2.0/24")), answer))
        .await;
    assert_eq!((refused, kernel.objects()), (vec![], before));
}

/// Rules that were told of before they are in force change nothing; what is in force in the end counts.
#[tokio::test]
async fn what_may_be_translated_soon_is_not_translated_yet() {
    let kernel = FakeKernel::new();
    let nothing = || NetworkSettings {
        translation: appliance_nat::Rules::default(),
        ..translated("100.64.2.0/24")
    };
    let rig = Rig::with(&kernel, nothing()).await;
    for external in ["100.64.2.0/24", "100.64.3.0/24"] {
        let rules = translated("100.64.2.0/24").translation;
        rig.requests
            .send(Request::Translate(Box::new(rules)))
            .await
            .unwrap();
        rig.ask(Request::Refresh).await;
        assert!(!kernel.objects().contains_key(&Key::Translation));
        rig.ask(|answer| Request::Network(Box::new(translated(external)), answer))
            .await;
        let expected = Rig::with(&FakeKernel::new(), translated(external)).await;
        expected.ask(Request::Refresh).await;
        rig.ask(Request::Refresh).await;
        let bindings = |rig: &Rig| rig.snapshot.borrow().translation.bindings.clone();
        assert_eq!(bindings(&rig), bindings(&expected));
        rig.ask(|answer| Request::Network(Box::new(nothing()), answer))
            .await;
    }
}

/// A daemon that starts again finds what it needs, and neither writes the table anew nor takes a route away on the way.
#[tokio::test]
async fn a_restart_leaves_translation_alone() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let (before, steps) = (kernel.objects(), kernel.performed().len());
    rig.crash();
    let _rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    assert_eq!((kernel.objects(), kernel.performed().len()), (before, steps));
}

/// What only the rules know of the site is closed, unless it is ours as well.
#[tokio::test]
async fn what_the_site_calls_itself_is_closed_where_it_is_not_ours() {
    let kernel = FakeKernel::new();
    let mut network = translated("100.64.2.0/24");
    network.hidden = ["10.0.0.0/24".parse().unwrap()].into();
    let rig = Rig::with(&kernel, network).await;
    let closed = || {
        let prefix: ipnet::IpNet = "10.0.0.0/24".parse().unwrap();
        let Some(Object::Ruleset(ruleset)) = kernel.objects().remove(&Key::Ruleset) else {
            panic!()
        };
        let mut routes = kernel.objects().into_values();
        let unreachable = routes.any(
            |object| matches!(object, Object::Route(route) if route.prefix == prefix && route.target == Target::Unreachable),
        );
        (ruleset.closed.contains(&prefix), unreachable)
    };
    assert_eq!(closed(), (true, true));
    kernel.connect(Connected {
        link: "lan".try_into().unwrap(),
        address: "10.0.0.1".parse().unwrap(),
        network: "10.0.0.0/24".parse().unwrap(),
    });
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(closed(), (false, false));
}

/// Flows, packets and ports of each rule are told; and, once, that a dynamic one has no port left, when flows were refused.
#[tokio::test(start_paused = true)]
async fn rules_tell_what_they_translate_and_when_they_have_no_port_left() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let Object::Translation(translation) = kernel.objects().remove(&Key::Translation).unwrap() else {
        panic!()
    };
    let program = translation.program().unwrap();
    let number = |rule: &str| {
        let mut bindings = program.bindings().iter();
        let (number, binding) = bindings.find(|(_, binding)| binding.name == rule).unwrap();
        (u32::from(*number), binding.key.to_string())
    };
    let ((few, counter), (into, _)) = (number("few"), number("in"));
    let counted = appliance_nat::Counted {
        packets: 7,
        bytes: 700,
    };
    kernel.translate(&counter, counted);
    for port in 1024..=1027 {
        kernel.follow(appliance_kernel::Flow {
            mark: few << 16 | into,
            protocol: 17,
            answers_to: "100.64.9.1".parse().unwrap(),
            port,
        });
    }
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    let told = |rule: &str| {
        let mut bindings = shown.bindings.iter();
        bindings.find(|binding| binding.rule == rule).unwrap().clone()
    };
    let dynamic = told("few").dynamic.unwrap();
    assert_eq!((told("few").translated, told("few").flows), (counted, 4));
    assert_eq!((dynamic.ports_in_use, dynamic.ports), (4, 4));
    assert_eq!((told("in").flows, told("in").dynamic), (4, None));

    assert_eq!(rig.news(), [""; 0]);
    rig.later(11).await;
    assert_eq!(rig.news(), [""; 0], "all in use, and nobody was refused");
    kernel.refuse_flows(3);
    rig.later(11).await;
    assert_eq!(rig.news(), ["nat-ports-exhausted"]);
    kernel.refuse_flows(9);
    rig.later(11).await;
    assert_eq!(rig.news(), [""; 0], "told once");
}

/// By the routes that the kernel has: the packet is asked about as it comes, and its answer as it goes back.
#[tokio::test]
async fn what_becomes_of_a_packet_is_foreseen() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    kernel.connect(Connected {
        link: "lan".try_into().unwrap(),
        address: "10.0.0.1".parse().unwrap(),
        network: "10.0.0.0/24".parse().unwrap(),
    });
    let end = |address: &str, port| appliance_nat::End {
        address: address.parse().unwrap(),
        port: Some(port),
    };
    let packet = appliance_nat::Packet {
        link: Some("lan".to_owned()),
        protocol: 6,
        source: end("10.0.0.9", 40000),
        destination: end("100.64.2.5", 443),
    };
    let asked = packet.clone();
    let foreseen = rig.ask(|answer| Request::Foresee(asked, answer)).await.unwrap();
    assert!(foreseen.in_place);
    let appliance_nat::Outcome::Passed(passed) = foreseen.verdict.outcome else {
        panic!("{foreseen:?}")
    };
    rig.ask(Request::Refresh).await;
    let link = Some(rig.snapshot.borrow().interfaces[&name()].clone());
    assert_eq!((&passed.link, passed.destination), (&link, end("10.0.0.5", 443)));
    assert!(passed.source.allows(end("100.64.9.1", 1024)));
    let rules = foreseen.verdict.fired.iter();
    let rules: Vec<_> = rules
        .map(|fired| &*foreseen.program.bindings()[&fired.binding].name)
        .collect();
    assert_eq!(rules, ["in", "few"]);
    let answered = foreseen.answered.unwrap();
    assert_eq!(
        (answered.link.as_deref(), answered.source, answered.destination),
        (Some("lan"), packet.destination, packet.source)
    );
    assert_eq!(foreseen.ways[&packet.destination.address], link);
}

/// Without rules, nothing is translated, and the routes are told all the same.
#[tokio::test]
async fn without_rules_a_packet_passes_as_it_is() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let end = |address: &str| appliance_nat::End {
        address: address.parse().unwrap(),
        port: None,
    };
    let packet = appliance_nat::Packet {
        link: None,
        protocol: 1,
        source: end("10.1.0.1"),
        destination: end("10.2.0.7"),
    };
    let foreseen = rig.ask(|answer| Request::Foresee(packet, answer)).await.unwrap();
    assert_eq!(foreseen.verdict.fired, []);
    rig.ask(Request::Refresh).await;
    let link = Some(rig.snapshot.borrow().interfaces[&name()].clone());
    let ways = [("10.1.0.1", None), ("10.2.0.7", link)];
    let ways = ways.map(|(to, link)| (to.parse().unwrap(), link));
    assert_eq!(foreseen.ways, ways.into());
}
