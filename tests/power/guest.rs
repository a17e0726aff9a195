//! Inside the machine: a daemon with its store on the disk, and changes, each told before and after.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use system_tests::lab::random::Random;
use system_tests::lab::wait;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::binary;
use system_tests::power::ledger::SEED;
use system_tests::power::told::{Change, Found, Told};

/// Where the disk is mounted.
const DISK: &str = "/run/disk";
/// Everything else of the daemon.
const FOLDER: &str = "/run/power";
/// How long the daemon may take to start.
const READY: Duration = Duration::from_secs(60);
/// How long a trial of the loop lasts at most: longer than the loop.
const LONG_S: u32 = 3600;
/// How long the other trial would last.
const SHORT_S: u32 = 30;

/// Changes without end.
pub(crate) fn write() -> Result<()> {
    let mut gateway = Gateway::start(LONG_S)?;
    let mut urandom = File::open("/dev/urandom")?;
    let mut seed = [0; 8];
    urandom.read_exact(&mut seed)?;
    let mut random = Random::new(u64::from_ne_bytes(seed));
    loop {
        let value = SEED + 1 + random.below(1 << 31);
        match random.below(4) {
            0 => {
                gateway.change(Change::Trial(value))?;
                let keep = random.below(2) == 0;
                gateway.change(if keep { Change::Confirm } else { Change::Return })?;
            }
            _ => gateway.change(Change::Commit(value))?,
        }
    }
}

/// One commit on trial, which nobody confirms.
pub(crate) fn try_one() -> Result<()> {
    let mut gateway = Gateway::start(SHORT_S)?;
    gateway.change(Change::Trial(SEED + 1))?;
    gateway.daemon.wait().map(|_| ()).context("waiting for the end")
}

struct Gateway {
    daemon: Child,
    api: Api,
    /// The generation that the next start begins with.
    startup: u32,
    trial_s: u32,
}

impl Gateway {
    fn start(trial_s: u32) -> Result<Self> {
        tell(&Told::Mounted)?;
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder.join("secrets"))?;
        fs::set_permissions(folder.join("secrets"), Permissions::from_mode(0o700))?;
        let seed = json!({ "gateway": { "ip_configurations": { "default": { "address": "192.0.2.1" } },
                                        "address_space": ["10.1.0.0/24"] },
                           "policies": policies(SEED) });
        fs::write(folder.join("seed.json"), seed.to_string())?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(binary("causewayd")?);
        command.args(["--state", &format!("{DISK}/state"), "--datapath", "user"]);
        command.args(["--config", &format!("{FOLDER}/seed.json")]);
        command.args(["--secrets", &format!("{FOLDER}/secrets")]);
        command.args(["--runtime", &format!("{FOLDER}/runtime")]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut daemon = command.spawn().context("starting causewayd")?;
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        let mut api = wait::until("causewayd to listen", READY, || match daemon.try_wait()? {
            Some(status) => Ok(Err(anyhow!("causewayd ended: {status}"))),
            None => Api::connect(&folder.join("runtime/control.sock")).map(Ok),
        })
        .flatten()
        .with_context(log)?;
        let found = found(&mut api)?;
        let startup = found.startup;
        tell(&Told::Found(found))?;
        Ok(Self {
            daemon,
            api,
            startup,
            trial_s,
        })
    }

    /// Asks for a change, and tells before and after.
    fn change(&mut self, change: Change) -> Result<()> {
        tell(&Told::Asked(change))?;
        let document = |value: u64| json!({ "policies": policies(value) }).to_string();
        let answer = match change {
            Change::Commit(value) => self.api.ask("PATCH", "/config", &document(value))?,
            Change::Trial(value) => {
                let path = format!("/config?confirm_within_s={}", self.trial_s);
                self.api.ask("PATCH", &path, &document(value))?
            }
            Change::Confirm => self.api.ask("POST", "/config:confirm", "")?,
            Change::Return => {
                let body = json!({ "generation": self.startup }).to_string();
                self.api.ask("POST", "/config:rollback", &body)?
            }
        };
        let generation = number(&answer, "generation")?;
        match change {
            Change::Commit(_) | Change::Confirm => self.startup = generation,
            Change::Trial(_) | Change::Return => (),
        }
        tell(&Told::Done(generation))
    }
}

/// A policy that nothing uses, so that nothing has to be negotiated when it changes; a value in it.
fn policies(value: u64) -> Value {
    json!({ "idle": { "ike": { "encryption": "GCMAES256", "integrity": "SHA384", "dh_group": "ECP384" },
                      "ipsec": { "encryption": "GCMAES256", "integrity": "GCMAES256", "pfs_group": "ECP384",
                                 "lifetime_kb": value } } })
}

/// The value of a document.
fn value(document: &Value) -> Result<u64> {
    let value = document.pointer("/policies/idle/ipsec/lifetime_kb");
    let value = value.and_then(Value::as_u64);
    value.with_context(|| format!("a document without a value: {document}"))
}

/// All that the daemon has.
fn found(api: &mut Api) -> Result<Found> {
    let status = api.ask("GET", "/status", "")?;
    let history = api.ask("GET", "/generations", "")?;
    let mut generations = BTreeMap::new();
    for head in history["generations"].as_array().context("no history")? {
        let generation = number(head, "generation")?;
        let kept = api.ask("GET", &format!("/generations/{generation}"), "")?;
        generations.insert(generation, value(&kept["document"])?);
    }
    Ok(Found {
        running: number(&history, "current")?,
        value: value(&api.ask("GET", "/config", "")?)?,
        startup: number(&history, "startup")?,
        trial: number(&history, "trial").ok(),
        damage: Some(&status["configuration"]["store"])
            .filter(|store| !store.is_null())
            .map(Value::to_string),
        generations,
    })
}

fn number(answer: &Value, name: &str) -> Result<u32> {
    let number = answer.get(name).and_then(Value::as_u64);
    let number = number.with_context(|| format!("no {name}: {answer}"))?;
    Ok(u32::try_from(number)?)
}

fn tell(told: &Told) -> Result<()> {
    println!("{}", told.line()?);
    Ok(())
}
