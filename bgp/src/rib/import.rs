use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::configured::{Configured, Member};
use super::table::Leads;
use crate::Role;
use crate::next_hop::Resolution;
use crate::policy::{Decision, Route};
use crate::wire::attribute::Attributes;

/// Why a route that a neighbour sent is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is to a prefix of ours, or inside one.
    OwnPrefix,
    /// It is a part of what NAT translates as a whole: it would pass by the translation.
    PartlyTranslated,
    /// NAT hides its hosts behind few addresses, so that nobody can begin with them.
    Hidden,
    /// NAT makes another prefix that the neighbour sent into this one.
    Superseded,
    /// It has passed our autonomous system (RFC 4271 §9.1.2).
    OurAutonomousSystem,
    /// We brought it into our autonomous system ourselves (RFC 4456 §8).
    OurRouterId,
    /// The neighbour should not have passed it on to us (RFC 9234 §5).
    RouteLeak,
    /// The policy says so: the term at this position, or the default.
    Policy(Option<usize>),
}

/// The rules for what one neighbour sends.
pub(super) struct Import<'a> {
    configured: &'a Configured,
    member: Member<'a>,
}

impl<'a> Import<'a> {
    pub(super) fn new(configured: &'a Configured, peer: PeerIndex) -> Option<Self> {
        Some(Self::of(configured, configured.member(peer)?))
    }

    /// The rules for a neighbour that is perhaps not configured so.
    pub(super) fn of(configured: &'a Configured, member: Member<'a>) -> Self {
        Self { configured, member }
    }

    /// Whether a route to a prefix, as NAT makes it, is let in, and which term of the policy says so.
    pub(super) fn judge(&self, prefix: IpNet, attributes: &Attributes) -> Result<Decision, Refusal> {
        let settings = &self.configured.settings;
        let is_ours = self.configured.statics.is_inside_own(prefix);
        if is_ours || self.member.translator.is_inside_ours(prefix) {
            return Err(Refusal::OwnPrefix);
        }
        if attributes.as_path.contains(settings.asn) {
            return Err(Refusal::OurAutonomousSystem);
        }
        if attributes.originator == Some(settings.router_id) {
            return Err(Refusal::OurRouterId);
        }
        if self.is_leak(attributes) {
            return Err(Refusal::RouteLeak);
        }
        let route = Route {
            prefix,
            attributes,
            site: Some(&self.member.neighbour.site),
        };
        let decision = self.member.neighbour.import.decide(&route);
        if decision.accepted {
            Ok(decision)
        } else {
            Err(Refusal::Policy(decision.term))
        }
    }

    /// The attributes that it is let in with.
    pub(super) fn rewrite(&self, received: &Arc<Attributes>, decision: Decision) -> Arc<Attributes> {
        let neighbour = self.member.neighbour;
        let change = neighbour.import.change(decision);
        let marked = self.mark(received);
        if change.is_none() && marked == received.only_to_customer {
            return received.clone();
        }
        let mut attributes = Attributes::clone(received);
        attributes.only_to_customer = marked;
        if let Some(change) = change {
            change.apply(&mut attributes, neighbour.asn, neighbour.local);
        }
        Arc::new(attributes)
    }

    /// Where packets to its next hop go.
    pub(super) fn leads(&self, attributes: &Attributes) -> Leads {
        let next_hop = attributes.next_hop.address();
        match self
            .configured
            .next_hops
            .resolve(next_hop, self.member.name, self.member.session())
        {
            Resolution::Direct => Leads::Direct,
            Resolution::Through(_) => Leads::Elsewhere,
            Resolution::Unusable => Leads::Nowhere,
        }
    }

    /// Whether routes with the same attributes may fare differently, by more than whether they are inside our prefixes.
    pub(super) fn looks_at_prefixes(&self) -> bool {
        self.member.neighbour.import.looks_at_prefixes()
            || self.configured.statics.has_own()
            || self.translates()
    }

    /// Whether NAT has to do with prefixes of this neighbour.
    pub(super) fn translates(&self) -> bool {
        !self.member.translator.is_empty()
    }

    /// RFC 9234 §5, the rules for what comes in: customers pass on only what is theirs, peers only what was marked by
    /// themselves.
    fn is_leak(&self, attributes: &Attributes) -> bool {
        let Some(marked) = attributes.only_to_customer else {
            return false;
        };
        match self.member.neighbour.role {
            Some(Role::Provider | Role::RouteServer) => true,
            Some(Role::Peer) => marked != self.member.neighbour.asn,
            Some(Role::RouteServerClient | Role::Customer) | None => false,
        }
    }

    /// ONLY_TO_CUSTOMER as it is kept: what comes from above or beside may only go down (RFC 9234 §5).
    fn mark(&self, attributes: &Attributes) -> Option<u32> {
        match self.member.neighbour.role {
            Some(Role::Customer | Role::Peer | Role::RouteServerClient) => {
                attributes.only_to_customer.or(Some(self.member.neighbour.asn))
            }
            Some(Role::Provider | Role::RouteServer) | None => attributes.only_to_customer,
        }
    }
}
