//! Both IKE versions as one pure core: inputs in, actions out.
//!
//! [`Engine`] holds every IKE SA. It opens no socket, reads no clock, starts no task and draws no
//! randomness that it was not handed, so all of the protocol can be tested in memory.

mod action;
mod additional;
mod authentication;
mod beliefs;
mod candidates;
mod certificate_reason;
mod certificates;
mod connection;
mod contact;
pub mod crypto;
mod distinguished_name;
mod engine;
mod esp;
mod half_open;
mod identity;
mod input;
mod migration;
mod operator;
mod ppk;
mod proposal;
mod random;
mod reason;
mod rejection;
mod resolution;
mod selector;
mod settings;
mod snapshot;
mod standing;
mod suite;
mod transcript;
mod v1;
pub mod v2;
mod watch;
mod weak;
pub mod wire;

pub use action::{Action, Event};
pub use authentication::{
    Authentication, KeyName, LocalProof, OwnCertificate, PeerCertificate, RemoteProof, SaId, SharedSecret,
    Signatures, SignerFault, ToBeSigned,
};
pub use certificate_reason::{CertificateReason, SignerReason};
pub use engine::Engine;
pub use esp::{ChildId, Encapsulation, EspKeys, EspPair, EspSa, Volume, Watched};
pub use input::{Deadline, Input, Spent};
pub use migration::{Version2Answer, Version2Trial};
pub use ppk::PostQuantumPresharedKey;
pub use random::Random;
pub use reason::{Outage, Reason, Side, Stage};
pub use selector::TrafficSelector;
pub use settings::{
    Childless, Connection, ConnectionName, EspProposal, ExpectedIdentity, Identity, IkeProposal, Limits,
    LineStart, Mode, Remote, ResponderSelectors, SelectorLine, Settings, Version,
};
pub use snapshot::{
    ChildSnapshot, ConnectionSnapshot, ConnectionState, DropCause, Extension, IkeSnapshot, LineSnapshot,
    LineStanding, ReauthenticationSnapshot, Snapshot, WeakAlgorithm,
};
pub use transcript::LogLine;
