//! Conversations between hosts, of which one may know the other by an address that it does not have.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

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

/// Listens at an address for so many TCP connections, and for datagrams while any come. To each octet that it hears it answers
/// with [`words`].
///
/// # Errors
/// When it cannot listen there.
pub fn listen(at: &Namespace, address: SocketAddr, name: &str, count: u8) -> Result<()> {
    let (tcp, udp) = {
        let _inside = at.enter()?;
        (TcpListener::bind(address)?, UdpSocket::bind(address)?)
    };
    let named = name.to_owned();
    std::thread::spawn(move || {
        for _ in 0..count {
            let (far, sender) = tcp.accept()?;
            let named = named.clone();
            std::thread::spawn(move || answer(far, &named, sender));
        }
        std::io::Result::Ok(())
    });
    udp.set_read_timeout(Some(SILENCE))?;
    let named = name.to_owned();
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut said = [0];
        loop {
            let (_, sender) = udp.recv_from(&mut said)?;
            udp.send_to(words(&named, said, sender).as_bytes(), sender)?;
        }
    });
    Ok(())
}

/// What somebody with a name answers to an octet: who it is, what it heard, and from whom.
fn words(name: &str, [said]: [u8; 1], from: SocketAddr) -> String {
    format!("{name} heard {said} from {from}")
}

fn answer(mut far: TcpStream, name: &str, sender: SocketAddr) -> std::io::Result<()> {
    far.set_read_timeout(Some(SILENCE))?;
    let mut said = [0];
    loop {
        far.read_exact(&mut said)?;
        far.write_all(words(name, said, sender).as_bytes())?;
    }
}

/// A TCP connection and datagrams from one port, to somebody who listens.
pub struct Questions {
    tcp: TcpStream,
    udp: UdpSocket,
}

impl Questions {
    /// From the first of these addresses, which others may ask from as well, to the second.
    ///
    /// # Errors
    /// When no connection comes about.
    pub fn begin(from: &Namespace, [near, far]: [SocketAddr; 2]) -> Result<Self> {
        let _inside = from.enter()?;
        let socket = |kind, protocol| -> Result<Socket> {
            let socket = Socket::new(Domain::for_address(near), kind, Some(protocol))?;
            socket.set_reuse_address(true)?;
            socket.bind(&near.into())?;
            socket
                .connect_timeout(&far.into(), BEGINNING)
                .with_context(|| format!("connecting {near} to {far}"))?;
            socket.set_read_timeout(Some(BEGINNING))?;
            Ok(socket)
        };
        Ok(Self {
            tcp: socket(Type::STREAM, Protocol::TCP)?.into(),
            udp: socket(Type::DGRAM, Protocol::UDP)?.into(),
        })
    }

    /// Asks so many times by either. Each time this name answers, and heard it from this address.
    ///
    /// # Errors
    /// When one is not answered in time, or by somebody else, or heard from elsewhere.
    pub fn ask(&mut self, name: &str, heard_from: SocketAddr, count: u8) -> Result<()> {
        for number in 0..count {
            let expected = words(name, [number], heard_from);
            let check = |answer: &[u8], by: &str| {
                let answer = String::from_utf8_lossy(answer);
                ensure!(answer == expected, "{answer} by {by}, not {expected}");
                Ok(())
            };
            let mut answer = vec![0; expected.len()];
            self.tcp.write_all(&[number])?;
            let answered = self.tcp.read_exact(&mut answer);
            answered.with_context(|| format!("by TCP: {expected}"))?;
            check(&answer, "TCP")?;
            let mut answer = [0; 256];
            self.udp.send(&[number])?;
            let length = self.udp.recv(&mut answer);
            let length = length.with_context(|| format!("by UDP: {expected}"))?;
            check(answer.get(..length).unwrap_or_default(), "UDP")?;
        }
        Ok(())
    }

    /// Asks once by either, and tells from whom each was heard: by TCP and by UDP.
    ///
    /// # Errors
    /// When one is not answered in time, or it is not told.
    pub fn heard_from(&mut self) -> Result<[SocketAddr; 2]> {
        let from = |answer: Option<&[u8]>| -> Result<SocketAddr> {
            let answer = String::from_utf8_lossy(answer.unwrap_or_default()).into_owned();
            let (_, from) = answer.rsplit_once(' ').with_context(|| answer.clone())?;
            from.parse().with_context(|| answer.clone())
        };
        let mut answer = [0; 256];
        self.tcp.write_all(&[0])?;
        let length = self.tcp.read(&mut answer).context("by TCP")?;
        let by_tcp = from(answer.get(..length))?;
        self.udp.send(&[0])?;
        let length = self.udp.recv(&mut answer).context("by UDP")?;
        Ok([by_tcp, from(answer.get(..length))?])
    }
}
