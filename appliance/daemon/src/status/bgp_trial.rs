use bgp::{Outcome, Refusal};
use schemars::JsonSchema;
use serde::Serialize;

use super::bgp_route::decision;

/// What the import rules for a neighbour would make of the routes in a file.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct TrialStatus {
    /// Records of the file.
    pub(crate) records: u64,
    /// Routes that it announces.
    pub(crate) announced: u64,
    /// Routes that it withdraws.
    pub(crate) withdrawn: u64,
    /// Updates, and routes of a table, with faults that a session would treat (RFC 7606).
    pub(crate) malformed: u64,
    /// What was wrong with the first of them.
    pub(crate) faults: Vec<String>,
    /// Of the routes that are there at the end, those that are let in.
    accepted: u64,
    /// And those that are not.
    refused: u64,
    /// What decided.
    decisions: Vec<DecisionTried>,
    /// How the prefix limit stands.
    limits: Vec<LimitStatus>,
}

/// Routes that fared alike.
#[derive(Debug, Serialize, JsonSchema)]
struct DecisionTried {
    /// They are let in.
    accepted: bool,
    /// By what, in one word: `policy` with its term, the policy's `default`, or a rule of the gateway.
    by: &'static str,
    /// The term that decided, by its position.
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<usize>,
    /// How many.
    routes: u64,
    /// The first prefixes.
    examples: Vec<String>,
}

/// How many prefixes of a family there are, beside how many there may be.
#[derive(Debug, Serialize, JsonSchema)]
struct LimitStatus {
    family: String,
    /// How many the neighbour may send.
    limit: u32,
    /// Prefixes at the end.
    received: u32,
    /// The session would have ended.
    exceeded: bool,
    /// At this prefix, the first one beyond the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    exceeded_at: Option<String>,
}

impl TrialStatus {
    /// The same with what became of the routes.
    pub(crate) fn with(self, outcome: &Outcome) -> Self {
        let (mut accepted, mut refused, mut decisions) = (0, 0, Vec::new());
        for (judged, decided) in &outcome.decisions {
            let judged: Result<Option<usize>, Refusal> = *judged;
            *(if judged.is_ok() {
                &mut accepted
            } else {
                &mut refused
            }) += decided.routes;
            let (by, term) = decision(judged);
            decisions.push(DecisionTried {
                accepted: judged.is_ok(),
                by,
                term,
                routes: decided.routes,
                examples: decided.examples.iter().map(ToString::to_string).collect(),
            });
        }
        let limits = outcome.limits.iter().map(|(family, tried)| LimitStatus {
            family: family.to_string(),
            limit: tried.limit,
            received: tried.received,
            exceeded: tried.exceeded_at.is_some(),
            exceeded_at: tried.exceeded_at.map(|prefix| prefix.to_string()),
        });
        Self {
            accepted,
            refused,
            decisions,
            limits: limits.collect(),
            ..self
        }
    }
}
