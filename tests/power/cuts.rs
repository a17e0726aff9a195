//! Outside the machine: it is switched on, its power is cut, and what it tells is compared with what it told before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use system_tests::lab::disk::Disk;
use system_tests::lab::random::Random;
use system_tests::lab::vm::{Machine, Said, Setup, quote};
use system_tests::power::ledger::Ledger;
use system_tests::power::told::Told;
use tempfile::TempDir;

const DISK_OCTETS: u64 = 64 << 20;
/// How long a machine may live.
const LIMIT: Duration = Duration::from_secs(600);
/// Of the first cuts, every fourth is in the first start that a disk sees.
const FRESH: u32 = 40;
/// So many machines may crash by themselves, as emulated ones do now and then.
const CRASHES: u32 = 10;

/// Where the writes are counted from, until the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// The start of the daemon.
    Start,
    /// The first change.
    Loop,
}

/// A machine with a disk, and what it has acknowledged.
struct Course {
    _folder: TempDir,
    disk: Disk,
    setup: Setup,
    ledger: Ledger,
    acknowledged: u64,
    crashes: u32,
}

/// A trial that nobody confirmed is over when the machine is on again, though its time is not.
pub(crate) fn trial(seed: u64) -> Result<()> {
    let start = Instant::now();
    let mut course = Course::new("try", seed)?;
    course.live(|disk, machine, told| match told {
        Told::Done(_) => disk.cut(machine.id()).map(|()| false),
        Told::Mounted | Told::Found(_) | Told::Asked(_) => Ok(true),
    })?;
    ensure!(
        course.disk.losses().cuts == 1 && course.acknowledged == 1,
        "the machine crashed"
    );
    course.look()?;
    let seconds = start.elapsed().as_secs();
    println!(
        "a trial of 30 s, and the power cut before its end: the generation before runs again ... ok, {seconds} s"
    );
    Ok(())
}

/// Cuts at random moments of a loop of changes.
pub(crate) fn random(cuts: u32, seed: u64) -> Result<()> {
    let start = Instant::now();
    println!("{cuts} power cuts, --seed={seed}");
    let mut course = Course::new("write", seed)?;
    let result = course.cuts(cuts, seed);
    if result.is_err() {
        let image = std::env::temp_dir().join(format!("causeway-power-{seed}.img"));
        course.disk.keep(&image)?;
        println!("what the last cut left on the disk is in {}", image.display());
    }
    result?;
    let (losses, seconds) = (course.disk.losses(), start.elapsed().as_secs());
    println!(
        "{} power cuts: {} acknowledged changes, none of them lost, no store damaged; of {} sectors in the disk's cache \
         {} were lost; {} machines crashed by themselves ... ok, {seconds} s",
        losses.cuts, course.acknowledged, losses.cached, losses.lost, course.crashes
    );
    Ok(())
}

impl Course {
    fn new(what: &str, seed: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let disk = Disk::formatted(&folder.path().join("disk"), DISK_OCTETS, seed)?;
        let program = std::env::current_exe()?;
        let script = format!(
            "modprobe -a virtio_blk ext4 tun && mkdir -p /run/disk && mount -t ext4 /dev/vda /run/disk && exec {} {what}",
            quote(&program.to_string_lossy())
        );
        Ok(Self {
            setup: Setup::new(&script)?.with_disk(&disk),
            _folder: folder,
            disk,
            ledger: Ledger::default(),
            acknowledged: 0,
            crashes: 0,
        })
    }

    fn cuts(&mut self, cuts: u32, seed: u64) -> Result<()> {
        let mut random = Random::new(seed);
        for number in 1..=cuts {
            let fresh = number <= FRESH && number % 4 == 1;
            if fresh {
                self.disk.empty();
                self.ledger = Ledger::default();
            }
            let (from, after) = if fresh || random.below(4) == 0 {
                (From::Start, random.of_any_size(8))
            } else {
                (From::Loop, random.of_any_size(12))
            };
            let context = || format!("cut {number} of --seed={seed}, {after} writes after {from:?}");
            let start = Instant::now();
            let before = self.acknowledged;
            self.cut(from, after).with_context(context)?;
            println!(
                "{}: {} changes, {} s",
                context(),
                self.acknowledged - before,
                start.elapsed().as_secs()
            );
        }
        self.look().context("after the last cut")
    }

    /// Lets a machine live until its power is cut.
    fn cut(&mut self, from: From, after: u64) -> Result<()> {
        let cuts = self.disk.losses().cuts;
        loop {
            self.live(|disk, machine, told| {
                match (from, told) {
                    (From::Start, Told::Mounted) | (From::Loop, Told::Found(_)) => {
                        disk.cut_after(after, machine.id())?;
                    }
                    (From::Start | From::Loop, _) => (),
                }
                Ok(true)
            })?;
            if self.disk.losses().cuts > cuts {
                return Ok(());
            }
            self.crashes += 1;
            ensure!(
                self.crashes <= CRASHES,
                "the machine crashes by itself again and again"
            );
        }
    }

    /// Looks at what a start finds.
    fn look(&mut self) -> Result<()> {
        let mut found = false;
        self.live(|_, _, told| {
            found = matches!(told, Told::Found(_));
            Ok(!found)
        })?;
        ensure!(found, "the daemon did not start");
        Ok(())
    }

    /// Follows a machine until it is off, or is not followed any more.
    fn live(&mut self, mut follow: impl FnMut(&Disk, &Machine, &Told) -> Result<bool>) -> Result<()> {
        let mut machine = self.setup.start()?;
        let end = Instant::now() + LIMIT;
        loop {
            let line = match machine.listen(end)? {
                Said::Line(line) => line,
                Said::Gone(_) => return Ok(()),
                Said::Exit(status) => bail!("the machine's program ended with {status}"),
            };
            let Some(told) = Told::parse(&line)? else {
                println!("  {line}");
                continue;
            };
            self.acknowledged += u64::from(matches!(told, Told::Done(_)));
            self.ledger.take(&told)?;
            if !follow(&self.disk, &machine, &told)? {
                return Ok(());
            }
        }
    }
}
