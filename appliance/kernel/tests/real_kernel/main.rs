//! The real kernel, each test in a network namespace of its own. Needs root.
//!
//! What this kernel lacks is skipped, loudly; with `CAUSEWAY_EXPECT_ESP=1`, as in the virtual machine, nothing
//! may be skipped. `ip` plays somebody else here, and gives a second opinion.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod esp;
mod firewall;
mod learnt;
mod machine;
mod routes;
mod traffic;
mod translation;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use appliance_kernel::{
    Address, Algorithm, EspKeys, Event, Kernel, Key, KeyMaterial, Link, LinkKind, LinkName, Notices, Object,
    Request, Route, Target, Volume, XfrmState,
};
use nix::sched::{CloneFlags, unshare};

pub(crate) const IF_ID: u32 = 0x4357_0001;

/// Runs a test in a new network namespace, on a thread of its own.
pub(crate) fn isolated<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(240), test())
                .await
                .unwrap()
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn run(arguments: &str) -> (bool, String) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

pub(crate) fn ip(arguments: &str) -> String {
    let (granted, text) = run(arguments);
    assert!(granted, "ip {arguments}: {text}");
    text
}

pub(crate) fn name(name: &str) -> LinkName {
    LinkName::try_from(name).unwrap()
}

pub(crate) fn external(link: &str) -> Object {
    Link {
        name: name(link),
        kind: LinkKind::External,
        mtu: 1400,
        up: true,
        purpose: String::new(),
    }
    .into()
}

pub(crate) fn xfrm_link() -> Object {
    let kind = LinkKind::Xfrm {
        interface_id: IF_ID,
        underlying: None,
    };
    Link {
        name: name("cw-a"),
        kind,
        mtu: 1400,
        up: true,
        purpose: String::new(),
    }
    .into()
}

pub(crate) fn address(network: &str) -> Object {
    Address {
        link: name("cw-a"),
        network: network.parse().unwrap(),
    }
    .into()
}

pub(crate) fn route(prefix: &str) -> Object {
    let target = Target::Link {
        link: name("cw-a"),
        source: None,
    };
    Route {
        prefix: prefix.parse().unwrap(),
        metric: 10,
        target,
    }
    .into()
}

pub(crate) fn last_resort(prefix: &str) -> Object {
    Route::last_resort(prefix.parse().unwrap()).into()
}

pub(crate) fn want(objects: impl IntoIterator<Item = Object>) -> Vec<Request> {
    objects.into_iter().map(Request::Want).collect()
}

/// Handles what is reported until nothing more happens for a moment.
pub(crate) async fn settle(kernel: &mut Kernel, notices: &mut Notices) -> Vec<Event> {
    let mut events = vec![];
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(300), notices.next()).await {
        events.extend(kernel.handle(batch).await);
    }
    events
}

pub(crate) fn keys(kernel: &Kernel) -> BTreeSet<Key> {
    kernel.present().map(Object::key).collect()
}

pub(crate) fn all_keys(objects: &[Object]) -> BTreeSet<Key> {
    objects.iter().map(Object::key).collect()
}

/// Whether the kernel has all we need; says so if not, and fails where it must have.
pub(crate) async fn has_esp(kernel: &mut Kernel, test: &str) -> bool {
    let probed = kernel.probe().await;
    let missing = probed.as_ref().err().map(ToString::to_string);
    skip_unless(probed.is_ok(), test, &missing.unwrap_or_default())
}

/// Says that a test is skipped, and fails where it may not be.
pub(crate) fn skip_unless(possible: bool, test: &str, missing: &str) -> bool {
    assert!(
        possible || std::env::var_os("CAUSEWAY_EXPECT_ESP").is_none(),
        "{test} may not be skipped: {missing}"
    );
    if !possible {
        // Past the capture of the test harness, so that it is seen.
        std::io::stderr()
            .write_all(format!("SKIPPED {test}: {missing}\n").as_bytes())
            .unwrap();
    }
    possible
}

pub(crate) fn state(from: &str, to: &str, spi: u32, algorithm: Algorithm) -> XfrmState {
    // The same keys at both ends, which a state must have.
    let octet = u8::try_from(spi & 0xff).unwrap();
    let (encryption, integrity) = match algorithm {
        Algorithm::AesCbc(_) => (vec![octet; 32], Some(vec![octet; 48].into())),
        Algorithm::TripleDes(_) => (
            [[octet; 8], [octet ^ 0x55; 8], [octet ^ 0xaa; 8]].concat(),
            Some(vec![octet; 16].into()),
        ),
        Algorithm::Des(_) => (vec![octet; 8], Some(vec![octet; 20].into())),
        Algorithm::Null(_) => (vec![], Some(vec![octet; 32].into())),
        Algorithm::ChaCha20Poly1305 => (vec![octet; 36], None),
        Algorithm::AesGcm16 | Algorithm::Foreign(_) => (vec![octet; 20], None),
    };
    XfrmState {
        destination: to.parse().unwrap(),
        spi,
        source: from.parse().unwrap(),
        interface_id: IF_ID,
        request_id: IF_ID,
        encapsulation: None,
        algorithm,
        keys: KeyMaterial::Given(Arc::new(EspKeys {
            encryption: encryption.into(),
            integrity,
        })),
        replay_window: 128,
        extended_sequence_numbers: true,
        volume: Volume::UNLIMITED,
    }
}

pub(crate) const A: &str = "192.0.2.1";
pub(crate) const B: &str = "192.0.2.2";

pub(crate) fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}
