//! When all of the kernel is read anew, and when not: that takes as long as a whole commit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;

use appliance_kernel::{Address, Device, Key, Link, LinkKind, LinkName, Notice, Object, Reconciler, Request};

fn name() -> LinkName {
    LinkName::try_from("cw-1").unwrap()
}

fn link(up: bool) -> Link {
    let kind = LinkKind::Xfrm {
        interface_id: 0x4357_0001,
        underlying: None,
    };
    Link {
        name: name(),
        kind,
        mtu: 1400,
        up,
        purpose: String::new(),
    }
}

fn address() -> Object {
    let network = "169.254.21.1/30".parse().unwrap();
    Address {
        link: name(),
        network,
    }
    .into()
}

/// The kernel does all that is planned.
fn perform(core: &mut Reconciler) {
    for _ in 0..3 {
        for step in core.plan() {
            core.done(&step, Ok(()));
        }
    }
}

/// With a link of ours and its address.
fn core() -> Reconciler {
    let mut core = Reconciler::adopt(vec![], BTreeSet::new());
    core.request(Request::Want(link(true).into()));
    core.request(Request::Want(address()));
    perform(&mut core);
    assert!(core.plan().is_empty() && core.doubt().is_none());
    core
}

fn told(up: bool, aliased: bool) -> Notice {
    Notice::LinkPresent {
        link: link(up),
        ours: true,
        aliased,
        device: Device::default(),
    }
}

/// The kernel tells of a link when it is made and again when it is set up, by when we have done both.
#[test]
fn a_link_that_we_make_is_no_reason() {
    let mut core = core();
    core.observe(told(false, false));
    core.observe(told(true, true));
    assert_eq!(core.doubt(), None);
    assert!(core.plan().is_empty());
}

#[test]
fn a_link_that_somebody_sets_down_is_a_reason() {
    let mut core = core();
    core.observe(told(false, true));
    let reason = core.doubt().unwrap();
    assert!(reason.contains("a link of ours went down"), "{reason}");
}

/// Once, when we remove it; not once more when the kernel tells that it is gone.
#[test]
fn an_address_that_we_remove_is_a_reason_once() {
    let mut core = core();
    core.request(Request::Unwant(address().key()));
    perform(&mut core);
    assert!(core.doubt().is_some());
    core.observe_all(vec![link(true).into()], [name()].into());
    core.observe(Notice::Gone(address().key()));
    assert_eq!(core.doubt(), None);
}

/// Its routes went with it.
#[test]
fn an_address_that_goes_with_a_link_that_we_remove_is_no_reason() {
    let mut core = core();
    core.request(Request::Unwant(address().key()));
    core.request(Request::Unwant(Key::Link(name())));
    let steps = core.plan();
    let link_only = steps.iter().filter(|step| matches!(step.key(), Key::Link(_)));
    link_only.for_each(|step| core.done(step, Ok(())));
    core.observe(Notice::Gone(address().key()));
    assert_eq!(core.doubt(), None);
}

#[test]
fn an_address_that_somebody_removes_is_a_reason() {
    let mut core = core();
    core.observe(Notice::Gone(address().key()));
    let reason = core.doubt().unwrap();
    assert!(reason.contains("an IPv4 address of ours went"), "{reason}");
}

/// A link of the machine that we let go stays: what is wanted on it next waits for nothing, and nobody has to look.
#[test]
fn a_link_that_is_let_go_is_still_there() {
    let mut core = Reconciler::adopt(vec![], BTreeSet::from([name()]));
    let device = Link {
        kind: LinkKind::Device,
        ..link(true)
    };
    core.request(Request::Want(device.into()));
    perform(&mut core);
    core.request(Request::Unwant(Key::Link(name())));
    perform(&mut core);
    core.request(Request::Want(address()));
    assert_eq!((core.plan().len(), core.waiting()), (1, vec![]));
    assert!(core.doubt().is_none());
}
