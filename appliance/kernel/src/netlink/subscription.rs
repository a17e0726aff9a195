//! What the kernel reports unasked, as notices.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_xfrm::constants::{
    XFRM_MSG_ACQUIRE, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_EXPIRE, XFRM_MSG_FLUSHPOLICY,
    XFRM_MSG_FLUSHSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_UPDPOLICY, XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE,
    XFRMNLGRP_POLICY, XFRMNLGRP_SA,
};

use super::message::{Incoming, Outgoing, Protocol};
use super::perform::refusal;
use super::socket::Socket;
use crate::address::{Address, Connected};
use crate::link::{Device, Link, LinkNames, name_of};
use crate::notice::Notice;
use crate::object::{Key, Object};
use crate::refusal::Refusal;
use crate::route::Route;
use crate::rule::Rule;
use crate::xfrm_policy::XfrmPolicy;
use crate::xfrm_state::XfrmState;

/// Bits of the rtnetlink groups: links, IPv4 addresses, routes and rules, IPv6 addresses, routes and rules.
const ROUTE_GROUPS: u32 = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18;
const XFRM_GROUPS: u32 = 1 << (XFRMNLGRP_EXPIRE - 1) | 1 << (XFRMNLGRP_SA - 1) | 1 << (XFRMNLGRP_POLICY - 1);

/// Reports of routes and rules.
const CHANGES: [u16; 4] = [
    libc::RTM_NEWROUTE,
    libc::RTM_DELROUTE,
    libc::RTM_NEWRULE,
    libc::RTM_DELRULE,
];

/// How many reports are taken together at most: whoever sends packets that find no state keeps nobody busy for ever.
const BATCH: usize = 256;
/// Every packet that finds no state may be told, as fast as somebody sends them: on a socket of their own they crowd out
/// nothing else, and those that do not fit are told again.
const ACQUIRE_GROUP: u32 = 1 << (XFRMNLGRP_ACQUIRE - 1);

/// Sockets that hear of changes.
#[derive(Debug)]
pub(crate) struct Subscription {
    route: Socket,
    /// `None` where the kernel has no XFRM.
    xfrm: Option<Xfrm>,
    names: LinkNames,
    /// The socket by which we change routes.
    ours: u32,
}

#[derive(Debug)]
struct Xfrm {
    changes: Socket,
    acquires: Socket,
}

/// Which socket heard something.
#[derive(Debug, Clone, Copy)]
enum Source {
    Route,
    Changes,
    Acquires,
}

impl Subscription {
    /// Listens from now on, but not to what we do to routes and rules ourselves by the socket of this number: it is told late, when
    /// the next change may be made already, and would be taken for its undoing.
    pub(crate) async fn open(ours: u32) -> Result<Self, Refusal> {
        let open = |error| Refusal::from_io("netlink multicast groups", &error);
        let route = Socket::open(Protocol::Route, ROUTE_GROUPS).map_err(open)?;
        let xfrm = |groups| Socket::open(Protocol::Xfrm, groups).ok();
        let xfrm = xfrm(XFRM_GROUPS)
            .zip(xfrm(ACQUIRE_GROUP))
            .map(|(changes, acquires)| Xfrm { changes, acquires });
        // Asked over another socket, so that no report is mistaken for an answer.
        let mut asking = Socket::open(Protocol::Route, 0).map_err(open)?;
        let names = all_links(&mut asking, |link| Some((link.header.index, name_of(link)?))).await?;
        Ok(Subscription {
            route,
            xfrm,
            names: names.into_iter().collect(),
            ours,
        })
    }

    /// Waits for reports, and takes all that wait. Cancelling loses nothing: nothing is awaited once something
    /// is received.
    pub(crate) async fn next(&mut self) -> Vec<Notice> {
        let mut notices = vec![];
        while notices.is_empty() {
            let heard = self.receive().await;
            self.take(heard, &mut notices);
            for _ in 0..BATCH {
                let Some(heard) = self.receive_now().await else {
                    break;
                };
                self.take(heard, &mut notices);
            }
        }
        notices
    }

    async fn receive(&mut self) -> (Source, io::Result<()>) {
        match &mut self.xfrm {
            Some(xfrm) => tokio::select! {
                biased;
                heard = self.route.receive() => (Source::Route, heard),
                heard = xfrm.changes.receive() => (Source::Changes, heard),
                heard = xfrm.acquires.receive() => (Source::Acquires, heard),
            },
            None => (Source::Route, self.route.receive().await),
        }
    }

    async fn receive_now(&mut self) -> Option<(Source, io::Result<()>)> {
        tokio::select! {
            biased;
            heard = self.receive() => Some(heard),
            () = std::future::ready(()) => None,
        }
    }

    fn take(&mut self, (source, heard): (Source, io::Result<()>), notices: &mut Vec<Notice>) {
        if let Err(error) = heard {
            // ENOBUFS: more was reported than we read in time.
            tracing::debug!(%error, ?source, "netlink reports were lost");
            if !matches!(source, Source::Acquires) {
                notices.push(Notice::Overrun);
            }
            return;
        }
        let (names, ours) = (&mut self.names, self.ours);
        match (source, &mut self.xfrm) {
            (Source::Route, _) => self.route.read(|message| {
                if message.port != ours || !CHANGES.contains(&message.kind) {
                    notices.extend(route_notices(message, names));
                }
            }),
            (Source::Changes, Some(xfrm)) => {
                xfrm.changes.read(|message| notices.extend(xfrm_notice(message)));
            }
            (Source::Acquires, Some(xfrm)) => xfrm.acquires.read(|message| {
                let notice = acquire_notice(message).filter(|notice| !notices.contains(notice));
                notices.extend(notice);
            }),
            (Source::Changes | Source::Acquires, None) => (),
        }
    }
}

/// What is read out of each link; all that the kernel says of one takes 17 KiB.
pub(crate) async fn all_links<T>(
    socket: &mut Socket,
    read: impl Fn(&LinkMessage) -> Option<T>,
) -> Result<Vec<T>, Refusal> {
    let request = Outgoing::route(&RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP);
    let found = socket.dump(&request, |message| match parse(message)? {
        RouteNetlinkMessage::NewLink(link) => read(&link),
        _ => None,
    });
    found.await.map_err(|error| refusal("links", error))
}

/// Reads a message of rtnetlink; what the decoder does not know is skipped.
pub(crate) fn parse(message: &Incoming<'_>) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = message.kind;
    RouteNetlinkMessage::deserialize(&header, message.body).ok()
}

fn route_notices(message: &Incoming<'_>, names: &mut LinkNames) -> Vec<Notice> {
    match parse(message) {
        Some(RouteNetlinkMessage::NewLink(link)) => link_notices(&link, names),
        Some(RouteNetlinkMessage::DelLink(link)) => {
            names.remove(&link.header.index);
            name_of(&link).map(Notice::LinkGone).into_iter().collect()
        }
        Some(RouteNetlinkMessage::NewAddress(address)) => address_notices(&address, names, true),
        Some(RouteNetlinkMessage::DelAddress(address)) => address_notices(&address, names, false),
        Some(RouteNetlinkMessage::NewRoute(route)) => {
            let route = Route::from_message(&route, names);
            route
                .map(|route| Notice::Present(route.into()))
                .into_iter()
                .collect()
        }
        Some(RouteNetlinkMessage::NewRule(rule)) => {
            let rule = Rule::from_message(&rule);
            rule.map(|rule| Notice::Present(rule.into()))
                .into_iter()
                .collect()
        }
        Some(RouteNetlinkMessage::DelRule(rule)) => {
            let rule = Rule::from_message(&rule);
            rule.map(|rule| Notice::Gone(Key::Rule(rule)))
                .into_iter()
                .collect()
        }
        Some(RouteNetlinkMessage::DelRoute(route)) => {
            let route = Route::from_message(&route, names);
            route
                .map(|route| Notice::Gone(Key::Route(route.key())))
                .into_iter()
                .collect()
        }
        _ => vec![],
    }
}

/// A link that bears another name now is gone under its old one.
fn link_notices(message: &LinkMessage, names: &mut LinkNames) -> Vec<Notice> {
    let Some(name) = name_of(message) else {
        return vec![];
    };
    let before = names.insert(message.header.index, name.clone());
    let renamed = before.filter(|before| *before != name).map(Notice::LinkGone);
    let present = Link::from_message(message, names).map(|found| Notice::LinkPresent {
        link: found.link,
        ours: found.ours,
        aliased: found.aliased,
        device: Device::from_message(message),
    });
    renamed.into_iter().chain(present).collect()
}

fn address_notices(message: &AddressMessage, names: &LinkNames, there: bool) -> Vec<Notice> {
    let connected = Connected::from_message(message, names).map(|one| Notice::Connected(one, there));
    let ours = Address::from_message(message, names).map(|ours| {
        if there {
            Notice::Present(ours.into())
        } else {
            Notice::Gone(Key::Address(ours))
        }
    });
    connected.into_iter().chain(ours).collect()
}

fn xfrm_notice(message: &Incoming<'_>) -> Option<Notice> {
    match message.kind {
        XFRM_MSG_DELSA => XfrmState::key_from_body(message.body).map(|key| Notice::Gone(Key::State(key))),
        XFRM_MSG_EXPIRE => {
            let (key, hard) = XfrmState::expired_from_body(message.body)?;
            Some(Notice::Expired { key, hard })
        }
        XFRM_MSG_NEWPOLICY | XFRM_MSG_UPDPOLICY => {
            XfrmPolicy::from_body(message.body).map(|policy| Notice::Present(Object::Policy(policy)))
        }
        XFRM_MSG_DELPOLICY => {
            XfrmPolicy::key_from_body(message.body).map(|key| Notice::Gone(Key::Policy(key)))
        }
        XFRM_MSG_FLUSHSA | XFRM_MSG_FLUSHPOLICY => Some(Notice::Overrun),
        _ => None,
    }
}

fn acquire_notice(message: &Incoming<'_>) -> Option<Notice> {
    (message.kind == XFRM_MSG_ACQUIRE)
        .then(|| XfrmPolicy::wanted_from_body(message.body))?
        .map(Notice::Wanted)
}
