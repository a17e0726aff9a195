use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::configured::{Configured, Member};
use super::table::Net;
use crate::policy::{Decision, Route};
use crate::translation::{Mapping, Meeting};
use crate::wire::as_path::AsPath;
use crate::wire::attribute::{Attributes, NextHop, Origin};
use crate::{NeighbourName, Role};

/// NO_EXPORT, NO_ADVERTISE and NO_EXPORT_SUBCONFED (RFC 1997).
const NO_EXPORT: u32 = 0xffff_ff01;
const NO_ADVERTISE: u32 = 0xffff_ff02;
const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;

/// The bit that keeps an extended community inside its autonomous system (RFC 4360 §2).
const NON_TRANSITIVE: u8 = 0x40;

/// LOCAL_PREF of what we bring in ourselves.
const USUAL_PREFERENCE: u32 = 100;

/// Why a neighbour is not sent a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// There is none.
    NoRoute,
    /// It, or another neighbour of its site, is where the route leads.
    LeadsThere,
    /// A default route is not passed on.
    DefaultRoute,
    /// It is to a prefix inside one of ours, which is advertised as a whole.
    OwnPrefix,
    /// NAT has the neighbour see another prefix in its place, which it is told.
    Translated,
    /// It is a part of what NAT translates as a whole, and is not told as such a part.
    PartlyTranslated,
    /// It was learnt inside our autonomous system, and so was sent to all of it already (RFC 4271 §9.2).
    Internal,
    /// A community of the route keeps it here: its number (RFC 1997).
    Community(u32),
    /// It may only go to customers (RFC 9234 §5).
    OnlyToCustomer,
    /// The policy says so: the term at this position, or the default.
    Policy(Option<usize>),
    /// It cannot be told a next hop of its family, or would be told its own address (RFC 4271 §5.1.3).
    NextHop,
}

/// The rules for what one neighbour is sent.
pub(super) struct Export<'a> {
    configured: &'a Configured,
    to: Member<'a>,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    ipv6_next_hops: bool,
}

/// Where a route that may be sent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum From<'a> {
    /// A prefix of ours.
    Us,
    /// The static address space behind this tunnel.
    Site(&'a NeighbourName),
    Neighbour(PeerIndex),
}

/// A route that may be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) from: From<'a>,
    /// Of a route that was learnt.
    pub(super) attributes: Option<&'a Arc<Attributes>>,
}

impl<'a> Export<'a> {
    pub(super) fn new(configured: &'a Configured, peer: PeerIndex, ipv6_next_hops: bool) -> Option<Self> {
        Some(Self::of(configured, configured.member(peer)?, ipv6_next_hops))
    }

    /// The rules for a neighbour that is perhaps not configured so.
    pub(super) fn of(configured: &'a Configured, to: Member<'a>, ipv6_next_hops: bool) -> Self {
        Self {
            configured,
            to,
            ipv6_next_hops,
        }
    }

    /// Whether routes from one source may fare differently, by more than the rules of a gateway.
    pub(super) fn looks_at_prefixes(&self) -> bool {
        self.to.neighbour.export.looks_at_prefixes() || !self.to.translator.egress.is_empty()
    }

    /// The route to a prefix that concerns this neighbour: ours, a site's that it is not of, the best that was learnt.
    pub(super) fn source<'n>(&self, prefix: IpNet, net: &'n Net) -> Option<Source<'n>>
    where
        'a: 'n,
    {
        if net.ours {
            let statics: &'a _ = &self.configured.statics;
            if statics.is_own(prefix) || self.stands_for(prefix).is_some() {
                return Some(Source {
                    from: From::Us,
                    attributes: None,
                });
            }
            if let Some(tunnel) = statics.sites(prefix).iter().find(|tunnel| !self.is_there(tunnel)) {
                return Some(Source {
                    from: From::Site(tunnel),
                    attributes: None,
                });
            }
        }
        let best = net.best()?;
        Some(Source {
            from: From::Neighbour(best.peer),
            attributes: best.accepted.as_ref(),
        })
    }

    /// Whether a route is sent, and which term of the policy says so.
    pub(super) fn judge(&self, prefix: IpNet, source: Source<'_>) -> Result<Decision, Withheld> {
        let mut prefix = prefix;
        if source.from == From::Us {
            prefix = self.ours(prefix)?;
        } else {
            if prefix.prefix_len() == 0 {
                return Err(Withheld::DefaultRoute);
            }
            let is_ours = self.configured.statics.is_inside_own(prefix);
            if is_ours || self.to.translator.is_inside_ours(prefix) {
                return Err(Withheld::OwnPrefix);
            }
        }
        self.judge_source(source)?;
        let originated = originated();
        let attributes = source.attributes.map_or(&originated, Arc::as_ref);
        let route = Route {
            prefix,
            attributes,
            site: self.site(source.from),
        };
        let decision = self.to.neighbour.export.decide(&route);
        if decision.accepted {
            Ok(decision)
        } else {
            Err(Withheld::Policy(decision.term))
        }
    }

    /// The rule by which this prefix stands for one of ours at the neighbour.
    pub(super) fn stands_for(&self, prefix: IpNet) -> Option<&'a Mapping> {
        let mapping = self.to.translator.egress.behind(prefix)?;
        let is_own = self.configured.statics.is_own(mapping.internal);
        is_own.then_some(mapping)
    }

    /// The prefix of ours that is told as this one: policies know it by that.
    fn ours(&self, prefix: IpNet) -> Result<IpNet, Withheld> {
        if let Some(mapping) = self.stands_for(prefix) {
            return Ok(mapping.internal);
        }
        match self.to.translator.egress.meet(prefix) {
            Meeting::Exact(_) => Err(Withheld::Translated),
            Meeting::Inside(_) => Err(Withheld::PartlyTranslated),
            Meeting::Around(_) | Meeting::Port(_) | Meeting::Apart => Ok(prefix),
        }
    }

    /// The attributes that it is sent with.
    pub(super) fn rewrite(
        &self,
        family: crate::Family,
        source: Source<'_>,
        decision: Decision,
    ) -> Result<Attributes, Withheld> {
        let neighbour = self.to.neighbour;
        let asn = self.configured.settings.asn;
        let mut attributes = source
            .attributes
            .map_or_else(originated, |learnt| Attributes::clone(learnt));
        // Tunnels lead from point to point: whoever is behind one can only reach us there.
        attributes.next_hop = NextHop::Address(neighbour.local);
        if self.to.external {
            leave(&mut attributes);
        } else {
            let from = self.preference(source.from);
            attributes.local_preference = attributes.local_preference.or(Some(from));
        }
        if let Some(change) = neighbour.export.change(decision) {
            change.apply(&mut attributes, asn, neighbour.local);
        }
        if self.to.external {
            attributes.local_preference = None;
            attributes.as_path.prepend(asn, 1);
        }
        if let Some(Role::Provider | Role::Peer | Role::RouteServer) = neighbour.role {
            attributes.only_to_customer = attributes.only_to_customer.or(Some(asn));
        }
        attributes.next_hop = self.next_hop(family, attributes.next_hop.address())?;
        Ok(attributes)
    }

    fn judge_source(&self, source: Source<'_>) -> Result<(), Withheld> {
        let Some(attributes) = source.attributes else {
            return Ok(());
        };
        let From::Neighbour(peer) = source.from else {
            return Ok(());
        };
        let from = self.configured.member(peer).ok_or(Withheld::NoRoute)?;
        if self.is_there(from.name) {
            return Err(Withheld::LeadsThere);
        }
        if !from.external && !self.to.external {
            return Err(Withheld::Internal);
        }
        let kept = |community: &&u32| match **community {
            NO_ADVERTISE => true,
            NO_EXPORT | NO_EXPORT_SUBCONFED => self.to.external,
            _ => false,
        };
        if let Some(community) = attributes.communities.iter().find(kept) {
            return Err(Withheld::Community(*community));
        }
        match self.to.neighbour.role {
            Some(Role::Customer | Role::Peer | Role::RouteServerClient)
                if attributes.only_to_customer.is_some() =>
            {
                Err(Withheld::OnlyToCustomer)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a tunnel leads to the neighbour, or to its site.
    fn is_there(&self, tunnel: &NeighbourName) -> bool {
        let site = self
            .configured
            .settings
            .neighbours
            .get(tunnel)
            .map(|other| &other.site);
        tunnel == self.to.name || site == Some(&self.to.neighbour.site)
    }

    fn site<'s>(&'s self, from: From<'s>) -> Option<&'s str> {
        let tunnel = match from {
            From::Us => return None,
            From::Site(tunnel) => tunnel,
            From::Neighbour(peer) => self.configured.member(peer)?.name,
        };
        let neighbour = self.configured.settings.neighbours.get(tunnel);
        Some(neighbour.map_or(&tunnel.0, |neighbour| &neighbour.site))
    }

    /// The local preference of what came without one.
    fn preference(&self, from: From<'_>) -> u32 {
        match from {
            From::Us | From::Site(_) => USUAL_PREFERENCE,
            From::Neighbour(peer) => {
                let member = self.configured.member(peer);
                member.map_or(USUAL_PREFERENCE, |member| member.neighbour.local_preference)
            }
        }
    }

    /// The next hop as it can be told: an IPv4 address in a route of IPv6 is mapped (RFC 4291 §2.5.5.2).
    fn next_hop(&self, family: crate::Family, address: IpAddr) -> Result<NextHop, Withheld> {
        let told = match (family, address.to_canonical()) {
            (crate::Family::Ipv6, IpAddr::V4(address)) => IpAddr::V6(address.to_ipv6_mapped()),
            (crate::Family::Ipv4, IpAddr::V6(_)) if !self.ipv6_next_hops => return Err(Withheld::NextHop),
            (crate::Family::Ipv4 | crate::Family::Ipv6, address) => address,
        };
        if told.to_canonical() == self.to.neighbour.remote.to_canonical() {
            return Err(Withheld::NextHop);
        }
        Ok(NextHop::Address(told))
    }
}

/// Takes off what does not leave an autonomous system (RFC 4271 §5.1.4, §5.1.5; RFC 4456 §8; RFC 4360 §2).
fn leave(attributes: &mut Attributes) {
    attributes.med = None;
    attributes.local_preference = None;
    attributes.originator = None;
    attributes.clusters.clear();
    attributes
        .extended_communities
        .retain(|[kind, ..]| kind & NON_TRANSITIVE == 0);
}

/// What we bring into BGP ourselves.
pub(super) fn originated() -> Attributes {
    let nowhere = NextHop::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Attributes::mandatory(Origin::Igp, AsPath::default(), nowhere)
}
