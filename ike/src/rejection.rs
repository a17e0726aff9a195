//! Why a message was refused, and what to answer.

use crate::wire::registry::notify;
use crate::wire::{NotifyPayload, Payload};
use crate::{DropCause, Outage};

/// A message was refused. The state it was meant for is as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// What it counts as; `None` for sound messages that only ask for what we do not allow.
    pub(crate) cause: Option<DropCause>,
    /// The error notify of the answer; `None` if there must be no answer.
    pub(crate) answer: Option<NotifyPayload>,
    /// What it says about the connection, if it is down.
    pub(crate) outage: Option<Outage>,
}

impl Rejection {
    /// Drop it and say nothing.
    pub(crate) fn silent(cause: DropCause) -> Self {
        Self {
            cause: Some(cause),
            answer: None,
            outage: None,
        }
    }

    /// Answer with this error; the connection's status tells why.
    pub(crate) fn refused(kind: u16, outage: Outage) -> Self {
        Self {
            cause: None,
            answer: Some(error(kind, Vec::new())),
            outage: Some(outage),
        }
    }

    /// Answer with this error and its data; the connection's status does not change.
    pub(crate) fn answered(cause: Option<DropCause>, kind: u16, data: Vec<u8>) -> Self {
        Self {
            cause,
            answer: Some(error(kind, data)),
            outage: None,
        }
    }

    /// A payload that we do not know must be understood (RFC 7296 §2.5).
    pub(crate) fn critical(kind: u8) -> Self {
        let cause = Some(DropCause::UnsupportedCriticalPayload);
        Self::answered(cause, notify::UNSUPPORTED_CRITICAL_PAYLOAD, vec![kind])
    }
}

/// An error notify about the message itself or the IKE SA.
pub(crate) fn error(kind: u16, data: Vec<u8>) -> NotifyPayload {
    NotifyPayload {
        protocol: 0,
        spi: Vec::new(),
        kind,
        data,
    }
}

/// The first unknown payload that is marked critical.
pub(crate) fn unsupported(payloads: &[Payload]) -> Option<Rejection> {
    payloads.iter().find_map(|payload| {
        if let Payload::Unknown(unknown) = payload {
            unknown.critical.then(|| Rejection::critical(unknown.kind))
        } else {
            None
        }
    })
}
