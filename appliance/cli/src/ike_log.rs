use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::report::push;
use crate::stream::{Followed, follow};
use crate::{completion, name};

/// Whose log is shown.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The connection.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
    name: String,
    /// Go on with what IKE does from now on, until interrupted.
    #[arg(short, long)]
    follow: bool,
}

/// What the daemon gives.
#[derive(Debug, Deserialize)]
struct Log {
    lines: Vec<Line>,
}

/// One thing that IKE did.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    at: String,
    side: Option<String>,
    exchange: Option<String>,
    message: Option<String>,
    retransmission: Option<u32>,
    checks: Option<u32>,
    says: Option<String>,
    event: Option<String>,
    reason: Option<String>,
    offered: Option<String>,
    expected: Option<String>,
}

/// Shows what IKE did for a connection, and with --follow what it does.
pub(crate) fn run(client: &Client, wanted: &Wanted, json: bool) -> Done {
    let path = format!("/api/v1/status/connections/{}/log", wanted.name);
    let answer = client.get(&path)?;
    if wanted.follow {
        let followed = Followed {
            path: &format!("{path}?after=0"),
            before: answer.get("lines"),
            json,
            words: |client, line| Ok(words(&client.read(line)?)),
        };
        return follow(client, &followed);
    }
    let log: Log = client.read(&answer)?;
    let text = log.lines.iter().map(words).collect();
    Ok(Answer::done(answer, text))
}

/// A line as people read it; the console writes the same.
fn words(line: &Line) -> String {
    let mut words = format!("{}  {:<4} ", line.at, line.side.as_deref().unwrap_or_default());
    let named = [&line.exchange, &line.message].into_iter().flatten();
    words += &named.map(String::as_str).collect::<Vec<_>>().join(" ");
    if let Some(times) = line.retransmission {
        words += &format!(" (retransmission {times})");
    }
    if let Some(checks) = line.checks.filter(|checks| *checks > 1) {
        words += &format!(" ({checks} checks in a row)");
    }
    if let Some(says) = &line.says {
        words += &format!(": {says}");
    }
    if let Some(event) = &line.event {
        let before = if line.exchange.is_some() { ": " } else { "" };
        words += &format!("{before}{event}");
    }
    if let Some(reason) = &line.reason {
        words += &format!(": {reason}");
    }
    for (label, said) in [("offered", &line.offered), ("expected", &line.expected)] {
        if let Some(said) = said {
            words += &format!("; {label} {said}");
        }
    }
    let mut text = String::new();
    push(&mut text, &words);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_line_says_who_said_what_or_what_came_of_it() {
        let of = |line: Value| {
            words(&serde_json::from_value(line).unwrap())
                .trim_end()
                .to_owned()
        };
        let message = json!({
            "id": 7, "at": "2026-01-02T03:04:05.678Z", "side": "we", "exchange": "IKE_SA_INIT",
            "message": "request 0", "retransmission": 2,
        });
        let expected = "2026-01-02T03:04:05.678Z  we   IKE_SA_INIT request 0 (retransmission 2)";
        assert_eq!(of(message), expected);
        let check = json!({
            "id": 7, "at": "T", "side": "peer", "exchange": "INFORMATIONAL", "message": "response 40", "checks": 40,
        });
        assert_eq!(
            of(check),
            "T  peer INFORMATIONAL response 40 (40 checks in a row)"
        );
        let dropped = json!({
            "id": 8, "at": "T", "side": "peer", "exchange": "IKE_AUTH", "message": "response 1",
            "event": "dropped", "reason": "integrity-failed",
        });
        assert_eq!(
            of(dropped),
            "T  peer IKE_AUTH response 1: dropped: integrity-failed"
        );
        let failed = json!({
            "id": 9, "at": "T", "side": "peer", "event": "attempt-failed", "reason": "ike-proposal-mismatch",
            "offered": "A", "expected": "B",
        });
        assert_eq!(
            of(failed),
            "T  peer attempt-failed: ike-proposal-mismatch; offered A; expected B"
        );
    }
}
