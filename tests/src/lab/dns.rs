//! A name server that knows as many names as a scenario tells it, and counts what it is asked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::namespace::Namespace;

/// The header of a message (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// The type of an IPv4 address (RFC 1035 §3.2.2).
const A: [u8; 2] = [0, 1];

/// A running name server; it ends when dropped.
pub struct Dns {
    known: Arc<Mutex<Known>>,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Known {
    names: BTreeMap<String, Ipv4Addr>,
    asked: usize,
}

impl Dns {
    /// Serves at this address of a namespace, on port 53.
    ///
    /// # Errors
    /// When the address is not there or the port is taken.
    pub fn start(namespace: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let socket = {
            let _inside = namespace.enter()?;
            UdpSocket::bind((address, 53)).with_context(|| format!("binding {address}:53"))?
        };
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (known, stop) = (
            Arc::new(Mutex::new(Known::default())),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared, stopped) = (Arc::clone(&known), Arc::clone(&stop));
        let server = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let query = buffer.get(..length).unwrap_or_default();
                    let answer = answer(query, &mut locked(&shared));
                    send(&socket, answer, from);
                }
            }
        });
        Ok(Self {
            known,
            stop,
            server: Some(server),
        })
    }

    /// From now on the name leads there, or nowhere.
    pub fn lead(&self, name: &str, to: Option<Ipv4Addr>) {
        let names = &mut locked(&self.known).names;
        match to {
            Some(address) => names.insert(name.to_owned(), address),
            None => names.remove(name),
        };
    }

    /// How many questions it was asked.
    pub fn asked(&self) -> usize {
        locked(&self.known).asked
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            let ended = server.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the name server failed"
            );
        }
    }
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(socket: &UdpSocket, answer: Option<Vec<u8>>, to: SocketAddr) {
    if let Some(answer) = answer {
        // Who asked may be gone; others still want to be answered.
        let _gone = socket.send_to(&answer, to);
    }
}

/// One question, and its answer if it is for an IPv4 address that is known.
fn answer(query: &[u8], known: &mut Known) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER)?;
    let (mut labels, mut length) = (Vec::new(), 0);
    loop {
        let size = usize::from(*rest.get(length)?);
        let label = rest.get(length + 1..length + 1 + size)?;
        length += 1 + size;
        if size == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let question = rest.get(..length + 4)?;
    known.asked += 1;
    let found = known.names.get(&labels.join("."));
    let address = found.filter(|_| question.get(length..length + 2) == Some(&A));
    // An answer with recursion; 3 is "no such name" (RFC 1035 §4.1.1).
    let code = if found.is_some() { 0 } else { 3 };
    let mut answer = header.get(..2)?.to_vec();
    answer.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(question);
    if let Some(address) = address {
        // The name of the question, type, class IN, no time to live, four octets.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
