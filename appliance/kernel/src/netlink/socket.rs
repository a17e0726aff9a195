//! One netlink socket, one request at a time.

use std::fmt;
use std::io;

use netlink_packet_core::NLM_F_ACK;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use nix::sys::socket::{setsockopt, sockopt};
use zeroize::{Zeroize, Zeroizing};

use super::message::{Failure, Incoming, Outgoing, Protocol};

/// Largest message that the kernel sends at once, and room for a bulky link.
const LARGEST: usize = 64 * 1024;
/// Room for what is reported unasked, in octets: some 8,000 routes.
const REPORTS: usize = 8 << 20;
/// How often a dump that was disturbed is made again.
const DUMP_ATTEMPTS: usize = 4;

/// What the kernel says when the object to be removed is not there.
pub(crate) const ABSENT: [i32; 4] = [libc::ESRCH, libc::ENOENT, libc::ENODEV, libc::EADDRNOTAVAIL];

/// A socket bound to this thread's network namespace.
pub(crate) struct Socket {
    inner: TokioSocket,
    protocol: Protocol,
    sequence: u32,
    /// What the kernel calls it in what it reports.
    port: u32,
    /// Wiped after each use: states come with their keys.
    buffer: Zeroizing<Vec<u8>>,
}

/// Why a request was not granted.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The kernel said no.
    Failed(Failure),
    /// The socket did not work.
    Io(io::Error),
}

impl RequestError {
    /// Whether the kernel says that the object is not there.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            RequestError::Failed(failure) => ABSENT.contains(&failure.errno),
            RequestError::Io(_) => false,
        }
    }
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        RequestError::Io(error)
    }
}

/// Thousands of routes come and go at once, and are all told.
fn make_room(socket: &netlink_sys::Socket) {
    // What the administrator of the machine allows is exceeded where we may, and is enough otherwise: what is lost is looked for.
    if setsockopt(socket, sockopt::RcvBufForce, &REPORTS).is_err() {
        let _as_much_as_there_is = setsockopt(socket, sockopt::RcvBuf, &REPORTS);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl Socket {
    /// Opens a socket that also hears of these multicast groups, given as bits.
    pub(crate) fn open(protocol: Protocol, groups: u32) -> io::Result<Self> {
        let number = match protocol {
            Protocol::Route => NETLINK_ROUTE,
            Protocol::Xfrm => NETLINK_XFRM,
            Protocol::Netfilter => NETLINK_NETFILTER,
        };
        let mut inner = <TokioSocket as AsyncSocket>::new(number)?;
        let socket = inner.socket_mut();
        socket.bind(&SocketAddr::new(0, groups))?;
        let mut bound = SocketAddr::new(0, 0);
        socket.get_address(&mut bound)?;
        socket.set_ext_ack(true)?;
        // Without it, a refused request comes back whole, keys included.
        socket.set_cap_ack(true)?;
        if groups != 0 {
            make_room(socket);
        }
        let buffer = Zeroizing::new(Vec::with_capacity(LARGEST));
        Ok(Socket {
            inner,
            protocol,
            sequence: 0,
            port: bound.port_number(),
            buffer,
        })
    }

    /// What the kernel calls this socket in reports of what was asked over it.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Sends a request and waits until it is granted or refused.
    pub(crate) async fn request(&mut self, request: &Outgoing) -> Result<(), RequestError> {
        self.exchange(request, |_| ()).await.map(|_| ())
    }

    /// Sends a request and collects what is read out of each message of the answer.
    pub(crate) async fn dump<T>(
        &mut self,
        request: &Outgoing,
        mut read: impl FnMut(&Incoming<'_>) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut found = vec![];
            let interrupted = self
                .exchange(request, |message| found.extend(read(message)))
                .await?;
            if !interrupted {
                return Ok(found);
            }
        }
        Err(RequestError::Io(io::Error::from_raw_os_error(libc::EAGAIN)))
    }

    /// Sends requests together, and tells of each whether it was granted. Only the last is acknowledged if it is; the kernel
    /// tells of every one that it refuses, in their order.
    pub(crate) async fn request_together(&mut self, requests: &[Outgoing]) -> Vec<Result<(), RequestError>> {
        let mut answers: Vec<Result<(), RequestError>> = requests.iter().map(|_| Ok(())).collect();
        if let Err(error) = self.exchange_together(requests, &mut answers).await {
            // Nobody knows which were granted: all are tried again.
            let lost = error.raw_os_error().unwrap_or(libc::EIO);
            for answer in &mut answers {
                *answer = Err(RequestError::Io(io::Error::from_raw_os_error(lost)));
            }
        }
        answers
    }

    async fn exchange_together(
        &mut self,
        requests: &[Outgoing],
        answers: &mut [Result<(), RequestError>],
    ) -> io::Result<()> {
        let Some((last, before)) = requests.split_last() else {
            return Ok(());
        };
        let first = self.sequence.wrapping_add(1);
        let mut frames = Zeroizing::new(Vec::new());
        for request in before {
            self.sequence = self.sequence.wrapping_add(1);
            request.append(&mut frames, self.sequence, 0);
        }
        self.sequence = self.sequence.wrapping_add(1);
        last.append(&mut frames, self.sequence, NLM_F_ACK);
        self.inner.send_to(&frames, &SocketAddr::new(0, 0)).await?;
        loop {
            self.receive().await?;
            let mut rest = self.buffer.as_slice();
            while let Some(message) = Incoming::cut(&mut rest) {
                let place = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some((request, answer)) = requests.get(place).zip(answers.get_mut(place)) else {
                    continue;
                };
                if let Some(Err(failure)) = message.end(request) {
                    *answer = Err(RequestError::Failed(failure));
                }
                if message.sequence == self.sequence {
                    return Ok(());
                }
            }
        }
    }

    /// Sends a request and looks at each message of the answer. Returns whether the answer was interrupted.
    pub(super) async fn exchange(
        &mut self,
        request: &Outgoing,
        mut each: impl FnMut(&Incoming<'_>),
    ) -> Result<bool, RequestError> {
        self.sequence = self.sequence.wrapping_add(1);
        let frame = request.frame(self.sequence);
        self.inner.send_to(&frame, &SocketAddr::new(0, 0)).await?;
        let mut interrupted = false;
        loop {
            self.receive().await?;
            let mut rest = self.buffer.as_slice();
            while let Some(message) = Incoming::cut(&mut rest) {
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.is_interrupted();
                match message.end(request) {
                    Some(Ok(())) => {
                        self.wipe();
                        return Ok(interrupted);
                    }
                    Some(Err(failure)) => return Err(RequestError::Failed(failure)),
                    None => each(&message),
                }
            }
        }
    }

    /// Reads each message that was received last.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&Incoming<'_>)) {
        let mut rest = self.buffer.as_slice();
        while let Some(message) = Incoming::cut(&mut rest) {
            each(&message);
        }
        self.wipe();
    }

    /// Waits for messages; cancelling loses none.
    pub(crate) async fn receive(&mut self) -> io::Result<()> {
        self.wipe();
        let buffer: &mut Vec<u8> = &mut self.buffer;
        buffer.clear();
        self.inner.recv_from(buffer).await.map(|_| ())
    }

    fn wipe(&mut self) {
        match self.protocol {
            Protocol::Route | Protocol::Netfilter => (),
            Protocol::Xfrm => self.buffer.zeroize(),
        }
    }
}
