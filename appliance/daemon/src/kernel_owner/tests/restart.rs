//! What a daemon leaves, and what the next one makes of it.

use std::time::Duration;

use appliance_kernel::fake::FakeKernel;
use ike::{ChildId, Input};

use super::rig::*;
use crate::datapath::Request;
use crate::derive::NetworkSettings;

#[tokio::test(start_paused = true)]
async fn a_killed_daemons_states_carry_on_until_the_new_child_has_taken_over() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();

    let before = kernel.performed().len();
    let mut second = Rig::start(&kernel).await;
    assert_eq!(kernel.performed().len(), before, "all of it was adopted");
    assert!(kernel.objects().contains_key(&inbound(0x100)));
    second.ask(Request::Refresh).await;
    assert_eq!(second.snapshot.borrow().carried_over, [name()].into());
    second.install(1, 0x200).await;
    assert!(
        kernel.objects().contains_key(&inbound(0x100)),
        "the peer may still send under it"
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    second.ask(Request::Refresh).await;
    assert!(
        !kernel.objects().contains_key(&inbound(0x100)) && kernel.objects().contains_key(&inbound(0x200))
    );
    second.ask(Request::Refresh).await;
    assert!(second.snapshot.borrow().carried_over.is_empty());
    assert_eq!(
        classes(&kernel).iter().filter(|class| *class == "policy").count(),
        3
    );
}

/// Only the engine can have the peer find out that nobody knows these states any more.
#[tokio::test(start_paused = true)]
async fn a_killed_daemons_states_are_told_of_while_they_carry_on() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();
    let mut second = Rig::start(&kernel).await;
    for _ in 0..2 {
        let told = second.answered.recv().await.unwrap();
        let Input::Orphaned {
            connection,
            local,
            remote,
            spi,
        } = told
        else {
            panic!("{told:?}")
        };
        assert_eq!((connection, spi), (name(), 0x100));
        assert_eq!((local, remote), (pair(1).local, pair(1).remote));
    }
    second.tell(Request::Remove(ChildId(1))).await;
    tokio::time::advance(Duration::from_secs(120)).await;
    second.ask(Request::Refresh).await;
    while second.answered.try_recv().is_ok() {}
    tokio::time::advance(Duration::from_secs(60)).await;
    second.ask(Request::Refresh).await;
    assert!(second.answered.try_recv().is_err(), "they were let go");
}

/// The configuration was edited while no daemon ran.
#[tokio::test]
async fn a_killed_daemons_states_do_not_go_on_to_an_endpoint_of_before() {
    for elsewhere in [Some("192.0.2.9".parse().unwrap()), None] {
        let kernel = FakeKernel::new();
        let mut first = Rig::start(&kernel).await;
        first.install(1, 0x100).await;
        first.crash();
        let second = Rig::start(&kernel).await;
        assert!(kernel.objects().contains_key(&inbound(0x100)));
        second.crash();
        let mut moved = network();
        for tunnel in moved.tunnels.values_mut() {
            tunnel.remote = elsewhere;
        }
        let _third = Rig::with(&kernel, moved).await;
        let stays = elsewhere.is_none();
        assert_eq!(
            kernel.objects().contains_key(&inbound(0x100)),
            stays,
            "{elsewhere:?}"
        );
        assert_eq!(
            classes(&kernel).iter().any(|class| class == "policy"),
            stays,
            "{elsewhere:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn states_that_nobody_comes_for_are_released_after_the_hold_time() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();
    let second = Rig::start(&kernel).await;
    tokio::time::advance(Duration::from_secs(110)).await;
    second.ask(Request::Refresh).await;
    assert!(kernel.objects().contains_key(&inbound(0x100)));
    tokio::time::advance(Duration::from_secs(20)).await;
    second.ask(Request::Refresh).await;
    assert!(!kernel.objects().contains_key(&inbound(0x100)));
}

#[tokio::test]
async fn closing_leaves_only_what_keeps_sites_closed() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.ask(Request::Close).await;
    assert_eq!(classes(&kernel), ["last resort", "last resort", "ruleset"]);
}

#[tokio::test]
async fn a_site_taken_out_of_the_configuration_is_no_longer_closed() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let fewer = NetworkSettings {
        closed: ["10.2.0.0/24".parse().unwrap()].into(),
        ..network()
    };
    rig.ask(|answer| Request::Network(Box::new(fewer), answer)).await;
    assert_eq!(
        classes(&kernel),
        ["address", "last resort", "link", "route", "ruleset"]
    );
}
