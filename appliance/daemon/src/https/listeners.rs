use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::server::Https;
use crate::access::Access;

/// So many connections wait to be accepted.
const BACKLOG: i32 = 128;
/// How long nothing is accepted after the system had no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);
/// How long until an address is tried again that could not be had.
pub(crate) const AGAIN: Duration = Duration::from_secs(10);

/// Where the API is served over TLS, as the running document says.
#[derive(Debug)]
pub(crate) struct Listeners {
    https: Arc<Https>,
    access: Arc<Access>,
    router: Router,
    wanted: BTreeSet<SocketAddr>,
    bound: BTreeMap<SocketAddr, Accepting>,
}

/// Ends when it is dropped; its connections go on.
#[derive(Debug)]
struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listeners {
    /// With none bound.
    pub(crate) fn new(https: Arc<Https>, access: Arc<Access>, router: Router) -> Self {
        Self {
            https,
            access,
            router,
            wanted: BTreeSet::new(),
            bound: BTreeMap::new(),
        }
    }

    /// Serves at these addresses and at no others; if one of them that is new cannot be had, everything is as before.
    pub(crate) async fn change(&mut self, wanted: &BTreeSet<SocketAddr>) -> Result<(), Vec<String>> {
        let before = self.wanted.clone();
        let lacking = self.lacking();
        let errors = self.follow(wanted).await;
        let new: Vec<String> = errors
            .into_iter()
            .filter(|(address, _)| !lacking.contains(address))
            .map(|(address, error)| said(address, &error))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        for (address, error) in self.follow(&before).await {
            warn!("{}", said(address, &error));
        }
        Err(new)
    }

    /// Serves at those of these addresses that can be had, and at no others; the others are tried with [`Self::again`].
    pub(crate) async fn start(&mut self, wanted: &BTreeSet<SocketAddr>) {
        for (address, error) in self.follow(wanted).await {
            warn!("{}; it is tried again", said(address, &error));
        }
    }

    /// Tries those again that could not be had.
    pub(crate) async fn again(&mut self) {
        if !self.lacking().is_empty() {
            let wanted = self.wanted.clone();
            let _still_lacking = self.follow(&wanted).await;
        }
    }

    /// Whether an address is to be tried again.
    pub(crate) fn lacking(&self) -> BTreeSet<SocketAddr> {
        let lacking = self
            .wanted
            .iter()
            .filter(|address| !self.bound.contains_key(address));
        lacking.copied().collect()
    }

    async fn follow(&mut self, wanted: &BTreeSet<SocketAddr>) -> Vec<(SocketAddr, io::Error)> {
        self.wanted.clone_from(wanted);
        let gone: Vec<SocketAddr> = self
            .bound
            .keys()
            .filter(|bound| !wanted.contains(bound))
            .copied()
            .collect();
        for address in gone {
            // One of all addresses and one of a single one cannot have the same port at once.
            if let Some(Accepting(task)) = self.bound.get_mut(&address) {
                task.abort();
                let _aborted = task.await;
            }
            self.bound.remove(&address);
            info!(%address, "the API is no longer served here");
        }
        let mut errors = Vec::new();
        for address in self.lacking() {
            match bind(address) {
                Ok(listener) => {
                    info!(%address, "the API is served here");
                    let task = tokio::spawn(accept(
                        listener,
                        self.https.clone(),
                        self.access.clone(),
                        self.router.clone(),
                    ));
                    self.bound.insert(address, Accepting(task));
                }
                Err(error) => errors.push((address, error)),
            }
        }
        errors
    }
}

fn said(address: SocketAddr, error: &io::Error) -> String {
    format!("system.management.listen: {address}: {error}")
}

/// An address may come later than the listener that is for it.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, https: Arc<Https>, access: Arc<Access>, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (https, access, router) = (https.clone(), access.clone(), router.clone());
                tokio::spawn(async move { https.serve(stream, &access, router).await });
            }
            Err(error) => {
                warn!(%error, "no connection to the API can be accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}
