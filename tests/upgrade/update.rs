//! Updates of a box, seen from outside: what is taken, what stays, and that no power cut leaves it without a system.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::lab::image::{Appliance, Running};
use system_tests::lab::wait;

use crate::build::{self, first, repacked, with_daemon_that_hangs, without_daemon};
use crate::{ACCOUNT, START, image, read};

/// An upload takes half a minute under emulation on an idle machine.
const UPLOAD: Duration = Duration::from_secs(300);

/// A box that was claimed, and the token of its admin.
struct Admin {
    header: String,
}

impl Admin {
    /// The first of a box that says its code.
    fn claims(running: &mut Running, work: &Path) -> Self {
        let mut claim = read(ACCOUNT);
        claim["code"] = running.says("claim code", START).unwrap().into();
        running
            .call("/claim", &["--fail", "-d", &claim.to_string()])
            .unwrap();
        let jar = work.join("cookies");
        let jar = jar.to_str().unwrap();
        let session = running
            .call("/session", &["--fail", "-c", jar, "-d", ACCOUNT])
            .unwrap();
        let csrf = format!("X-Csrf-Token: {}", read(&session)["csrf_token"].as_str().unwrap());
        let wanted = r#"{"name": "updates", "role": "admin"}"#;
        let made = running
            .call("/tokens", &["--fail", "-b", jar, "-H", &csrf, "-d", wanted])
            .unwrap();
        let token = read(&made)["token"].as_str().unwrap().to_owned();
        Self {
            header: format!("Authorization: Bearer {token}"),
        }
    }

    fn asks(&self, running: &Running, path: &str, arguments: &[&str]) -> Value {
        let arguments = [&["-H", &self.header], arguments].concat();
        match running.call(path, &arguments).unwrap().as_str() {
            "" => Value::Null,
            answer => read(answer),
        }
    }

    fn uploads(&self, running: &Running, bundle: &Path) -> Value {
        let file = format!("@{}", bundle.display());
        let limit = UPLOAD.as_secs().to_string();
        let octets = "Content-Type: application/octet-stream";
        let arguments = ["--max-time", &limit, "-H", octets, "--data-binary", &file];
        self.asks(running, "/firmware:upload?allow_downgrade=true", &arguments)
    }

    /// The same, which goes on while something else is done.
    fn begins_upload(&self, running: &Running, bundle: &Path) -> Child {
        let file = bundle.to_str().unwrap();
        let octets = "Content-Type: application/octet-stream";
        let mut curl = running.curl(
            "/firmware:upload?allow_downgrade=true",
            &[
                "--max-time",
                "600",
                "-H",
                &self.header,
                "-H",
                octets,
                "-X",
                "POST",
                "-T",
                file,
            ],
        );
        curl.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn installs(&self, running: &Running) {
        let refused = self.asks(running, "/firmware:install?allow_downgrade=true", &["-X", "POST"]);
        assert_eq!(refused, Value::Null);
    }

    /// What is told once nothing is on trial any more.
    fn hears_what_stays(&self, running: &Running) -> Value {
        wait::until("the end of the trial", START, || {
            let told = read(&running.call("/firmware", &["-H", &self.header])?);
            anyhow::ensure!(told["trial"].is_null() && told["running"].is_string(), "{told}");
            Ok(told)
        })
        .unwrap()
    }

    fn refused(&self, running: &Running, work: &Path, octets: &[u8]) -> String {
        let file = work.join("refused");
        fs::write(&file, octets).unwrap();
        let answer = running.call(
            "/firmware:upload",
            &[
                "-H",
                &self.header,
                "-H",
                "Content-Type: application/octet-stream",
                "--data-binary",
                &format!("@{}", file.display()),
            ],
        );
        read(&answer.unwrap())["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A second build stays; one whose causewayd never runs gives way, and the second tells why.
#[test]
fn an_update_stays_or_the_system_before_is_back() {
    let work = tempfile::tempdir().unwrap();
    let second = repacked(work.path(), "0.1.0+second", 1, |_| ());
    let third = repacked(work.path(), "0.1.0+third", 2, without_daemon);
    let older = build::made_of_nothing(work.path(), "0.1.0+older", -1);
    let machine = Appliance::new(&image(), work.path(), 1024).unwrap();
    let mut running = machine.start().unwrap();
    let admin = Admin::claims(&mut running, work.path());

    let whole = fs::read(&second).unwrap();
    let mut unsigned = whole[..4096].to_vec();
    unsigned[30] ^= 1;
    let older = fs::read(older).unwrap();
    let refused = |octets: &[u8]| admin.refused(&running, work.path(), octets);
    assert_eq!(refused(b"\x7fELF, and no update"), "bundle-foreign");
    assert_eq!(refused(&unsigned), "bundle-signature");
    assert_eq!(refused(&older), "bundle-older");
    assert_eq!(refused(&whole[..2 << 20]), "bundle-truncated");

    let begun = Instant::now();
    let uploaded = admin.uploads(&running, &second);
    println!("an upload takes {:?}", begun.elapsed());
    assert_eq!(uploaded["upload"]["state"], "ready", "{uploaded}");
    admin.installs(&running);
    running.says("Causeway starts slot b", START).unwrap();
    running.says("causewayd answers after", START).unwrap();
    let told = admin.hears_what_stays(&running);
    assert_eq!(
        (&told["running"], &told["slots"]["b"]["version"]),
        (&"b".into(), &"0.1.0+second".into())
    );
    assert_eq!(told["slots"]["b"]["state"], "good");
    println!("a second build stays after {:?}", begun.elapsed());

    let uploaded = admin.uploads(&running, &third);
    assert_eq!(uploaded["slots"]["a"]["version"], "0.1.0+third", "{uploaded}");
    admin.installs(&running);
    for _ in 0..image_slots::TRIES {
        running.says("Causeway starts slot a", START).unwrap();
        running.says("is given up: trial-daemon-ended", START).unwrap();
    }
    running.says("Causeway starts slot b", START).unwrap();
    running.says("causewayd answers after", START).unwrap();
    let told = admin.hears_what_stays(&running);
    assert_eq!(
        (&told["running"], &told["slots"]["a"]["state"]),
        (&"b".into(), &"failed".into())
    );
    assert_eq!(told["last_failure"]["reason"], "trial-daemon-ended", "{told}");
    let why = told["last_failure"]["detail"].as_str().unwrap();
    assert!(why.contains("never starts"), "{why}");
    let events = admin.asks(&running, "/events?limit=1000", &[]).to_string();
    assert!(events.contains("firmware-fell-back"), "{events}");
}

/// A causewayd that hangs, in a system that hears nobody else say so, is ended by the watchdog: long before a trial is given up.
#[test]
fn a_daemon_that_hangs_has_the_watchdog_start_the_machine_again() {
    let work = tempfile::tempdir().unwrap();
    let hangs = repacked(work.path(), "0.1.0+hangs", 1, with_daemon_that_hangs);
    let machine = Appliance::new(&image(), work.path(), 1024).unwrap();
    let mut running = machine.start().unwrap();
    let admin = Admin::claims(&mut running, work.path());
    let uploaded = admin.uploads(&running, &hangs);
    assert_eq!(uploaded["upload"]["state"], "ready", "{uploaded}");
    admin.installs(&running);
    running.says("Causeway starts slot b", START).unwrap();
    running.says("causewayd hangs", START).unwrap();
    let begun = Instant::now();
    running
        .says("the watchdog starts the machine again", START)
        .unwrap();
    running.says("Causeway starts slot", START).unwrap();
    println!(
        "started again {:?} after causewayd began to hang",
        begun.elapsed()
    );
}

/// When the power goes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When so many percent of the system are written.
    Written(u64),
    /// When all of it is, and what is read back is looked at.
    Checked,
    /// When it counts, and nothing is on trial.
    Ready,
    /// When it is on trial, and the machine goes down.
    Switching,
    /// When it is started for the first time, and has said this.
    Starting(&'static str),
}

/// Those of one update, in order; with so many more while it is written.
fn moments(more: u64) -> impl Iterator<Item = Moment> {
    let mut percents: Vec<u64> = (1..=more).map(|number| number * 100 / (more + 1)).collect();
    percents.extend([1, 50, 90]);
    percents.sort_unstable();
    let starting = [
        "Causeway starts slot",
        "drivers after",
        "state partition after",
        "causewayd answers after",
    ];
    let written = percents.into_iter().map(Moment::Written);
    let switched = [Moment::Checked, Moment::Ready, Moment::Switching];
    written.chain(switched).chain(starting.map(Moment::Starting))
}

/// Whenever the power goes, the box comes back with a whole system and says which, and the next update is taken.
#[test]
fn power_cuts_during_an_update_leave_a_system_that_says_what_it_is() {
    let work = tempfile::tempdir().unwrap();
    let second = repacked(work.path(), "0.1.0+second", 1, |_| ());
    let machine = Appliance::new(&image(), work.path(), 1024).unwrap();
    let mut running = machine.start().unwrap();
    let admin = Admin::claims(&mut running, work.path());
    let versions = [&first(), &second].map(|bundle| build::told(bundle, "version"));
    let more = std::env::var("CAUSEWAY_POWER_CUTS").map_or(0, |number| number.parse().unwrap());
    let mut upload = admin.begins_upload(&running, &second);
    let mut left = VecDeque::new();
    for (number, moment) in moments(more).enumerate() {
        reach(&admin, &mut running, moment);
        let folder = work.path().join(format!("cut-{number}"));
        left.push_back((moment, running.left_by_a_power_cut(&machine, &folder).unwrap()));
    }
    drop(running);
    let _ended = upload.wait();
    assert!(left.len() >= 10);
    let left = Mutex::new(left);
    thread::scope(|scope| {
        // Emulated, a machine has one processor of the two that there are.
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((moment, machine)) = { left.lock().unwrap().pop_front() } {
                    comes_back(&admin, &machine, moment, &versions);
                    if matches!(moment, Moment::Written(50)) {
                        takes_the_next(&admin, &machine, &second);
                    }
                }
            });
        }
    });
}

/// Waits until the update has come so far.
fn reach(admin: &Admin, running: &mut Running, moment: Moment) {
    let has_come = |reached: &dyn Fn(&Value) -> bool| {
        wait::until("that moment of the update", UPLOAD, || {
            let told = read(&running.call("/firmware", &["-H", &admin.header])?);
            anyhow::ensure!(reached(&told["upload"]), "{told}");
            Ok(())
        })
        .unwrap();
    };
    match moment {
        Moment::Written(percent) => has_come(&|upload| {
            let octets = |name: &str| upload[name].as_u64().unwrap_or_default();
            let whole = octets("size_bytes");
            whole > 0 && octets("received_bytes") * 100 >= whole * percent
        }),
        Moment::Checked => has_come(&|upload| upload["state"] == "checking" || upload["state"] == "ready"),
        Moment::Ready => has_come(&|upload| upload["state"] == "ready"),
        Moment::Switching => admin.installs(running),
        Moment::Starting(words) => drop(running.says(words, START).unwrap()),
    }
}

/// What a box says that was left so.
fn comes_back(admin: &Admin, machine: &Appliance, moment: Moment, [before, after]: &[String; 2]) {
    let begun = Instant::now();
    let mut running = machine.start().unwrap();
    running.says("causewayd answers after", START).unwrap();
    assert_eq!(running.says("health", START).unwrap(), "healthy");
    let told = admin.hears_what_stays(&running);
    let slot = told["running"].as_str().unwrap();
    let runs = told["slots"][slot]["version"].as_str().unwrap();
    println!(
        "cut at {moment:?}: {runs} runs from slot {slot}, told after {:?}",
        begun.elapsed()
    );
    let tried = matches!(moment, Moment::Switching | Moment::Starting(_));
    assert_eq!(runs, if tried { after } else { before }, "{told}");
}

/// An update that was cut off can be had again.
fn takes_the_next(admin: &Admin, machine: &Appliance, bundle: &Path) {
    let mut running = machine.start().unwrap();
    running.says("causewayd answers after", START).unwrap();
    let uploaded = admin.uploads(&running, bundle);
    assert_eq!(uploaded["upload"]["state"], "ready", "{uploaded}");
}
