use std::time::{Duration, Instant};

use super::packet::{ControlPacket, Diagnostic, PacketError, SessionState};
use crate::Random;

/// No side sends faster than this while the session is not up (RFC 5880 §6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// What one session is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdSettings {
    /// How often we would like to send, and can receive.
    pub interval: Duration,
    /// So many of our packets may be missed.
    pub multiplier: u8,
}

/// What a session asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BfdAction {
    /// Send these octets to the neighbour.
    Send(Vec<u8>),
    /// Packets arrive in both directions.
    Up,
    /// They no longer do.
    Lost(Diagnostic),
    /// The other side's administrator ended it: nothing follows for what is routed (RFC 5882 §4.2).
    Ended,
}

/// A session with one neighbour (RFC 5880 §6).
#[derive(Debug)]
pub struct BfdSession {
    settings: BfdSettings,
    discriminator: u32,
    state: SessionState,
    diagnostic: Diagnostic,
    remote: Remote,
    /// Packets ask for an answer until there is one.
    polling: bool,
    /// The intervals of the settings before and now, until the other side has heard of these (§6.8.3): we send by the
    /// shorter and wait by the longer one.
    told: (Duration, Duration),
    send_at: Instant,
    /// When the other side has been silent for too long; `None` while it was not heard.
    expires: Option<Instant>,
}

/// What the other side last said (§6.8.1).
#[derive(Debug, Clone, Copy)]
struct Remote {
    discriminator: u32,
    state: SessionState,
    desired: Duration,
    required: Duration,
    multiplier: u8,
    demand: bool,
}

/// How a session stands, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdSnapshot {
    /// Our state.
    pub state: SessionState,
    /// What the other side said last.
    pub remote_state: SessionState,
    /// Why it last left Up.
    pub diagnostic: Diagnostic,
    /// How often we send.
    pub interval: Duration,
    /// After so long a silence the other side is gone.
    pub detection_time: Duration,
}

impl Remote {
    /// Nothing is known (§6.8.1: RemoteMinRxInterval begins with 1).
    const UNKNOWN: Self = Self {
        discriminator: 0,
        state: SessionState::Down,
        desired: Duration::ZERO,
        required: Duration::from_micros(1),
        multiplier: 1,
        demand: false,
    };
}

impl BfdSession {
    /// A session that begins to send at once; the discriminator is none of another session of ours, and not zero.
    pub fn new(settings: BfdSettings, discriminator: u32, now: Instant) -> Self {
        Self {
            settings,
            discriminator,
            state: SessionState::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNKNOWN,
            polling: false,
            told: (settings.interval, settings.interval),
            send_at: now,
            expires: None,
        }
    }

    /// Other settings for a session that goes on.
    pub fn configure(&mut self, settings: BfdSettings, now: Instant) {
        let (shorter, longer) = self.told;
        self.told = (shorter.min(settings.interval), longer.max(settings.interval));
        self.settings = settings;
        if self.state == SessionState::Up {
            self.polling = true;
        } else {
            self.told = (settings.interval, settings.interval);
        }
        self.send_at = now;
    }

    /// A packet came from the neighbour.
    ///
    /// # Errors
    /// If it is discarded; nothing has changed then.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        random: &mut dyn Random,
        now: Instant,
    ) -> Result<Vec<BfdAction>, PacketError> {
        let packet = ControlPacket::decode(bytes)?;
        if packet.your_discriminator != 0 && packet.your_discriminator != self.discriminator {
            return Err(PacketError::NoSession);
        }
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            desired: packet.desired_interval,
            required: packet.required_interval,
            multiplier: packet.multiplier,
            demand: packet.demand,
        };
        if packet.last && self.polling {
            self.polling = false;
            self.told = (self.settings.interval, self.settings.interval);
        }
        let mut out = Vec::new();
        self.heard(packet.state, now, &mut out);
        self.expires = Some(now + self.detection_time());
        // A neighbour that is to be sent faster than before is not left waiting for the old interval.
        self.send_at = self.send_at.min(now + self.pause(random));
        if packet.poll {
            out.push(BfdAction::Send(self.packet(true).encode()));
        }
        Ok(out)
    }

    /// The transitions of §6.8.6.
    fn heard(&mut self, remote: SessionState, now: Instant, out: &mut Vec<BfdAction>) {
        match (self.state, remote) {
            (SessionState::Init | SessionState::Up, SessionState::AdminDown) => {
                if self.state == SessionState::Up {
                    out.push(BfdAction::Ended);
                }
                self.fall(Diagnostic::NEIGHBOUR_DOWN, now);
            }
            (SessionState::Down, SessionState::Down) => self.enter(SessionState::Init, now),
            (SessionState::Down, SessionState::Init)
            | (SessionState::Init, SessionState::Init | SessionState::Up) => {
                self.enter(SessionState::Up, now);
                // From now on we want to send faster than we said (§6.8.3).
                self.polling = true;
                out.push(BfdAction::Up);
            }
            (SessionState::Up, SessionState::Down) => {
                self.fall(Diagnostic::NEIGHBOUR_DOWN, now);
                out.push(BfdAction::Lost(self.diagnostic));
            }
            (SessionState::AdminDown, _)
            | (SessionState::Down, SessionState::AdminDown | SessionState::Up)
            | (SessionState::Init, SessionState::Down)
            | (SessionState::Up, SessionState::Init | SessionState::Up) => (),
        }
    }

    /// When [`BfdSession::tick`] is due.
    pub fn deadline(&self) -> Instant {
        self.expires
            .map_or(self.send_at, |expires| expires.min(self.send_at))
    }

    /// Time has passed.
    pub fn tick(&mut self, random: &mut dyn Random, now: Instant) -> Vec<BfdAction> {
        let mut out = Vec::new();
        if self.expires.is_some_and(|expires| expires <= now) {
            self.expires = None;
            self.remote = Remote::UNKNOWN;
            match self.state {
                SessionState::Up => {
                    self.fall(Diagnostic::EXPIRED, now);
                    out.push(BfdAction::Lost(self.diagnostic));
                }
                SessionState::Init => self.fall(Diagnostic::EXPIRED, now),
                SessionState::AdminDown | SessionState::Down => (),
            }
        }
        if self.send_at <= now {
            self.send_at = now + self.pause(random);
            if self.may_send() {
                out.push(BfdAction::Send(self.packet(false).encode()));
            }
        }
        out
    }

    /// What the other side is told when the session is taken away: it is not to think that the path is lost.
    pub fn farewell(&mut self) -> Vec<u8> {
        self.state = SessionState::AdminDown;
        self.diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
        self.packet(false).encode()
    }

    /// How it stands.
    pub fn snapshot(&self) -> BfdSnapshot {
        BfdSnapshot {
            state: self.state,
            remote_state: self.remote.state,
            diagnostic: self.diagnostic,
            interval: self.interval(),
            detection_time: self.detection_time(),
        }
    }

    fn enter(&mut self, state: SessionState, now: Instant) {
        self.state = state;
        // The other side is told at once.
        self.send_at = now;
    }

    fn fall(&mut self, why: Diagnostic, now: Instant) {
        self.diagnostic = why;
        self.polling = false;
        self.enter(SessionState::Down, now);
    }

    /// §6.8.7: not to one that cannot receive, and not to one that asked for silence.
    fn may_send(&self) -> bool {
        let quiet = self.remote.demand
            && self.state == SessionState::Up
            && self.remote.state == SessionState::Up
            && !self.polling;
        !self.remote.required.is_zero() && !quiet
    }

    /// How often we tell that we would like to send (§6.8.3).
    fn desired(&self) -> Duration {
        if self.state == SessionState::Up {
            self.settings.interval
        } else {
            self.settings.interval.max(SLOW)
        }
    }

    fn interval(&self) -> Duration {
        let pace = if self.polling {
            self.desired().min(self.told.0)
        } else {
            self.desired()
        };
        pace.max(self.remote.required)
    }

    /// The interval less a drawn part of up to a quarter of it, and at least a tenth where one lost packet counts (§6.8.7).
    fn pause(&self, random: &mut dyn Random) -> Duration {
        let mut drawn = [0];
        random.fill(&mut drawn);
        let [drawn] = drawn;
        let (least, most) = match self.settings.multiplier {
            1 => (100_u32, 250),
            _ => (0, 250),
        };
        let less = least + (most - least) * u32::from(drawn) / 255;
        self.interval() * (1000 - less) / 1000
    }

    /// §6.8.4.
    fn detection_time(&self) -> Duration {
        self.told.1.max(self.remote.desired) * u32::from(self.remote.multiplier)
    }

    fn packet(&self, last: bool) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            // One packet is never both (§6.5).
            poll: self.polling && !last,
            last,
            demand: false,
            multiplier: self.settings.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_interval: self.desired(),
            required_interval: self.settings.interval,
        }
    }
}
