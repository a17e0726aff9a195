use bgp::wire::attribute::{Attributes, Origin};
use bgp::{
    Community, Explanation, Refusal, RoutePage, RouteRow, RouteTranslation, Standing, Step, Translated,
    Withheld,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::bgp_peer::lies;

/// Some routes of BGP, by prefix.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RoutesStatus {
    routes: Vec<RouteStatus>,
    /// The prefix to go on after, if there are more.
    next: Option<String>,
}

/// One route of BGP.
#[derive(Debug, Serialize, JsonSchema)]
struct RouteStatus {
    prefix: String,
    /// The neighbour that sent it, or the connection of a static one; none of our own prefixes.
    from: Option<String>,
    /// The neighbour that was sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Its path identifier (RFC 7911), if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<u32>,
    #[serde(flatten)]
    bears: AttributesStatus,
    /// It is from before a restart of its neighbour.
    stale: bool,
    /// What became of it, in one word.
    standing: &'static str,
    /// Why, in one word, if another is better or it was not let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// The term of the policy that decided so, by its position.
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<usize>,
    /// What rules of NAT have to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    nat: Option<NatStatus>,
}

/// What a route bears.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AttributesStatus {
    origin: &'static str,
    as_path: String,
    next_hop: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    med: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_preference: Option<u32>,
    communities: Vec<String>,
}

/// What a rule of NAT makes of a route.
#[derive(Debug, Serialize, JsonSchema)]
struct NatStatus {
    rule: String,
    /// `to`: it goes on as another prefix; `from`: it is what was made of another; else it is not translated as a whole,
    /// for it lies so to the rule.
    what: &'static str,
    /// That other prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
}

/// Which term of which policy decided about routes to a prefix.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplanationStatus {
    /// One for each path; none if there is no route.
    paths: Vec<DecisionStatus>,
}

/// What was decided about one path.
#[derive(Debug, Serialize, JsonSchema)]
struct DecisionStatus {
    /// Its path identifier (RFC 7911), if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<u32>,
    /// It is let in, or sent.
    accepted: bool,
    /// By what, in one word: `policy` with its term, the policy's `default`, or a rule of the gateway.
    by: &'static str,
    /// The term that decided, by its position.
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<usize>,
    /// What rules of NAT have to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    nat: Option<NatStatus>,
}

impl RoutesStatus {
    /// As the API tells them.
    pub(crate) fn new(page: &RoutePage) -> Self {
        Self {
            routes: page.routes.iter().map(RouteStatus::new).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

impl RouteStatus {
    fn new(row: &RouteRow) -> Self {
        let (standing, why, term) = standing(row.standing);
        Self {
            prefix: row.prefix.to_string(),
            from: row.from.as_ref().map(ToString::to_string),
            to: row.to.as_ref().map(ToString::to_string),
            path: path(row.path),
            bears: AttributesStatus::new(&row.attributes),
            stale: row.stale,
            standing,
            why,
            term,
            nat: row.translation.as_ref().map(nat),
        }
    }
}

impl AttributesStatus {
    pub(super) fn new(attributes: &Attributes) -> Self {
        Self {
            origin: origin(attributes.origin),
            as_path: attributes.as_path.to_string(),
            next_hop: attributes.next_hop.address().to_string(),
            med: attributes.med,
            local_preference: attributes.local_preference,
            communities: communities(attributes),
        }
    }
}

impl ExplanationStatus {
    /// As the API tells it.
    pub(crate) fn new(explanation: Explanation) -> Self {
        let paths = match explanation {
            Explanation::Import(paths) => paths
                .into_iter()
                .map(|judged| DecisionStatus {
                    nat: judged.translation.as_ref().map(nat),
                    ..decided(path(judged.path), judged.decision.map_err(refusal))
                })
                .collect(),
            Explanation::Export(decision, translation) => vec![DecisionStatus {
                nat: translation.as_ref().map(nat),
                ..decided(None, decision.map_err(withheld))
            }],
        };
        Self { paths }
    }
}

/// Those of neighbours that do not number their paths bear 0.
pub(super) fn path(id: u32) -> Option<u32> {
    (id != 0).then_some(id)
}

fn decided(
    path: Option<u32>,
    decision: Result<Option<usize>, (&'static str, Option<usize>)>,
) -> DecisionStatus {
    let (accepted, by, term) = match decision {
        Ok(term) => (true, by_policy(term), term),
        Err((by, term)) => (false, by, term),
    };
    DecisionStatus {
        path,
        accepted,
        by,
        term,
        nat: None,
    }
}

fn nat(translation: &RouteTranslation) -> NatStatus {
    let (what, prefix) = match translation.what {
        Translated::To(prefix) => ("to", Some(prefix)),
        Translated::From(prefix) => ("from", Some(prefix)),
        Translated::Not(how) => (lies(how), None),
    };
    NatStatus {
        rule: translation.rule.to_string(),
        what,
        prefix: prefix.map(|prefix| prefix.to_string()),
    }
}

/// What decided whether a route is let in, in one word, and the term if it was one.
pub(super) fn decision(judged: Result<Option<usize>, Refusal>) -> (&'static str, Option<usize>) {
    match judged {
        Ok(term) => (by_policy(term), term),
        Err(why) => refusal(why),
    }
}

pub(super) fn by_policy(term: Option<usize>) -> &'static str {
    match term {
        Some(_) => "policy",
        None => "default",
    }
}

fn standing(standing: Standing) -> (&'static str, Option<&'static str>, Option<usize>) {
    match standing {
        Standing::Own => ("own", None, None),
        Standing::Static => ("static", None, None),
        Standing::Best => ("best", None, None),
        Standing::Multipath => ("multipath", None, None),
        Standing::Lost(by) => ("lost", Some(step(by)), None),
        Standing::Refused(why) => {
            let (why, term) = refusal(why);
            ("refused", Some(why), term)
        }
        Standing::NextHopUnusable => ("next-hop-unusable", None, None),
        Standing::TunnelDown => ("tunnel-down", None, None),
    }
}

/// The step of the choice by which another is better (RFC 4271 §9.1.2).
fn step(step: Step) -> &'static str {
    match step {
        Step::LocalPreference => "local-preference",
        Step::AsPathLength => "as-path-length",
        Step::Origin => "origin",
        Step::MultiExitDiscriminator => "med",
        Step::External => "external",
        Step::InteriorCost => "interior-cost",
        Step::Priority => "priority",
        Step::RouterId => "router-id",
        Step::ClusterLength => "cluster-length",
        Step::PeerAddress => "peer-address",
        Step::PathIdentifier => "path-identifier",
    }
}

pub(super) fn refusal(refusal: Refusal) -> (&'static str, Option<usize>) {
    match refusal {
        Refusal::OwnPrefix => ("own-prefix", None),
        Refusal::PartlyTranslated => ("partly-translated", None),
        Refusal::Hidden => ("nat-hidden", None),
        Refusal::Superseded => ("nat-superseded", None),
        Refusal::OurAutonomousSystem => ("as-loop", None),
        Refusal::OurRouterId => ("originator-loop", None),
        Refusal::RouteLeak => ("route-leak", None),
        Refusal::Policy(term) => (by_policy(term), term),
    }
}

pub(super) fn withheld(withheld: Withheld) -> (&'static str, Option<usize>) {
    match withheld {
        Withheld::NoRoute => ("no-route", None),
        Withheld::LeadsThere => ("leads-there", None),
        Withheld::DefaultRoute => ("default-route", None),
        Withheld::OwnPrefix => ("own-prefix", None),
        Withheld::Translated => ("translated", None),
        Withheld::PartlyTranslated => ("partly-translated", None),
        Withheld::Internal => ("internal", None),
        Withheld::Community(_) => ("community", None),
        Withheld::OnlyToCustomer => ("only-to-customer", None),
        Withheld::Policy(term) => (by_policy(term), term),
        Withheld::NextHop => ("next-hop", None),
    }
}

pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    }
}

pub(super) fn communities(attributes: &Attributes) -> Vec<String> {
    let standard = attributes
        .communities
        .iter()
        .map(|octets| Community::Standard(*octets));
    let extended = attributes
        .extended_communities
        .iter()
        .map(|octets| Community::Extended(*octets));
    let large = attributes
        .large_communities
        .iter()
        .map(|(global, first, second)| Community::Large(*global, *first, *second));
    let all = standard.chain(extended).chain(large);
    all.map(|community| community.to_string()).collect()
}
