use appliance_config::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use crate::secrets::SecretProblem;
use crate::store::StoreError;

/// Why an order is not carried out.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// A file is the only source.
    #[error("causewayd was started with --config-only: edit its file and send SIGHUP")]
    ReadOnly,
    /// A file has neither history nor secrets of its own.
    #[error("causewayd was started with --config-only, so it keeps no generations and no secrets")]
    NoStore,
    /// Somebody else was faster.
    #[error("generation {current} runs, and If-Match names another: read it again and decide anew")]
    Stale {
        /// What runs.
        current: u32,
    },
    /// The document breaks rules.
    #[error("the document has {} problems", .0.len())]
    Violations(Vec<Violation>),
    /// The edited document is larger than any may be.
    #[error(
        "the whole document would have {bytes} bytes; at most {} are allowed",
        appliance_config::MAX_BYTES
    )]
    TooLarge {
        /// In canonical form.
        bytes: usize,
    },
    /// There is nothing at this place of the document.
    #[error("nothing is there: {0}")]
    UnknownItem(String),
    /// No generation has this number, or it is forgotten.
    #[error("there is no generation {0}; causeway config history shows those that are kept")]
    UnknownGeneration(u32),
    /// No secret has this name.
    #[error("there is no secret {0:?}")]
    UnknownSecret(String),
    /// No connection has this name.
    #[error("no connection is named {0:?}")]
    UnknownConnection(String),
    /// The document has no such certificate of ours.
    #[error("no certificate is named {0:?}")]
    UnknownCertificate(String),
    /// The document has nobody by this name who has private keys.
    #[error("no key provider is named {0:?}")]
    UnknownKeyProvider(String),
    /// No connection that runs has a BGP session by this name.
    #[error(
        "no BGP session is named {0:?}: it has the name of its connection, which is to be enabled and to have bgp"
    )]
    UnknownPeer(String),
    /// It is configured not to run.
    #[error("connection {0:?} is disabled by the document: set enabled to true")]
    ConnectionDisabled(String),
    /// This version cannot negotiate it.
    #[error("this version keeps the connection closed: {0}")]
    ConnectionHeld(String),
    /// There is nothing to try.
    #[error("connection {0:?} speaks IKEv2 already")]
    SpeaksIkev2(String),
    /// Something must be decided first.
    #[error(
        "generation {0} is on trial: confirm it, or roll back to generation {1}, before anything else is changed"
    )]
    OnTrial(u32, u32),
    /// Nothing is to be decided.
    #[error("nothing is on trial")]
    NothingOnTrial,
    /// A secret that the document names.
    #[error("secret {name:?} is used at {}", .used_by.join(", "))]
    SecretInUse {
        /// Its name.
        name: String,
        /// Where it is named.
        used_by: Vec<String>,
    },
    /// No pre-shared key.
    #[error("{0}")]
    SecretInvalid(String),
    /// The kernel refused something new; everything is as it was.
    #[error("it could not be applied, and everything is as it was: {}", .0.join("; "))]
    NotApplied(Vec<String>),
    /// The store failed.
    #[error("the store failed, and nothing is changed: {0}")]
    Store(#[from] StoreError),
    /// The daemon is stopping.
    #[error("the daemon is busy or stopping: try again")]
    Stopping,
}

impl Refusal {
    /// The stable word.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::NoStore => "no-store",
            Self::Stale { .. } => "stale",
            Self::Violations(_) => "invalid-document",
            Self::TooLarge { .. } => "too-large",
            Self::UnknownItem(_) => "unknown-item",
            Self::UnknownGeneration(_) => "unknown-generation",
            Self::UnknownSecret(_) => "unknown-secret",
            Self::UnknownConnection(_) => "unknown-connection",
            Self::UnknownCertificate(_) => "unknown-certificate",
            Self::UnknownKeyProvider(_) => "unknown-key-provider",
            Self::UnknownPeer(_) => "unknown-peer",
            Self::ConnectionDisabled(_) => "connection-disabled",
            Self::ConnectionHeld(_) => "connection-held",
            Self::SpeaksIkev2(_) => "speaks-ikev2",
            Self::OnTrial(..) => "on-trial",
            Self::NothingOnTrial => "nothing-on-trial",
            Self::SecretInUse { .. } => "secret-in-use",
            Self::SecretInvalid(_) => "secret-invalid",
            Self::NotApplied(_) => "not-applied",
            Self::Store(_) => "store-failed",
            Self::Stopping => "busy",
        }
    }
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Violation {
    /// Where, as a JSON pointer (RFC 6901).
    pub(crate) path: String,
    /// What, in one stable word.
    pub(crate) reason: &'static str,
    /// The same for a human.
    pub(crate) detail: String,
}

impl From<Problem> for Violation {
    fn from(problem: Problem) -> Self {
        Self {
            path: problem.path,
            reason: problem.reason.word(),
            detail: problem.detail,
        }
    }
}

impl From<SecretProblem> for Violation {
    fn from(problem: SecretProblem) -> Self {
        Self {
            path: problem.path,
            reason: problem.reason,
            detail: problem.detail,
        }
    }
}

impl Refusal {
    /// A document with these problems.
    pub(crate) fn of(problems: Vec<impl Into<Violation>>) -> Self {
        Self::Violations(problems.into_iter().map(Into::into).collect())
    }
}
