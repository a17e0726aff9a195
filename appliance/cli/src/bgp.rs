use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::query::Query;
use crate::report::{duration, push, side};
use crate::status::Side;
use crate::{completion, mrt, name};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show sessions, those that are not established first, and why.
    Peers {
        /// Only this one, by the connection that it passes.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::peers))]
        name: Option<String>,
    },
    /// Show routes, by prefix: where they lead, and why one is not used.
    Routes(Wanted),
    /// End a session and begin anew, whatever kept it down.
    Clear {
        /// The connection that it passes.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::peers))]
        name: String,
    },
    /// Have both sides of a session send their routes again; it stays up.
    Refresh {
        /// The connection that it passes.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::peers))]
        name: String,
    },
    /// Say what decides whether the routes to a prefix are let in, or sent.
    Explain(Doubtful),
    /// Write and read files of routes and messages (MRT, RFC 6396).
    #[command(subcommand)]
    Mrt(mrt::Command),
}

/// Which routes are shown.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Only those to this prefix.
    prefix: Option<String>,
    /// Those at this point of their way.
    #[arg(long, value_enum, default_value_t = Kind::Best)]
    kind: Kind,
    /// Only those from or to this neighbour, by the connection to it.
    #[arg(long, value_parser = name, add = ArgValueCompleter::new(completion::peers))]
    neighbour: Option<String>,
    /// Those to prefixes inside the one that is given, too.
    #[arg(long, requires = "prefix", conflicts_with = "containing")]
    inside: bool,
    /// Those to prefixes that the one that is given lies in, too.
    #[arg(long, requires = "prefix")]
    containing: bool,
    /// IPv6 routes; without a prefix those of IPv4 are shown.
    #[arg(long)]
    ipv6: bool,
    /// Only those after this prefix.
    #[arg(long, value_name = "PREFIX")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// As neighbours sent them.
    Received,
    /// As the policies let them in.
    Accepted,
    /// Those that are used, and our own.
    Best,
    /// As neighbours were sent them.
    Advertised,
}

/// What is to be explained.
#[derive(Debug, Args)]
pub(crate) struct Doubtful {
    /// The neighbour, by the connection to it.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::peers))]
    neighbour: String,
    /// From it to us, or from us to it.
    direction: Direction,
    /// The prefix.
    prefix: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Direction {
    /// Is it let in?
    Import,
    /// Is it sent?
    Export,
}

#[derive(Debug, Deserialize)]
struct Peer {
    state: String,
    since_s: u64,
    site: String,
    local: String,
    remote: String,
    asn: u32,
    #[serde(default)]
    tunnel_up: bool,
    #[serde(default)]
    held_down: bool,
    next_attempt_s: Option<u64>,
    #[serde(default)]
    restarting: bool,
    last_error: Option<SessionError>,
    negotiated: Option<Negotiated>,
    sent: Messages,
    received: Messages,
    #[serde(default)]
    prefixes: BTreeMap<String, Prefixes>,
    #[serde(default)]
    partly_translated: Vec<Partly>,
}

#[derive(Debug, Deserialize)]
struct Partly {
    detail: String,
}

#[derive(Debug, Deserialize)]
struct SessionError {
    reason: String,
    side: Side,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    next_step: String,
    notification: Option<String>,
    ago_s: u64,
}

#[derive(Debug, Deserialize)]
struct Negotiated {
    router_id: String,
    hold_time_s: u64,
    keepalive_s: u64,
    #[serde(default)]
    families: Vec<String>,
    #[serde(default)]
    capabilities: Vec<String>,
    host_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Messages {
    total: u64,
    updates: u64,
}

#[derive(Debug, Deserialize)]
struct Prefixes {
    received: u32,
    accepted: u32,
    advertised: u32,
    limit: u32,
}

#[derive(Debug, Deserialize)]
struct Routes {
    routes: Vec<Route>,
    next: Option<String>,
}

/// A route in words.
#[derive(Debug, Deserialize)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) as_path: String,
    pub(crate) next_hop: String,
    pub(crate) med: Option<u32>,
    pub(crate) local_preference: Option<u32>,
    #[serde(default)]
    pub(crate) communities: Vec<String>,
    #[serde(default)]
    pub(crate) stale: bool,
    pub(crate) standing: String,
    pub(crate) why: Option<String>,
    pub(crate) term: Option<usize>,
    pub(crate) nat: Option<Nat>,
}

/// What a rule of NAT makes of a route.
#[derive(Debug, Deserialize)]
pub(crate) struct Nat {
    rule: String,
    what: String,
    prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    paths: Vec<Decision>,
}

#[derive(Debug, Deserialize)]
struct Decision {
    path: Option<u32>,
    accepted: bool,
    by: String,
    term: Option<usize>,
    nat: Option<Nat>,
}

impl Nat {
    /// What a rule makes of a prefix.
    fn words(&self) -> String {
        let Self { rule, what, prefix } = self;
        match prefix {
            Some(prefix) => format!("translated {what} {prefix} by {rule}"),
            None => format!("not translated as a whole by {rule}: {what}"),
        }
    }
}

pub(crate) fn run(client: &Client, command: &Command, as_json: bool) -> Done {
    match command {
        Command::Peers { name: None } => peers(client),
        Command::Peers { name: Some(name) } => one(client, name),
        Command::Routes(wanted) => routes(client, wanted),
        Command::Clear { name } => act(client, name, "clear"),
        Command::Refresh { name } => act(client, name, "refresh"),
        Command::Explain(doubtful) => explain(client, doubtful),
        Command::Mrt(command) => mrt::run(client, command, as_json),
    }
}

fn peers(client: &Client) -> Done {
    let answer = client.get("/api/v1/status/bgp/peers")?;
    let peers: BTreeMap<String, Peer> = client.read(&answer)?;
    let mut text = String::new();
    if peers.is_empty() {
        push(&mut text, "no connection has a BGP session");
    }
    let (well, unwell): (Vec<_>, Vec<_>) = peers.iter().partition(|(_, peer)| peer.is_well());
    let is_well = unwell.is_empty();
    for (name, peer) in unwell.into_iter().chain(well) {
        push_peer(&mut text, name, peer);
    }
    Ok(Answer::done(answer, text).with(up(is_well)))
}

fn one(client: &Client, name: &str) -> Done {
    let answer = client.get(&format!("/api/v1/status/bgp/peers/{name}"))?;
    let peer: Peer = client.read(&answer)?;
    let mut text = String::new();
    push_peer(&mut text, name, &peer);
    Ok(Answer::done(answer, text).with(up(peer.is_well())))
}

fn up(is_up: bool) -> Outcome {
    if is_up { Outcome::Done } else { Outcome::NotUp }
}

fn act(client: &Client, name: &str, action: &str) -> Done {
    let answer = client.post(&format!("/api/v1/bgp/peers/{name}:{action}"))?;
    let text = format!("Asked to {action} {name}. How it goes: causeway bgp peers {name}\n");
    Ok(Answer::done(answer, text))
}

impl Peer {
    /// As it is meant to be.
    fn is_well(&self) -> bool {
        self.state == "established" || self.state == "disabled"
    }
}

fn push_peer(text: &mut String, name: &str, peer: &Peer) {
    let Peer {
        site,
        local,
        remote,
        asn,
        ..
    } = peer;
    let (state, since) = (peer.state.to_uppercase(), duration(peer.since_s));
    let held = if peer.held_down {
        ", until it is cleared"
    } else {
        ""
    };
    push(
        text,
        &format!("{name}: {state} for {since}{held}, {local} <-> {remote} of {site}, AS {asn}"),
    );
    if !peer.tunnel_up {
        push(text, "  tunnel   does not carry, or another one has the session");
    }
    if peer.restarting {
        push(text, "  restart  its routes are kept while it starts again");
    }
    if let Some(error) = peer.last_error.as_ref().filter(|_| !peer.is_well()) {
        push_error(text, error);
    }
    if let Some(next) = peer.next_attempt_s {
        push(text, &format!("  next     attempt in {}", duration(next)));
    }
    if let Some(negotiated) = &peer.negotiated {
        push_negotiated(text, negotiated);
    }
    for (family, prefixes) in &peer.prefixes {
        let Prefixes {
            received,
            accepted,
            advertised,
            limit,
        } = prefixes;
        push(
            text,
            &format!(
                "  {family:<8} {received} of at most {limit} received, {accepted} accepted, {advertised} advertised"
            ),
        );
    }
    for partly in &peer.partly_translated {
        push(text, &format!("  nat      {}", partly.detail));
    }
    let messages = |messages: &Messages| format!("{} ({} updates)", messages.total, messages.updates);
    let (received, sent) = (messages(&peer.received), messages(&peer.sent));
    push(text, &format!("  messages received {received}, sent {sent}"));
}

fn push_error(text: &mut String, error: &SessionError) {
    let notification = error.notification.as_deref();
    let notification = notification.map_or_else(String::new, |code| format!(", NOTIFICATION {code}"));
    let (by, ago) = (side(error.side), duration(error.ago_s));
    push(
        text,
        &format!(
            "  why      {}, said by {by} {ago} ago{notification}",
            error.reason
        ),
    );
    for (label, words) in [("detail  ", &error.detail), ("do next ", &error.next_step)] {
        if !words.is_empty() {
            push(text, &format!("  {label} {words}"));
        }
    }
}

fn push_negotiated(text: &mut String, negotiated: &Negotiated) {
    let Negotiated {
        router_id,
        hold_time_s,
        keepalive_s,
        ..
    } = negotiated;
    let host = negotiated.host_name.as_ref();
    let host = host.map_or_else(String::new, |name| format!(" ({name})"));
    let families = negotiated.families.join(", ");
    push(
        text,
        &format!(
            "  agreed   {families}; hold time {hold_time_s} s, keepalive {keepalive_s} s; router id {router_id}{host}"
        ),
    );
    if !negotiated.capabilities.is_empty() {
        push(
            text,
            &format!("  with     {}", negotiated.capabilities.join(", ")),
        );
    }
}

fn routes(client: &Client, wanted: &Wanted) -> Done {
    let relation = match (wanted.inside, wanted.containing) {
        (true, _) => Some("inside"),
        (false, true) => Some("containing"),
        (false, false) => None,
    };
    let kind = match wanted.kind {
        Kind::Received => "received",
        Kind::Accepted => "accepted",
        Kind::Best => "best",
        Kind::Advertised => "advertised",
    };
    let query = Query::default()
        .and("kind", Some(kind))
        .and("family", wanted.ipv6.then_some("ipv6"))
        .and("neighbour", wanted.neighbour.as_deref())
        .and("prefix", wanted.prefix.as_deref())
        .and("relation", relation)
        .and("after", wanted.after.as_deref())
        .and("limit", Some(&wanted.limit.to_string()));
    let answer = client.get(&query.of("/api/v1/status/bgp/routes"))?;
    let found: Routes = client.read(&answer)?;
    let mut text = String::new();
    for route in &found.routes {
        push(&mut text, &line(route));
    }
    if let Some(next) = &found.next {
        push(
            &mut text,
            &format!("There are more: the same with --after {next}"),
        );
    }
    Ok(Answer::done(answer, text))
}

/// A route in a line.
pub(crate) fn line(route: &Route) -> String {
    let mut words = vec![route.prefix.clone(), format!("via {}", route.next_hop)];
    words.extend(route.from.as_ref().map(|from| format!("from {from}")));
    words.extend(route.to.as_ref().map(|to| format!("to {to}")));
    words.push(match route.as_path.as_str() {
        "" => "path local".to_owned(),
        path => format!("path {path}"),
    });
    words.extend(route.med.map(|med| format!("med {med}")));
    let preference = route.local_preference;
    words.extend(preference.map(|preference| format!("local preference {preference}")));
    if !route.communities.is_empty() {
        words.push(format!("communities {}", route.communities.join(" ")));
    }
    words.extend(route.stale.then(|| "stale".to_owned()));
    words.extend(route.nat.as_ref().map(Nat::words));
    let why = route.why.as_ref().map(|why| format!(": {why}"));
    let term = route.term.map(term);
    words.push(format!(
        "{}{}{}",
        route.standing,
        why.unwrap_or_default(),
        term.unwrap_or_default()
    ));
    words.join("  ")
}

/// Where a term stands in the document, which counts from 0.
fn term(position: usize) -> String {
    format!(" (term {position})")
}

fn explain(client: &Client, doubtful: &Doubtful) -> Done {
    let direction = match doubtful.direction {
        Direction::Import => "import",
        Direction::Export => "export",
    };
    let query = Query::default()
        .and("neighbour", Some(&doubtful.neighbour))
        .and("direction", Some(direction))
        .and("prefix", Some(&doubtful.prefix));
    let answer = client.get(&query.of("/api/v1/status/bgp/explain"))?;
    let found: Explanation = client.read(&answer)?;
    let mut text = String::new();
    if found.paths.is_empty() {
        push(&mut text, "there is no route to this prefix");
    }
    for decision in &found.paths {
        let path = decision
            .path
            .map(|path| format!("path {path}: "))
            .unwrap_or_default();
        let (yes, no) = match doubtful.direction {
            Direction::Import => ("let in", "not let in"),
            Direction::Export => ("sent", "not sent"),
        };
        let outcome = if decision.accepted { yes } else { no };
        let term = decision.term.map(term).unwrap_or_default();
        let nat = decision.nat.as_ref().map(|nat| format!("; {}", nat.words()));
        let nat = nat.unwrap_or_default();
        push(
            &mut text,
            &format!("{path}{outcome}, by {}{term}{nat}", decision.by),
        );
    }
    Ok(Answer::done(answer, text))
}
