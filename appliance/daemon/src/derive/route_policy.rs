use std::sync::Arc;

use appliance_config::model::{self, AsPathToken, RouteChange, RoutePolicy};
use bgp::wire::attribute::Origin;
use bgp::{Change, Community, Condition, NextHopChange, PathToken, Policy, PrefixRange, Term, Verdict};

/// The policy as the speaker takes it; what names none lets everything pass.
pub(crate) fn policy(named: Option<&RoutePolicy>) -> Policy {
    let Some(named) = named else {
        return Policy::ALL;
    };
    Policy {
        terms: named.terms.iter().map(term).collect(),
        default: verdict(named.default),
    }
}

fn term(term: &model::Term) -> Term {
    Term {
        condition: condition(&term.condition),
        change: change(&term.change),
        verdict: verdict(term.verdict),
    }
}

fn verdict(verdict: model::Verdict) -> Verdict {
    match verdict {
        model::Verdict::Accept => Verdict::Accept,
        model::Verdict::Reject => Verdict::Reject,
    }
}

fn condition(condition: &model::Condition) -> Condition {
    let range = |range: &model::PrefixRange| PrefixRange {
        prefix: range.prefix,
        lengths: range.lengths.clone(),
    };
    Condition {
        prefixes: condition
            .prefixes
            .as_ref()
            .map(|prefixes| prefixes.iter().map(range).collect()),
        as_path_length: condition.as_path_length.clone(),
        as_path: condition
            .as_path
            .as_ref()
            .map(|pattern| pattern.iter().map(path_token).collect()),
        communities: communities(&condition.communities),
        origin: condition.origin.map(|origin| match origin {
            model::Origin::Igp => Origin::Igp,
            model::Origin::Egp => Origin::Egp,
            model::Origin::Incomplete => Origin::Incomplete,
        }),
        site: condition.peer.as_ref().map(|site| Arc::from(site.as_str())),
    }
}

fn path_token(token: &AsPathToken) -> PathToken {
    match token {
        AsPathToken::System(systems) => PathToken::System(systems.clone()),
        AsPathToken::Any => PathToken::Any,
        AsPathToken::AnyNumber => PathToken::AnyNumber,
    }
}

fn change(change: &RouteChange) -> Change {
    Change {
        local_preference: change.local_preference,
        med: change.med,
        clear_communities: change.clear_communities,
        remove_communities: communities(&change.remove_communities),
        add_communities: communities(&change.add_communities),
        prepend: change.prepend,
        next_hop: change.next_hop.map(|next_hop| match next_hop {
            model::NextHop::Ours => NextHopChange::Ours,
            model::NextHop::Address(address) => NextHopChange::Address(address),
        }),
    }
}

fn communities(communities: &[model::Community]) -> Vec<Community> {
    let community = |community: &model::Community| match *community {
        model::Community::Standard(octets) => Community::Standard(octets),
        model::Community::Large(global, first, second) => Community::Large(global, first, second),
        model::Community::Extended(octets) => Community::Extended(octets),
    };
    communities.iter().map(community).collect()
}
