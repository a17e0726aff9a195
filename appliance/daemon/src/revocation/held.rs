//! One list and what became of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use appliance_config::model::ListSource;
use ike::crypto::RevocationList;

use super::fault::{ListFault, ListReason};
use super::fetch::{Fetched, Octets};
use super::snapshot::ListSnapshot;

/// How often a server is asked, and a file read, at least.
const SERVER: Duration = Duration::from_secs(60 * 60);
const FILE: Duration = Duration::from_secs(60);
/// How long after the first failure it is tried again, and how long at most.
const AGAIN: Duration = Duration::from_secs(30);
const DOUBLINGS: u32 = 6;
/// How often at most a server is asked whose list has ended.
const ENDED: Duration = Duration::from_secs(60);

/// One list.
pub(super) struct Held {
    pub(super) issuers: BTreeSet<Vec<u8>>,
    pub(super) list: Option<RevocationList>,
    /// What its server calls this version of it.
    pub(super) tag: Option<String>,
    /// It is being fetched.
    pub(super) busy: bool,
    /// A certificate of a peer says where it is, and not the document.
    pub(super) is_learnt: bool,
    due: Instant,
    failures: u32,
    fault: Option<ListFault>,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Nothing,
    /// There is a list that was not there.
    List,
    /// It could not be had, for another reason than before.
    Fault,
}

impl Held {
    pub(super) fn new(issuers: BTreeSet<Vec<u8>>, remembered: Option<Octets>, now: Instant) -> Self {
        Self {
            issuers,
            list: remembered.map(|octets| octets.list),
            tag: None,
            busy: false,
            is_learnt: false,
            due: now,
            failures: 0,
            fault: None,
        }
    }

    /// It may be of these: the document says for good whose list it is, and certificates of other peers say it besides. Then it is
    /// fetched anew, for it may have been refused as somebody else's.
    pub(super) fn known_to_be_of(&mut self, issuers: BTreeSet<Vec<u8>>, is_learnt: bool, now: Instant) {
        let before = self.issuers.clone();
        match (self.is_learnt, is_learnt) {
            (true, true) => self.issuers.extend(issuers),
            (_, false) => self.issuers = issuers,
            (false, true) => {}
        }
        self.is_learnt &= is_learnt;
        if self.issuers != before {
            (self.tag, self.due) = (None, now);
        }
    }

    /// When it is to be fetched.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.busy).then_some(self.due)
    }

    /// It is to be fetched now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = now;
    }

    /// It was fetched, or that failed. A list that is older than the one that is known changes nothing: whoever answers in the
    /// place of its server could otherwise bring one back on which a certificate does not stand yet.
    pub(super) fn settled(
        &mut self,
        source: &ListSource,
        fetched: &Result<Fetched, ListFault>,
        now: Instant,
    ) -> Change {
        self.busy = false;
        let fault = match fetched {
            Ok(Fetched::Same) => None,
            Ok(Fetched::New(octets, tag)) => match &self.list {
                Some(known) if octets.list.this_update() < known.this_update() => {
                    let detail = "the list that is known was issued later".to_owned();
                    Some(ListFault::new(ListReason::Outdated, detail))
                }
                known => {
                    let same = known.as_ref() == Some(&octets.list);
                    (self.list, self.tag) = (Some(octets.list.clone()), tag.clone());
                    self.succeeded(source, now);
                    return if same { Change::Nothing } else { Change::List };
                }
            },
            Err(fault) => Some(fault.clone()),
        };
        let Some(fault) = fault else {
            self.succeeded(source, now);
            return Change::Nothing;
        };
        self.due = now + AGAIN * 2_u32.pow(self.failures.min(DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        let reason = Some(fault.reason);
        let before = self.fault.replace(fault).map(|fault| fault.reason);
        if before == reason {
            Change::Nothing
        } else {
            Change::Fault
        }
    }

    fn succeeded(&mut self, source: &ListSource, now: Instant) {
        (self.fault, self.failures) = (None, 0);
        let often = match source {
            ListSource::Http(_) => SERVER,
            ListSource::File(_) => FILE,
        };
        let next = self.list.as_ref().and_then(RevocationList::next_update);
        let left = next.map(|next| Duration::from_secs(next.saturating_sub(unix_s())).max(ENDED));
        self.due = now + left.map_or(often, |left| left.min(often));
    }

    pub(super) fn snapshot(&self) -> ListSnapshot {
        ListSnapshot {
            list: self.list.clone(),
            is_learnt: self.is_learnt,
            fault: self.fault.clone(),
        }
    }

    pub(super) fn fault(&self) -> Option<&ListFault> {
        self.fault.as_ref()
    }
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}
