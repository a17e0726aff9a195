//! First messages of IKEv2 from addresses that are not their sender's.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;

/// RFC 2544 keeps 198.18.0.0/15 for measurements.
const FIRST_SOURCE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// The port of IKE in UDP beside ESP (RFC 3948 §2.2), and what stands before IKE there.
const ENCAPSULATION_PORT: u16 = 4500;
const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// How often a few messages are sent.
const PACE: Duration = Duration::from_millis(1);

/// How many messages, how fast, and for how long at most.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// So many in all.
    pub messages: u32,
    /// So many in a second, if the machine can.
    pub rate: u32,
    /// No longer than this, however many were sent.
    pub limit: Duration,
}

/// A flood that goes on until it is complete, out of time, finished or dropped.
pub struct Flood {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<Result<()>>>,
}

impl Flood {
    /// Starts to send IKE_SA_INIT requests, each from another address of 198.18.0.0/15, to these addresses in turn.
    ///
    /// # Errors
    /// Without the privilege for raw sockets.
    pub fn start(from: &Namespace, to: &[SocketAddrV4], volume: Volume) -> Result<Self> {
        let socket = {
            let _inside = from.enter()?;
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))?;
            socket.set_header_included_v4(true)?;
            socket
        };
        let (sent, stop) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (count, until, to) = (Arc::clone(&sent), Arc::clone(&stop), to.to_vec());
        let worker = std::thread::spawn(move || send(&socket, &to, volume, (&count, &until)));
        Ok(Self {
            sent,
            stop,
            worker: Some(worker),
        })
    }

    /// How many messages were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether it still goes on.
    pub fn goes_on(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_finished())
    }

    /// Waits until it is complete or out of time, and tells how many messages were sent.
    ///
    /// # Errors
    /// What the network said when it did not take a message.
    pub fn finish(mut self) -> Result<u64> {
        if let Some(worker) = self.worker.take() {
            worker.join().map_err(|_| anyhow!("the flood panicked"))??;
        }
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _over = worker.join();
        }
    }
}

fn send(
    socket: &Socket,
    to: &[SocketAddrV4],
    volume: Volume,
    (sent, stop): (&AtomicU64, &AtomicBool),
) -> Result<()> {
    let start = Instant::now();
    for (number, target) in (1..=volume.messages).zip(to.iter().cycle()) {
        let due = Duration::from_secs(1) * (number - 1) / volume.rate;
        while start.elapsed() < due {
            std::thread::sleep(PACE);
        }
        if stop.load(Ordering::Relaxed) || start.elapsed() > volume.limit {
            break;
        }
        socket.send_to(&packet(number, *target), &SocketAddr::V4(*target).into())?;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// An IPv4 packet (RFC 791) with a UDP datagram (RFC 768) without checksum; the kernel fills in that of the header.
fn packet(number: u32, target: SocketAddrV4) -> Vec<u8> {
    let mut payload = if target.port() == ENCAPSULATION_PORT {
        NON_ESP_MARKER.to_vec()
    } else {
        Vec::new()
    };
    payload.extend(request(number));
    let source = Ipv4Addr::from(FIRST_SOURCE + (number & 0x1_ffff));
    let datagram = length(&payload, 8);
    let mut packet = vec![0x45, 0];
    packet.extend(length(&payload, 28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(target.ip().octets());
    packet.extend(500_u16.to_be_bytes());
    packet.extend(target.port().to_be_bytes());
    packet.extend(datagram);
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// The length of these octets with what stands before them.
fn length(octets: &[u8], before: usize) -> [u8; 2] {
    u16::try_from(octets.len() + before)
        .unwrap_or(u16::MAX)
        .to_be_bytes()
}

/// An IKE_SA_INIT request (RFC 7296 §1.2) that offers [`USUAL`](crate::peer::suite::USUAL), with an SPI and a nonce of
/// its own.
fn request(number: u32) -> Vec<u8> {
    const ASSOCIATION: [u8; 40] = [
        34, 0, 0, 40, // SA, then KE
        0, 0, 0, 36, 1, 1, 0, 3, // one proposal of three transforms, for IKE
        3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, // AES-GCM with 128 bits
        3, 0, 0, 8, 2, 0, 0, 5, // PRF_HMAC_SHA2_256
        0, 0, 0, 8, 4, 0, 0, 31, // X25519
    ];
    let payloads = [
        &ASSOCIATION[..],
        &[40, 0, 0, 40, 0, 31, 0, 0],
        &[0x5a; 32],
        &[0, 0, 0, 36],
        &[0xa5; 28],
        &number.to_be_bytes(),
    ]
    .concat();
    let mut message = u64::from(number).to_be_bytes().to_vec();
    message.extend([0; 8]);
    message.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0]);
    message.extend(length(&payloads, 28));
    message.extend(payloads);
    message
}
