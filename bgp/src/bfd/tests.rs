#![allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::Random;

struct Even;

impl Random for Even {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}

const FAST: BfdSettings = BfdSettings {
    interval: Duration::from_millis(300),
    multiplier: 3,
};

/// Two sessions, what they told, and whether packets pass each way.
struct Path {
    now: Instant,
    ends: [BfdSession; 2],
    told: [Vec<BfdAction>; 2],
    passes: [bool; 2],
    sent: [usize; 2],
    /// So many packets of the first end are still to be lost.
    lost: usize,
}

impl Path {
    fn new(east: BfdSettings, west: BfdSettings) -> Self {
        let now = Instant::now();
        Self {
            now,
            ends: [BfdSession::new(east, 7, now), BfdSession::new(west, 9, now)],
            told: [Vec::new(), Vec::new()],
            passes: [true, true],
            sent: [0, 0],
            lost: 0,
        }
    }

    fn up() -> Self {
        let mut path = Self::new(FAST, FAST);
        path.run(Duration::from_secs(4));
        assert_eq!(path.told, [vec![BfdAction::Up], vec![BfdAction::Up]]);
        path.told = [Vec::new(), Vec::new()];
        path
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.ends.iter().map(BfdSession::deadline).min().unwrap();
            if due > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(due);
            for side in [0, 1] {
                if self.ends[side].deadline() <= self.now {
                    let actions = self.ends[side].tick(&mut Even, self.now);
                    self.perform(side, actions);
                }
            }
        }
    }

    fn perform(&mut self, side: usize, actions: Vec<BfdAction>) {
        for action in actions {
            match action {
                BfdAction::Send(bytes) => {
                    self.sent[side] += 1;
                    if side == 0 && self.lost > 0 {
                        self.lost -= 1;
                    } else if self.passes[side] {
                        let other = 1 - side;
                        let answer = self.ends[other].receive(&bytes, &mut Even, self.now).unwrap();
                        self.perform(other, answer);
                    }
                }
                other @ (BfdAction::Up | BfdAction::Lost(_) | BfdAction::Ended) => {
                    self.told[side].push(other)
                }
            }
        }
    }

    fn states(&self) -> [SessionState; 2] {
        [0, 1].map(|side| self.ends[side].snapshot().state)
    }
}

fn packet() -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: SessionState::Down,
        poll: false,
        last: false,
        demand: false,
        multiplier: 3,
        my_discriminator: 9,
        your_discriminator: 0,
        desired_interval: Duration::from_secs(1),
        required_interval: Duration::from_millis(300),
    }
}

/// §6.2: Down, Init and Up, on both sides.
#[test]
fn both_come_up_and_then_send_at_the_agreed_pace() {
    let mut path = Path::up();
    assert_eq!(path.states(), [SessionState::Up; 2]);
    let before = path.sent;
    path.run(Duration::from_secs(3));
    // Three seconds at 300 ms less an eighth.
    assert!((11..=13).contains(&(path.sent[0] - before[0])), "{:?}", path.sent);
    assert_eq!(path.ends[0].snapshot().detection_time, Duration::from_millis(900));
}

/// §6.8.4: silence of three intervals is the end; the other side hears of it and goes down as well.
#[test]
fn silence_of_one_direction_takes_both_down() {
    let mut path = Path::up();
    path.passes[0] = false;
    path.run(Duration::from_millis(1000));
    assert_eq!(
        path.told,
        [
            vec![BfdAction::Lost(Diagnostic::NEIGHBOUR_DOWN)],
            vec![BfdAction::Lost(Diagnostic::EXPIRED)]
        ]
    );
    path.passes[0] = true;
    path.run(Duration::from_secs(4));
    assert_eq!(path.states(), [SessionState::Up; 2]);
}

/// §6.8.3: while it is not up, a session sends no more than once a second, less the jitter.
#[test]
fn nobody_is_flooded_who_does_not_answer() {
    let mut path = Path::new(FAST, FAST);
    path.passes = [false, false];
    path.run(Duration::from_secs(10));
    assert!(path.sent[0] <= 12, "{:?}", path.sent);
    assert!(path.told[0].is_empty());
}

/// §6.8.4: each direction goes by the slower of what its sender wants and its receiver can.
#[test]
fn the_slower_side_sets_the_pace() {
    let slow = BfdSettings {
        interval: Duration::from_secs(2),
        multiplier: 5,
    };
    let mut path = Path::new(FAST, slow);
    path.run(Duration::from_secs(10));
    assert_eq!(path.ends[0].snapshot().interval, Duration::from_secs(2));
    assert_eq!(path.ends[0].snapshot().detection_time, Duration::from_secs(10));
    assert_eq!(path.ends[1].snapshot().detection_time, Duration::from_secs(6));
}

/// §6.8.16 and RFC 5882 §4.2: who is taken away says so, and the routes of the other stay.
#[test]
fn an_administrative_end_is_no_loss() {
    let mut path = Path::up();
    let bytes = path.ends[0].farewell();
    let actions = path.ends[1].receive(&bytes, &mut Even, path.now).unwrap();
    assert_eq!(actions, [BfdAction::Ended]);
    assert_eq!(path.states(), [SessionState::AdminDown, SessionState::Down]);
}

/// §6.5: a changed pace is agreed by a poll, and the session stays up.
#[test]
fn another_pace_is_agreed_without_a_loss() {
    let mut path = Path::up();
    for interval in [2000, 100] {
        let settings = BfdSettings {
            interval: Duration::from_millis(interval),
            multiplier: 3,
        };
        path.ends[0].configure(settings, path.now);
        path.run(Duration::from_secs(20));
        assert_eq!(path.told, [Vec::new(), Vec::new()], "{interval}");
        let time = Duration::from_millis(interval.max(300)) * 3;
        assert_eq!(path.ends[1].snapshot().detection_time, time);
        assert_eq!(path.ends[0].snapshot().detection_time, time);
    }
}

/// §6.8.3: nobody sends more slowly before the other side has heard that it will.
#[test]
fn a_slower_pace_whose_news_is_lost_is_no_loss() {
    let mut path = Path::up();
    let settings = BfdSettings {
        interval: Duration::from_secs(2),
        multiplier: 3,
    };
    path.ends[0].configure(settings, path.now);
    path.lost = 2;
    path.run(Duration::from_secs(20));
    assert_eq!(path.told, [Vec::new(), Vec::new()]);
    assert_eq!(path.ends[0].snapshot().interval, Duration::from_secs(2));
}

/// §6.8.7: one that asks for silence gets it, and answers polls.
#[test]
fn a_neighbour_in_demand_mode_is_left_alone() {
    let mut path = Path::up();
    path.passes = [false, false];
    let quiet = ControlPacket {
        state: SessionState::Up,
        demand: true,
        your_discriminator: 7,
        ..packet()
    };
    path.ends[0]
        .receive(&quiet.encode(), &mut Even, path.now)
        .unwrap();
    let before = path.sent[0];
    path.run(Duration::from_millis(800));
    assert_eq!(path.sent[0], before);
}

/// §6.8.6: what must be discarded changes nothing.
#[test]
fn what_is_no_packet_for_us_is_discarded() {
    let good = packet().encode();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let stranger = ControlPacket {
        your_discriminator: 8,
        ..packet()
    };
    let nameless = ControlPacket {
        state: SessionState::Up,
        ..packet()
    };
    for (bytes, error) in [
        (with(0, 0x40), PacketError::Version(2)),
        (
            with(1, 0x44),
            PacketError::Unsupported("authenticated, which was not agreed"),
        ),
        (with(1, 0x41), PacketError::Unsupported("for many")),
        (with(2, 0), PacketError::Zero("multiplier")),
        (with(3, 23), PacketError::Truncated),
        (with(3, 25), PacketError::Truncated),
        (with(7, 0), PacketError::Zero("discriminator")),
        (good[..23].to_vec(), PacketError::Truncated),
        (Vec::new(), PacketError::Truncated),
        (stranger.encode(), PacketError::NoSession),
        (nameless.encode(), PacketError::NoSession),
    ] {
        let mut session = BfdSession::new(FAST, 7, Instant::now());
        let before = format!("{session:?}");
        let told = session.receive(&bytes, &mut Even, Instant::now());
        assert_eq!(told, Err(error), "{bytes:?}");
        assert_eq!(format!("{session:?}"), before);
    }
}

proptest! {
    /// What is written is read.
    #[test]
    fn packets_round_trip(
        (diagnostic, state, flags, multiplier) in (0_u8..32, 0_u8..4, 0_u8..8, 1_u8..),
        (mine, yours, desired, required) in (1_u32.., 1_u32.., any::<u32>(), any::<u32>()),
    ) {
        let states = [SessionState::AdminDown, SessionState::Down, SessionState::Init, SessionState::Up];
        let packet = ControlPacket {
            diagnostic: Diagnostic(diagnostic),
            state: states[usize::from(state)],
            poll: flags & 1 != 0,
            last: flags & 2 != 0,
            demand: flags & 4 != 0,
            multiplier,
            my_discriminator: mine,
            your_discriminator: yours,
            desired_interval: Duration::from_micros(desired.into()),
            required_interval: Duration::from_micros(required.into()),
        };
        prop_assert_eq!(ControlPacket::decode(&packet.encode()), Ok(packet));
    }

    /// No octets panic, and none are read as what they do not say.
    #[test]
    fn any_octets_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut session = BfdSession::new(FAST, 7, Instant::now());
        let _told = session.receive(&bytes, &mut Even, Instant::now());
    }
}
