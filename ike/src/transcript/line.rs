use std::time::Duration;

use crate::wire::registry::exchange;
use crate::wire::v1::registry::exchange as exchange1;
use crate::{DropCause, Side};

/// What a line may say, in characters; a peer can make it long.
const CHARACTERS: usize = 600;
/// How a message begins that only asks whether the other side is there.
pub(super) const CHECK: &str = "dead-peer check";
/// What answers it in IKEv1 (RFC 3706 §5.1).
pub(super) const CHECKED: &str = "R-U-THERE-ACK";

/// One message that IKE sent or heard for a connection. Nothing that keys are made of stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Who sent it.
    pub side: Side,
    /// Its exchange: `IKE_SA_INIT` (RFC 7296 §1), `main mode` (RFC 2409 §5).
    pub exchange: String,
    /// Which message of that: `request 0`, `response 0` with the message id, or `message 3`. Empty for a message of IKEv1 that stands
    /// alone.
    pub message: String,
    /// 0 for the first time, else that it is sent for the so manieth time after that; of the peer's 1, however often it came.
    pub repeat: u32,
    /// What was offered, chosen, proved or asked for. Empty if nothing of it was read.
    pub says: String,
    /// Why it changed nothing.
    pub dropped: Option<DropCause>,
    /// How long before now it was sent or came.
    pub ago: Duration,
}

impl LogLine {
    /// Whether it only asks if the other side is there, and for the first time: an INFORMATIONAL request with nothing in it (RFC 7296 §1.4),
    /// R-U-THERE (RFC 3706 §5.1).
    pub fn is_check(&self) -> bool {
        self.repeat == 0 && self.dropped.is_none() && self.says.starts_with(CHECK)
    }

    /// Whether it is the answer to such a check, which came at once.
    pub fn answers(&self, check: &Self) -> bool {
        let number = |line: &Self| line.message.rsplit(' ').next().map(str::to_owned);
        self.repeat == 0
            && self.dropped.is_none()
            && check.is_check()
            && (self.side != check.side && self.exchange == check.exchange)
            && number(self) == number(check)
            && ["", CHECKED].contains(&self.says.as_str())
    }

    /// A message of IKEv2: its exchange, id and whether it answers.
    pub(super) fn of_version_2(side: Side, (exchange, id, answers): (u8, u32, bool), says: String) -> Self {
        let what = if answers { "response" } else { "request" };
        Self::new(side, exchange, (format!("{what} {id}"), says))
    }

    /// A message of IKEv1: its exchange and its place in that.
    pub(super) fn of_version_1(side: Side, (exchange, number): (u8, Option<u8>), says: String) -> Self {
        let message = number.map(|number| format!("message {number}"));
        Self::new(side, exchange, (message.unwrap_or_default(), says))
    }

    fn new(side: Side, exchange: u8, (message, says): (String, String)) -> Self {
        let mut abridged: String = says.chars().take(CHARACTERS).collect();
        if abridged.len() < says.len() {
            abridged.push('…');
        }
        Self {
            side,
            exchange: word(exchange),
            message,
            repeat: 0,
            says: abridged,
            dropped: None,
            ago: Duration::ZERO,
        }
    }
}

/// The name of an exchange; the numbers of both versions differ.
fn word(kind: u8) -> String {
    let known = match kind {
        exchange::IKE_SA_INIT => "IKE_SA_INIT",
        exchange::IKE_AUTH => "IKE_AUTH",
        exchange::CREATE_CHILD_SA => "CREATE_CHILD_SA",
        exchange::INFORMATIONAL => "INFORMATIONAL",
        exchange::IKE_SESSION_RESUME => "IKE_SESSION_RESUME",
        exchange::IKE_INTERMEDIATE => "IKE_INTERMEDIATE",
        exchange::IKE_FOLLOWUP_KE => "IKE_FOLLOWUP_KE",
        exchange1::MAIN_MODE => "main mode",
        exchange1::AGGRESSIVE => "aggressive mode",
        exchange1::INFORMATIONAL => "informational",
        exchange1::QUICK_MODE => "quick mode",
        other => return format!("exchange {other}"),
    };
    known.to_owned()
}
