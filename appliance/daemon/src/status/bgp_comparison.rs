use bgp::{Compared, Comparison, Fate};
use schemars::JsonSchema;
use serde::Serialize;

use super::bgp_route::{AttributesStatus, by_policy, path, refusal, withheld};

/// What would become of routes by another policy, beside what becomes of them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ComparisonStatus {
    /// Of so many routes.
    routes: u64,
    /// There are more, which were not looked at.
    more: bool,
    /// So many of them become something else.
    changed: u64,
    /// The first by prefix, at most 100: those that become something else, or all where a prefix was asked for.
    listed: Vec<ComparedStatus>,
}

/// One route by both.
#[derive(Debug, Serialize, JsonSchema)]
struct ComparedStatus {
    prefix: String,
    /// Its path identifier (RFC 7911), if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<u32>,
    before: FateStatus,
    after: FateStatus,
}

/// What becomes of a route.
#[derive(Debug, Serialize, JsonSchema)]
struct FateStatus {
    /// It is let in, or sent.
    accepted: bool,
    /// By what, in one word: `policy` with its term, the policy's `default`, or a rule of the gateway.
    by: &'static str,
    /// The term that decided, by its position.
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<usize>,
    /// With what it is let in, or sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    bears: Option<AttributesStatus>,
}

impl ComparisonStatus {
    /// As the API tells it.
    pub(crate) fn new(comparison: &Comparison) -> Self {
        Self {
            routes: comparison.routes,
            more: comparison.more,
            changed: comparison.changed,
            listed: comparison.listed.iter().map(ComparedStatus::new).collect(),
        }
    }
}

impl ComparedStatus {
    fn new(compared: &Compared) -> Self {
        Self {
            prefix: compared.prefix.to_string(),
            path: path(compared.path),
            before: FateStatus::new(&compared.before),
            after: FateStatus::new(&compared.after),
        }
    }
}

impl FateStatus {
    fn new(fate: &Fate) -> Self {
        let ((by, term), bears) = match fate {
            Fate::Taken(term, attributes) => {
                ((by_policy(*term), *term), Some(AttributesStatus::new(attributes)))
            }
            Fate::Refused(why) => (refusal(*why), None),
            Fate::Withheld(why) => (withheld(*why), None),
        };
        Self {
            accepted: bears.is_some(),
            by,
            term,
            bears,
        }
    }
}
