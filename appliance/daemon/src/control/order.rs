use std::sync::Arc;
use std::time::Duration;

use appliance_config::{Approach, Edit};
use secrecy::SecretSlice;
use tokio::sync::oneshot;

use super::refusal::Refusal;
use super::running::Running;
use super::weigh::Report;
use crate::envelope::Secrets;
use crate::signer::{KeyTrial, Refreshed, Step};
use crate::store::{AuditPage, AuditQuery, Author, Generation, Head, SecretHead};

/// Where the answer to an order goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the owner of the configuration can be asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// What runs.
    Read(Answer<Arc<Running>>),
    /// What this would do; changes nothing.
    Check(Proposal, Option<Approach>, Answer<Report>),
    /// Do it.
    Commit(Box<Commit>, Answer<Report>),
    /// Keep what is on trial; answers with its number.
    Confirm(Said, Answer<u32>),
    /// What runs, with every secret, and the names of those that this machine cannot open; for whom.
    Export(Author, Answer<Exported>),
    /// Do it, with secrets that come with it.
    Import(Box<Commit>, Secrets, Answer<Report>),
    /// Do something to a connection.
    Act(Act, Answer<()>),
    /// Do something to a BGP session.
    ActOnPeer(PeerAct, Answer<()>),
    /// Have the key of a certificate sign in every way that it may be asked for.
    TryKey(String, Answer<KeyTrial>),
    /// Try who has private keys.
    TryProvider(String, Answer<Vec<Step>>),
    /// Look for a newer version of the key of a certificate; `None` if no connection uses it.
    RefreshKey(String, Answer<Option<Refreshed>>),
    /// Lines of the audit log, newest first.
    AuditLog(AuditQuery, Answer<AuditPage>),
    /// The generations that are kept, newest first.
    Generations(Answer<Vec<Head>>),
    /// One of them.
    Generation(u32, Answer<Generation>),
    /// What is told of every secret.
    Secrets(Answer<Vec<SecretReport>>),
    /// What is told of one.
    Secret(String, Answer<SecretReport>),
    /// Set a secret to a value, or to one that nobody knows yet without; then the value comes with the answer.
    SetSecret(SetSecret, Answer<(SecretReport, Option<SecretSlice<u8>>)>),
    /// Remove a secret that nothing uses.
    RemoveSecret(Said, String, Answer<()>),
}

/// Who says so, and what they believe runs.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// By name, and from where.
    pub(crate) author: Author,
    /// Nothing is done unless it holds.
    pub(crate) condition: Condition,
}

/// If-Match (RFC 9110 §13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever runs.
    Any,
    /// One of these generations runs.
    OneOf(Vec<u32>),
}

/// A document to be.
#[derive(Debug, Clone)]
pub(crate) enum Proposal {
    /// The running one with an edit at a place.
    Edit(Vec<String>, Edit),
    /// That of a generation.
    Generation(u32),
}

/// A document that is to run.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Who says so.
    pub(crate) said: Said,
    /// Which.
    pub(crate) proposal: Proposal,
    /// What its author says of it.
    pub(crate) comment: String,
    /// Whether it must be confirmed.
    pub(crate) confirm: Confirm,
    /// By which way its author comes, if it is the network.
    pub(crate) approach: Option<Approach>,
}

/// Whether a document must be confirmed, or the one of before returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// If it cuts its author off, within the time that the running document says.
    IfCutOff,
    /// It need not.
    Never,
    /// Within this time.
    Within(Duration),
}

/// A value for a secret.
#[derive(Debug)]
pub(crate) struct SetSecret {
    /// Who sets it.
    pub(crate) said: Said,
    /// Its name.
    pub(crate) name: String,
    /// Its value; without, one is made up.
    pub(crate) value: Option<SecretSlice<u8>>,
}

/// Something done to a connection by hand.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// Who does it.
    pub(crate) author: Author,
    /// To which.
    pub(crate) connection: String,
    /// What.
    pub(crate) action: Action,
}

/// What can be done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start it now.
    Connect,
    /// Close it, and start it only when it is connected again, changed, or causewayd started.
    Disconnect,
    /// Close it and negotiate it anew.
    Reset,
    /// Replace its Child SAs.
    Rekey,
    /// Replace its IKE SA.
    RekeyIke,
    /// Have both sides prove anew who they are, in a new IKE SA.
    Reauthenticate,
    /// Find out whether the peer answers IKEv2.
    TryIkev2,
}

impl Action {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Connect,
        Self::Disconnect,
        Self::Reset,
        Self::Rekey,
        Self::RekeyIke,
        Self::Reauthenticate,
        Self::TryIkev2,
    ];

    /// In one stable word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Reset => "reset",
            Self::Rekey => "rekey",
            Self::RekeyIke => "rekey-ike",
            Self::Reauthenticate => "reauthenticate",
            Self::TryIkev2 => "try-ikev2",
        }
    }
}

impl Act {
    /// In words.
    pub(super) fn what(&self) -> String {
        // Whoever asks may make up a name without end.
        let connection: String = self.connection.chars().take(63).collect();
        format!("{} {connection}", self.action.word())
    }
}

/// Something done to a BGP session by hand.
#[derive(Debug, Clone)]
pub(crate) struct PeerAct {
    /// Who does it.
    pub(crate) author: Author,
    /// To which, by the connection that it passes.
    pub(crate) peer: String,
    /// What.
    pub(crate) action: PeerAction,
}

/// What can be done to a BGP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerAction {
    /// End it and begin anew, whatever kept it down.
    Clear,
    /// Have both sides send their routes again (RFC 2918).
    Refresh,
}

impl PeerAction {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Clear, Self::Refresh];

    /// In one stable word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Refresh => "refresh",
        }
    }
}

impl PeerAct {
    /// In words.
    pub(super) fn what(&self) -> String {
        format!("{} bgp {}", self.action.word(), self.peer)
    }
}

/// What goes into an export.
#[derive(Debug, Clone)]
pub(crate) struct Exported {
    /// The document.
    pub(crate) running: Arc<Running>,
    /// Every secret.
    pub(crate) secrets: Secrets,
    /// Those that this machine cannot open.
    pub(crate) unreadable: Vec<String>,
}

/// What is told of a secret, and who uses it.
#[derive(Debug, Clone)]
pub(crate) struct SecretReport {
    /// When it was set, by whom, which it is.
    pub(crate) head: SecretHead,
    /// Where the document names it, as JSON pointers.
    pub(crate) used_by: Vec<String>,
    /// It has had this value before.
    pub(crate) unchanged: bool,
}

impl Condition {
    /// Whether it holds while this generation runs.
    pub(super) fn holds(&self, current: u32) -> Result<(), Refusal> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(generations) if generations.contains(&current) => Ok(()),
            Self::OneOf(_) => Err(Refusal::Stale { current }),
        }
    }
}
