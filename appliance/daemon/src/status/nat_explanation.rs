use std::ops::RangeInclusive;

use appliance_nat::{Binding, End, Outcome, Program, Side, Source};
use schemars::JsonSchema;
use serde::Serialize;

use super::nat::mode;
use crate::datapath::{DatapathSnapshot, Foreseen};

/// What would become of the first packet of a flow, and of the answer to it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NatExplanation {
    /// Whether the kernel translates by these rules now. If not, this is what would be if it did.
    in_place: bool,
    /// The rules that translate it, in order.
    fired: Vec<FiredStatus>,
    /// `passed` or `dropped`.
    outcome: &'static str,
    /// Why it is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// By which way it goes out, if it passes; none if it is for us or nothing leads there.
    out: Option<WayStatus>,
    /// Where it is from when it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceStatus>,
    /// Where it goes when it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<EndStatus>,
    /// The zone in which connection tracking knows the flow.
    zone: u16,
    /// What becomes of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerStatus>,
    /// Whose routes these are: `kernel`, which was asked just now.
    routes_by: &'static str,
    /// The addresses whose way was asked for.
    routes: Vec<RouteStatus>,
}

/// A rule that translates.
#[derive(Debug, Serialize, JsonSchema)]
struct FiredStatus {
    connection: String,
    rule: String,
    mode: &'static str,
    /// What of the packet it translates: `source` or `destination`.
    side: &'static str,
    internal: String,
    external: String,
}

/// A link, and whose it is.
#[derive(Debug, Serialize, JsonSchema)]
struct WayStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    link: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EndStatus {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

/// One address and port, or of a dynamic rule what it takes them from.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum SourceStatus {
    Is(EndStatus),
    OneOf {
        /// An address of these.
        addresses: String,
        /// A port, or ICMP id, of these.
        ports: Vec<String>,
    },
}

/// An answer; of a dynamic rule to the first address and port that it may take.
#[derive(Debug, Serialize, JsonSchema)]
struct AnswerStatus {
    out: Option<WayStatus>,
    source: EndStatus,
    destination: EndStatus,
}

/// By which link an address is reached; none if it is ours or nothing leads there.
#[derive(Debug, Serialize, JsonSchema)]
struct RouteStatus {
    to: String,
    link: Option<String>,
}

impl NatExplanation {
    /// In words of the document where it has them.
    pub(crate) fn new(foreseen: &Foreseen, datapath: &DatapathSnapshot) -> Self {
        let (program, verdict) = (&foreseen.program, &foreseen.verdict);
        let (passed, why) = match &verdict.outcome {
            Outcome::Passed(passed) => (Some(passed), None),
            Outcome::Refused { binding, .. } => (None, Some(refusal(program, *binding))),
        };
        let fired = verdict.fired.iter().filter_map(|fired| {
            let binding = program.bindings().get(&fired.binding)?;
            Some(fired_status(binding, fired.side))
        });
        let out = passed.and_then(|passed| passed.link.as_deref());
        let answer = foreseen.answered.as_ref().map(|answered| AnswerStatus {
            out: answered.link.as_deref().map(|link| way(link, datapath)),
            source: end(answered.source),
            destination: end(answered.destination),
        });
        let routes = foreseen.ways.iter().map(|(to, link)| RouteStatus {
            to: to.to_string(),
            link: link.clone(),
        });
        Self {
            in_place: foreseen.in_place,
            fired: fired.collect(),
            outcome: if why.is_some() { "dropped" } else { "passed" },
            why,
            out: out.map(|link| way(link, datapath)),
            source: passed.map(|passed| source(&passed.source)),
            destination: passed.map(|passed| end(passed.destination)),
            zone: verdict.zone,
            answer,
            routes_by: "kernel",
            routes: routes.collect(),
        }
    }
}

fn refusal(program: &Program, number: u16) -> String {
    let Some(Binding {
        connection,
        name,
        rule,
        ..
    }) = program.bindings().get(&number)
    else {
        return "it is to the external prefix of a dynamic rule".to_owned();
    };
    let external = rule.external;
    format!(
        "{external} is the external prefix of the dynamic rule {name} on {connection}: only its internal side can begin a flow"
    )
}

fn fired_status(binding: &Binding, side: Side) -> FiredStatus {
    FiredStatus {
        connection: binding.connection.clone(),
        rule: binding.name.clone(),
        mode: mode(binding.mode),
        side: match side {
            Side::Source => "source",
            Side::Destination => "destination",
        },
        internal: binding.rule.internal.to_string(),
        external: binding.rule.external.to_string(),
    }
}

fn way(link: &str, datapath: &DatapathSnapshot) -> WayStatus {
    let mut connections = datapath.interfaces.iter();
    let mut interfaces = datapath.machine.iter();
    let connection = connections.find(|(_, other)| *other == link);
    let interface = interfaces.find(|(_, interface)| interface.link.as_deref() == Some(link));
    WayStatus {
        connection: connection.map(|(name, _)| name.0.to_string()),
        interface: interface.map(|(name, _)| name.to_string()),
        link: link.to_owned(),
    }
}

fn end(end: End) -> EndStatus {
    EndStatus {
        address: end.address.to_string(),
        port: end.port,
    }
}

fn source(from: &Source) -> SourceStatus {
    let range = |range: &RangeInclusive<u16>| format!("{}-{}", range.start(), range.end());
    match from {
        Source::Is(one) => SourceStatus::Is(end(*one)),
        Source::OneOf { addresses, ports } => SourceStatus::OneOf {
            addresses: addresses.to_string(),
            ports: ports.iter().map(range).collect(),
        },
    }
}
