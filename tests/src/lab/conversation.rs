//! Conversations between hosts, of which one may know the other by an address that it does not have.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::namespace::Namespace;

/// Where somebody listens, and what the other side calls that.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// The address there.
    pub there: SocketAddr,
    /// The address as it is called.
    pub called: SocketAddr,
}

/// How long a conversation may be silent before its far end gives up.
const SILENCE: Duration = Duration::from_secs(120);
/// How long it may take to begin.
const BEGINNING: Duration = Duration::from_secs(10);

/// A TCP connection that stays open; what is said comes back.
pub struct Conversation {
    near: TcpStream,
}

impl Conversation {
    /// Begins one.
    ///
    /// # Errors
    /// When no connection comes about.
    pub fn begin(from: &Namespace, to: &Namespace, called: Called) -> Result<Self> {
        let listener = {
            let _inside = to.enter()?;
            TcpListener::bind(called.there)?
        };
        std::thread::spawn(move || echo(&listener));
        let near = {
            let _inside = from.enter()?;
            TcpStream::connect_timeout(&called.called, BEGINNING)
                .with_context(|| format!("connecting to {}", called.called))?
        };
        Ok(Self { near })
    }

    /// Whether what is said comes back in time.
    pub fn answers(&mut self, limit: Duration) -> bool {
        self.says(limit).is_ok()
    }

    fn says(&mut self, limit: Duration) -> std::io::Result<()> {
        self.near.set_read_timeout(Some(limit))?;
        self.near.write_all(b"hello")?;
        self.near.read_exact(&mut [0; 5])
    }
}

fn echo(listener: &TcpListener) -> std::io::Result<()> {
    let (mut far, _) = listener.accept()?;
    far.set_read_timeout(Some(SILENCE))?;
    let mut said = [0; 64];
    loop {
        let length = far.read(&mut said)?;
        if length == 0 {
            return Ok(());
        }
        far.write_all(said.get(..length).unwrap_or_default())?;
    }
}

/// Sends datagrams one after the other, each when the one before was answered, all from one port.
///
/// # Errors
/// When one is not answered in time.
pub fn datagrams(from: &Namespace, to: &Namespace, called: Called, count: u8) -> Result<()> {
    let far = {
        let _inside = to.enter()?;
        UdpSocket::bind(called.there)?
    };
    let near = {
        let _inside = from.enter()?;
        let near = UdpSocket::bind(if called.called.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        })?;
        near.connect(called.called)?;
        near
    };
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(BEGINNING))?;
    }
    let mut buffer = [0; 8];
    for number in 0..count {
        let begun = Instant::now();
        near.send(&[number])?;
        let (length, sender) = far
            .recv_from(&mut buffer)
            .with_context(|| format!("datagram {number} to {}", called.called))?;
        far.send_to(buffer.get(..length).unwrap_or_default(), sender)?;
        let answer = near
            .recv(&mut buffer)
            .with_context(|| format!("answer {number} from {}", called.called))?;
        let same = buffer.get(..answer) == Some(&[number]);
        ensure!(same, "another answer after {:?}", begun.elapsed());
    }
    Ok(())
}
