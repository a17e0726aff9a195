//! The selector lines of a connection: which of them still need a Child SA, and when it is asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::child_wish::Purpose;
use super::children::Children;
use super::rekey::Asked;
use super::state::{Common, Established, IkeSa, State};
use crate::connection::wait;
use crate::engine::Engine;
use crate::selector::Selectors;
use crate::{Connection, ConnectionName, LineSnapshot, LineStanding, LineStart, Outage};

/// How long an IKE SA without a child may wait for one.
pub(crate) const CHILDLESS: Duration = Duration::from_secs(30);
/// How long the side that did not start the IKE SA waits for the other one to bring up the lines.
const GRACE: Duration = Duration::from_secs(10);
/// A child that lived for so long did not fail.
const SETTLED: Duration = Duration::from_secs(60);
/// Collisions are no news: a peer that asks for patience is told about only when it does so for the third time.
const PATIENCE: u32 = 3;

/// The lines that have no child, or had trouble to get one.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    troubled: BTreeMap<usize, Trouble>,
}

/// One of them.
#[derive(Debug)]
struct Trouble {
    /// A child is to be asked for.
    wanted: bool,
    /// Not before that.
    at: Instant,
    failures: u32,
    outage: Option<Outage>,
}

impl Lines {
    /// A child of this line is to be asked for then, or when its back-off ends.
    pub(crate) fn want(&mut self, line: usize, at: Instant) {
        let trouble = self.troubled.entry(line).or_insert(Trouble {
            wanted: false,
            at,
            failures: 0,
            outage: None,
        });
        if !trouble.wanted {
            (trouble.wanted, trouble.at) = (true, trouble.at.max(at));
        }
    }

    /// When the next child is to be asked for.
    pub(crate) fn due(&self) -> Option<Instant> {
        let wanted = self.troubled.values().filter(|trouble| trouble.wanted);
        wanted.map(|trouble| trouble.at).min()
    }

    /// The line whose child is to be asked for now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<usize> {
        let due = self.troubled.iter_mut();
        let due = due.filter(|(_, trouble)| trouble.wanted && trouble.at <= now);
        let (line, trouble) = due.min_by_key(|(line, trouble)| (trouble.at, **line))?;
        trouble.wanted = false;
        Some(*line)
    }

    /// The peer is bringing lines up itself: those that never failed can wait.
    pub(crate) fn defer(&mut self, now: Instant) {
        let untried = self.troubled.values_mut();
        for trouble in untried.filter(|trouble| trouble.failures == 0) {
            trouble.at = trouble.at.max(now + GRACE);
        }
    }

    /// A child of this line could not be made, or did not last: it is asked for `again` after a while. How long is drawn.
    pub(crate) fn failed(
        &mut self,
        line: usize,
        (outage, again): (Option<Outage>, bool),
        now: Instant,
        drawn: u8,
    ) {
        let trouble = self.troubled.entry(line).or_insert(Trouble {
            wanted: false,
            at: now,
            failures: 0,
            outage: None,
        });
        trouble.failures = trouble.failures.saturating_add(1);
        (trouble.wanted, trouble.at) = (again, now + wait(trouble.failures, drawn));
        trouble.outage = outage.as_ref().map(Outage::abridged);
    }

    /// The datapath carries a child of this line. Whether that was in doubt.
    pub(crate) fn carried(&mut self, line: usize) -> bool {
        let Some(trouble) = self.troubled.get_mut(&line) else {
            return false;
        };
        let refused = trouble.outage.take().is_some();
        trouble.wanted = false;
        if trouble.failures == 0 {
            self.troubled.remove(&line);
        }
        refused
    }

    fn failures(&self, line: usize) -> u32 {
        self.troubled.get(&line).map_or(0, |trouble| trouble.failures)
    }

    /// Why this line has no child, if that is known.
    fn outage(&self, line: usize) -> Option<&Outage> {
        self.troubled.get(&line)?.outage.as_ref()
    }

    /// Where each line stands.
    pub(crate) fn snapshots(&self, children: &Children, settings: &Connection) -> Vec<LineSnapshot> {
        let standing = |place| {
            if children.carry_line(place) {
                LineStanding::Up
            } else if let Some(outage) = self.outage(place) {
                LineStanding::Refused(outage.clone())
            } else if comes_with_tunnel(settings, place) || children.serve(place) {
                LineStanding::Pending
            } else {
                LineStanding::Waiting
            }
        };
        let lines = settings.lines.iter().enumerate();
        lines
            .map(|(place, line)| LineSnapshot::new(line, standing(place)))
            .collect()
    }

    /// Why the first line that has no child has none.
    pub(crate) fn first_outage(&self) -> Option<&Outage> {
        self.troubled.values().find_map(|trouble| trouble.outage.as_ref())
    }
}

/// Whether the child of this line is always there.
pub(crate) fn comes_with_tunnel(settings: &Connection, line: usize) -> bool {
    let start = settings.lines.get(line).map(|line| line.start);
    line == 0 || start == Some(LineStart::WithTunnel)
}

impl Established {
    /// The line whose child is to be asked for now, if that is possible.
    pub(crate) fn next_line(&mut self, now: Instant) -> Option<usize> {
        self.window.next_request().filter(|_| self.owed.is_none())?;
        loop {
            let line = self.lines.next(now)?;
            if !self.children.serve(line) {
                return Some(line);
            }
        }
    }

    /// Where each line stands.
    pub(crate) fn line_snapshots(&self, settings: &Connection) -> Vec<LineSnapshot> {
        self.lines.snapshots(&self.children, settings)
    }
}

impl Engine {
    /// The IKE SA is established: the lines that have no child yet get one. The side that started it makes them; the other
    /// one waits, so that both do not make the same.
    pub(crate) fn begin_lines(
        &mut self,
        common: &Common,
        state: &mut Established,
        settings: &Connection,
        now: Instant,
    ) {
        let at = if common.initiator { now } else { now + GRACE };
        for line in 0..settings.lines.len() {
            if comes_with_tunnel(settings, line) && !state.children.serve(line) {
                state.lines.want(line, at);
            }
        }
    }

    /// A packet of this line finds no child.
    pub(crate) fn wanted(&mut self, name: &ConnectionName, line: usize, now: Instant) {
        let (Some(settings), Some(spi)) = (self.settings_of(name), self.current_sa(name)) else {
            return;
        };
        let known = settings.lines.len() > line;
        let Some(IkeSa { common, state }) = self.take(spi) else {
            return;
        };
        match state {
            State::Established(mut state) if known => {
                let asked = matches!(&state.asked, Some(Asked::Child(asked)) if asked.line() == Some(line));
                if !asked && !state.children.serve(line) {
                    state.lines.want(line, now);
                }
                self.proceed(common, state, now);
            }
            other => self.keep(common, other),
        }
    }

    /// Asks for a child of this line.
    pub(crate) fn create_line(&mut self, common: Common, state: Box<Established>, line: usize, now: Instant) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let wanted = settings.and_then(|settings| settings.lines.get(line).map(Selectors::of));
        let Some(selectors) = wanted else {
            return self.keep(common, State::Established(state));
        };
        let purpose = Purpose::line(line, selectors);
        self.ask_child(common, state, (purpose, None), now);
    }

    /// No child of this line could be made. `lasting`: the peer says so for good.
    pub(crate) fn line_refused(
        &mut self,
        common: &Common,
        state: &mut Established,
        (line, outage, lasting): (usize, Outage, bool),
        now: Instant,
    ) {
        if state.children.serve(line) {
            return;
        }
        let known = lasting || state.lines.failures(line) + 1 >= PATIENCE;
        let outage = known.then_some(outage);
        let again = outage.is_none() || self.keeps_up(common, line);
        let drawn = self.drawn(1).first().copied().unwrap_or_default();
        state.lines.failed(line, (outage.clone(), again), now, drawn);
        match outage {
            Some(outage) if state.children.carry() => self.degraded(common, &outage),
            Some(outage) => self.without_child(common, &outage, now),
            None => {}
        }
    }

    /// Whether we see to it that this line always has a child.
    fn keeps_up(&self, common: &Common, line: usize) -> bool {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        settings.is_some_and(|settings| comes_with_tunnel(&settings, line))
    }

    /// A child is no more that carried its line's traffic since then: what must always be there is made again, and what
    /// comes on demand waits for the next packet.
    pub(crate) fn child_gone(
        &mut self,
        common: &Common,
        state: &mut Established,
        (line, since, outage): (Option<usize>, Option<Instant>, &Outage),
        now: Instant,
    ) {
        let asked = if let Some(Asked::Child(asked)) = &state.asked {
            asked.line()
        } else {
            None
        };
        if let Some(line) = line.filter(|line| !state.children.serve(*line) && asked != Some(*line)) {
            let settled = since.is_some_and(|since| now.saturating_duration_since(since) >= SETTLED);
            if settled {
                state.lines.troubled.remove(&line);
            }
            let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
            let always = settings.is_some_and(|settings| comes_with_tunnel(&settings, line));
            let known = always.then(|| outage.clone());
            let drawn = self.drawn(1).first().copied().unwrap_or_default();
            let again = self.keeps_up(common, line);
            state.lines.failed(line, (known, again), now, drawn);
        }
        if !state.children.carry() {
            state.childless_until.get_or_insert(now + CHILDLESS);
            self.without_child(common, outage, now);
        } else if line.is_some_and(|line| state.lines.outage(line).is_some()) {
            self.degraded(common, outage);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::{Reason, Side, Stage};

    const SECOND: Duration = Duration::from_secs(1);

    fn outage() -> Option<Outage> {
        let (reason, stage) = (Reason::SelectorMismatch, Stage::CreateChildSa);
        Some(Outage::plain(reason, Side::Peer, stage))
    }

    #[test]
    fn lines_are_asked_for_one_after_another() {
        let now = Instant::now();
        let mut lines = Lines::default();
        lines.want(2, now);
        lines.want(1, now);
        lines.want(3, now + SECOND);
        assert_eq!((lines.next(now), lines.next(now)), (Some(1), Some(2)));
        assert_eq!((lines.next(now), lines.due()), (None, Some(now + SECOND)));
        lines.defer(now);
        assert_eq!(lines.due(), Some(now + GRACE), "the peer makes them");
        assert!(!lines.carried(1) && !lines.carried(2) && !lines.carried(3));
        assert!(lines.troubled.is_empty());
    }

    /// A refused line waits longer each time; traffic that wants through does not shorten that.
    #[test]
    fn a_refused_line_backs_off() {
        let now = Instant::now();
        let mut lines = Lines::default();
        for expected in [1, 2, 4, 8, 16, 32, 64, 64] {
            lines.failed(4, (outage(), false), now, 0);
            assert_eq!(lines.due(), None, "on demand: nobody wants it now");
            lines.want(4, now);
            assert_eq!(lines.due(), Some(now + SECOND * expected));
            assert_eq!(lines.next(now), None);
            assert_eq!(lines.next(now + SECOND * expected), Some(4));
        }
        assert!(lines.outage(4).is_some());
        assert!(lines.carried(4) && lines.outage(4).is_none());
        lines.failed(4, (outage(), true), now, 0);
        assert_eq!(
            lines.due(),
            Some(now + SECOND * 64),
            "one that is deleted at once backs off as well"
        );
    }
}
