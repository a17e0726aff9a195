//! Packets that a test sends through a tunnel, and what came of them.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;
use super::wait;

/// How long an answer is waited for at the end, after the last one that came: on a slow machine late is not lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// Room for the packets that come while a thread does not run, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;

/// How long a stream may take, with all that was sent when its time was over.
const STALLED: Duration = Duration::from_secs(60);

/// Echo requests sent at an even pace until it is finished or dropped.
pub struct Ping {
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<Vec<Echo>>>,
}

struct Echo {
    sent: Instant,
    answered: bool,
}

/// What became of a series of echo requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Requests sent.
    pub sent: usize,
    /// Requests that were not answered, however late.
    pub lost: usize,
    /// The longest time without an answered request.
    pub longest_silence: Duration,
}

impl Ping {
    /// Starts to send from inside a namespace.
    ///
    /// # Errors
    /// Without the privilege for raw sockets, or without a route.
    pub fn start(from: &Namespace, to: impl Into<IpAddr>, every: Duration) -> Result<Self> {
        let target = SocketAddr::from((to.into(), 0));
        let protocol = if target.is_ipv4() {
            Protocol::ICMPV4
        } else {
            Protocol::ICMPV6
        };
        let socket = {
            let _inside = from.enter()?;
            let socket = Socket::new(Domain::for_address(target), Type::RAW, Some(protocol))?;
            setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER)?;
            socket
                .connect(&target.into())
                .with_context(|| format!("a route to {}", target.ip()))?;
            socket
        };
        let (sent, answered, stop) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (counts, until) = ([Arc::clone(&sent), Arc::clone(&answered)], Arc::clone(&stop));
        let worker = std::thread::spawn(move || echo((&socket, target.is_ipv6()), every, &counts, &until));
        Ok(Self {
            sent,
            answered,
            stop,
            worker: Some(worker),
        })
    }

    /// Waits for that many more answers.
    ///
    /// # Errors
    /// When they do not come within `limit`.
    pub fn wait_for(&self, more: u64, limit: Duration) -> Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        wait::until(&format!("{more} answered pings"), limit, || {
            let now = self.answered.load(Ordering::Relaxed);
            if now >= wanted {
                Ok(())
            } else {
                Err(anyhow!("{} are missing", wanted - now))
            }
        })
    }

    /// Waits until that many more requests were sent, answered or not.
    ///
    /// # Errors
    /// When they were not within `limit`.
    pub fn wait_sent(&self, more: u64, limit: Duration) -> Result<()> {
        let wanted = self.sent.load(Ordering::Relaxed) + more;
        wait::until(&format!("{more} more pings to be sent"), limit, || {
            let now = self.sent.load(Ordering::Relaxed);
            if now >= wanted {
                Ok(())
            } else {
                Err(anyhow!("{} are missing", wanted - now))
            }
        })
    }

    /// Stops sending, waits for the last answers and tells what became of all.
    pub fn finish(mut self) -> Answers {
        let echoes = self.end();
        let mut answers = Answers {
            sent: echoes.len(),
            lost: 0,
            longest_silence: Duration::ZERO,
        };
        let mut last = echoes.first().map(|echo| echo.sent);
        for echo in &echoes {
            if let Some(before) = last {
                answers.longest_silence = answers.longest_silence.max(echo.sent - before);
            }
            if echo.answered {
                last = Some(echo.sent);
            } else {
                answers.lost += 1;
            }
        }
        answers
    }

    fn end(&mut self) -> Vec<Echo> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker
            .take()
            .and_then(|worker| worker.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        self.end();
    }
}

fn echo(
    (socket, six): (&Socket, bool),
    every: Duration,
    [sent, answered]: &[Arc<AtomicU64>; 2],
    stop: &AtomicBool,
) -> Vec<Echo> {
    let mut echoes: Vec<Echo> = Vec::new();
    let (mut next, mut open, mut last_call) = (Instant::now(), 0_usize, None);
    loop {
        let now = Instant::now();
        if stop.load(Ordering::Relaxed) && last_call.is_none() {
            last_call = Some(now + PATIENCE);
        }
        if last_call.is_some_and(|end| now > end || open == 0) {
            return echoes;
        }
        if last_call.is_none() && now >= next {
            let _a_lost_one_counts = socket.send(&request(echoes.len(), six));
            echoes.push(Echo {
                sent: now,
                answered: false,
            });
            open += 1;
            sent.fetch_add(1, Ordering::Relaxed);
            next = now + every;
        }
        let pause = next
            .saturating_duration_since(now)
            .clamp(Duration::from_millis(1), every);
        let _keeps_the_one_before = socket.set_read_timeout(Some(pause));
        let mut waits = MsgFlags::empty();
        // All that waits is read at once: whoever reads one packet for each that it sends never catches up.
        while let Some(received) = receive(socket, six, waits) {
            waits = MsgFlags::MSG_DONTWAIT;
            let echo = received.and_then(|sequence| echoes.get_mut(sequence));
            if let Some(echo) = echo.filter(|echo| !echo.answered) {
                echo.answered = true;
                open -= 1;
                answered.fetch_add(1, Ordering::Relaxed);
                last_call = last_call.map(|_| Instant::now() + PATIENCE);
            }
        }
    }
}

/// An ICMP echo request whose identifier is our process and whose data is its number. The kernel sets the checksum of
/// ICMPv6.
fn request(number: usize, six: bool) -> Vec<u8> {
    let id = (std::process::id() & 0xffff).to_be_bytes();
    let mut packet = vec![if six { 128 } else { 8 }, 0, 0, 0];
    packet.extend(id.get(2..).unwrap_or_default());
    packet.extend([0, 0]);
    packet.extend(u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    packet.extend([0x5a; 40]);
    let sum = checksum(&packet);
    packet.splice(2..4, sum.to_be_bytes());
    packet
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or_default()
}

/// The next packet, if there is one: the number of the request that it answers, if it does.
fn receive(socket: &Socket, six: bool, flags: MsgFlags) -> Option<Option<usize>> {
    let mut packet = [0_u8; 256];
    let length = recv(socket.as_raw_fd(), &mut packet, flags).ok()?;
    Some(packet.get(..length).and_then(|packet| answers(packet, six)))
}

/// The number of the request that a packet answers.
fn answers(packet: &[u8], six: bool) -> Option<usize> {
    // Of IPv4 the kernel hands out the IP header too.
    let header = if six {
        0
    } else {
        usize::from(packet.first()? & 15) * 4
    };
    let icmp = packet.get(header..)?;
    let id = (std::process::id() & 0xffff).to_be_bytes();
    let ours = icmp.first() == Some(if six { &129 } else { &0 }) && icmp.get(4..6) == id.get(2..);
    let number: [u8; 8] = icmp.get(8..16)?.try_into().ok()?;
    if ours {
        usize::try_from(u64::from_be_bytes(number)).ok()
    } else {
        None
    }
}

/// What one TCP stream carried.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Bytes that arrived.
    pub bytes: u64,
    /// From the first to the last of them.
    pub time: Duration,
}

impl Throughput {
    /// Mbit/s.
    pub fn megabits(&self) -> u128 {
        u128::from(self.bytes) * 8 / self.time.as_micros().max(1)
    }
}

/// Sends one TCP stream for a while.
///
/// # Errors
/// When no connection comes about within ten seconds, or it breaks.
pub fn stream(from: &Namespace, to: &Namespace, address: IpAddr, time: Duration) -> Result<Throughput> {
    stream_by_name(from, to, (address, address), time)
}

/// The same to an address that `from` knows by another name, which is said second.
///
/// # Errors
/// When no connection comes about within ten seconds, or it breaks.
pub fn stream_by_name(
    from: &Namespace,
    to: &Namespace,
    (address, name): (IpAddr, IpAddr),
    time: Duration,
) -> Result<Throughput> {
    let listener = {
        let _inside = to.enter()?;
        TcpListener::bind((address, 0))?
    };
    let here = listener.local_addr()?;
    let target = SocketAddr::new(name, here.port());
    let receiver = std::thread::spawn(move || receive_stream(&listener));
    let sent = {
        let _inside = from.enter()?;
        TcpStream::connect_timeout(&target, Duration::from_secs(10))
            .with_context(|| format!("connecting to {target}"))
            .and_then(|connection| send_stream(connection, time))
    };
    if sent.is_err() {
        let _inside = to.enter()?;
        let _wakes_the_listener = TcpStream::connect(here);
    }
    let received = receiver
        .join()
        .map_err(|_| anyhow!("the receiver of the stream panicked"))??;
    let sent = sent?;
    ensure!(
        received.bytes == sent,
        "{sent} bytes were sent, {} arrived",
        received.bytes
    );
    Ok(received)
}

fn send_stream(mut connection: TcpStream, time: Duration) -> Result<u64> {
    connection.set_write_timeout(Some(Duration::from_secs(10)))?;
    let block = vec![0xa5_u8; 128 << 10];
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < time {
        let length = connection.write(&block).context("sending")?;
        sent += u64::try_from(length)?;
    }
    Ok(sent)
}

fn receive_stream(listener: &TcpListener) -> Result<Throughput> {
    let (mut connection, _) = listener.accept()?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut block = vec![0_u8; 256 << 10];
    let (start, mut bytes) = (Instant::now(), 0);
    loop {
        ensure!(
            start.elapsed() < STALLED,
            "the stream did not end; {bytes} bytes had arrived"
        );
        match connection.read(&mut block).context("receiving")? {
            0 => {
                return Ok(Throughput {
                    bytes,
                    time: start.elapsed(),
                });
            }
            length => bytes += u64::try_from(length)?,
        }
    }
}
