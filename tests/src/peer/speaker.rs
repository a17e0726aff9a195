//! The least that speaks BGP: what a test sends itself, where no implementation would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use socket2::{Domain, Socket, Type};

/// Type of an OPEN (RFC 4271 §4.1).
const OPEN: u8 = 1;
/// Type of an UPDATE.
pub const UPDATE: u8 = 2;
/// Type of a NOTIFICATION.
pub const NOTIFICATION: u8 = 3;
/// Type of a KEEPALIVE.
const KEEPALIVE: u8 = 4;
/// A KEEPALIVE.
pub const ALIVE: [u8; 19] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, KEEPALIVE,
];
/// What we propose, in seconds.
const HOLD_TIME: u16 = 240;
/// Time for the other side to take a connection and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connects to the BGP port of the far end from an address of the namespace that the thread is in.
///
/// # Errors
/// When the connection is refused or not answered.
pub fn connect([local, remote]: [Ipv4Addr; 2], receive_buffer: Option<usize>) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    socket.bind(&SocketAddr::from((local, 0)).into())?;
    socket.connect_timeout(&SocketAddr::from((remote, 179)).into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    Ok(TcpStream::from(socket))
}

/// Exchanges OPEN and KEEPALIVE, so that the session is established.
///
/// # Errors
/// When the far end says something else.
pub fn establish(stream: &mut TcpStream, id: Ipv4Addr, asn: u32) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&open(id, asn)?)?;
    for expected in [OPEN, KEEPALIVE] {
        let (kind, body) = message(stream)?;
        ensure!(
            kind == expected,
            "a message of type {kind} with {body:?} instead of {expected}"
        );
        if kind == OPEN {
            stream.write_all(&ALIVE)?;
        }
    }
    Ok(())
}

/// The next message: its type and body.
///
/// # Errors
/// When the connection ends before.
pub fn message(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let mut header = [0; 19];
    stream.read_exact(&mut header)?;
    let [.., high, low, kind] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    ensure!(length >= header.len(), "a message of {length} octets");
    let mut body = vec![0; length - header.len()];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

/// An OPEN with multiprotocol, route refresh and four-octet numbers (RFC 4271 §4.2, RFC 5492).
///
/// # Errors
/// When it would be too long.
pub fn open(id: Ipv4Addr, asn: u32) -> Result<Vec<u8>> {
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 2, 0, 65, 4];
    capabilities.extend(asn.to_be_bytes());
    let length = u8::try_from(capabilities.len())?;
    let mut body = vec![4];
    // AS_TRANS stands for what two octets cannot hold (RFC 6793 §4.1).
    body.extend(u16::try_from(asn).unwrap_or(23456).to_be_bytes());
    body.extend(HOLD_TIME.to_be_bytes());
    body.extend(id.octets());
    body.extend([length + 2, 2, length]);
    body.extend(capabilities);
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len())?.to_be_bytes());
    message.push(OPEN);
    message.extend(body);
    Ok(message)
}
