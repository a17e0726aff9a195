use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::status::{Connection, Status};
use crate::{events, report};

/// How often it is looked whether a trial has come to something: it does within 12 seconds.
const TRIAL_LOOKS: u32 = 80;
/// And how long is waited in between.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Everything that is configured, and why something is down.
pub(crate) fn status(client: &Client) -> Done {
    let answer = client.get("/api/v1/status")?;
    let status: Status = client.read(&answer)?;
    let text = report::status(&status);
    Ok(Answer::done(answer, text).with(up(status.is_well())))
}

/// The same of one connection.
pub(crate) fn status_of(client: &Client, name: &str) -> Done {
    let answer = client.get(&path(name))?;
    let connection: Connection = client.read(&answer)?;
    let text = report::connection(name, &connection);
    Ok(Answer::done(answer, text).with(up(connection.is_well())))
}

/// What happened to a connection lately.
pub(crate) fn events(client: &Client, name: &str) -> Done {
    let mut answer = client.get(&path(name))?;
    let connection: Connection = client.read(&answer)?;
    let text = connection.events.iter().map(events::line).collect();
    let events = answer.get_mut("events").map(Value::take).unwrap_or_default();
    Ok(Answer::done(events, text))
}

/// Has the daemon do something with a connection.
pub(crate) fn ask(client: &Client, name: &str, action: &str) -> Done {
    let answer = client.post(&format!("/api/v1/connections/{name}:{action}"))?;
    let text = format!("Asked to {action} {name}. How it goes: causeway status {name}\n");
    Ok(Answer::done(answer, text))
}

/// Has the daemon find out whether the peer of a connection of IKEv1 answers IKEv2, and waits for what comes of it.
pub(crate) fn try_ikev2(client: &Client, name: &str) -> Done {
    client.post(&format!("/api/v1/connections/{name}:try-ikev2"))?;
    for _ in 0..TRIAL_LOOKS {
        let mut answer = client.get(&path(name))?;
        let connection: Connection = client.read(&answer)?;
        if let Some(trial) = connection.ikev2.filter(|trial| !trial.is_awaited()) {
            let mut text = format!("{name}\n");
            report::push_trial(&mut text, &trial);
            let json = answer.get_mut("ikev2").map(Value::take).unwrap_or_default();
            return Ok(Answer::done(json, text).with(up(trial.is_accepted())));
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    let text = format!("Not known yet. How it goes: causeway status {name}\n");
    Ok(Answer::done(Value::Null, text).with(up(false)))
}

/// The code with which the first admin is made.
pub(crate) fn claim_code(client: &Client) -> Done {
    let answer = client.get("/api/v1/claim")?;
    let code = answer.get("code").and_then(Value::as_str).unwrap_or_default();
    let text = format!("{code}\n");
    Ok(Answer::done(answer, text))
}

fn path(name: &str) -> String {
    format!("/api/v1/status/connections/{name}")
}

fn up(is_up: bool) -> Outcome {
    if is_up { Outcome::Done } else { Outcome::NotUp }
}
