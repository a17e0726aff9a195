//! The table that translates, over a kernel in memory: its place among the others, restarts, refusals, and flows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{
    Flow, Kernel, Key, Link, LinkKind, LinkName, Object, Op, Removal, Request, Route, Rule, Scope,
    Translation, Version, mark,
};
use appliance_nat::{Kind, Numbers, Rules, Tunnel, compile};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn name(number: u8) -> LinkName {
    LinkName::try_from(format!("cw-{number}").as_str()).unwrap()
}

fn xfrm_link(number: u8) -> Object {
    Link {
        name: name(number),
        kind: LinkKind::Xfrm {
            interface_id: mark::packet_mark(number.into()),
            underlying: None,
        },
        mtu: 1400,
        up: true,
        purpose: String::new(),
    }
    .into()
}

fn want(objects: impl IntoIterator<Item = Object>) -> Vec<Request> {
    objects.into_iter().map(Request::Want).collect()
}

fn present(fake: &FakeKernel) -> BTreeSet<Key> {
    fake.objects().into_keys().collect()
}

/// Rules of translation for the tunnels with these numbers, whose sites all have the same addresses; bindings keep the
/// numbers that they have.
fn translation(tunnels: &[u8], kept: &Numbers) -> Translation {
    let tunnel = |number: &u8| {
        let rule = appliance_nat::Rule {
            kind: Kind::Static { ports: None },
            internal: "10.0.0.0/24".parse().unwrap(),
            external: format!("100.64.{number}.0/24").parse().unwrap(),
        };
        let tunnel = Tunnel {
            link: name(*number).to_string(),
            number: u16::from(*number),
            site: format!("s{number}"),
            ingress: [("in".to_owned(), rule)].into(),
            egress: BTreeMap::new(),
        };
        (format!("c{number}"), tunnel)
    };
    let rules = Rules {
        tunnels: tunnels.iter().map(tunnel).collect(),
    };
    Translation::of(compile(&rules, kept).unwrap())
}

/// What leads translated packets to the site of a tunnel.
fn leading(number: u8) -> [Object; 3] {
    let mark = mark::packet_mark(number.into());
    let [out, nowhere] = Route::marked(Version::Four, mark, &name(number));
    [
        out.into(),
        nowhere.into(),
        Rule::Marked(Version::Four, mark).into(),
    ]
}

/// The table that translates leads packets by rules and routes that are there before it, and goes before they do: else a
/// packet for a site would be taken for one of ours, which may have the same address.
#[test]
fn translation_comes_last_and_goes_first() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        let one = translation(&[2], &Numbers::default());
        let objects = leading(2).into_iter().chain([one.clone().into(), xfrm_link(2)]);
        let mut wanted = want(objects);
        wanted.reverse();
        kernel.apply(wanted).await.unwrap();
        assert_eq!(fake.performed().last().unwrap().key(), &Key::Translation);

        let other = translation(&[3], one.numbers());
        let gone = leading(2).map(|object| Request::Unwant(object.key()));
        let come = want(leading(3).into_iter().chain([other.into(), xfrm_link(3)]));
        let before = fake.performed().len();
        kernel.apply(gone.into_iter().chain(come)).await.unwrap();
        let steps = &fake.performed()[before..];
        let place = steps
            .iter()
            .position(|step| *step.key() == Key::Translation)
            .unwrap();
        assert!(steps[..place].iter().all(|step| matches!(step, Op::Create(..))));
        assert!(
            steps[place + 1..]
                .iter()
                .all(|step| matches!(step, Op::Delete(..)))
        );
        assert_eq!((place, steps.len()), (4, 8));

        let before = fake.performed().len();
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(fake.performed()[before].key(), &Key::Translation);
        assert_eq!(present(&fake), BTreeSet::new());
    });
}

/// Without the rule of routing that it relies on, nothing is translated, and what was goes on.
#[test]
fn translation_waits_for_what_it_relies_on() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        let one = translation(&[2], &Numbers::default());
        let objects = leading(2).into_iter().chain([one.clone().into(), xfrm_link(2)]);
        kernel.apply(want(objects)).await.unwrap();
        let [.., rule] = leading(3);
        fake.refuse(rule.key(), libc::EOPNOTSUPP, "no policy routing");
        let both = translation(&[2, 3], one.numbers());
        let more = leading(3).into_iter().chain([both.clone().into(), xfrm_link(3)]);
        let refusal = kernel.apply(want(more)).await.unwrap_err();
        assert_eq!(refusal.detail, "no policy routing");
        assert_eq!(kernel.translation(), Some(&one));
        fake.accept(&rule.key());
        kernel.audit().await.unwrap();
        assert_eq!(kernel.translation(), Some(&both));
    });
}

/// After a restart an unchanged program is not written again, and what stays of a changed one keeps its numbers: so flows
/// of bindings that stay go on, and those of others are forgotten.
#[test]
fn flows_outlive_what_does_not_concern_them() {
    block_on(async {
        let fake = FakeKernel::new();
        let (mut kernel, _) = Kernel::over(&fake);
        let both = translation(&[2, 3], &Numbers::default());
        let objects = || {
            leading(2)
                .into_iter()
                .chain(leading(3))
                .chain([both.clone().into()])
        };
        kernel.apply(want(objects())).await.unwrap();
        for number in both.numbers().bindings.values() {
            for mark in [u32::from(*number), u32::from(*number) << 16] {
                fake.follow(Flow {
                    mark,
                    protocol: 6,
                    answers_to: [100, 64, 0, 1].into(),
                    port: 1,
                });
            }
        }
        assert_eq!(fake.flows().len(), 4);
        drop(kernel);

        let (mut kernel, _) = Kernel::over(&fake);
        let before = fake.performed().len();
        kernel.apply(want(objects())).await.unwrap();
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        assert_eq!(fake.performed().len(), before);
        let kept = kernel.translation().unwrap().numbers().clone();
        let one = translation(&[3], &kept);
        let number = *one.numbers().bindings.values().next().unwrap();
        kernel.apply(want([one.into()])).await.unwrap();
        let marks: Vec<u32> = fake.flows().iter().map(|flow| flow.mark).collect();
        assert_eq!(marks, [u32::from(number), u32::from(number) << 16]);

        kernel
            .apply([Request::Remove(Removal::ExceptLastResort)])
            .await
            .unwrap();
        assert_eq!(present(&fake), BTreeSet::from([Key::Translation]));
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!((present(&fake).len(), fake.flows().len()), (0, 0));
    });
}
