use std::net::IpAddr;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::query::Query;
use crate::report::{bytes, push, refused};
use crate::status::Refusal;
use crate::{completion, name};

#[derive(Debug, Args)]
pub(crate) struct Nat {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what would become of a packet, and which rules decide; nothing is sent.
    Explain(Packet),
}

/// Which rules are shown.
#[derive(Debug, Args)]
struct Wanted {
    /// Only those on this connection.
    #[arg(long, value_parser = name, add = ArgValueCompleter::new(completion::connections))]
    connection: Option<String>,
    /// Only those by this name.
    #[arg(long, value_parser = name)]
    rule: Option<String>,
    /// Only those after this one on this connection.
    #[arg(long, value_name = "CONNECTION/RULE")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// The first packet of a flow.
#[derive(Debug, Args)]
struct Packet {
    /// Where it is from.
    source: IpAddr,
    /// Where it goes.
    destination: IpAddr,
    /// The connection or the interface that it comes in by; it is the gateway's own if left out.
    #[arg(long = "in", value_name = "NAME", value_parser = name, add = ArgValueCompleter::new(completion::connections))]
    way_in: Option<String>,
    /// tcp, udp, icmp or a number.
    #[arg(long, default_value = "tcp", value_parser = protocol)]
    protocol: Value,
    /// The port that it goes to.
    #[arg(long)]
    port: Option<u16>,
    /// The port that it is from, or the ICMP id.
    #[arg(long)]
    source_port: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct Rules {
    in_place: bool,
    refused: Option<Refusal>,
    #[serde(default)]
    closed: Vec<String>,
    #[serde(default)]
    flows_refused: u64,
    rules: Vec<Rule>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    connection: String,
    rule: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    internal: String,
    external: String,
    packets: u64,
    bytes: u64,
    flows: u64,
    ports_in_use: Option<u64>,
    ports: Option<u64>,
    packets_refused: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    in_place: bool,
    fired: Vec<Fired>,
    why: Option<String>,
    out: Option<Way>,
    source: Option<Source>,
    destination: Option<End>,
    answer: Option<Back>,
}

#[derive(Debug, Deserialize)]
struct Fired {
    connection: String,
    rule: String,
    mode: String,
    side: String,
    internal: String,
    external: String,
}

#[derive(Debug, Deserialize)]
struct Way {
    connection: Option<String>,
    interface: Option<String>,
    link: String,
}

#[derive(Debug, Deserialize)]
struct End {
    address: String,
    port: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    Is(End),
    OneOf { addresses: String, ports: Vec<String> },
}

#[derive(Debug, Deserialize)]
struct Back {
    out: Option<Way>,
    source: End,
    destination: End,
}

/// A protocol as the API takes it.
fn protocol(text: &str) -> Result<Value, String> {
    match text {
        "tcp" | "udp" | "icmp" => Ok(json!(text)),
        other => {
            let number: Result<u8, _> = other.parse();
            number
                .map(|number| json!(number))
                .map_err(|_| "expected tcp, udp, icmp or a number up to 255".to_owned())
        }
    }
}

pub(crate) fn run(client: &Client, nat: &Nat) -> Done {
    match &nat.command {
        None => rules(client, &nat.wanted),
        Some(Command::Explain(packet)) => explain(client, packet),
    }
}

fn rules(client: &Client, wanted: &Wanted) -> Done {
    let query = Query::default()
        .and("connection", wanted.connection.as_deref())
        .and("rule", wanted.rule.as_deref())
        .and("after", wanted.after.as_deref())
        .and("limit", Some(&wanted.limit.to_string()));
    let answer = client.get(&query.of("/api/v1/status/nat"))?;
    let found: Rules = client.read(&answer)?;
    let mut text = String::new();
    if !found.in_place {
        push(&mut text, "rules are not in place: what was there before goes on");
    }
    if let Some(refusal) = &found.refused {
        push(&mut text, &format!("refused    {}", refused(refusal)));
    }
    if !found.closed.is_empty() {
        push(
            &mut text,
            &format!(
                "closed     {}: no routes until their rules are in place",
                found.closed.join(", ")
            ),
        );
    }
    if found.flows_refused > 0 {
        push(
            &mut text,
            &format!(
                "dropped    {} flows since the kernel started, for want of a free port or otherwise",
                found.flows_refused
            ),
        );
    }
    if found.rules.is_empty() {
        push(&mut text, "there is no such rule");
    }
    push_table(&mut text, &found.rules);
    if let Some(next) = &found.next {
        push(
            &mut text,
            &format!("There are more: the same with --after {next}"),
        );
    }
    let outcome = if found.in_place {
        Outcome::Done
    } else {
        Outcome::NotUp
    };
    Ok(Answer::done(answer, text).with(outcome))
}

/// Columns as wide as what stands in them.
fn push_table(text: &mut String, rules: &[Rule]) {
    if rules.is_empty() {
        return;
    }
    let head = [
        "CONNECTION",
        "RULE",
        "MODE",
        "TYPE",
        "INTERNAL",
        "EXTERNAL",
        "PACKETS",
        "BYTES",
        "FLOWS",
        "PORTS",
        "REFUSED",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(rules.iter().map(row));
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        push(text, cells.join("  ").trim_end());
    }
}

fn row(rule: &Rule) -> [String; 11] {
    let none = || "-".to_owned();
    let ports = rule.ports_in_use.zip(rule.ports);
    [
        rule.connection.clone(),
        rule.rule.clone(),
        rule.mode.clone(),
        rule.kind.clone(),
        rule.internal.clone(),
        rule.external.clone(),
        rule.packets.to_string(),
        bytes(rule.bytes),
        rule.flows.to_string(),
        ports.map_or_else(none, |(used, all)| format!("{used} of {all}")),
        rule.packets_refused
            .map_or_else(none, |packets| packets.to_string()),
    ]
}

fn explain(client: &Client, packet: &Packet) -> Done {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("source", json!(packet.source));
    set("destination", json!(packet.destination));
    set("protocol", packet.protocol.clone());
    for (key, value) in [
        ("in", packet.way_in.as_ref().map(|name| json!(name))),
        ("source_port", packet.source_port.map(|port| json!(port))),
        ("destination_port", packet.port.map(|port| json!(port))),
    ] {
        if let Some(value) = value {
            set(key, value);
        }
    }
    let body = Value::Object(body).to_string().into_bytes();
    let answer = client.send(Method::POST, "/api/v1/explain/nat", None, body)?;
    let found: Explanation = client.read(&answer)?;
    let text = explained(&found);
    Ok(Answer::done(answer, text))
}

fn explained(found: &Explanation) -> String {
    let mut text = String::new();
    if !found.in_place {
        push(
            &mut text,
            "rules are not in place: this is what would be if they were",
        );
    }
    for fired in &found.fired {
        let Fired {
            connection,
            rule,
            mode,
            side,
            ..
        } = fired;
        // The source becomes external; a destination was.
        let (from, to) = if side == "source" {
            (&fired.internal, &fired.external)
        } else {
            (&fired.external, &fired.internal)
        };
        push(
            &mut text,
            &format!("{side:<11} {from} -> {to}, by {rule} ({mode}) on {connection}"),
        );
    }
    if found.fired.is_empty() && found.why.is_none() {
        push(&mut text, "no rule translates it");
    }
    if let Some(why) = &found.why {
        push(&mut text, &format!("dropped     {why}"));
    }
    if let (Some(source), Some(destination)) = (&found.source, &found.destination) {
        let (source, destination) = (from(source), end(destination));
        let way = way(found.out.as_ref());
        push(
            &mut text,
            &format!("passed      {source} -> {destination}, {way}"),
        );
    }
    if let Some(back) = &found.answer {
        let (source, destination) = (end(&back.source), end(&back.destination));
        let way = way(back.out.as_ref());
        push(
            &mut text,
            &format!("answer      {source} -> {destination}, {way}"),
        );
    }
    text
}

fn way(out: Option<&Way>) -> String {
    let Some(Way {
        connection,
        interface,
        link,
    }) = out
    else {
        return "to the gateway itself, or nowhere".to_owned();
    };
    match (connection, interface) {
        (Some(name), _) => format!("out by connection {name}"),
        (None, Some(name)) => format!("out by interface {name}"),
        (None, None) => format!("out by {link}"),
    }
}

fn end(end: &End) -> String {
    match end.port {
        Some(port) => format!("{} port {port}", end.address),
        None => end.address.clone(),
    }
}

fn from(source: &Source) -> String {
    match source {
        Source::Is(one) => end(one),
        Source::OneOf { addresses, ports } => format!("one of {addresses} port {}", ports.join(", ")),
    }
}
