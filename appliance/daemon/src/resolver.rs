//! Where host names of peers lead, asked of the system: hosts file, DNS, and whatever else nsswitch.conf names.
//!
//! The C library looks at resolv.conf anew when it changes.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ike::{ConnectionName, Input};
use tokio::sync::{Semaphore, mpsc};

/// How many names are asked for at the same time: each takes a thread for as long as no server answers.
const AT_ONCE: usize = 16;
/// How long an answer may take. The engine would wait a little longer.
const LIMIT: Duration = Duration::from_secs(25);
/// No more addresses of one name than this are looked at.
const ADDRESSES: usize = 32;

/// Asks for names, and tells the engine's owner.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    answers: mpsc::Sender<Input>,
    free: Arc<Semaphore>,
}

impl Resolver {
    /// One that tells what it finds here.
    pub(crate) fn new(answers: mpsc::Sender<Input>) -> Self {
        let free = Arc::new(Semaphore::new(AT_ONCE));
        Self { answers, free }
    }

    /// Asks for a name. There is one answer, in whatever time.
    pub(crate) fn ask(&self, connection: ConnectionName, host: String) {
        let (answers, free) = (self.answers.clone(), Arc::clone(&self.free));
        tokio::spawn(async move {
            let found = tokio::time::timeout(LIMIT, addresses(&host, free)).await;
            let found = found.unwrap_or_else(|_| Err("no name server answered in time".to_owned()));
            // Only when everything stops.
            let _stopped = answers.send(Input::Resolved(connection, host, found)).await;
        });
    }
}

async fn addresses(host: &str, free: Arc<Semaphore>) -> Result<Vec<IpAddr>, String> {
    let place = free.acquire_owned().await.map_err(|error| error.to_string())?;
    let name = host.to_owned();
    let looked_up = tokio::task::spawn_blocking(move || {
        let _place = place;
        let found = (name.as_str(), 0).to_socket_addrs();
        found.map(|all| all.map(|address| address.ip()).take(ADDRESSES).collect())
    });
    let found = looked_up.await.map_err(|error| error.to_string())?;
    found.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(host: &str) -> Result<Vec<IpAddr>, String> {
        let (answers, mut heard) = mpsc::channel(1);
        Resolver::new(answers).ask(ConnectionName("to-b".into()), host.to_owned());
        let Some(Input::Resolved(_, asked, found)) = heard.recv().await else {
            panic!("no answer")
        };
        assert_eq!(asked, host);
        found
    }

    #[tokio::test]
    async fn a_name_leads_to_addresses_or_to_the_reason_why_not() {
        let found = answer("localhost").await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
        let why = answer("no-such-host.invalid").await.unwrap_err();
        assert!(!why.is_empty());
    }
}
