//! Translation by the real `nft`, and the flows that connection tracking follows: on any kernel.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use appliance_kernel::{
    Flow, Kernel, Key, Object, Removal, Request, Route, Rule, Ruleset, Scope, Translation, Version, mark,
};
use appliance_nat::{Kind, Numbers, Rules, Tunnel, compile};

use crate::*;

const NUMBER: u16 = 1;
const MARK: u32 = mark::packet_mark(NUMBER);

fn translation(sites: &[(&str, &str)], kept: &Numbers) -> Translation {
    let rule = |place: usize, external: &str| appliance_nat::Rule {
        kind: Kind::Static { ports: None },
        internal: format!("10.0.{place}.0/24").parse().unwrap(),
        external: external.parse().unwrap(),
    };
    let ingress = sites
        .iter()
        .enumerate()
        .map(|(place, (name, external))| ((*name).to_owned(), rule(place, external)));
    let tunnel = Tunnel {
        link: "cw-a".to_owned(),
        number: NUMBER,
        site: "a".to_owned(),
        ingress: ingress.collect(),
        egress: BTreeMap::new(),
    };
    let rules = Rules {
        tunnels: [("a".to_owned(), tunnel)].into(),
    };
    Translation::of(compile(&rules, kept).unwrap())
}

fn leading() -> [Object; 4] {
    let [out, nowhere] = Route::marked(Version::Four, MARK, &name("cw-a"));
    [
        out.into(),
        nowhere.into(),
        Rule::Local(Version::Four).into(),
        Rule::Marked(Version::Four, MARK).into(),
    ]
}

async fn flows(kernel: &mut Kernel) -> Vec<Flow> {
    let mut flows = vec![];
    kernel.flows(|flow| flows.push(flow)).await.unwrap();
    flows
}

/// A machine with our own 10.0.0.0/24 on one link and a site that has it, too, behind another.
fn overlap() {
    // Else links speak of themselves, and count that.
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    for link in ["cw-a", "lan"] {
        ip(&format!("link add {link} type veth peer name {link}-far"));
        ip(&format!("link set {link} up"));
        ip(&format!("link set {link}-far up"));
    }
    ip("addr add 10.0.0.1/24 dev lan");
    ip("route add 100.64.2.0/24 dev cw-a");
    // Nobody answers for addresses there.
    ip("link set cw-a arp off");
}

/// A packet to a host of the external prefix that has the same address as we: it leaves by the tunnel.
fn send_by_the_tunnel() {
    let socket = UdpSocket::bind("10.0.0.1:4000").unwrap();
    socket.send_to(b"one", "100.64.2.1:7").unwrap();
    let sent = ip("-s link show cw-a-far");
    let received = sent.lines().nth(3).unwrap().split_whitespace().nth(1);
    assert_eq!(received, Some("1"), "{sent}");
}

/// Packets for the external prefix leave by the tunnel although their address is one of ours by then; the table is found
/// again and left as it is; what it counted goes on in the next one, and the flow of a rule that went is forgotten.
#[test]
fn translation_is_found_again_and_goes_on() {
    isolated(|| async {
        overlap();
        let rules = ip("rule show");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let first = translation(&[("in", "100.64.2.0/24")], &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), first.clone().into()]);
        kernel.apply(want(objects.clone())).await.unwrap();
        assert_eq!(kernel.refusals(), &BTreeMap::new());
        send_by_the_tunnel();
        let number = *first.numbers().bindings.values().next().unwrap();
        let flow = Flow {
            mark: number.into(),
            protocol: 17,
            answers_to: "10.0.0.1".parse().unwrap(),
            port: 4000,
        };
        assert_eq!(flows(&mut kernel).await, [flow]);
        assert_eq!(kernel.flows_refused().await.unwrap(), 0);

        let (mut next, mut notices) = Kernel::open().await.unwrap();
        assert_eq!(next.translation(), Some(&first), "known by its digest");
        assert_eq!(next.translation().unwrap().numbers(), first.numbers());
        next.apply(want(objects)).await.unwrap();
        next.apply([Request::Release(Scope::Configured)]).await.unwrap();
        settle(&mut next, &mut notices).await;
        let key = first
            .numbers()
            .bindings
            .keys()
            .next()
            .unwrap()
            .as_str()
            .to_owned();
        assert_eq!(next.translated().await.unwrap()[&key].packets, 1);

        let kept = next.translation().unwrap().numbers().clone();
        assert_eq!(translation(&[("in", "100.64.2.0/24")], &kept), first);
        let moved = translation(&[("in", "100.64.3.0/24")], &kept);
        next.apply(want([moved.into()])).await.unwrap();
        assert_eq!(flows(&mut next).await, [], "its rule is another one now");
        let counted = next.translated().await.unwrap();
        assert!(!counted.contains_key(&key), "{counted:?}");

        next.apply([Request::Remove(Removal::Everything)]).await.unwrap();
        let left: Vec<Key> = keys(&next).into_iter().collect();
        assert_eq!(left, []);
        assert_eq!(ip("rule show"), rules);
    });
}

/// What was tried before it is wanted is made once it is; where something else is wanted then, that is made.
#[test]
fn a_table_that_was_tried_is_made_when_it_is_wanted() {
    isolated(|| async {
        overlap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let [one, other] = ["100.64.2.0/24", "100.64.3.0/24"]
            .map(|external| translation(&[("in", external)], &Numbers::default()));
        for wanted in [&one, &other] {
            kernel.try_soon(&one);
            assert_eq!(kernel.translation(), None);
            let objects = leading()
                .into_iter()
                .chain([external("cw-a"), wanted.clone().into()]);
            kernel.apply(want(objects)).await.unwrap();
            let (found, _) = Kernel::open().await.unwrap();
            assert_eq!(found.translation(), Some(wanted));
            kernel
                .apply([Request::Remove(Removal::Everything)])
                .await
                .unwrap();
        }
    });
}

/// Where many rules go at once, too, the flows of each are forgotten, and the others go on.
#[test]
fn flows_of_many_rules_are_forgotten() {
    isolated(|| async {
        overlap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let named: Vec<(String, String)> = (0..50)
            .map(|place| (format!("rule-{place:02}"), format!("100.64.{}.0/24", place + 2)))
            .collect();
        let sites: Vec<(&str, &str)> = named.iter().map(|(name, net)| (&**name, &**net)).collect();
        let first = translation(&sites, &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), first.clone().into()]);
        kernel.apply(want(objects)).await.unwrap();
        send_by_the_tunnel();
        let followed = flows(&mut kernel).await;
        assert_eq!(followed.len(), 1);

        let stays = translation(&sites[..1], first.numbers());
        kernel.apply(want([stays.into()])).await.unwrap();
        assert_eq!(flows(&mut kernel).await, followed);
        kernel.apply(want([first.clone().into()])).await.unwrap();
        let moved = translation(&[("else", "100.64.99.0/24")], first.numbers());
        kernel.apply(want([moved.into()])).await.unwrap();
        assert_eq!(flows(&mut kernel).await, []);
    });
}

/// Another table in its place goes on with the counters and the flows of rules that stay; without a table nothing is counted.
#[test]
fn counters_go_on_in_the_next_table() {
    isolated(|| async {
        overlap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(kernel.translated().await.unwrap(), BTreeMap::new());
        let first = translation(&[("in", "100.64.2.0/24")], &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), first.clone().into()]);
        kernel.apply(want(objects)).await.unwrap();
        send_by_the_tunnel();
        let before = kernel.translated().await.unwrap();
        let numbers = first.numbers();
        let key = numbers.bindings.keys().next().unwrap().as_str();
        assert_eq!(before[key].packets, 1, "{before:?}");
        let followed = flows(&mut kernel).await;
        assert_eq!(followed.len(), 1);

        let more = [("in", "100.64.2.0/24"), ("more", "100.64.4.0/24")];
        let more = translation(&more, numbers);
        kernel.apply(want([more.clone().into()])).await.unwrap();
        assert_eq!(kernel.translation(), Some(&more));
        let after = kernel.translated().await.unwrap();
        assert_eq!(after.get(key), before.get(key));
        assert!(after.len() > before.len(), "the new rule counts, too: {after:?}");
        assert_eq!(flows(&mut kernel).await, followed);

        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(kernel.translated().await.unwrap(), BTreeMap::new());
    });
}

/// What `nft` prints.
fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Where one rule of several changes, the others are left as they are; unless somebody has meddled with the table: then it
/// is replaced, and their counters go on all the same.
#[test]
fn one_rule_changes_among_others() {
    isolated(|| async {
        overlap();
        let table = || {
            nft("-a list table inet causeway_nat")
                .lines()
                .next()
                .unwrap()
                .to_owned()
        };
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let others = [
            ("in", "100.64.2.0/24"),
            ("one", "100.64.3.0/24"),
            ("two", "100.64.4.0/24"),
        ];
        let first = translation(&others, &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), first.clone().into()]);
        kernel.apply(want(objects)).await.unwrap();
        send_by_the_tunnel();
        let (before, counted) = (table(), kernel.translated().await.unwrap());
        let next = |external, kept: &Translation| {
            let sites = [others[0], others[1], ("two", external)];
            translation(&sites, kept.numbers())
        };
        let second = next("100.64.5.0/24", &first);
        kernel.apply(want([second.clone().into()])).await.unwrap();
        assert_eq!(table(), before, "the same table");
        let stays = |counters: &BTreeMap<String, appliance_nat::Counted>| {
            let mut counters = counters.iter().filter(|(_, counted)| counted.packets > 0);
            counters.next().map(|(name, counted)| (name.clone(), *counted))
        };
        let counts = kernel.translated().await.unwrap();
        assert!(stays(&counts).is_some());
        assert_eq!(stays(&counts), stays(&counted));

        nft("delete element inet causeway_nat ingress_external4 { 100.64.5.0/24 . 0x43570001 }");
        let third = next("100.64.6.0/24", &second);
        kernel.apply(want([third.clone().into()])).await.unwrap();
        assert_eq!(kernel.refusals(), &BTreeMap::new());
        assert_eq!(kernel.translation(), Some(&third));
        assert_ne!(table(), before, "another table");
        assert!(nft("list map inet causeway_nat external4").contains("100.64.6.0/24"));
        assert_eq!(stays(&kernel.translated().await.unwrap()), stays(&counted));
    });
}

/// A table by our name that came while nobody looked gives way as a whole.
#[test]
fn a_table_that_somebody_made_is_replaced() {
    isolated(|| async {
        overlap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        nft("add table inet causeway_nat");
        nft("add chain inet causeway_nat theirs");
        let wanted = translation(&[("in", "100.64.2.0/24")], &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), wanted.clone().into()]);
        kernel.apply(want(objects)).await.unwrap();
        assert_eq!(kernel.refusals(), &BTreeMap::new());
        assert_eq!(kernel.translation(), Some(&wanted));
        let table = nft("list table inet causeway_nat");
        assert!(
            !table.contains("theirs") && table.contains("100.64.2.0/24"),
            "{table}"
        );
    });
}

/// What closes prefixes and what translates change together; where somebody has meddled, each by itself.
#[test]
fn both_tables_change() {
    isolated(|| async {
        overlap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let closing = |prefix: &str| Ruleset {
            closed: [prefix.parse().unwrap()].into(),
            tunnels: [name("cw-a")].into(),
            ..Ruleset::default()
        };
        let others = |prefix| [("in", "100.64.2.0/24"), ("one", "100.64.3.0/24"), ("two", prefix)];
        let mut translated = translation(&others("100.64.4.0/24"), &Numbers::default());
        let objects = leading().into_iter().chain([
            external("cw-a"),
            translated.clone().into(),
            closing("100.64.4.0/24").into(),
        ]);
        kernel.apply(want(objects)).await.unwrap();
        for (prefix, meddling) in [
            ("100.64.5.0/24", ""),
            ("100.64.6.0/24", "delete table inet causeway"),
            ("100.64.7.0/24", "delete table inet causeway_nat"),
        ] {
            if !meddling.is_empty() {
                let done = Command::new("nft").args(meddling.split(' ')).status().unwrap();
                assert!(done.success());
            }
            translated = translation(&others(prefix), translated.numbers());
            let both = [Object::from(closing(prefix)), translated.clone().into()];
            kernel.apply(want(both)).await.unwrap();
            assert_eq!(kernel.refusals(), &BTreeMap::new());
            assert_eq!(kernel.translation(), Some(&translated));
            let output = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
            let listing = String::from_utf8(output.stdout).unwrap();
            // Closed, to be marked, and to be reversed.
            assert!(listing.matches(prefix).count() > 2, "{listing}");
        }
    });
}

/// Whoever deletes the table, or the rule by which marked packets leave, finds it there again; who has the kernel's own rule
/// before that one again, not.
#[test]
fn damage_to_the_table_is_mended() {
    isolated(|| async {
        overlap();
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let wanted = translation(&[("in", "100.64.2.0/24")], &Numbers::default());
        let objects = leading()
            .into_iter()
            .chain([external("cw-a"), wanted.clone().into()]);
        kernel.apply(want(objects)).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        for damage in ["delete table inet causeway_nat", "flush ruleset"] {
            let done = Command::new("nft").args(damage.split(' ')).status().unwrap();
            assert!(done.success());
            let events = kernel.audit().await.unwrap();
            assert!(events.contains(&Event::Missing(Key::Translation)), "{events:?}");
            assert_eq!(kernel.translation(), Some(&wanted));
            assert!(kernel.translated().await.is_ok());
        }
        let rules = ip("rule show");
        ip(&format!("rule del priority 0 fwmark {MARK:#x}"));
        ip("rule add priority 0 lookup local");
        settle(&mut kernel, &mut notices).await;
        kernel.audit().await.unwrap();
        assert_eq!(ip("rule show"), rules);
    });
}
