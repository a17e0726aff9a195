//! The owner's handle over a kernel in memory that refuses and loses things.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{
    Address, Algorithm, Device, EspKeys, Event, Kernel, Key, KeyMaterial, Link, LinkKind, LinkName,
    MaximumSegments, Notice, Object, Op, Removal, Request, Route, Ruleset, Scope, Target, Volume, XfrmPolicy,
    XfrmState,
};
use proptest::prelude::*;

const IF_ID: u32 = 0x4357_0000;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn name(number: u8) -> LinkName {
    LinkName::try_from(format!("cw-{number}").as_str()).unwrap()
}

fn link(number: u8, kind: LinkKind) -> Object {
    Link {
        name: name(number),
        kind,
        mtu: 1400,
        up: true,
        purpose: String::new(),
    }
    .into()
}

fn xfrm_link(number: u8) -> Object {
    link(
        number,
        LinkKind::Xfrm {
            interface_id: IF_ID + u32::from(number),
            underlying: None,
        },
    )
}

fn address(number: u8) -> Object {
    Address {
        link: name(number),
        network: format!("169.254.21.{number}/30").parse().unwrap(),
    }
    .into()
}

fn route(number: u8, link: u8) -> Object {
    let target = Target::Link {
        link: name(link),
        source: None,
    };
    Route {
        prefix: format!("10.{number}.0.0/16").parse().unwrap(),
        metric: 10,
        target,
    }
    .into()
}

fn last_resort(number: u8) -> Object {
    Route::last_resort(format!("10.{number}.0.0/16").parse().unwrap()).into()
}

fn state(number: u8, spi: u32) -> XfrmState {
    XfrmState {
        destination: [192, 0, 2, number].into(),
        spi,
        source: [192, 0, 2, 1].into(),
        interface_id: IF_ID + u32::from(number),
        request_id: IF_ID + u32::from(number),
        encapsulation: None,
        algorithm: Algorithm::AesGcm16,
        keys: KeyMaterial::Given(Arc::new(EspKeys {
            encryption: vec![7; 20].into(),
            integrity: None,
        })),
        replay_window: 128,
        extended_sequence_numbers: true,
        volume: Volume::UNLIMITED,
    }
}

fn policies(number: u8) -> impl Iterator<Item = Object> {
    XfrmPolicy::any_to_any(
        IF_ID + u32::from(number),
        [192, 0, 2, 1].into(),
        [192, 0, 2, number].into(),
    )
    .into_iter()
    .map(Object::from)
}

/// All that one connection needs in the kernel datapath.
fn connection(number: u8) -> Vec<Object> {
    let clamp = Ruleset {
        maximum_segments: BTreeMap::from([(
            name(number),
            MaximumSegments {
                ipv4: 1350,
                ipv6: 1340,
            },
        )]),
        ..Ruleset::default()
    };
    let mut objects = vec![
        route(number, number),
        clamp.into(),
        address(number),
        xfrm_link(number),
    ];
    objects.extend(policies(number));
    objects.push(state(number, 1).into());
    objects.push(last_resort(number));
    objects
}

fn want(objects: impl IntoIterator<Item = Object>) -> Vec<Request> {
    objects.into_iter().map(Request::Want).collect()
}

fn keys(objects: &[Object]) -> BTreeSet<Key> {
    objects.iter().map(Object::key).collect()
}

fn present(fake: &FakeKernel) -> BTreeSet<Key> {
    fake.objects().into_keys().collect()
}

/// The route of last resort is made first and removed last, whatever order things are asked for in; a new
/// state is there before the old one leaves.
#[test]
fn nothing_leaves_in_clear_text_on_the_way() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        kernel.apply(want(connection(2))).await.unwrap();
        let steps = fake.performed();
        assert_eq!(steps.first().unwrap().key(), &last_resort(2).key());
        assert_eq!(
            steps.last().unwrap().key(),
            &route(2, 2).key(),
            "no route before its policies"
        );

        let (old, new) = (Key::State(state(2, 1).key()), state(2, 9));
        kernel
            .apply([Request::Unwant(old.clone()), Request::Want(new.clone().into())])
            .await
            .unwrap();
        let steps = fake.performed();
        let [made, gone] = &steps[steps.len() - 2..] else {
            panic!()
        };
        assert!(matches!(made, Op::Create(key, _) if *key == Key::State(new.key())));
        assert!(matches!(gone, Op::Delete(key, _) if *key == old));

        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert!(
            matches!(fake.performed().last().unwrap(), Op::Delete(key, _) if *key == last_resort(2).key())
        );
        assert_eq!(present(&fake), BTreeSet::new());
    });
}

/// A refused half of a child takes the other half back, is reported once, and is never tried again.
#[test]
fn a_refused_child_leaves_nothing() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        let (inbound, outbound) = (state(2, 1), state(3, 2));
        fake.refuse(Key::State(outbound.key()), libc::EEXIST, "already there");
        let refusal = kernel
            .apply(want([inbound.into(), outbound.clone().into()]))
            .await
            .unwrap_err();
        assert_eq!(
            (refusal.errno, refusal.detail.as_str()),
            (libc::EEXIST, "already there")
        );
        fake.accept(&Key::State(outbound.key()));
        kernel.audit().await.unwrap();
        assert_eq!(present(&fake), BTreeSet::new());
    });
}

/// A lost state is reported, to be negotiated anew, and not made again; a lost policy is made again.
#[test]
fn lost_states_are_reported_and_others_repaired() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, mut notices) = Kernel::over(&fake);
        kernel.apply(want(connection(2))).await.unwrap();
        let (lost, policy) = (state(2, 1), policies(2).next().unwrap().key());
        fake.lose(&Key::State(lost.key()));
        fake.lose(&policy);
        let events = kernel.handle(notices.next().await).await;
        let expected = [
            Event::StateLost {
                key: lost.key(),
                interface_id: IF_ID + 2,
            },
            Event::Missing(policy.clone()),
        ];
        assert_eq!(events, expected);
        assert!(present(&fake).contains(&policy));
        assert!(!present(&fake).contains(&Key::State(lost.key())));
        assert_eq!(kernel.audit().await.unwrap(), []);
    });
}

/// What waits for a link is done when it appears, and again after it was away.
#[test]
fn a_link_of_others_is_awaited() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, mut notices) = Kernel::over(&fake);
        let objects = [route(2, 2), address(2), link(2, LinkKind::External)];
        kernel.apply(want(objects.clone())).await.unwrap();
        assert_eq!((present(&fake).len(), kernel.waiting().len()), (0, 3));
        for _ in 0..2 {
            fake.appear(name(2));
            kernel.handle(notices.next().await).await;
            assert_eq!(present(&fake), keys(&objects));
            fake.lose(&Key::Link(name(2)));
            kernel.handle(notices.next().await).await;
            assert_eq!(present(&fake), BTreeSet::new());
        }
        assert_eq!(kernel.refusals(), &BTreeMap::new());
    });
}

/// A link goes down before it goes: whoever looks at all there is in between finds out, and tells of it at once.
#[test]
fn a_link_that_is_gone_is_told_of_at_once() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, mut notices) = Kernel::over(&fake);
        kernel.apply(want([link(2, LinkKind::External)])).await.unwrap();
        fake.appear(name(2));
        kernel.handle(notices.next().await).await;
        let Object::Link(mut down) = link(2, LinkKind::External) else {
            panic!()
        };
        down.up = false;
        fake.lose_unreported(&Key::Link(name(2)));
        fake.report(Notice::LinkPresent {
            link: down,
            ours: true,
            aliased: true,
            device: Device::default(),
        });
        let events = kernel.handle(notices.next().await).await;
        assert_eq!(events, [Event::Missing(Key::Link(name(2)))]);
    });
}

/// After a crash everything stays until its successor is in, tunnel by tunnel.
#[test]
fn a_restart_hands_over_tunnel_by_tunnel() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        let mut clamp = BTreeMap::new();
        for number in [2, 3] {
            kernel.apply(want(connection(number))).await.unwrap();
            clamp.insert(name(number), 1350);
        }
        let before = present(&fake);
        drop(kernel);

        let (mut kernel, _) = Kernel::over(&fake);
        let configured = |number| {
            connection(number)
                .into_iter()
                .filter(|one| !matches!(one, Object::State(_)))
        };
        kernel
            .apply(want(configured(2).chain(configured(3))))
            .await
            .unwrap();
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        assert_eq!(present(&fake), before);
        assert_eq!(kernel.adopted_children(), BTreeSet::from([IF_ID + 2, IF_ID + 3]));

        kernel.apply(want([state(2, 9).into()])).await.unwrap();
        kernel
            .apply([Request::Release(Scope::Child(IF_ID + 2))])
            .await
            .unwrap();
        assert_eq!(kernel.adopted_children(), BTreeSet::from([IF_ID + 3]));
        assert!(!present(&fake).contains(&Key::State(state(2, 1).key())));
        assert!(present(&fake).contains(&Key::State(state(3, 1).key())));
        kernel.apply([Request::Release(Scope::Everything)]).await.unwrap();
        assert!(!present(&fake).contains(&Key::State(state(3, 1).key())));
    });
}

/// An adopted state with the SPI of a new one has other keys, so it has to make room.
#[test]
fn an_adopted_state_is_not_mistaken_for_a_new_one() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        kernel.apply(want([state(2, 1).into()])).await.unwrap();
        let (mut kernel, _) = Kernel::over(&fake);
        kernel.apply(want([state(2, 1).into()])).await.unwrap();
        assert!(matches!(fake.performed().last().unwrap(), Op::Replace { .. }));
        let steps = fake.performed().len();
        kernel.audit().await.unwrap();
        assert_eq!(fake.performed().len(), steps, "an audit recognises it");
    });
}

/// A route that is to move to a link that is not there yet no longer leads into the old one.
#[test]
fn a_route_leaves_its_old_link_before_the_new_one_appears() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, mut notices) = Kernel::over(&fake);
        fake.appear(name(2));
        kernel.handle(notices.next().await).await;
        kernel.apply(want([route(0, 2)])).await.unwrap();
        assert_eq!(fake.objects().len(), 1);
        let _waits = kernel.apply(want([route(0, 0)])).await;
        assert_eq!(fake.objects(), BTreeMap::new());
        fake.appear(name(0));
        kernel.handle(notices.next().await).await;
        assert_eq!(fake.objects().into_values().collect::<Vec<_>>(), [route(0, 0)]);
    });
}

#[derive(Debug, Clone)]
enum Step {
    Want(Object),
    Unwant(Key),
    Refuse(Key),
    Lose(Key),
    LoseUnreported(Key),
    Appear(u8),
    Handle,
    Restart,
}

fn object() -> impl Strategy<Value = Object> {
    let number = 0u8..3;
    prop_oneof![
        number.clone().prop_map(xfrm_link),
        number.clone().prop_map(|number| link(number, LinkKind::External)),
        number.clone().prop_map(address),
        (number.clone(), number.clone()).prop_map(|(number, link)| route(number, link)),
        number.clone().prop_map(last_resort),
        number.prop_map(|number| policies(number).next().unwrap()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        object().prop_map(Step::Want),
        object().prop_map(|object| Step::Unwant(object.key())),
        object().prop_map(|object| Step::Refuse(object.key())),
        object().prop_map(|object| Step::Lose(object.key())),
        object().prop_map(|object| Step::LoseUnreported(object.key())),
        (0u8..3).prop_map(Step::Appear),
        Just(Step::Handle),
        Just(Step::Restart),
    ]
}

async fn take(step: Step, fake: &FakeKernel, kernel: &mut Kernel, refused: &mut BTreeSet<Key>) {
    match step {
        Step::Want(object) => drop(kernel.apply([Request::Want(object)]).await),
        Step::Unwant(key) => drop(kernel.apply([Request::Unwant(key)]).await),
        Step::Refuse(key) => {
            fake.refuse(key.clone(), libc::EBUSY, "busy");
            refused.insert(key);
        }
        Step::Lose(key) => fake.lose(&key),
        Step::LoseUnreported(key) => fake.lose_unreported(&key),
        Step::Appear(number) => fake.appear(name(number)),
        Step::Handle => drop(kernel.audit().await),
        Step::Restart => *kernel = Kernel::over(fake).0,
    }
}

proptest! {
    /// Whatever is wanted, refused, lost and restarted: once the kernel accepts everything, an audit leads to
    /// exactly what is wanted and can be, and a second one does nothing.
    #[test]
    fn the_kernel_converges(steps in proptest::collection::vec(step(), 0..40), last in proptest::collection::vec(object(), 0..8)) {
        block_on(async {
            let fake = FakeKernel::new();
            let (mut kernel, _) = Kernel::over(&fake);
            let mut refused = BTreeSet::new();
            for step in steps {
                take(step, &fake, &mut kernel, &mut refused).await;
            }
            for key in refused {
                fake.accept(&key);
            }
            let (mut kernel, _) = Kernel::over(&fake);
            let wanted: BTreeMap<Key, Object> = last.into_iter().map(|object| (object.key(), object)).collect();
            let _ = kernel.apply(want(wanted.values().cloned())).await;
            kernel.apply([Request::Release(Scope::Everything)]).await.unwrap();
            kernel.audit().await.unwrap();
            prop_assert_eq!(kernel.refusals(), &BTreeMap::new());
            let waiting: BTreeSet<Key> = kernel.waiting().into_iter().map(|(key, _)| key).collect();
            let reachable: BTreeMap<Key, Object> =
                wanted.into_iter().filter(|(key, _)| !waiting.contains(key)).collect();
            prop_assert_eq!(fake.objects(), reachable);
            let steps = fake.performed().len();
            kernel.audit().await.unwrap();
            prop_assert_eq!(fake.performed().len(), steps);
            Ok(())
        })?;
    }
}
