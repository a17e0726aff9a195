//! How segments are authenticated: TCP-MD5 (RFC 2385) and TCP-AO (RFC 5925), as Linux has them.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use bgp::SocketFault;
use nix::errno::Errno;
use nix::sys::socket::SetSockOpt;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroize;

use crate::derive::{SessionEnd, Signing, TcpAoKey};

/// What either option takes of a key.
const LONGEST_KEY: usize = 80;
/// The families of socket addresses, as the options have them (`AF_INET`, `AF_INET6`).
const FAMILIES: (u16, u16) = (2, 10);
/// `linux/tcp.h`; the C library does not name them.
const TCP_AO_ADD_KEY: libc::c_int = 38;
const TCP_AO_DEL_KEY: libc::c_int = 39;
const TCP_AO_INFO: libc::c_int = 40;
/// Bits of the three structures, the first one lowest as on x86.
const SET_CURRENT: u32 = 1;
const SET_RNEXT: u32 = 1 << 1;
const DELETE_LATER: u32 = 1 << 2;
const AO_REQUIRED: u32 = 1 << 2;
/// `TCP_AO_KEYF_EXCLUDE_OPT`.
const WITHOUT_OPTIONS: u8 = 1 << 1;
/// Octets of a code: 96 bits (RFC 5926 §3.2).
const CODE: u8 = 12;

macro_rules! option {
    ($name:ident, $number:path, $value:ty) => {
        // None of these has a wrapper in nix or socket2; nix offers the macro for such options.
        nix::setsockopt_impl!(
            $name,
            libc::IPPROTO_TCP,
            $number,
            $value,
            nix::sys::socket::sockopt::SetStruct<'_, $value>
        );
        #[derive(Clone)]
        struct $name;
    };
}

option!(TcpMd5, libc::TCP_MD5SIG, Md5Key);
option!(TcpAoAdd, TCP_AO_ADD_KEY, AddedKey);
option!(TcpAoDelete, TCP_AO_DEL_KEY, DeletedKey);
option!(TcpAoInfo, TCP_AO_INFO, Info);

/// A `sockaddr_storage`, of which the port does not count.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Peer {
    family: u16,
    port: u16,
    address: [u8; 124],
}

/// `struct tcp_md5sig` of `linux/tcp.h`: whose segments, and the key.
#[repr(C)]
struct Md5Key {
    peer: Peer,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: u32,
    key: [u8; LONGEST_KEY],
}

/// `struct tcp_ao_add`: whose segments, and a master key tuple.
#[repr(C, align(8))]
struct AddedKey {
    peer: Peer,
    algorithm: [u8; 64],
    interface: i32,
    bits: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    receive_id: u8,
    code_length: u8,
    flags: u8,
    key_length: u8,
    key: [u8; LONGEST_KEY],
}

/// `struct tcp_ao_del`.
#[repr(C, align(8))]
struct DeletedKey {
    peer: Peer,
    interface: i32,
    bits: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    receive_id: u8,
    current: u8,
    next: u8,
    flags: u8,
}

/// `struct tcp_ao_info_opt`.
#[repr(C, align(8))]
#[derive(Default)]
struct Info {
    bits: u32,
    reserved: u16,
    current: u8,
    next: u8,
    counters: [u64; 5],
}

impl Drop for Md5Key {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Drop for AddedKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Has a socket that is neither connected nor listening sign what it sends to the far end, and take nothing else from it.
pub(super) fn sign(socket: &impl AsFd, end: &SessionEnd) -> Result<(), SocketFault> {
    match &end.signing {
        Signing::None => Ok(()),
        Signing::Md5(secret) => Md5Key::new(end.remote, secret)
            .and_then(|key| Ok(TcpMd5.set(socket, &key)?))
            .map_err(|error| SocketFault::Refused(error.to_string())),
        Signing::TcpAo(keys) => {
            for key in keys {
                add(socket, end.remote, key).map_err(without)?;
            }
            // Segments without a signature are not taken from anybody else either.
            let info = Info::with(AO_REQUIRED, None);
            TcpAoInfo
                .set(socket, &info)
                .map_err(|error| without(error.into()))
        }
    }
}

/// Has one that is to connect sign with the first key, and ask the peer for it.
pub(super) fn prefer(socket: &impl AsFd, end: &SessionEnd) -> Result<(), SocketFault> {
    let Signing::TcpAo(keys) = &end.signing else {
        return Ok(());
    };
    let info = Info::with(AO_REQUIRED | SET_CURRENT | SET_RNEXT, keys.first());
    TcpAoInfo
        .set(socket, &info)
        .map_err(|error| without(error.into()))
}

/// Has a living connection take the keys of `new` instead of those of `old`. With which key we sign there the peer decides
/// (RFC 5925 §6.1): it is asked for the first of ours, and asks for its own.
pub(super) fn change_living(socket: &impl AsFd, [old, new]: [&SessionEnd; 2]) -> io::Result<()> {
    let (Signing::TcpAo(before), Signing::TcpAo(after)) = (&old.signing, &new.signing) else {
        return Ok(());
    };
    for key in after.iter().filter(|key| !has(before, key)) {
        add(socket, new.remote, key)?;
    }
    TcpAoInfo.set(socket, &Info::with(AO_REQUIRED | SET_RNEXT, after.first()))?;
    for key in before.iter().filter(|key| !has(after, key)) {
        let mut gone = DeletedKey::new(new.remote, key)?;
        match TcpAoDelete.set(socket, &gone) {
            // The peer did not ask for another yet.
            Err(Errno::EBUSY) => {
                gone.bits = SET_CURRENT | SET_RNEXT;
                (gone.current, gone.next) = ids(after.first());
                TcpAoDelete.set(socket, &gone)?;
            }
            result => result?,
        }
    }
    Ok(())
}

/// The same for a socket that listens.
pub(super) fn change_listening(socket: &impl AsFd, [old, new]: [&SessionEnd; 2]) -> io::Result<()> {
    let (Signing::TcpAo(before), Signing::TcpAo(after)) = (&old.signing, &new.signing) else {
        return Ok(());
    };
    for key in after.iter().filter(|key| !has(before, key)) {
        add(socket, new.remote, key)?;
    }
    for key in before.iter().filter(|key| !has(after, key)) {
        let mut gone = DeletedKey::new(new.remote, key)?;
        gone.bits = DELETE_LATER;
        TcpAoDelete.set(socket, &gone)?;
    }
    Ok(())
}

/// Whether a key with these ids is there, which then is the same ([`SessionEnd::follows`]).
fn has(keys: &[TcpAoKey], key: &TcpAoKey) -> bool {
    keys.iter()
        .any(|other| (other.send_id, other.receive_id) == (key.send_id, key.receive_id))
}

fn add(socket: &impl AsFd, peer: IpAddr, key: &TcpAoKey) -> io::Result<()> {
    Ok(TcpAoAdd.set(socket, &AddedKey::new(peer, key)?)?)
}

fn ids(key: Option<&TcpAoKey>) -> (u8, u8) {
    key.map(|key| (key.send_id, key.receive_id)).unwrap_or_default()
}

/// What an error of TCP-AO means: where the kernel lacks it, nothing helps but another kernel.
fn without(error: io::Error) -> SocketFault {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOPROTOOPT) => SocketFault::Unauthenticated(
            "TCP-AO (RFC 5925) is configured, and this kernel has none".to_owned(),
        ),
        Some(Errno::ENOENT) => SocketFault::Unauthenticated(
            "this kernel has TCP-AO (RFC 5925), but not the algorithm of the key".to_owned(),
        ),
        Some(_) | None => SocketFault::Refused(format!("TCP-AO: {error}")),
    }
}

/// A key of either option, and its length.
fn padded(secret: &SecretSlice<u8>, what: &str) -> io::Result<([u8; LONGEST_KEY], u8)> {
    let secret = secret.expose_secret();
    let too_long = || {
        let words = format!("the key has more than {LONGEST_KEY} octets, which {what} does not take");
        io::Error::new(io::ErrorKind::InvalidInput, words)
    };
    let mut key = [0; LONGEST_KEY];
    key.get_mut(..secret.len())
        .ok_or_else(too_long)?
        .copy_from_slice(secret);
    Ok((key, u8::try_from(secret.len()).map_err(|_| too_long())?))
}

impl Peer {
    /// With the length of a prefix that is just this address.
    fn new(peer: IpAddr) -> (Self, u8) {
        let mut address = [0; 124];
        let (family, octets, start, length) = match peer {
            IpAddr::V4(four) => (FAMILIES.0, four.octets().to_vec(), 0, 32),
            // After the flow information.
            IpAddr::V6(six) => (FAMILIES.1, six.octets().to_vec(), 4, 128),
        };
        for (place, octet) in address.iter_mut().skip(start).zip(octets) {
            *place = octet;
        }
        let peer = Self {
            family,
            port: 0,
            address,
        };
        (peer, length)
    }
}

impl Md5Key {
    fn new(peer: IpAddr, secret: &SecretSlice<u8>) -> io::Result<Self> {
        let (key, length) = padded(secret, "TCP-MD5")?;
        let (peer, _) = Peer::new(peer);
        Ok(Self {
            peer,
            flags: 0,
            prefix_length: 0,
            key_length: length.into(),
            interface: 0,
            key,
        })
    }
}

impl AddedKey {
    fn new(peer: IpAddr, tuple: &TcpAoKey) -> io::Result<Self> {
        let (key, key_length) = padded(&tuple.secret, "TCP-AO")?;
        let (peer, prefix_length) = Peer::new(peer);
        let mut algorithm = [0; 64];
        for (place, octet) in algorithm.iter_mut().zip(tuple.algorithm.kernel_name().bytes()) {
            *place = octet;
        }
        Ok(Self {
            peer,
            algorithm,
            interface: 0,
            bits: 0,
            reserved: 0,
            prefix_length,
            send_id: tuple.send_id,
            receive_id: tuple.receive_id,
            code_length: CODE,
            flags: if tuple.sign_options { 0 } else { WITHOUT_OPTIONS },
            key_length,
            key,
        })
    }
}

impl DeletedKey {
    fn new(peer: IpAddr, tuple: &TcpAoKey) -> io::Result<Self> {
        let (peer, prefix_length) = Peer::new(peer);
        Ok(Self {
            peer,
            interface: 0,
            bits: 0,
            reserved: 0,
            prefix_length,
            send_id: tuple.send_id,
            receive_id: tuple.receive_id,
            current: 0,
            next: 0,
            flags: 0,
        })
    }
}

impl Info {
    fn with(bits: u32, first: Option<&TcpAoKey>) -> Self {
        let (current, next) = ids(first);
        Self {
            bits,
            current,
            next,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use appliance_config::model::TcpAoAlgorithm;

    use super::*;

    fn tuple(secret: &[u8]) -> TcpAoKey {
        TcpAoKey {
            secret: secret.to_vec().into(),
            send_id: 3,
            receive_id: 4,
            algorithm: TcpAoAlgorithm::HmacSha1,
            sign_options: false,
        }
    }

    /// The kernel reads it octet by octet.
    #[test]
    fn a_key_has_the_form_that_linux_has() {
        assert_eq!(size_of::<Md5Key>(), 216);
        let secret: SecretSlice<u8> = b"geheim".to_vec().into();
        let four = Md5Key::new("169.254.21.1".parse().unwrap(), &secret).unwrap();
        assert_eq!((four.peer.family, four.key_length), (2, 6));
        assert_eq!(four.peer.address[..5], [169, 254, 21, 1, 0]);
        let six = Md5Key::new("fd00::1".parse().unwrap(), &secret).unwrap();
        assert_eq!(
            (six.peer.family, six.peer.address[4], six.peer.address[19]),
            (10, 0xfd, 1)
        );
        let long: SecretSlice<u8> = vec![b'a'; 81].into();
        assert!(Md5Key::new("fd00::1".parse().unwrap(), &long).is_err());
    }

    /// As `include/uapi/linux/tcp.h` of Linux 6.12 lays them out.
    #[test]
    fn keys_of_tcp_ao_have_the_form_that_linux_has() {
        assert_eq!((size_of::<AddedKey>(), size_of::<DeletedKey>()), (288, 144));
        assert_eq!((size_of::<Info>(), offset_of!(Info, counters)), (48, 8));
        assert_eq!(offset_of!(AddedKey, bits), 196);
        assert_eq!(offset_of!(AddedKey, prefix_length), 202);
        assert_eq!(offset_of!(AddedKey, key), 208);
        assert_eq!(offset_of!(DeletedKey, bits), 132);
        assert_eq!(offset_of!(DeletedKey, flags), 143);
        let added = AddedKey::new("fd00::1".parse().unwrap(), &tuple(b"geheim")).unwrap();
        assert_eq!((added.send_id, added.receive_id, added.key_length), (3, 4, 6));
        assert_eq!(
            (added.prefix_length, added.code_length, added.flags),
            (128, 12, 2)
        );
        assert!(added.algorithm.starts_with(b"hmac(sha1)\0"));
        assert!(added.key.starts_with(b"geheim\0"));
        assert!(AddedKey::new("fd00::1".parse().unwrap(), &tuple(&[b'a'; 81])).is_err());
    }

    #[test]
    fn a_kernel_without_tcp_ao_is_told_from_other_faults() {
        let fault = |errno: Errno| without(errno.into());
        assert!(matches!(
            fault(Errno::ENOPROTOOPT),
            SocketFault::Unauthenticated(_)
        ));
        assert!(matches!(fault(Errno::ENOENT), SocketFault::Unauthenticated(_)));
        assert!(matches!(fault(Errno::EINVAL), SocketFault::Refused(_)));
    }
}
