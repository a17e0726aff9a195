//! What the kernel reports unasked, as notices.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
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
use crate::link::{Link, LinkNames, name_of};
use crate::notice::Notice;
use crate::object::{Key, Object};
use crate::refusal::Refusal;
use crate::route::Route;
use crate::xfrm_policy::XfrmPolicy;
use crate::xfrm_state::XfrmState;

/// Bits of the rtnetlink groups: links, IPv4 addresses and routes, IPv6 addresses and routes.
const ROUTE_GROUPS: u32 = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10;
const XFRM_GROUPS: u32 = 1 << (XFRMNLGRP_EXPIRE - 1) | 1 << (XFRMNLGRP_SA - 1) | 1 << (XFRMNLGRP_POLICY - 1);

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
    /// Listens from now on.
    pub(crate) async fn open() -> Result<Self, Refusal> {
        let open = |error| Refusal::from_io("netlink multicast groups", &error);
        let route = Socket::open(Protocol::Route, ROUTE_GROUPS).map_err(open)?;
        let xfrm = |groups| Socket::open(Protocol::Xfrm, groups).ok();
        let xfrm = xfrm(XFRM_GROUPS)
            .zip(xfrm(ACQUIRE_GROUP))
            .map(|(changes, acquires)| Xfrm { changes, acquires });
        // Asked over another socket, so that no report is mistaken for an answer.
        let mut asking = Socket::open(Protocol::Route, 0).map_err(open)?;
        let names = link_names(&mut asking).await?;
        Ok(Subscription { route, xfrm, names })
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
        let names = &mut self.names;
        match (source, &mut self.xfrm) {
            (Source::Route, _) => self
                .route
                .read(|message| notices.extend(route_notice(message, names))),
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

/// Indices and names of all links.
pub(crate) async fn link_names(socket: &mut Socket) -> Result<LinkNames, Refusal> {
    let request = Outgoing::route(&RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP);
    let found = socket.dump(&request, |message| match parse(message)? {
        RouteNetlinkMessage::NewLink(link) => Some((link.header.index, name_of(&link)?)),
        _ => None,
    });
    Ok(found
        .await
        .map_err(|error| refusal("links", error))?
        .into_iter()
        .collect())
}

/// Reads a message of rtnetlink; what the decoder does not know is skipped.
pub(crate) fn parse(message: &Incoming<'_>) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = message.kind;
    RouteNetlinkMessage::deserialize(&header, message.body).ok()
}

fn route_notice(message: &Incoming<'_>, names: &mut LinkNames) -> Option<Notice> {
    match parse(message)? {
        RouteNetlinkMessage::NewLink(link) => {
            names.insert(link.header.index, name_of(&link)?);
            let found = Link::from_message(&link, names)?;
            Some(Notice::LinkPresent {
                link: found.link,
                ours: found.ours,
            })
        }
        RouteNetlinkMessage::DelLink(link) => {
            names.remove(&link.header.index);
            Some(Notice::LinkGone(name_of(&link)?))
        }
        RouteNetlinkMessage::NewAddress(address) => match Address::from_message(&address, names) {
            Some(ours) => Some(Notice::Present(Object::Address(ours))),
            None => Some(Notice::Connected(Connected::from_message(&address, names)?, true)),
        },
        RouteNetlinkMessage::DelAddress(address) => match Address::from_message(&address, names) {
            Some(ours) => Some(Notice::Gone(Key::Address(ours))),
            None => Some(Notice::Connected(
                Connected::from_message(&address, names)?,
                false,
            )),
        },
        RouteNetlinkMessage::NewRoute(route) => Some(Notice::Present(Object::Route(Route::from_message(
            &route, names,
        )?))),
        RouteNetlinkMessage::DelRoute(route) => Some(Notice::Gone(Key::Route(
            Route::from_message(&route, names)?.key(),
        ))),
        _ => None,
    }
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
