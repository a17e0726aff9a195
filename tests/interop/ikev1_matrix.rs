//! IKEv1 with strongSwan: who begins × how both prove who they are × NAT × key exchange at each rekey × who replaces the SAs, in a
//! set of cells in which each two values meet, or with `CAUSEWAY_MATRIX=full` in all of them. Prints a table.
#![allow(clippy::print_stdout, reason = "the table goes to standard output")]

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use system_tests::lab::capture::Capture;
use system_tests::lab::pki::Key;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::matrix::cover;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::credentials::Issuers;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::{CUSTOM, VERSION_1};
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::pair::tunnels;

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// We send the first message.
    we_begin: bool,
    certificates: bool,
    nat: bool,
    pfs: bool,
    /// We replace the SAs.
    we_rekey: bool,
}

/// What became of one: pings lost and sent while an SA was replaced, and what the peer lost by itself.
struct Outcome {
    child: (usize, usize, usize),
    phase: (usize, usize, usize),
}

/// What takes part. Fields are dropped in this order.
struct Scene {
    near: Causeway,
    far: StrongSwan,
    capture: Capture,
    sites: Sites,
    _run: Run,
}

impl Cell {
    fn of(combination: &[usize]) -> Self {
        let [first, second, third, fourth, fifth] = combination.try_into().unwrap();
        Self {
            we_begin: first == 0,
            certificates: second == 1,
            nat: third == 1,
            pfs: fourth == 1,
            we_rekey: fifth == 0,
        }
    }

    fn words(self) -> [&'static str; 5] {
        let word = |one: bool, yes, no| if one { yes } else { no };
        [
            word(self.we_begin, "initiator", "responder"),
            word(self.certificates, "RSA", "PSK"),
            word(self.nat, "NAT", "cable"),
            word(self.pfs, "PFS", "no PFS"),
            word(self.we_rekey, "by us", "by peer"),
        ]
    }

    fn tunnels(self, sites: &Sites) -> [Tunnel; 2] {
        let suite = if self.pfs { CUSTOM } else { VERSION_1 };
        let (mut near, mut far) = tunnels(sites);
        if self.nat {
            let hidden = if self.we_begin { &mut far } else { &mut near };
            hidden.remote = "203.0.113.1".parse().unwrap();
        }
        let (mut near, mut far) = (near.version_1(suite), far.version_1(suite));
        if self.certificates {
            let [ours, theirs] = Issuers::with(Key::Rsa2048).unwrap().credentials();
            let subjects = [&ours, &theirs].map(|one| one.own.as_ref().unwrap().subject());
            let [ours_named, theirs_named] = subjects;
            (near.local_id, far.remote_id) = (ours_named.clone(), ours_named);
            (near.remote_id, far.local_id) = (theirs_named.clone(), theirs_named);
            (near.credentials, far.credentials) = (Some(Box::new(ours)), Some(Box::new(theirs)));
        }
        if self.we_begin {
            [near, far.waiting()]
        } else {
            [near.waiting(), far.starting()]
        }
    }

    /// Behind a NAT, and where only one may start, phase 1 begins anew by who began it; else by who replaces the SAs.
    fn we_begin_anew(self) -> bool {
        self.we_begin && (self.nat || self.we_rekey)
    }

    /// Our gateway is behind the NAT, and the peer where it begins: a NAT lets nobody in who was not called.
    fn start(self) -> Scene {
        let run = Run::new().unwrap();
        let mut sites = if self.nat {
            Sites::with_nat(&run)
        } else {
            Sites::new(&run)
        }
        .unwrap();
        if self.nat && !self.we_begin {
            std::mem::swap(&mut sites.a, &mut sites.b);
        }
        let [near, far] = self.tunnels(&sites);
        let datapath = Datapath::of_this_run().unwrap();
        let middle = sites.middle.as_ref();
        let outer = middle.map_or((&sites.a.gateway, "wan"), |middle| (middle, "near"));
        let capture = Capture::start(outer.0, outer.1).unwrap();
        let far = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
        let document = document(&[("peer", &near)]);
        let near = Causeway::with_store(&run, &sites.a.gateway, &document, datapath).unwrap();
        if !self.we_begin {
            far.initiate().unwrap();
        }
        near.wait_for("peer", "up").unwrap();
        Scene {
            near,
            far,
            capture,
            sites,
            _run: run,
        }
    }

    fn play(self) -> Outcome {
        let scene = self.start();
        let status = scene.near.connection("peer").unwrap();
        let encapsulation = &status["children"][0]["encapsulation"];
        assert!(!self.nat || encapsulation == "udp", "{status}");
        let child = scene.replaced(self.we_rekey, "/children/0/inbound_spi");
        let phase = scene.replaced(self.we_begin_anew(), "/ike");
        let again = scene.replaced(self.we_rekey, "/children/0/inbound_spi");
        let seen = scene.capture.finish();
        assert_eq!(seen.unexpected(), 0, "{seen:?}");
        let child = (child.0 + again.0, child.1 + again.1, child.2 + again.2);
        Outcome { child, phase }
    }
}

impl Scene {
    /// An SA is replaced while pings flow both ways: lost, sent, and lost by the peer itself.
    fn replaced(&self, by_us: bool, part: &str) -> (usize, usize, usize) {
        let now = || self.near.connection("peer").unwrap().pointer(part).cloned();
        let (before, by_peer) = (now(), self.far.lost().unwrap());
        let (a, b) = (&self.sites.a, &self.sites.b);
        let every = Duration::from_millis(20);
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, every).unwrap());
        pings.iter().for_each(|ping| ping.wait_for(10, SOON).unwrap());
        match (by_us, part == "/ike") {
            (true, ike) => self.near.rekey("peer", ike).unwrap(),
            (false, true) => drop(self.far.reauthenticate().unwrap()),
            (false, false) => drop(self.far.rekey_child().unwrap()),
        }
        wait::until("the rekey to be through", SOON, || {
            let status = self.near.connection("peer")?;
            let after = status.pointer(part).cloned();
            let children = status["children"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(after.is_some() && after != before && children == 1, "{status}");
            Ok(())
        })
        .unwrap();
        pings.iter().for_each(|ping| ping.wait_for(10, SOON).unwrap());
        let by_peer = self.far.lost().unwrap() - by_peer;
        let answers = pings.map(Ping::finish);
        let lost = answers.iter().map(|answers| answers.lost).sum();
        let sent = answers.iter().map(|answers| answers.sent).sum();
        assert!(
            lost <= by_peer,
            "{lost} of {sent} lost, {by_peer} by the peer itself"
        );
        (lost, sent, by_peer)
    }
}

/// Every cell comes up and has SAs of both phases replaced under traffic without a loss of ours.
#[test]
fn ikev1_matrix() {
    let sizes = [2; 5];
    let full = std::env::var("CAUSEWAY_MATRIX").is_ok_and(|value| value == "full");
    let cells = if full {
        cover::product(&sizes)
    } else {
        cover::pairs(&sizes)
    };
    let mut table = format!(
        "IKEv1 with strongSwan, {} cells. Pings lost/sent, both directions together; in brackets what the peer's own kernel had no \
         state for.\n\n| we are | proof | link | quick mode | rekey | child | phase 1 | time | result |\n|---|---|---|---|---|---|---|---|---|\n",
        cells.len()
    );
    let mut failures = 0;
    for combination in &cells {
        let (cell, start) = (Cell::of(combination), Instant::now());
        let outcome = catch_unwind(AssertUnwindSafe(|| cell.play()));
        let words = cell.words().join(" | ");
        let step = |(lost, sent, by_peer): (usize, usize, usize)| format!("{lost}/{sent} ({by_peer})");
        let (steps, result) = match outcome {
            Ok(outcome) => ([step(outcome.child), step(outcome.phase)].join(" | "), "ok"),
            Err(_) => {
                failures += 1;
                ("- | -".to_owned(), "FAILED")
            }
        };
        let seconds = start.elapsed().as_secs();
        writeln!(table, "| {words} | {steps} | {seconds} s | {result} |").unwrap();
    }
    println!("{table}");
    assert_eq!(failures, 0, "{table}");
}
