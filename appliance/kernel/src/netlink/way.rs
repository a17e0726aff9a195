//! Which way packets take.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::message::Outgoing;
use super::perform::{Netlink, refusal};
use super::socket::RequestError;
use super::subscription::parse;
use crate::address::family;
use crate::link::{LinkName, name_of};
use crate::refusal::Refusal;

/// How the kernel says that nothing leads there: no route, one of the kind unreachable, prohibit or blackhole.
const NOWHERE: [i32; 4] = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL];

impl Netlink {
    /// The link that packets to an address leave by; `None` if it is ours, or nothing leads there.
    pub(crate) async fn way_to(&mut self, destination: IpAddr) -> Result<Option<LinkName>, Refusal> {
        let object = format!("way to {destination}");
        let prefix = IpNet::from(destination);
        let mut message = RouteMessage::default();
        message.header.address_family = family(&prefix);
        message.header.destination_prefix_length = prefix.prefix_len();
        message.attributes = vec![RouteAttribute::Destination(RouteAddress::from(destination))];
        let request = Outgoing::route(&RouteNetlinkMessage::GetRoute(message), 0);
        let found = self.route.dump(&request, |message| match parse(message)? {
            RouteNetlinkMessage::NewRoute(route) => Some(leads_to(&route)),
            _ => None,
        });
        let found = match found.await {
            Err(RequestError::Failed(failure)) if NOWHERE.contains(&failure.errno) => return Ok(None),
            found => found.map_err(|error| refusal(&object, error))?,
        };
        let Some(index) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        let mut message = LinkMessage::default();
        message.header.index = index;
        let request = Outgoing::route(&RouteNetlinkMessage::GetLink(message), 0);
        let names = self.route.dump(&request, |message| match parse(message)? {
            RouteNetlinkMessage::NewLink(link) => name_of(&link),
            _ => None,
        });
        let names = names.await.map_err(|error| refusal(&object, error))?;
        Ok(names.into_iter().next())
    }
}

/// The index of the link.
fn leads_to(route: &RouteMessage) -> Option<u32> {
    let mut attributes = route.attributes.iter();
    let out = attributes.find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    out.filter(|_| route.header.kind == RouteType::Unicast)
}
