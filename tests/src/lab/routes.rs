//! Routes of a kernel, counted as it tells of them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::namespace::Namespace;

/// The group that hears of IPv4 routes (`RTMGRP_IPV4_ROUTE`).
const IPV4_ROUTES: u32 = 0x40;
/// A route is there (`RTM_NEWROUTE`).
const NEW_ROUTE: u16 = 24;
/// Room for what the kernel says while nobody listens, in octets.
const ROOM: usize = 16 << 20;

/// Hears of the IPv4 routes that a namespace gets from now on.
pub struct Routes(OwnedFd);

impl Routes {
    /// Begins to listen.
    ///
    /// # Errors
    /// Without the privilege.
    pub fn listen(namespace: &Namespace) -> Result<Self> {
        let _inside = namespace.enter()?;
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        setsockopt(&netlink, sockopt::RcvBufForce, &ROOM)?;
        setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000))?;
        bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, IPV4_ROUTES))?;
        Ok(Self(netlink))
    }

    /// Waits until so many routes of a protocol have come, and tells when the last one did.
    ///
    /// # Errors
    /// When they do not within `limit`, or the kernel said more than there was room for.
    pub fn wait_for(&self, count: usize, protocol: u8, limit: Duration) -> Result<Instant> {
        let (begun, mut found) = (Instant::now(), 0);
        let mut told = vec![0; 1 << 16];
        while found < count {
            ensure!(begun.elapsed() < limit, "{found} of {count} routes came");
            match recv(self.0.as_raw_fd(), &mut told, MsgFlags::empty()) {
                Ok(length) => found += new_routes(told.get(..length).unwrap_or_default(), protocol),
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => (),
                Err(error) => return Err(error).context("listening for routes"),
            }
        }
        Ok(Instant::now())
    }
}

/// How many of these messages tell of a new route of a protocol: a header of 16 octets, then family, lengths, TOS, table
/// and protocol, an octet each.
fn new_routes(mut messages: &[u8], protocol: u8) -> usize {
    let mut found = 0;
    while let Some((length, rest)) = messages.split_first_chunk::<4>() {
        let kind = rest.first_chunk::<2>().map(|kind| u16::from_ne_bytes(*kind));
        if kind == Some(NEW_ROUTE) && messages.get(21) == Some(&protocol) {
            found += 1;
        }
        let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
        let next = length.max(16).checked_next_multiple_of(4);
        messages = next.and_then(|next| messages.get(next..)).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::run::Run;
    use super::*;

    #[test]
    fn only_new_routes_of_the_protocol_count() {
        let run = Run::new().unwrap();
        let namespace = Namespace::new(&run, "routes").unwrap();
        let routes = Routes::listen(&namespace).unwrap();
        namespace
            .ip(&[
                "route add unreachable 10.0.0.0/24 proto bgp",
                "route add unreachable 10.0.1.0/24 proto static",
                "route del unreachable 10.0.0.0/24",
                "route add unreachable 10.0.2.0/24 proto bgp",
            ])
            .unwrap();
        routes.wait_for(2, 186, Duration::from_secs(5)).unwrap();
        let no_more = routes.wait_for(1, 186, Duration::from_millis(300));
        assert_eq!(no_more.unwrap_err().to_string(), "0 of 1 routes came");
    }
}
