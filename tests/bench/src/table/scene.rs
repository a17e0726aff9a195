//! A speaker in one namespace and all its neighbours in another.

use std::net::Ipv4Addr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::process::memory;
use system_tests::lab::run::Run;

use super::daemon::{Daemon, Running};
use super::feed::{Announcer, Feed};
use super::figures::Figures;
use super::neighbour::{Neighbour, Vias};
use crate::processor::{processor_time, spent_at_rest};

const HUB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The autonomous system of the neighbour that announces nothing.
const SINK: u32 = 65_100;
/// Time for anything at all.
const LIMIT: Duration = Duration::from_secs(240);

/// A speaker with neighbours that announce, 65001 and the numbers after it, and one that only listens. Fields are
/// dropped in this order: what runs goes before where it runs.
pub struct Scene {
    announcing: Vec<Neighbour>,
    sink: Neighbour,
    speaker: Running,
    spent: Duration,
    _run: Run,
}

impl Scene {
    /// Starts the speaker; all sessions are established.
    ///
    /// # Errors
    /// When one is not; the error carries the log of the speaker.
    pub fn new(daemon: Daemon, announcing: u8) -> Result<Self> {
        let run = Run::new()?;
        let (load, hub) = (Namespace::new(&run, "load")?, Namespace::new(&run, "hub")?);
        let end = |namespace, address| End {
            namespace,
            link: "wan",
            address,
        };
        connect(&end(&load, "192.0.2.2/24"), &end(&hub, "192.0.2.1/24"))?;
        let all: Vec<(u32, Ipv4Addr)> = (1..=announcing)
            .map(|number| (65_000 + u32::from(number), address(number)))
            .chain([(SINK, address(100))])
            .collect();
        for (_, address) in &all {
            load.ip(&[&format!("address add {address}/24 dev wan")])?;
        }
        let speaker = daemon.start(&run, &hub, HUB, &all)?;
        let open = |(asn, address): &(u32, Ipv4Addr)| {
            Neighbour::open(&load, [*address, HUB], *asn).with_context(|| speaker.log())
        };
        let mut neighbours = all.iter().map(open).collect::<Result<Vec<_>>>()?;
        let sink = neighbours.pop().context("no sink")?;
        Ok(Self {
            announcing: neighbours,
            sink,
            spent: spent_at_rest(speaker.id())?,
            speaker,
            _run: run,
        })
    }

    /// All of them announce the feed, the first one with the shortest paths.
    ///
    /// # Errors
    /// When the sink is not told all of it by the first.
    pub fn announce(&mut self, feed: &Feed) -> Result<Figures> {
        let (told, prefixes) = (self.sink.when(all_by_first(feed)), feed.prefixes());
        let feeds = (1_u8..)
            .zip(&self.announcing)
            .map(|(number, _)| {
                feed.announced_by(&Announcer {
                    asn: 65_000 + u32::from(number),
                    times: if number == 1 { 1 } else { 2 },
                    next_hop: address(number),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        for (neighbour, feed) in self.announcing.iter_mut().zip(feeds) {
            neighbour.announce(feed);
        }
        for neighbour in &mut self.announcing {
            neighbour.announced()?;
        }
        self.figures(begun, &told)
            .with_context(|| format!("{prefixes} prefixes by 65001"))
    }

    /// The first goes away, and the sink is told other paths.
    ///
    /// # Errors
    /// When it is not.
    pub fn withdraw(&mut self, feed: &Feed) -> Result<Figures> {
        let prefixes = feed.prefixes();
        let told = self
            .sink
            .when(move |[_, first, others @ ..]| *first == 0 && others.iter().sum::<u32>() == prefixes);
        let leaving = self.announcing.remove(0);
        let begun = Instant::now();
        leaving.leave()?;
        self.figures(begun, &told)
            .with_context(|| format!("{prefixes} prefixes by the others"))
    }

    fn figures(&mut self, begun: Instant, told: &Receiver<Instant>) -> Result<Figures> {
        let id = self.speaker.id();
        let told = told.recv_timeout(LIMIT).with_context(|| self.speaker.log())?;
        let (processor, before) = (processor_time(id)?, self.spent);
        self.spent = spent_at_rest(id)?;
        Ok(Figures {
            wall: told - begun,
            processor: processor.saturating_sub(before),
            at_rest: self.spent.saturating_sub(before),
            peak: memory(id)?.peak,
        })
    }
}

fn all_by_first(feed: &Feed) -> impl Fn(&Vias) -> bool + Send + 'static {
    let prefixes = feed.prefixes();
    move |[_, first, ..]| *first == prefixes
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 10 + number)
}
