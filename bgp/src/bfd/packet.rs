use std::fmt;
use std::time::Duration;

/// Octets of a control packet without authentication.
const LENGTH: usize = 24;
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A control packet (RFC 5880 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPacket {
    /// Why the sender's session last left Up.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: SessionState,
    /// It wants an answer with `last` at once.
    pub poll: bool,
    /// It is the answer to one with `poll`.
    pub last: bool,
    /// It asks not to be sent packets while both are up.
    pub demand: bool,
    /// So many packets may be missed.
    pub multiplier: u8,
    /// The sender's number of the session; never zero.
    pub my_discriminator: u32,
    /// The receiver's, zero as long as it is not known.
    pub your_discriminator: u32,
    /// How often the sender would like to send, whole microseconds.
    pub desired_interval: Duration,
    /// How often it can receive; zero for not at all.
    pub required_interval: Duration,
}

/// The states of RFC 5880 §6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// Held down by an administrator.
    AdminDown,
    /// Nothing is heard.
    Down,
    /// The other side is heard, and does not hear us yet.
    Init,
    /// Both hear each other.
    Up,
}

/// Why a session left Up (RFC 5880 §4.1), by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

/// Why octets are no control packet for us (RFC 5880 §6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer octets than a packet has, or than it says.
    #[error("it is cut off")]
    Truncated,
    /// Another version than 1.
    #[error("its version is {0}")]
    Version(u8),
    /// A field that may not be zero is.
    #[error("its {0} is zero")]
    Zero(&'static str),
    /// A bit that may not be set is.
    #[error("it is {0}")]
    Unsupported(&'static str),
    /// It names no session although its sender's is not down.
    #[error("it names no session")]
    NoSession,
}

impl ControlPacket {
    /// Reads one; what the session has to say to it is not judged.
    ///
    /// # Errors
    /// If it must be discarded whatever the session (RFC 5880 §6.8.6).
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let [first, flags, multiplier, length, numbers @ ..] = bytes else {
            return Err(PacketError::Truncated);
        };
        if first >> 5 != VERSION {
            return Err(PacketError::Version(first >> 5));
        }
        let words = numbers.as_chunks::<4>().0;
        let &[mine, yours, desired, required, _echo, ..] = words else {
            return Err(PacketError::Truncated);
        };
        if usize::from(*length) < LENGTH || usize::from(*length) > bytes.len() {
            return Err(PacketError::Truncated);
        }
        for (bit, what) in [
            (AUTHENTICATION, "authenticated, which was not agreed"),
            (MULTIPOINT, "for many"),
        ] {
            if flags & bit != 0 {
                return Err(PacketError::Unsupported(what));
            }
        }
        if *multiplier == 0 {
            return Err(PacketError::Zero("multiplier"));
        }
        let packet = Self {
            diagnostic: Diagnostic(first & 0x1f),
            state: SessionState::of(flags >> 6),
            poll: flags & POLL != 0,
            last: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            multiplier: *multiplier,
            my_discriminator: u32::from_be_bytes(mine),
            your_discriminator: u32::from_be_bytes(yours),
            desired_interval: Duration::from_micros(u32::from_be_bytes(desired).into()),
            required_interval: Duration::from_micros(u32::from_be_bytes(required).into()),
        };
        if packet.my_discriminator == 0 {
            return Err(PacketError::Zero("discriminator"));
        }
        if packet.your_discriminator == 0 && packet.state > SessionState::Down {
            return Err(PacketError::NoSession);
        }
        Ok(packet)
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut flags = self.state.number() << 6;
        for (set, bit) in [(self.poll, POLL), (self.last, FINAL), (self.demand, DEMAND)] {
            if set {
                flags |= bit;
            }
        }
        let mut bytes = vec![
            VERSION << 5 | self.diagnostic.0 & 0x1f,
            flags,
            self.multiplier,
            24,
        ];
        for number in [
            self.my_discriminator,
            self.your_discriminator,
            micros(self.desired_interval),
            micros(self.required_interval),
            0,
        ] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }
}

impl SessionState {
    fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl Diagnostic {
    /// None.
    pub const NONE: Self = Self(0);
    /// Packets did not come in time.
    pub const EXPIRED: Self = Self(1);
    /// The other side said that it is down.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// An administrator took it down.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbour signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "unknown diagnostic",
        })
    }
}

fn micros(interval: Duration) -> u32 {
    u32::try_from(interval.as_micros()).unwrap_or(u32::MAX)
}
