use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::certificates::outcome;
use crate::client::Client;
use crate::report::{push, push_outage};
use crate::status::Outage;
use crate::{completion, name};

/// Which private keys, or what is done with them.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Show only that of this certificate.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::certificates))]
    name: Option<String>,
    /// Look for a newer version of it first.
    #[arg(long, requires = "name")]
    refresh: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What can be done with who has private keys.
#[derive(Debug, Subcommand)]
enum Command {
    /// Try who has private keys, step by step: module, token and PIN, or identity and vault, or files.
    SelfTest {
        /// Who has them, by the name in the document.
        #[arg(value_parser = name)]
        provider: String,
    },
}

/// A private key, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Key {
    provider: String,
    state: String,
    place: Option<String>,
    kind: Option<String>,
    version: Option<String>,
    #[serde(default)]
    signed: u64,
    #[serde(default)]
    failed: u64,
    outage: Option<Outage>,
}

/// Does it.
pub(crate) fn run(client: &Client, wanted: &Keys) -> Done {
    match (&wanted.command, wanted.name.as_deref()) {
        (Some(Command::SelfTest { provider }), _) => self_test(client, provider),
        (None, Some(name)) if wanted.refresh => refresh(client, name),
        (None, Some(name)) => {
            let answer = client.get(&format!("/api/v1/status/keys/{name}"))?;
            let key: Key = client.read(&answer)?;
            let text = block(name, &key);
            Ok(Answer::done(answer, text).with(outcome(key.is_ready())))
        }
        (None, None) => {
            let answer = client.get("/api/v1/status/keys")?;
            let keys: BTreeMap<String, Key> = client.read(&answer)?;
            let text: String = keys.iter().map(|(name, key)| block(name, key)).collect();
            let text = if keys.is_empty() {
                "no connection uses a private key\n".to_owned()
            } else {
                text
            };
            Ok(Answer::done(answer, text).with(outcome(keys.values().all(Key::is_ready))))
        }
    }
}

impl Key {
    fn is_ready(&self) -> bool {
        self.state == "ready" && self.outage.is_none()
    }
}

fn block(name: &str, key: &Key) -> String {
    let mut text = String::new();
    push(&mut text, &format!("{name}: by {}", key.provider));
    push_key(&mut text, key);
    text
}

/// What is told of a key under the name of its certificate.
pub(crate) fn push_key(text: &mut String, key: &Key) {
    let of = |label: &str, value: &Option<String>| {
        let value = value.as_ref();
        value.map_or_else(String::new, |value| format!(", {label}{value}"))
    };
    let state = if key.state == "ready" {
        key.state.clone()
    } else {
        key.state.to_uppercase()
    };
    let more = [
        of("in ", &key.place),
        of("", &key.kind),
        of("version ", &key.version),
    ]
    .concat();
    let counts = format!("signed {}, failed {}", key.signed, key.failed);
    push(text, &format!("  key      {state}{more}; {counts}"));
    if let Some(outage) = &key.outage {
        push_outage(text, outage);
    }
}

fn refresh(client: &Client, name: &str) -> Done {
    #[derive(Deserialize)]
    struct Refreshed {
        renewed: bool,
        key: Key,
    }
    let answer = client.post(&format!("/api/v1/certificates/{name}:refresh"))?;
    let Refreshed { renewed, key } = client.read(&answer)?;
    let mut text = block(name, &key);
    let found = if renewed {
        "there was a newer version: it is used from now on"
    } else {
        "there is no newer version"
    };
    if key.outage.is_none() {
        push(&mut text, &format!("  {found}"));
    }
    Ok(Answer::done(answer, text).with(outcome(key.is_ready())))
}

fn self_test(client: &Client, provider: &str) -> Done {
    #[derive(Deserialize)]
    struct Trial {
        ok: bool,
        steps: Vec<Step>,
    }
    #[derive(Deserialize)]
    struct Step {
        step: String,
        subject: String,
        took_ms: u64,
        outage: Option<Outage>,
    }
    let answer = client.post(&format!("/api/v1/key-providers/{provider}:self-test"))?;
    let Trial { ok, steps } = client.read(&answer)?;
    let mut text = String::new();
    let verdict = if ok { "works" } else { "DOES NOT WORK" };
    push(&mut text, &format!("{provider}: {verdict}"));
    for step in &steps {
        let state = if step.outage.is_none() { "ok" } else { "FAILED" };
        let Step {
            step: what,
            subject,
            took_ms,
            ..
        } = step;
        push(
            &mut text,
            &format!("  {what:<8} {state}, {subject}, {took_ms} ms"),
        );
        if let Some(outage) = &step.outage {
            push_outage(&mut text, outage);
        }
    }
    Ok(Answer::done(answer, text).with(outcome(ok)))
}
