use x509_cert::der::DateTime;

use super::authentication::Parties;
use super::{Certificate, Name, Trust};
use crate::Reason;
use crate::reader::Value;

/// A time in which both sides go over to other certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When it begins, in seconds of UNIX time.
    pub from: u64,
    /// When it is over, in seconds of UNIX time.
    pub until: u64,
    /// By which certificate we prove who we are from its beginning on.
    pub certificate: Option<(Name, Box<Certificate>)>,
    /// What the peer's certificate may lead to from its beginning on, and must lead to once it is over.
    pub trust: Option<(Name, Trust)>,
}

/// Where a transition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun, or nobody knows what time it is.
    Before,
    /// It is under way.
    During,
    /// It is over.
    After,
}

impl Transition {
    /// Where it stands at this time, in seconds of UNIX time.
    pub fn phase(&self, unix_s: Option<u64>) -> Phase {
        match unix_s {
            Some(now) if now >= self.until => Phase::After,
            Some(now) if now >= self.from => Phase::During,
            Some(_) | None => Phase::Before,
        }
    }

    pub(super) fn read(value: &Value<'_>, parties: &Parties<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let from = object.required("from", moment);
        let until = object.required("until", moment);
        let certificate = object.optional("certificate", None, |value| {
            parties.certificates.follow(value, "certificate").map(Some)
        });
        let trust = object.optional("chain", None, |value| {
            parties.trust.follow(value, "trust").map(Some)
        });
        let (from, until) = (from?, until?);
        if until <= from {
            object.faulty("until", Reason::OutOfRange, "is not after \"from\"");
            return None;
        }
        let (certificate, trust) = (certificate?, trust?);
        if certificate.is_none() && trust.is_none() {
            object.lacks(
                "certificate",
                "\"certificate\" or \"chain\" must be given: what is new",
            );
            return None;
        }
        Some(Self {
            from,
            until,
            certificate: certificate.map(|(name, certificate)| (name, certificate.into())),
            trust,
        })
    }
}

/// A moment, in seconds of UNIX time.
fn moment(value: &Value<'_>) -> Option<u64> {
    let text = value.text()?;
    match text.parse::<DateTime>() {
        Ok(moment) => Some(moment.unix_duration().as_secs()),
        Err(_) => value.wrong(
            Reason::InvalidMoment,
            text,
            "expected a time in UTC such as 2027-01-31T00:00:00Z",
        ),
    }
}
