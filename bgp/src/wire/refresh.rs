//! ROUTE-REFRESH (RFC 2918, RFC 7313).

use super::framing::{self, MessageKind};
use super::notification::Notification;
use super::octets::{take_u8, take_u16};
use crate::Family;

/// A request for routes, or an end of the answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Of which family.
    pub family: Family,
    /// What it means.
    pub kind: RefreshKind,
}

/// What a ROUTE-REFRESH means (RFC 7313 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send all routes again.
    Request,
    /// The answer begins.
    Begin,
    /// The answer is complete.
    End,
}

impl RefreshKind {
    fn number(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
        }
    }
}

impl Refresh {
    /// Reads the body of a ROUTE-REFRESH; `enhanced` says that both sides speak RFC 7313. One about a family or of a
    /// kind that we do not know is to be ignored (RFC 2918 §4, RFC 7313 §5): `None`.
    pub fn decode(body: &[u8], enhanced: bool) -> Result<Option<Self>, Notification> {
        let mut rest = body;
        let octets = &mut rest;
        let (Some(afi), Some(subtype), Some(safi)) = (take_u16(octets), take_u8(octets), take_u8(octets))
        else {
            return Err(Notification::bad_refresh_length(body));
        };
        let kind = match subtype {
            // Reserved and to be ignored, before RFC 7313.
            _ if !enhanced => RefreshKind::Request,
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            _ => return Ok(None),
        };
        // What follows a request are filters (RFC 5291), which we never offered.
        if kind != RefreshKind::Request && !rest.is_empty() {
            return Err(Notification::bad_refresh_length(body));
        }
        Ok(Family::of(afi, safi).map(|family| Self { family, kind }))
    }

    /// Writes the whole message.
    pub fn encode(self) -> Vec<u8> {
        let mut out = framing::begin(MessageKind::RouteRefresh);
        out.extend(self.family.afi().to_be_bytes());
        out.extend([self.kind.number(), 1]);
        framing::finish(&mut out, 0);
        out
    }
}
