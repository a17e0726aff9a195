use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::links::Links;
use crate::virtio;

/// One TUN interface with a queue per worker; it vanishes when this is dropped.
#[derive(Debug)]
pub(crate) struct Device {
    queues: Vec<File>,
}

impl Device {
    /// Makes the interface and brings it up.
    pub(crate) fn create(links: &mut Links, (name, mtu): (&str, u16), workers: usize) -> io::Result<Device> {
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        let mut queues = Vec::with_capacity(workers);
        for _ in 0..workers {
            let queue = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")?;
            attach(&queue, name, flags)?;
            queues.push(queue);
        }
        if let Some(queue) = queues.first() {
            offload(queue)?;
        }
        // Packets that the system makes up for IPv6 by itself do not belong into a tunnel.
        if let Err(error) = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/addr_gen_mode"), "1") {
            tracing::debug!(%error, name, "link-local address generation stays on");
        }
        links.raise(name, mtu)?;
        Ok(Device { queues })
    }

    /// What is left of an interface whose queues are closed.
    pub(crate) fn closed() -> Device {
        Device { queues: Vec::new() }
    }

    /// Whether the interface is still there: somebody else may have deleted it.
    pub(crate) fn is_there(&self) -> bool {
        self.queues.first().is_some_and(|queue| {
            let mut asked = [PollFd::new(queue.as_fd(), PollFlags::empty())];
            let answered = poll(&mut asked, PollTimeout::ZERO);
            answered.is_ok() && asked.iter().all(|one| one.any() == Some(false))
        })
    }

    /// The queue of a worker, to wait on.
    pub(crate) fn queue(&self, worker: usize) -> Option<BorrowedFd<'_>> {
        self.queues.get(worker).map(AsFd::as_fd)
    }

    /// Takes one packet: its virtio header, and how long what lies in `packet` is.
    pub(crate) fn read(&self, worker: usize, packet: &mut [u8]) -> io::Result<([u8; virtio::LEN], usize)> {
        let mut queue = self.queues.get(worker).ok_or(io::ErrorKind::NotFound)?;
        let mut header = [0; virtio::LEN];
        let len = queue.read_vectored(&mut [IoSliceMut::new(&mut header), IoSliceMut::new(packet)])?;
        Ok((header, len.saturating_sub(virtio::LEN)))
    }

    /// Hands one packet over, in pieces of which the first is the virtio header.
    pub(crate) fn write(&self, worker: usize, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut queue = self.queues.get(worker).ok_or(io::ErrorKind::NotFound)?;
        queue.write_vectored(pieces).map(|_| ())
    }
}

/// `struct ifreq`: what is asked about the interface of a name.
#[repr(C, align(8))]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

impl Request {
    fn new(name: &str, value: [u8; 4]) -> io::Result<Request> {
        let mut request = Request {
            name: [0; libc::IFNAMSIZ],
            value: [0; 24],
        };
        // One place stays zero, as the end.
        if name.is_empty() || name.len() >= request.name.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an interface name has 1 to 15 octets",
            ));
        }
        for (place, octet) in request.name.iter_mut().zip(name.bytes()) {
            *place = octet;
        }
        for (place, octet) in request.value.iter_mut().zip(value) {
            *place = octet;
        }
        Ok(request)
    }
}

/// Makes an open `/dev/net/tun` a queue of the interface.
#[allow(unsafe_code)]
fn attach(queue: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
    let mut request = Request::new(name, flags.to_ne_bytes())?;
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which is what `Request` is laid out as (16 octets of
    // name, 24 of value, alignment 8), and keeps no pointer to it; the descriptor is open while `queue` is borrowed.
    let result = unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}

/// Asks for large packets and unfinished checksums, as much of it as the system knows.
#[allow(unsafe_code)]
fn offload(queue: &File) -> io::Result<()> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let mut result = Ok(0);
    for wanted in [tcp | udp, tcp, 0] {
        // SAFETY: TUNSETOFFLOAD takes a number, no pointer; the descriptor is open while `queue` is borrowed.
        result = Errno::result(unsafe {
            libc::ioctl(
                queue.as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(wanted),
            )
        });
        if result.is_ok() {
            break;
        }
    }
    result?;
    Ok(())
}
