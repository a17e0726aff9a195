use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::report::{bytes, push};

/// An update of the whole system.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The update bundle.
    file: PathBuf,
    /// Take a system that is older than the one that runs, too.
    #[arg(long)]
    allow_downgrade: bool,
    /// Only write it to the idle slot: causeway firmware install starts it.
    #[arg(long)]
    upload_only: bool,
    /// Have it tried in the next maintenance window.
    #[arg(long, conflicts_with = "upload_only")]
    in_window: bool,
}

/// The slots of the machine.
#[derive(Debug, Args)]
pub(crate) struct Firmware {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the machine again, with the system of the other slot on trial.
    Install {
        /// Although it is older than the one that runs.
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// The same, in the next maintenance window.
    Schedule {
        /// Although it is older than the one that runs.
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Try nothing in the next maintenance window.
    Cancel,
    /// Keep the system that is on trial, whatever it waits for.
    MarkGood,
    /// Start the machine again, with the system before.
    Fallback,
}

#[derive(Deserialize)]
struct Status {
    running: String,
    slots: BTreeMap<String, Slot>,
    trial: Option<Trial>,
    storage: Storage,
    window: Window,
    scheduled: Option<Scheduled>,
    upload: Upload,
    last_failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Slot {
    state: String,
    version: Option<String>,
    built: Option<String>,
}

#[derive(Deserialize)]
struct Trial {
    slot: String,
    tries_left: u8,
    waits_for: Vec<String>,
}

#[derive(Deserialize)]
struct Storage {
    reason: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Window {
    zone: String,
    opens: Option<String>,
    opens_local: Option<String>,
    closes_local: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Scheduled {
    slot: String,
    version: String,
    by: String,
}

#[derive(Deserialize)]
struct Upload {
    state: String,
    received_bytes: u64,
    size_bytes: u64,
    version: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    at: String,
    version: String,
    reason: String,
    detail: String,
}

const RESTARTS: &str = "The machine starts again; causeway firmware says what became of it.";

/// Writes a bundle to the idle slot, and has it tried.
pub(crate) fn update(client: &Client, wanted: &Update) -> Done {
    let shown = std::io::stderr().is_terminal();
    let mut percent = 0;
    let told = move |sent: u64, size: u64| {
        let now = sent.saturating_mul(100).checked_div(size).unwrap_or(100);
        if shown && now != percent {
            percent = now;
            eprint!(
                "\r{now} % of {} sent{}",
                bytes(size),
                if now == 100 { "\n" } else { "" }
            );
        }
    };
    let downgrade = downgrade(wanted.allow_downgrade);
    let path = format!("/api/v1/firmware:upload{downgrade}");
    let answer = client.upload(&path, &wanted.file, told)?;
    let status: Status = client.read(&answer)?;
    let version = status.upload.version.clone().unwrap_or_default();
    let mut text = format!("Version {version} is written to the idle slot, and was read back.\n");
    if wanted.upload_only {
        push_schedule(&mut text, &status);
        return Ok(Answer::done(answer, text));
    }
    if wanted.in_window {
        let answer = client.post(&format!("/api/v1/firmware:schedule{downgrade}"))?;
        push_schedule(&mut text, &client.read(&answer)?);
        return Ok(Answer::done(answer, text));
    }
    client.post(&format!("/api/v1/firmware:install{downgrade}"))?;
    push(&mut text, RESTARTS);
    Ok(Answer::done(answer, text))
}

/// Shows the slots, or does something with them.
pub(crate) fn run(client: &Client, wanted: &Firmware) -> Done {
    match &wanted.command {
        None => show(client, client.get("/api/v1/firmware")?),
        Some(Command::MarkGood) => show(client, client.post("/api/v1/firmware:mark-good")?),
        Some(Command::Fallback) => {
            let answer = client.post("/api/v1/firmware:fallback")?;
            Ok(Answer::done(answer, format!("{RESTARTS}\n")))
        }
        Some(Command::Cancel) => show(client, client.post("/api/v1/firmware:cancel")?),
        Some(Command::Schedule { allow_downgrade }) => {
            let path = format!("/api/v1/firmware:schedule{}", downgrade(*allow_downgrade));
            show(client, client.post(&path)?)
        }
        Some(Command::Install { allow_downgrade }) => {
            let path = format!("/api/v1/firmware:install{}", downgrade(*allow_downgrade));
            Ok(Answer::done(client.post(&path)?, format!("{RESTARTS}\n")))
        }
    }
}

/// Has the machine wiped, by its name.
pub(crate) fn factory_reset(client: &Client, name: &str) -> Done {
    let body = serde_json::json!({ "name": name }).to_string().into_bytes();
    let answer = client.send(Method::POST, "/api/v1/system:factory-reset", None, body)?;
    let text = "The machine starts again as new: its screen tells address and claim code.\n";
    Ok(Answer::done(answer, text.to_owned()))
}

fn downgrade(allowed: bool) -> &'static str {
    if allowed { "?allow_downgrade=true" } else { "" }
}

/// What is amiss with the state partition.
fn push_storage(text: &mut String, Storage { reason, detail }: &Storage) {
    if let (Some(reason), Some(detail)) = (reason, detail) {
        push(text, &format!("storage  {reason}: {detail}"));
    }
}

/// What is tried by itself, and when.
fn push_schedule(text: &mut String, status: &Status) {
    let Some(Scheduled { slot, version, by }) = &status.scheduled else {
        return;
    };
    let Window {
        zone,
        opens,
        opens_local,
        closes_local,
        reason,
    } = &status.window;
    let when = match (opens, opens_local, closes_local, reason) {
        (Some(opens), Some(local), Some(closes), _) => {
            format!("in the window from {local} to {closes} ({zone}), {opens} in UTC")
        }
        (_, _, _, Some(reason)) => format!("in no window yet: {reason}"),
        (_, _, _, None) => "in the next window".to_owned(),
    };
    push(
        text,
        &format!("planned  {version} in slot {slot}, {when}; by {by}"),
    );
}

fn show(client: &Client, answer: Value) -> Done {
    let status: Status = client.read(&answer)?;
    let mut text = String::new();
    for (letter, slot) in &status.slots {
        let runs = if *letter == status.running { ", runs" } else { "" };
        let system = match (&slot.version, &slot.built) {
            (Some(version), Some(built)) => format!(": {version} of {built}"),
            (_, _) => String::new(),
        };
        let line = format!("slot {letter}   {}{runs}{system}", slot.state);
        push(&mut text, &line);
    }
    if let Some(trial) = &status.trial {
        let (slot, left) = (&trial.slot, trial.tries_left);
        push(
            &mut text,
            &format!("trial    slot {slot} has to show that it works; starts left: {left}"),
        );
        for waited in &trial.waits_for {
            push(&mut text, &format!("  waits  {waited}"));
        }
    }
    push_schedule(&mut text, &status);
    push_storage(&mut text, &status.storage);
    let Upload {
        state,
        received_bytes,
        size_bytes,
        reason,
        detail,
        ..
    } = &status.upload;
    if state != "none" {
        let of = format!("{} of {}", bytes(*received_bytes), bytes(*size_bytes));
        let why = reason.iter().chain(detail).map(|words| format!(": {words}"));
        push(
            &mut text,
            &format!("upload   {state}, {of}{}", why.collect::<String>()),
        );
    }
    if let Some(failure) = &status.last_failure {
        let Failure {
            at,
            version,
            reason,
            detail,
        } = failure;
        push(
            &mut text,
            &format!("failed   {version}, found {at}: {reason}: {detail}"),
        );
    }
    let outcome = if status.trial.is_some() {
        Outcome::NotUp
    } else {
        Outcome::Done
    };
    Ok(Answer::done(answer, text).with(outcome))
}
