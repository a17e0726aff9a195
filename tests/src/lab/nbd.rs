//! What an emulator and a disk of ours say to each other: the part of the NBD protocol that QEMU needs.

use std::io::{self, Read, Write};

const NEGOTIATION: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const OPTION: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

/// NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_NO_ZEROES.
const HANDSHAKE_FLAGS: u16 = 1 | 2;
/// NBD_FLAG_HAS_FLAGS, NBD_FLAG_SEND_FLUSH. Without NBD_FLAG_SEND_FUA, QEMU sends a flush instead.
const TRANSMISSION_FLAGS: u16 = 1 | 4;

const OPTION_GO: u32 = 7;
const REPLY_ACKNOWLEDGED: u32 = 1;
const REPLY_INFORMATION: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;
/// Of what a client says before the disk is in use.
const MOST_OPTION_OCTETS: u64 = 4096;

/// What is asked of the disk, with the cookie that the answer bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// So many octets from this place.
    Read {
        cookie: u64,
        place: usize,
        length: usize,
    },
    /// So many octets, which follow, to this place.
    Write {
        cookie: u64,
        place: usize,
        length: usize,
    },
    /// All that was written is to outlive a power cut.
    Flush { cookie: u64 },
    /// What was not offered.
    Unknown { cookie: u64 },
}

/// Why the disk does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// NBD_EINVAL.
    Invalid,
}

/// Comes to terms with a client, up to its first request.
pub(super) fn greet(mut stream: impl Read + Write, size: usize) -> io::Result<()> {
    let size = u64::try_from(size).map_err(io::Error::other)?;
    let greeting = [&NEGOTIATION.to_be_bytes()[..], &OPTION.to_be_bytes()[..]].concat();
    stream.write_all(&[&greeting[..], &HANDSHAKE_FLAGS.to_be_bytes()].concat())?;
    let _client_flags = u32::from_be_bytes(octets(&mut stream)?);
    loop {
        let magic = u64::from_be_bytes(octets(&mut stream)?);
        let option = u32::from_be_bytes(octets(&mut stream)?);
        let length = u64::from(u32::from_be_bytes(octets(&mut stream)?));
        if magic != OPTION || length > MOST_OPTION_OCTETS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        io::copy(&mut Read::by_ref(&mut stream).take(length), &mut io::sink())?;
        if option != OPTION_GO {
            tell(&mut stream, option, REPLY_UNSUPPORTED, &[])?;
            continue;
        }
        // NBD_INFO_EXPORT is 0.
        let export = [
            &[0, 0][..],
            &size.to_be_bytes(),
            &TRANSMISSION_FLAGS.to_be_bytes(),
        ]
        .concat();
        tell(&mut stream, option, REPLY_INFORMATION, &export)?;
        return tell(&mut stream, option, REPLY_ACKNOWLEDGED, &[]);
    }
}

fn tell(stream: &mut impl Write, option: u32, reply: u32, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut said = OPTION_REPLY.to_be_bytes().to_vec();
    for number in [option, reply, length] {
        said.extend(number.to_be_bytes());
    }
    said.extend(content);
    stream.write_all(&said)
}

/// The next request; nothing when the client has said good-bye.
pub(super) fn request(mut stream: impl Read) -> io::Result<Option<Request>> {
    let magic = u32::from_be_bytes(octets(&mut stream)?);
    let _flags = u16::from_be_bytes(octets(&mut stream)?);
    let kind = u16::from_be_bytes(octets(&mut stream)?);
    let cookie = u64::from_be_bytes(octets(&mut stream)?);
    let place = u64::from_be_bytes(octets(&mut stream)?);
    let length = u32::from_be_bytes(octets(&mut stream)?);
    if magic != REQUEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let place = usize::try_from(place).map_err(io::Error::other)?;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    Ok(match kind {
        0 => Some(Request::Read {
            cookie,
            place,
            length,
        }),
        1 => Some(Request::Write {
            cookie,
            place,
            length,
        }),
        2 => None,
        3 => Some(Request::Flush { cookie }),
        _ => Some(Request::Unknown { cookie }),
    })
}

/// Answers a request, with what was read if it was to read.
pub(super) fn answer(
    mut stream: impl Write,
    request: &Request,
    answer: &Result<Vec<u8>, Refusal>,
) -> io::Result<()> {
    let (Request::Read { cookie, .. }
    | Request::Write { cookie, .. }
    | Request::Flush { cookie }
    | Request::Unknown { cookie }) = *request;
    let (error, content): (u32, &[u8]) = match answer {
        Ok(content) => (0, content),
        Err(Refusal::Invalid) => (22, &[]),
    };
    let mut said = REPLY.to_be_bytes().to_vec();
    said.extend(error.to_be_bytes());
    said.extend(cookie.to_be_bytes());
    said.extend(content);
    stream.write_all(&said)
}

fn octets<const COUNT: usize>(stream: &mut impl Read) -> io::Result<[u8; COUNT]> {
    let mut octets = [0; COUNT];
    stream.read_exact(&mut octets)?;
    Ok(octets)
}
