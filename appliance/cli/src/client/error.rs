use std::io;

use serde_json::{Value, json};
use thiserror::Error;

use super::fingerprint::Fingerprint;
use super::http::PATIENCE;
use super::refusal::Refusal;
use crate::outcome::Outcome;

/// Why there is no answer, and what to do about it.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(
        "there is no {place}: causewayd is not running here, or has another --runtime directory\n\
             Start causewayd, or say where its socket is with --socket PATH."
    )]
    NoSocket { place: String },
    #[error(
        "nobody listens at {place}: causewayd has stopped\nStart it, and look in its log for why it stopped."
    )]
    NoListener { place: String },
    #[error("permission denied for {place}: only its owner may talk to causewayd\nTry again as root.")]
    NoPermission { place: String },
    #[error(
        "cannot reach {place}: {cause}\n\
             Does causewayd listen there (system.management.listen), and does it allow this address (allow_from)?"
    )]
    NoServer { place: String, cause: io::Error },
    #[error(
        "{place} is not the one expected: its certificate is {presented}, expected was {expected}\n\
             Nothing was sent. Where its certificate was replaced, look up the new fingerprint on its console."
    )]
    WrongFingerprint {
        place: String,
        expected: Fingerprint,
        presented: Fingerprint,
    },
    #[error(
        "the certificate of {place} is not trusted: {cause}\n\
             Nothing was sent. Its fingerprint is {presented}: if its console shows the same, add --fingerprint \
             {presented}; or name with --ca FILE what its certificate goes back to."
    )]
    Untrusted {
        place: String,
        cause: String,
        presented: Fingerprint,
    },
    #[error("cannot talk to causewayd at {place}: {cause}\nLook in its log.")]
    Unusable { place: String, cause: String },
    #[error("no answer from {place} within {} s: causewayd hangs, or the way to it is cut\nLook in its log.", PATIENCE.as_secs())]
    TooSlow { place: String },
    #[error(
        "what {place} answers is not understood: {cause}\nAre causeway and causewayd of the same version?"
    )]
    Incomprehensible { place: String, cause: String },
    #[error("{0}")]
    Refused(Refusal),
    #[error("{file}: {cause}")]
    Unreadable { file: String, cause: io::Error },
    #[error("{0}")]
    Usage(String),
    #[error("nothing is changed")]
    GivenUp,
    #[error("{cause}\nWhat you edited is kept in {file}")]
    Kept { cause: Box<Error>, file: String },
}

impl Error {
    /// The exit status for it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(refusal) => refusal.outcome(),
            Self::Unreadable { .. } | Self::Usage(_) => Outcome::Problems,
            Self::GivenUp => Outcome::GivenUp,
            Self::Kept { cause, .. } => cause.outcome(),
            Self::NoSocket { .. }
            | Self::NoListener { .. }
            | Self::NoPermission { .. }
            | Self::NoServer { .. }
            | Self::WrongFingerprint { .. }
            | Self::Untrusted { .. }
            | Self::Unusable { .. }
            | Self::TooSlow { .. }
            | Self::Incomprehensible { .. } => Outcome::Unreachable,
        }
    }

    /// The same for a script: what the daemon said, or a reason and the words.
    pub(crate) fn json(&self) -> Value {
        let reason = match self {
            Self::Refused(refusal) => return refusal.problem().clone(),
            Self::Kept { cause, file } => {
                let mut json = cause.json();
                if let Some(fields) = json.as_object_mut() {
                    fields.insert("kept".to_owned(), file.as_str().into());
                }
                return json;
            }
            Self::NoSocket { .. } => "no-socket",
            Self::NoListener { .. } => "no-listener",
            Self::NoPermission { .. } => "no-permission",
            Self::NoServer { .. } => "no-server",
            Self::WrongFingerprint { .. } => "wrong-fingerprint",
            Self::Untrusted { .. } => "untrusted-certificate",
            Self::Unusable { .. } => "unusable",
            Self::TooSlow { .. } => "too-slow",
            Self::Incomprehensible { .. } => "not-understood",
            Self::Unreadable { .. } => "unreadable",
            Self::Usage(_) => "usage",
            Self::GivenUp => "given-up",
        };
        json!({ "reason": reason, "detail": self.to_string() })
    }
}
