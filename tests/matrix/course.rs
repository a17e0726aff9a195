//! What is done in each cell.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use system_tests::lab::capture::Class;
use system_tests::lab::run::Run;
use system_tests::matrix::row::{Row, Step};
use system_tests::matrix::table::STEPS;
use system_tests::peer::tunnel::Datapath;

use crate::cell::{Cell, Link, Mode, Restart, Selectors};
use crate::scene::{Scene, forget};
use crate::traffic::{Traffic, lost_outside};

/// Runs one cell.
pub(crate) fn run(cell: &Cell, parties: &str) -> Row {
    let (start, mut steps) = (Instant::now(), Vec::new());
    let whole = catch_unwind(AssertUnwindSafe(|| in_lab(cell, &mut steps)));
    let failure = match whole {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some("it panicked".to_owned()),
    };
    Row {
        parties: parties.to_owned(),
        varied: cell.varied(),
        steps,
        milliseconds: milliseconds(start.elapsed()),
        failure,
    }
}

fn in_lab(cell: &Cell, steps: &mut Vec<Step>) -> Result<()> {
    let run = Run::new()?;
    let whole = scenario(&run, cell, steps);
    if whole.is_err() {
        eprintln!("=== {cell}");
        run.print_logs();
    }
    whole
}

/// A tunnel comes up, carries, has both kinds of SA replaced from both sides, and comes back when a side is started
/// again; and all the while nothing leaves in clear text.
fn scenario(run: &Run, cell: &Cell, steps: &mut Vec<Step>) -> Result<()> {
    let mut scene = Scene::start(run, cell).context("starting")?;
    let whole = through(&mut scene, cell, steps);
    if whole.is_err() {
        scene.explain();
    }
    whole?;
    let seen = scene.capture.finish();
    ensure!(
        seen.count(Class::Clear) == 0,
        "something left in clear text: {:?}",
        seen.unexpected
    );
    ensure!(seen.esp() > 0, "no ESP was seen");
    Ok(())
}

fn through(scene: &mut Scene, cell: &Cell, steps: &mut Vec<Step>) -> Result<()> {
    let [
        begin,
        demand,
        child_by_us,
        child_by_peer,
        ike_by_us,
        ike_by_peer,
        restart,
    ] = STEPS;
    let status = scene.up().context("coming up")?;
    scene.complete(cell).context("coming up")?;
    let second_too = cell.selectors == Selectors::PolicyBased;
    // Who answered last may be up while its answer is lost on the way.
    Traffic::start(&scene.sites, second_too)?
        .flows()
        .context("coming up")?;
    let encapsulation = &status["children"][0]["encapsulation"];
    ensure!(
        cell.link != Link::Nat || encapsulation == "udp",
        "behind a NAT ESP must be in UDP: {status}"
    );
    let mut course = Course {
        cell,
        steps,
        second_too,
    };
    course.step(begin, scene, |_, _| Ok(()))?;
    if cell.selectors == Selectors::Custom {
        course.second_too = true;
        course.step(demand, scene, |_, _| Ok(()))?;
    }
    for (name, ike, ours) in [
        (child_by_us, false, true),
        (child_by_peer, false, false),
        (ike_by_us, true, true),
        (ike_by_peer, true, false),
    ] {
        course.step(name, scene, |scene, _| rekey(scene, ike, ours))?;
    }
    course.step(restart, scene, |scene, traffic| again(scene, cell, traffic))
}

/// The steps of a cell, taken down as they are done.
struct Course<'c> {
    cell: &'c Cell,
    steps: &'c mut Vec<Step>,
    /// Traffic flows between the second networks too.
    second_too: bool,
}

impl Course<'_> {
    /// Does something while traffic flows, which it does before and after.
    fn step(
        &mut self,
        name: &'static str,
        scene: &mut Scene,
        action: impl FnOnce(&mut Scene, &Traffic) -> Result<()>,
    ) -> Result<()> {
        self.tried(name, scene, action).context(name)
    }

    fn tried(
        &mut self,
        name: &str,
        scene: &mut Scene,
        action: impl FnOnce(&mut Scene, &Traffic) -> Result<()>,
    ) -> Result<()> {
        let before = Elsewhere::of(scene, self.cell)?;
        let traffic = Traffic::start(&scene.sites, self.second_too)?;
        traffic.flows().context("before")?;
        action(scene, &traffic)?;
        traffic.flows().context("after")?;
        let answers = traffic.finish()?;
        let now = Elsewhere::of(scene, self.cell)?;
        let (by_link, by_peer) = (now.link - before.link, now.peer - before.peer);
        let by_queue = now.queue.saturating_sub(before.queue);
        let most = by_link + by_peer + by_queue + Self::allowed(name);
        let told = format!(
            "{answers:?}, of which the link lost {by_link} at most, the peer {by_peer} before they left it, and the \
             emulated machine {by_queue} before a datapath could read them"
        );
        let lost = answers.lost;
        self.steps.push(Step {
            name: name.to_owned(),
            lost,
            lost_by_peer: by_peer,
            sent: answers.sent,
            silence_milliseconds: milliseconds(answers.longest_silence),
        });
        ensure!(lost <= most, "{told}");
        Ok(())
    }

    /// What a step may lose beside what the link loses: nothing, unless who carries the traffic is gone for a while.
    fn allowed(name: &str) -> usize {
        match name {
            "demand" => 400,
            "restart" => usize::MAX / 2,
            _ => 0,
        }
    }
}

/// Packets that were lost where we could not help it, since the beginning.
struct Elsewhere {
    link: usize,
    peer: usize,
    /// An emulated processor that its host forgets for seconds does not read the queue of a TUN device in time.
    queue: usize,
}

impl Elsewhere {
    fn of(scene: &Scene, cell: &Cell) -> Result<Self> {
        let link = match cell.link {
            Link::Cable | Link::Nat => 0,
            Link::Loss => lost_outside(&scene.sites)?,
        };
        let peer = scene.peer.lost()?;
        let queue = match Datapath::of_this_run()? {
            Datapath::User => 0,
            Datapath::Kernel => scene.lost_in_queues(cell)?,
        };
        Ok(Self { link, peer, queue })
    }
}

fn rekey(scene: &Scene, ike: bool, ours: bool) -> Result<()> {
    let before = scene.spis()?;
    if ours {
        scene.we.rekey("peer", ike)?;
    } else {
        scene.peer.rekey(ike)?;
    }
    scene.replaced(&before, ike)
}

fn again(scene: &mut Scene, cell: &Cell, traffic: &Traffic) -> Result<()> {
    match cell.restart {
        Restart::PeerStops => scene.peer.stop()?,
        Restart::PeerDies => {
            scene.peer.kill()?;
            forget(&scene.sites, cell)?;
        }
        Restart::WeStop => {
            scene.we.stop()?;
        }
        Restart::WeDie => scene.we.kill()?,
    }
    traffic.tries()?;
    match cell.restart {
        Restart::PeerStops | Restart::PeerDies => scene.peer.restart(cell)?,
        Restart::WeStop => scene.we.restart()?,
        Restart::WeDie => {
            scene.we.restart()?;
            if cell.ours == Datapath::Kernel && cell.mode == Mode::ResponderOnly {
                // Our kernel carries on, so the peer misses nothing until it has something to say.
                scene.peer.rekey(false)?;
            }
        }
    }
    scene.up().map(|_| ())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
