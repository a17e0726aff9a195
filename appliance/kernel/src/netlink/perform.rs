//! Steps of a plan, performed; and dumps of what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_xfrm::XfrmMessage;
use netlink_packet_xfrm::constants::{
    XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA,
};

use super::message::{Incoming, Outgoing, Protocol};
use super::socket::{ABSENT, RequestError, Socket};
use super::subscription::{all_links, parse};
use crate::address::{Address, Connected};
use crate::firewall::Firewall;
use crate::kernel::Dump;
use crate::link::{Device, Found, Link, LinkKind, LinkName, LinkNames, name_of};
use crate::mark;
use crate::nft::{self, Tried};
use crate::object::{Key, Object};
use crate::order::Operation;
use crate::owned::Op;
use crate::refusal::Refusal;
use crate::route::Route;
use crate::rule::{Rule, Version};
use crate::ruleset::Ruleset;
use crate::sysctl::LinkSetting;
use crate::translation::Translation;
use crate::xfrm_policy::XfrmPolicy;
use crate::xfrm_state::{Counters, StateKey, XfrmState, wipe};

/// The kernel of this thread's network namespace.
#[derive(Debug)]
pub(crate) struct Netlink {
    pub(super) route: Socket,
    /// Or why there is none: a kernel without XFRM still has links and routes.
    xfrm: Result<Socket, Refusal>,
    /// Opened when flows or counters are first asked for.
    pub(super) netfilter: Option<Socket>,
    /// The table that translates, tried before its turn.
    pub(super) tried: Option<Tried>,
}

impl Netlink {
    /// Opens the sockets.
    pub(crate) async fn open() -> Result<Self, Refusal> {
        let route = Socket::open(Protocol::Route, 0)
            .map_err(|error| Refusal::from_io("netlink socket for routes", &error))?;
        let xfrm = Socket::open(Protocol::Xfrm, 0)
            .map_err(|error| Refusal::from_io("netlink socket for XFRM", &error));
        Ok(Netlink {
            route,
            xfrm,
            netfilter: None,
            tried: None,
        })
    }

    /// The socket by which links, addresses, routes and rules are changed, as the kernel calls it.
    pub(crate) fn port(&self) -> u32 {
        self.route.port()
    }

    /// Performs one step. Removing what is not there is done already.
    pub(crate) async fn perform(&mut self, step: &Operation) -> Result<(), Refusal> {
        match step {
            // An address that somebody else has put there is claimed.
            Op::Create(key, object @ Object::Address(_)) => {
                self.create(key, object, NLM_F_CREATE | NLM_F_REPLACE).await
            }
            Op::Create(key, object) => self.create(key, object, NLM_F_CREATE | NLM_F_EXCL).await,
            Op::Replace {
                key,
                from: Object::Link(from),
                to: Object::Link(to),
            } if from.kind != to.kind => {
                self.delete(key, &Object::Link(from.clone())).await?;
                self.create(key, &Object::Link(to.clone()), NLM_F_CREATE | NLM_F_EXCL)
                    .await
            }
            Op::Replace {
                key,
                to: Object::Link(link),
                ..
            } => self.set_link(key, link).await,
            Op::Replace {
                key,
                from: from @ Object::State(_),
                to,
            } => {
                self.delete(key, from).await?;
                self.create(key, to, NLM_F_CREATE | NLM_F_EXCL).await
            }
            Op::Replace {
                key,
                to: Object::Policy(policy),
                ..
            } => self.send(key, &Outgoing::xfrm(&policy.replace(), 0)).await,
            Op::Replace {
                key,
                from: Object::Translation(from),
                to: Object::Translation(after),
            } => {
                self.translate_otherwise(key, from, after).await?;
                self.forget_outdated(&from.outdated(Some(after))).await;
                Ok(())
            }
            Op::Replace { key, to, .. } => self.create(key, to, NLM_F_CREATE | NLM_F_REPLACE).await,
            Op::Delete(key, object @ Object::Translation(before)) => {
                self.delete(key, object).await?;
                self.forget_outdated(&before.outdated(None)).await;
                Ok(())
            }
            Op::Delete(key, object) => self.delete(key, object).await,
        }
    }

    async fn create(&mut self, key: &Key, object: &Object, flags: u16) -> Result<(), Refusal> {
        match object {
            Object::Link(link) => self.create_link(key, link).await,
            Object::Address(address) => {
                let index = self.index(key, &address.link).await?;
                self.send(key, &Outgoing::route(&address.create(index), flags))
                    .await
            }
            Object::Route(_) => Err(goes_with_others(key)),
            Object::Rule(rule) => self.create_rule(key, rule, flags).await,
            Object::State(state) => {
                let Some(mut message) = state.create() else {
                    return Err(refused(
                        key,
                        libc::EINVAL,
                        "its keys do not fit its algorithm, or are missing",
                    ));
                };
                let request = Outgoing::xfrm(&XfrmMessage::AddSa(message.clone()), 0);
                wipe(&mut message);
                self.send(key, &request).await
            }
            Object::Policy(policy) => self.send(key, &Outgoing::xfrm(&policy.create(), 0)).await,
            Object::Ruleset(ruleset) => nft::apply(key, &ruleset.script()).await,
            Object::Translation(translation) => self.translate(key, translation).await,
            Object::Firewall(firewall) => self.raise(key, firewall).await,
        }
    }

    /// One that stands in for the kernel's may be there already, beside it: we died in between.
    async fn create_rule(&mut self, key: &Key, rule: &Rule, flags: u16) -> Result<(), Refusal> {
        let made = self.send(key, &Outgoing::route(&rule.create(), flags)).await;
        let Some(replaced) = rule.replaced() else {
            return made;
        };
        if made.as_ref().is_err_and(|refusal| refusal.errno != libc::EEXIST) {
            return made;
        }
        let replaced = Outgoing::route(&RouteNetlinkMessage::DelRule(replaced), 0);
        match self.send(key, &replaced).await {
            Err(refusal) if ABSENT.contains(&refusal.errno) => Ok(()),
            answer => answer,
        }
    }

    /// Has the kernel's own rule there again in whose place this one is.
    async fn give_back(&mut self, key: &Key, rule: &Rule) -> Result<(), Refusal> {
        let Some(original) = rule.original() else {
            return Ok(());
        };
        let message = RouteNetlinkMessage::NewRule(original);
        let request = Outgoing::route(&message, NLM_F_CREATE | NLM_F_EXCL);
        match self.send(key, &request).await {
            Err(refusal) if refusal.errno == libc::EEXIST => Ok(()),
            answer => answer,
        }
    }

    async fn create_link(&mut self, key: &Key, link: &Link) -> Result<(), Refusal> {
        match &link.kind {
            LinkKind::Xfrm {
                interface_id,
                underlying,
            } => {
                let underlying = match underlying {
                    Some(name) => Some(self.index(key, name).await?),
                    None => None,
                };
                let message = link.create(*interface_id, underlying);
                self.send(key, &Outgoing::route(&message, NLM_F_CREATE | NLM_F_EXCL))
                    .await?;
                // No link-local address: nobody at the other end would answer its neighbour discovery. Where IPv6
                // is switched off there is nothing to write to, and nothing to prevent.
                let _ = LinkSetting::Ipv6AddressGeneration.write(&link.name, 1);
            }
            LinkKind::Vlan { parent, id } => self.create_vlan(key, link, (parent, *id)).await?,
            LinkKind::External | LinkKind::Device => (),
        }
        self.set_link(key, link).await
    }

    /// A link for the same VLAN of the same parent that is there already is claimed: we may have died before it had our
    /// alias.
    async fn create_vlan(
        &mut self,
        key: &Key,
        link: &Link,
        (parent, id): (&LinkName, u16),
    ) -> Result<(), Refusal> {
        let index = self.index(key, parent).await?;
        let message = Outgoing::route(&link.create_vlan(id, index), NLM_F_CREATE | NLM_F_EXCL);
        let made = self.send(key, &message).await;
        if !made.as_ref().is_err_and(|refusal| refusal.errno == libc::EEXIST) {
            return made;
        }
        let names = LinkNames::from([(index, parent.clone())]);
        let is_same = |found: &Found| found.link.name == link.name && found.link.kind == link.kind;
        let same = all_links(&mut self.route, |message| {
            Link::from_message(message, &names).filter(is_same)
        });
        if same.await?.is_empty() { made } else { Ok(()) }
    }

    async fn set_link(&mut self, key: &Key, link: &Link) -> Result<(), Refusal> {
        let index = self.index(key, &link.name).await?;
        self.send(key, &Outgoing::route(&link.set(index), 0)).await
    }

    async fn delete(&mut self, key: &Key, object: &Object) -> Result<(), Refusal> {
        let request = match object {
            Object::Link(link) => match (self.index(key, &link.name).await, &link.kind) {
                (Err(_), _) => return Ok(()),
                (Ok(index), LinkKind::Xfrm { .. } | LinkKind::Vlan { .. }) => {
                    Outgoing::route(&Link::delete(index), 0)
                }
                (Ok(index), LinkKind::External | LinkKind::Device) => {
                    Outgoing::route(&Link::disown(index), 0)
                }
            },
            Object::Address(address) => match self.index(key, &address.link).await {
                Ok(index) => Outgoing::route(&address.delete(index), 0),
                Err(_) => return Ok(()),
            },
            Object::Route(_) => return Err(goes_with_others(key)),
            Object::Rule(rule) => {
                self.give_back(key, rule).await?;
                Outgoing::route(&rule.delete(), 0)
            }
            Object::State(state) => Outgoing::xfrm(&XfrmState::delete(&state.key()), 0),
            Object::Policy(policy) => Outgoing::xfrm(&XfrmPolicy::delete(&policy.key()), 0),
            Object::Ruleset(_) => return nft::apply(key, &Ruleset::removal()).await,
            Object::Translation(_) => return nft::apply(key, &Translation::removal()).await,
            Object::Firewall(_) => return nft::apply(key, &Firewall::removal()).await,
        };
        match self.send(key, &request).await {
            Err(refusal) if ABSENT.contains(&refusal.errno) => Ok(()),
            answer => answer,
        }
    }

    /// Deletes links together: one by one, the kernel waits some 15 ms for each.
    pub(crate) async fn delete_links(&mut self, links: &[(&Key, &Link)]) -> Result<(), Refusal> {
        let mut last = None;
        for (key, link) in links {
            if let Ok(index) = self.index(key, &link.name).await {
                self.send(key, &Outgoing::route(&Link::doom(index), 0)).await?;
                last = Some(key);
            }
        }
        match last {
            Some(key) => self.send(key, &Outgoing::route(&Link::delete_doomed(), 0)).await,
            None => Ok(()),
        }
    }

    /// The index of a link, asked anew each time: names are ours, indices come and go.
    pub(super) async fn index(&mut self, key: &Key, name: &LinkName) -> Result<u32, Refusal> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_string())];
        let request = Outgoing::route(&RouteNetlinkMessage::GetLink(message), 0);
        let found = self.route.dump(&request, |message| match parse(message)? {
            RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
            _ => None,
        });
        let found = found.await.map_err(|error| refusal(key, error))?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| refused(key, libc::ENODEV, &format!("no link {name}")))
    }

    async fn send(&mut self, key: &Key, request: &Outgoing) -> Result<(), Refusal> {
        let socket = match request.protocol() {
            Protocol::Route => &mut self.route,
            Protocol::Netfilter => self.netfilter()?,
            Protocol::Xfrm => self.xfrm.as_mut().map_err(|why| Refusal {
                object: key.to_string(),
                ..why.clone()
            })?,
        };
        socket.request(request).await.map_err(|error| refusal(key, error))
    }

    /// All objects under our mark, and the names of all links.
    pub(crate) async fn dump(&mut self) -> Result<Dump, Refusal> {
        let named = |link: &_| Some((name_of(link)?, Device::from_message(link)));
        let links = all_links(&mut self.route, named).await?;
        let names = links.iter().map(|(name, device)| (device.index, name.clone()));
        let names = names.collect();
        let mut objects = self.dump_routes(&names).await?;
        let connected = self.dump_connected(&names).await?;
        objects.extend(
            self.states()
                .await?
                .into_iter()
                .map(|(state, _)| Object::State(state)),
        );
        objects.extend(self.policies().await?.into_iter().map(Object::Policy));
        let (rulesets, translations, firewalls) = tokio::join!(
            nft::found(mark::NFT_TABLE, Ruleset::from_listing),
            nft::found(mark::TRANSLATION_TABLE, Translation::from_listing),
            nft::found(mark::FIREWALL_TABLE, Firewall::from_listing),
        );
        objects.extend(rulesets.map(Object::Ruleset));
        objects.extend(translations.map(Object::Translation));
        objects.extend(firewalls.map(Object::Firewall));
        Ok(Dump {
            objects,
            devices: links.into_iter().collect(),
            connected,
        })
    }

    async fn dump_connected(&mut self, names: &LinkNames) -> Result<BTreeSet<Connected>, Refusal> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let request = Outgoing::route(&request, NLM_F_DUMP);
        let found = self.route.dump(&request, |message| match parse(message)? {
            RouteNetlinkMessage::NewAddress(address) => Connected::from_message(&address, names),
            _ => None,
        });
        let found = found.await.map_err(|error| refusal("addresses", error))?;
        Ok(found.into_iter().collect())
    }

    async fn dump_routes(&mut self, names: &LinkNames) -> Result<Vec<Object>, Refusal> {
        let requests = [
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            RouteNetlinkMessage::GetRoute(RouteMessage::default()),
            RouteNetlinkMessage::GetRule(RuleMessage::default()),
        ];
        let mut objects = vec![];
        for request in requests {
            let request = Outgoing::route(&request, NLM_F_DUMP);
            let found = self
                .route
                .dump(&request, |message| ours(parse(message)?, names))
                .await;
            objects.extend(found.map_err(|error| refusal("links, addresses and routes", error))?);
        }
        let own = self.own_rules().await?;
        // What stands in for a rule of the kernel that is there all the same is not done yet.
        objects
            .retain(|object| !matches!(object, Object::Rule(Rule::Local(version)) if own.contains(version)));
        Ok(objects)
    }

    /// The versions of IP of which the kernel has its own rule for what is for us.
    async fn own_rules(&mut self) -> Result<BTreeSet<Version>, Refusal> {
        let request = RouteNetlinkMessage::GetRule(RuleMessage::default());
        let request = Outgoing::route(&request, NLM_F_DUMP);
        let found = self.route.dump(&request, |message| match parse(message)? {
            RouteNetlinkMessage::NewRule(rule) => Rule::own_of_kernel(&rule),
            _ => None,
        });
        let found = found.await.map_err(|error| refusal("rules", error))?;
        Ok(found.into_iter().collect())
    }

    async fn states(&mut self) -> Result<Vec<(XfrmState, Counters)>, Refusal> {
        let Ok(socket) = &mut self.xfrm else {
            return Ok(vec![]);
        };
        let request = Outgoing::xfrm(&XfrmMessage::Other((XFRM_MSG_GETSA, vec![])), NLM_F_DUMP);
        let found = socket.dump(&request, state_of).await;
        found.map_err(|error| refusal("ESP states", error))
    }

    async fn policies(&mut self) -> Result<Vec<XfrmPolicy>, Refusal> {
        let Ok(socket) = &mut self.xfrm else {
            return Ok(vec![]);
        };
        let request = Outgoing::xfrm(&XfrmMessage::Other((XFRM_MSG_GETPOLICY, vec![])), NLM_F_DUMP);
        let found = socket.dump(&request, |message| {
            (message.kind == XFRM_MSG_NEWPOLICY)
                .then(|| XfrmPolicy::from_body(message.body))
                .flatten()
        });
        found.await.map_err(|error| refusal("policies", error))
    }

    /// What has passed through one state.
    pub(crate) async fn counters_of(&mut self, key: &StateKey) -> Result<Counters, Refusal> {
        let object = Key::State(*key);
        let socket = self.xfrm.as_mut().map_err(|why| why.clone())?;
        let request = Outgoing::xfrm(&XfrmState::query(key), 0);
        let found = socket.dump(&request, state_of).await;
        let mut found = found.map_err(|error| refusal(&object, error))?;
        found
            .pop()
            .map(|(_, counters)| counters)
            .ok_or_else(|| refused(&object, libc::ESRCH, "no such state of ours"))
    }

    /// What has passed through each state of ours.
    pub(crate) async fn counters(&mut self) -> Result<BTreeMap<StateKey, Counters>, Refusal> {
        Ok(self
            .states()
            .await?
            .into_iter()
            .map(|(state, counters)| (state.key(), counters))
            .collect())
    }
}

fn state_of(message: &Incoming<'_>) -> Option<(XfrmState, Counters)> {
    (message.kind == XFRM_MSG_NEWSA)
        .then(|| XfrmState::from_body(message.body))
        .flatten()
}

fn ours(message: RouteNetlinkMessage, names: &LinkNames) -> Option<Object> {
    match message {
        RouteNetlinkMessage::NewLink(link) => {
            let found = Link::from_message(&link, names)?;
            found.ours.then_some(Object::Link(found.link))
        }
        RouteNetlinkMessage::NewAddress(address) => {
            Address::from_message(&address, names).map(Object::Address)
        }
        RouteNetlinkMessage::NewRoute(route) => Route::from_message(&route, names).map(Object::Route),
        RouteNetlinkMessage::NewRule(rule) => Rule::from_message(&rule).map(Object::Rule),
        _ => None,
    }
}

/// What is done together with others is never a step of its own.
fn goes_with_others(key: &Key) -> Refusal {
    refused(key, libc::EINVAL, "routes are changed together")
}

pub(super) fn refused(object: impl fmt::Display, errno: i32, detail: &str) -> Refusal {
    Refusal {
        object: object.to_string(),
        attribute: None,
        errno,
        detail: detail.to_owned(),
    }
}

/// Names the object in what the kernel answered.
pub(crate) fn refusal(object: impl fmt::Display, error: RequestError) -> Refusal {
    match error {
        RequestError::Io(error) => Refusal::from_io(object, &error),
        RequestError::Failed(failure) => {
            let words = std::io::Error::from_raw_os_error(failure.errno).to_string();
            let detail = match failure.text {
                Some(text) => format!("{text} ({words})"),
                None => words,
            };
            Refusal {
                object: object.to_string(),
                attribute: failure.attribute,
                errno: failure.errno,
                detail,
            }
        }
    }
}
