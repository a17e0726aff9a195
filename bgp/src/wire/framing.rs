//! The header of every message, and a stream cut into messages (RFC 4271 §4.1, §6.1; RFC 8654).

use super::notification::Notification;
use super::octets::{set_u16, take, take_u8, take_u16};
use super::registry::message;

/// The octets of a header.
pub const HEADER: usize = 19;

/// How long a message may be without RFC 8654, and an OPEN or KEEPALIVE with it.
pub const USUAL_LENGTH: usize = 4096;

/// How long a message may be with RFC 8654.
pub const EXTENDED_LENGTH: usize = 65_535;

/// What begins a message.
const MARKER: [u8; 16] = [0xff; 16];

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The first of a connection.
    Open,
    /// Routes.
    Update,
    /// The last one.
    Notification,
    /// A sign of life.
    Keepalive,
    /// A request for routes, or about the answer (RFC 2918, RFC 7313).
    RouteRefresh,
}

impl MessageKind {
    /// Its type on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Open => message::OPEN,
            Self::Update => message::UPDATE,
            Self::Notification => message::NOTIFICATION,
            Self::Keepalive => message::KEEPALIVE,
            Self::RouteRefresh => message::ROUTE_REFRESH,
        }
    }

    /// What a type on the wire means.
    pub fn of(number: u8) -> Option<Self> {
        match number {
            message::OPEN => Some(Self::Open),
            message::UPDATE => Some(Self::Update),
            message::NOTIFICATION => Some(Self::Notification),
            message::KEEPALIVE => Some(Self::Keepalive),
            message::ROUTE_REFRESH => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The name that the RFCs have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Update => "UPDATE",
            Self::Notification => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh => "ROUTE-REFRESH",
        }
    }

    /// Whether it may have this length, header and all (§6.1, RFC 8654 §4). That of a ROUTE-REFRESH is its own
    /// business: it has an error of its own (RFC 7313 §5).
    fn allows(self, length: usize, extended: bool) -> bool {
        let longest = if extended { EXTENDED_LENGTH } else { USUAL_LENGTH };
        match self {
            Self::Open => (29..=USUAL_LENGTH).contains(&length),
            Self::Update => (23..=longest).contains(&length),
            Self::Notification => (21..=longest).contains(&length),
            Self::Keepalive => length == HEADER,
            Self::RouteRefresh => (HEADER..=longest).contains(&length),
        }
    }
}

/// One message: what it is, and what follows its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Cuts a stream into messages. Who takes all messages before he pushes again keeps less than one in it.
#[derive(Debug, Default)]
pub struct Framing {
    octets: Vec<u8>,
    /// So many of them were handed out.
    taken: usize,
}

impl Framing {
    /// The beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next octets of the stream.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.taken);
        self.taken = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next message, if all of it is there. After an error the stream is of no use.
    pub fn next(&mut self, extended: bool) -> Result<Option<Frame<'_>>, Notification> {
        let rest = self.octets.get(self.taken..).unwrap_or_default();
        let Some((kind, length)) = header(rest, extended)? else {
            return Ok(None);
        };
        let Some(body) = rest.get(HEADER..length) else {
            return Ok(None);
        };
        self.taken += length;
        Ok(Some(Frame { kind, body }))
    }

    /// Those that wait for more.
    pub fn rest(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// How many octets wait for more.
    pub fn waiting(&self) -> usize {
        self.octets.len().saturating_sub(self.taken)
    }
}

/// What a header says, if all of it is there (§6.1).
fn header(mut rest: &[u8], extended: bool) -> Result<Option<(MessageKind, usize)>, Notification> {
    let octets = &mut rest;
    let (Some(marker), Some(length), Some(kind)) = (take::<16>(octets), take_u16(octets), take_u8(octets))
    else {
        return Ok(None);
    };
    if marker != MARKER {
        return Err(Notification::not_synchronized());
    }
    let length = usize::from(length);
    if length < HEADER {
        return Err(Notification::bad_length(length));
    }
    let kind = MessageKind::of(kind).ok_or_else(|| Notification::bad_type(kind))?;
    if !kind.allows(length, extended) {
        return Err(Notification::bad_length(length));
    }
    Ok(Some((kind, length)))
}

/// A whole KEEPALIVE (§4.4).
pub fn keepalive() -> [u8; HEADER] {
    let mut octets = [0xff; HEADER];
    let [.., high, low, kind] = &mut octets;
    (*high, *low, *kind) = (0, 19, message::KEEPALIVE);
    octets
}

/// A header whose length is not known yet.
pub(super) fn begin(kind: MessageKind) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    begin_in(kind, &mut out);
    out
}

/// A header, whose length is not known yet, after other messages.
pub(super) fn begin_in(kind: MessageKind, out: &mut Vec<u8>) {
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0, 0, kind.number()]);
}

/// Sets the length of the message that begins at `start` and ends here.
pub(super) fn finish(out: &mut [u8], start: usize) {
    let length = out.len().saturating_sub(start);
    set_u16(out, start.saturating_add(MARKER.len()), length);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, length: u16) -> Vec<u8> {
        let mut octets = MARKER.to_vec();
        octets.extend(length.to_be_bytes());
        octets.push(kind);
        octets.resize(octets.len().max(usize::from(length)), 0);
        octets
    }

    fn only(octets: &[u8], extended: bool) -> Result<Option<(MessageKind, usize)>, Notification> {
        let mut framing = Framing::new();
        framing.push(octets);
        let frame = framing.next(extended)?;
        Ok(frame.map(|frame| (frame.kind, frame.body.len())))
    }

    #[test]
    fn a_stream_is_cut_wherever_its_pieces_end() {
        let mut stream = keepalive().to_vec();
        stream.extend(message(2, 23));
        stream.extend(keepalive());
        for size in 1..stream.len() {
            let (mut framing, mut kinds) = (Framing::new(), Vec::new());
            for piece in stream.chunks(size) {
                framing.push(piece);
                while let Some(frame) = framing.next(false).unwrap() {
                    kinds.push(frame.kind);
                }
            }
            let expected = [
                MessageKind::Keepalive,
                MessageKind::Update,
                MessageKind::Keepalive,
            ];
            assert_eq!(kinds, expected, "pieces of {size}");
            assert_eq!(framing.waiting(), 0);
        }
    }

    /// §6.1: the shortest and the longest of each kind; RFC 8654 §4 lets all but OPEN and KEEPALIVE grow.
    #[test]
    fn lengths_are_bounded_by_kind() {
        let cases = [
            (1, 29, 4096, 4096),
            (2, 23, 4096, 65_535),
            (3, 21, 4096, 65_535),
            (4, 19, 19, 19),
            (5, 19, 4096, 65_535),
        ];
        for (kind, shortest, longest, extended) in cases {
            let sound = |length, with| only(&message(kind, length), with).is_ok();
            assert!(sound(shortest, false) && sound(longest, false), "{kind}");
            assert!(!sound(shortest - 1, false), "{kind} is too short");
            assert!(!(sound(longest.saturating_add(1), false)), "{kind} is too long");
            assert!(sound(extended, true), "{kind} is extended");
            if extended < 65_535 {
                assert!(!sound(extended + 1, true), "{kind} is too long even so");
            }
        }
    }

    /// §6.1: the data is the length.
    #[test]
    fn a_wrong_length_is_told() {
        assert_eq!(
            only(&message(4, 20), false),
            Err(Notification::new(1, 2, vec![0, 20]))
        );
        assert_eq!(
            only(&message(2, 18), false),
            Err(Notification::new(1, 2, vec![0, 18]))
        );
    }

    #[test]
    fn what_begins_otherwise_is_not_synchronized() {
        let mut octets = keepalive();
        octets[3] = 0xfe;
        assert_eq!(only(&octets, false), Err(Notification::new(1, 1, Vec::new())));
    }

    /// §6.1: the data is the type.
    #[test]
    fn an_unknown_type_is_told() {
        assert_eq!(
            only(&message(9, 19), false),
            Err(Notification::new(1, 3, vec![9]))
        );
    }

    #[test]
    fn a_header_is_judged_before_the_rest_is_there() {
        let octets = message(2, 4097);
        assert!(only(&octets[..19], false).is_err());
        assert_eq!(only(&octets[..18], false), Ok(None));
        assert_eq!(only(&octets[..19], true), Ok(None));
    }
}
