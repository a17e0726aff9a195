//! Child SAs in the kernel.

use std::time::Duration;

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Key, Notice, Object, Op};
use ike::{ChildId, Encapsulation, EspPair, Input, Spent, TrafficSelector, Volume, Watched};

use super::rig::*;
use crate::datapath::Request;

#[tokio::test]
async fn sites_are_closed_before_anything_else_is_made() {
    let kernel = FakeKernel::new();
    let _rig = Rig::start(&kernel).await;
    let steps: Vec<_> = kernel.performed().iter().map(|step| step.key().clone()).collect();
    let closed =
        |key: &Key| matches!(key, Key::Route(route) if route.metric > 1_000_000) || *key == Key::Ruleset;
    assert_eq!(steps.iter().take_while(|key| closed(key)).count(), 3, "{steps:?}");
    assert_eq!(
        classes(&kernel),
        [
            "address",
            "last resort",
            "last resort",
            "link",
            "route",
            "ruleset"
        ]
    );
}

#[tokio::test]
async fn a_child_is_states_and_policies_and_goes_without_a_trace() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    assert!(matches!(
        rig.install(1, 0x100).await,
        Input::ChildInstalled(ChildId(1))
    ));
    assert_eq!(
        classes(&kernel)
            .iter()
            .filter(|class| *class == "state" || *class == "policy")
            .count(),
        5
    );
    rig.requests.send(Request::Remove(ChildId(1))).await.unwrap();
    rig.ask(Request::Refresh).await;
    assert_eq!(classes(&kernel), before);
}

/// What became of a new configuration is shown by itself, once whoever asked for it has the answer.
#[tokio::test(start_paused = true)]
async fn a_new_configuration_is_shown_soon() {
    let mut rig = Rig::start(&FakeKernel::new()).await;
    assert!(!rig.snapshot.has_changed().unwrap());
    let shown = tokio::time::timeout(Duration::from_secs(1), rig.snapshot.changed());
    shown.await.unwrap().unwrap();
    assert!(rig.snapshot.borrow().interfaces.contains_key(&name()));
}

#[tokio::test]
async fn policies_stay_while_another_child_needs_them() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install(2, 0x200).await;
    rig.requests.send(Request::Remove(ChildId(1))).await.unwrap();
    rig.ask(Request::Refresh).await;
    assert!(
        !kernel.objects().contains_key(&inbound(0x100)) && kernel.objects().contains_key(&inbound(0x200))
    );
    assert_eq!(
        classes(&kernel).iter().filter(|class| *class == "policy").count(),
        3
    );
}

/// As responder of a rekey we receive by the new child at once and send by it when the peer has shown that it is there.
#[tokio::test]
async fn a_staged_child_sends_when_told_to() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    let before = kernel.performed().len();
    rig.install_pair(2, staged(0x200)).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    assert_eq!(request_id(&kernel, 0x100), request_id(&kernel, 0x200));
    rig.tell(Request::SendBy(ChildId(2))).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
    let steps = kernel.performed().split_off(before);
    let replaced = steps
        .iter()
        .filter(|step| matches!(step, Op::Replace { .. }))
        .count();
    assert_eq!(
        (steps.len(), replaced),
        (3, 1),
        "two states made, one policy changed in place: {steps:?}"
    );
    rig.tell(Request::Remove(ChildId(1))).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
}

#[tokio::test]
async fn an_initiators_successor_sends_at_once_while_the_old_one_still_receives() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install(2, 0x200).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
    assert_eq!(received_by(&kernel, "10.2.0.9"), [request_id(&kernel, 0x100); 2]);
}

#[tokio::test]
async fn a_refused_successor_leaves_the_packets_with_the_child_before_it() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    kernel.refuse(inbound(0x200), 22, "no");
    assert!(matches!(rig.install(2, 0x200).await, Input::ChildRefused(..)));
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    let spis = kernel.performed().into_iter().filter_map(|step| match step {
        Op::Replace {
            to: Object::Policy(policy),
            ..
        } => Some(policy.spi),
        _ => None,
    });
    assert_eq!(
        spis.count(),
        0,
        "no policy ever led to a state that was not there"
    );
}

/// Each line has its own states; what came by those of another is not let in (RFC 4301 §5.2).
#[tokio::test]
async fn children_of_several_lines_share_one_interface() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    for (id, spi, remote) in [
        (1, 0x100, "10.2.0.0/16"),
        (2, 0x200, "10.2.1.0/24"),
        (3, 0x300, "10.3.0.0/24"),
    ] {
        let answer = rig.install_pair(id, towards(spi, remote)).await;
        assert!(matches!(answer, Input::ChildInstalled(_)), "{answer:?}");
    }
    rig.install_pair(4, towards(0x400, "10.2.0.0/16")).await;
    let choices = ["10.2.0.9", "10.2.1.9", "10.3.0.9", "10.4.0.9"];
    assert_eq!(
        choices.map(|destination| leaves_by(&kernel, destination)),
        [Some(0x401), Some(0x201), Some(0x301), None]
    );
    assert_eq!(received_by(&kernel, "10.3.0.9"), [request_id(&kernel, 0x300); 2]);
    assert_ne!(request_id(&kernel, 0x300), request_id(&kernel, 0x200));
    rig.tell(Request::Remove(ChildId(2))).await;
    assert_eq!(leaves_by(&kernel, "10.2.1.9"), Some(0x401));
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0x301));
}

fn watched(line: usize, remote: &str) -> Watched {
    Watched {
        line,
        local: pair(1).local,
        remote: pair(1).remote,
        local_selectors: vec![TrafficSelector::any_ipv4()],
        remote_selectors: vec![network_of(remote)],
    }
}

/// What the kernel says when a packet meets a policy and finds no state.
fn acquire(kernel: &FakeKernel, destination: &str) {
    let objects = kernel.objects();
    let policy = objects.values().find_map(|object| match object {
        Object::Policy(policy) if policy.selector.destination.to_string() == destination => {
            Some(policy.key())
        }
        _ => None,
    });
    kernel.report(Notice::Wanted(policy.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_packet_of_a_watched_line_is_told_of_once_a_second_until_a_child_carries_it() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    let lines = vec![watched(1, "10.2.0.0/24"), watched(2, "10.3.0.0/24")];
    rig.tell(Request::Watch(name(), lines)).await;
    assert_eq!(
        leaves_by(&kernel, "10.3.0.9"),
        Some(0),
        "it asks for a state, and drops the packet"
    );
    for _ in 0..3 {
        acquire(&kernel, "10.3.0.0/24");
    }
    let told = rig.answered.recv().await.unwrap();
    assert!(matches!(&told, Input::Wanted(to, 2) if *to == name()), "{told:?}");
    rig.ask(Request::Refresh).await;
    assert!(rig.answered.try_recv().is_err(), "told again within a second");
    tokio::time::advance(Duration::from_millis(1_001)).await;
    acquire(&kernel, "10.3.0.0/24");
    assert!(matches!(rig.answered.recv().await.unwrap(), Input::Wanted(_, 2)));

    rig.install_pair(1, towards(0x100, "10.3.0.0/24")).await;
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0x101));
    rig.tell(Request::Remove(ChildId(1))).await;
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0), "it is watched again");
    rig.tell(Request::Watch(name(), vec![])).await;
    assert_eq!(classes(&kernel), before);
}

#[tokio::test]
async fn what_a_child_may_carry_is_the_kernels_to_watch_and_told_to_the_engine() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let volume = Volume {
        soft_octets: 1,
        hard_octets: 2,
        soft_packets: 3,
        hard_packets: 4,
    };
    rig.install_pair(
        1,
        EspPair {
            volume,
            ..pair(0x100)
        },
    )
    .await;
    let Key::State(key) = inbound(0x100) else { panic!() };
    match kernel.objects().get(&inbound(0x100)) {
        Some(Object::State(state)) => {
            assert_eq!((state.volume.soft_octets, state.volume.hard_packets), (1, 4))
        }
        other => panic!("{other:?}"),
    }
    for (hard, expected) in [(false, Spent::Soft), (true, Spent::Hard)] {
        if hard {
            kernel.lose_unreported(&inbound(0x100));
        }
        kernel.report(Notice::Expired { key, hard });
        let told = rig.answered.recv().await.unwrap();
        assert!(
            matches!(told, Input::ChildSpent(ChildId(1), spent) if spent == expected),
            "{told:?}"
        );
    }
    rig.tell(Request::Remove(ChildId(1))).await;
    assert!(
        !classes(&kernel)
            .iter()
            .any(|class| class == "state" || class == "policy")
    );
}

/// What is told while the engine is busy waits, and nothing of it is lost.
#[tokio::test]
async fn a_busy_engine_hears_of_everything_later() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    for id in 1..=20 {
        let spi = 0x100 * u32::try_from(id).unwrap();
        rig.install(id, spi).await;
    }
    for id in 1..=20 {
        let Key::State(key) = inbound(0x100 * id) else {
            panic!()
        };
        kernel.report(Notice::Expired { key, hard: false });
    }
    rig.ask(Request::Refresh).await;
    for id in 1..=20 {
        let told = rig.answered.recv().await.unwrap();
        assert!(
            matches!(told, Input::ChildSpent(ChildId(told), Spent::Soft) if told == id),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn what_the_peers_sent_is_told_by_child() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install_pair(2, towards(0x200, "10.3.0.0/24")).await;
    let Key::State(key) = inbound(0x200) else { panic!() };
    let counters = appliance_kernel::Counters {
        packets: 7,
        ..Default::default()
    };
    kernel.count(key, counters);
    let permit = rig.answers.clone().try_reserve_owned().unwrap();
    let children = [1, 2, 3].map(ChildId).into();
    rig.tell(Request::Traffic(children, permit)).await;
    let told = rig.answered.recv().await.unwrap();
    let expected = [(ChildId(1), 0), (ChildId(2), 7)];
    assert!(
        matches!(&told, Input::Received(counts) if counts[..] == expected),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_peer_that_moved_gets_a_successor_at_once() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    let (local, remote) = (
        "192.0.2.1:4500".parse().unwrap(),
        "192.0.2.2:40001".parse().unwrap(),
    );
    rig.tell(Request::Move(ChildId(1), (local, remote), Encapsulation::Udp))
        .await;
    let told = rig.answered.recv().await.unwrap();
    assert!(
        matches!(told, Input::ChildSpent(ChildId(1), Spent::Soft)),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_refused_child_leaves_nothing_and_says_what_was_refused() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    kernel.refuse(inbound(0x100), 22, "Requested COMP algorithm not found");
    let answer = rig.install(1, 0x100).await;
    let Input::ChildRefused(ChildId(1), text) = answer else {
        panic!("{answer:?}")
    };
    assert!(text.contains("Requested COMP algorithm not found"), "{text}");
    rig.ask(Request::Refresh).await;
    assert_eq!(classes(&kernel), before);
    let refused = rig.snapshot.borrow().refused.clone();
    assert!(
        refused.iter().any(|one| one.detail.contains("COMP")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_child_that_loses_a_state_is_given_up_and_told_to_the_engine() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    rig.install(1, 0x100).await;
    kernel.lose(&inbound(0x100));
    let told = rig.answered.recv().await.unwrap();
    assert!(
        matches!(&told, Input::ChildRefused(ChildId(1), why) if why.contains("vanished")),
        "{told:?}"
    );
    assert_eq!(classes(&kernel), before);
}
