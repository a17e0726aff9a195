use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appliance_config::ValidConfig;
use ike::ConnectionName;
use schemars::JsonSchema;
use serde::Serialize;

use super::x509::Dates;
use crate::calendar::{Dated, dated};
use crate::clock;
use crate::derive::inventory;
use crate::signer::KeySnapshots;

/// All certificates by when they end.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TimelineStatus {
    /// What the clock of this machine shows, RFC 3339.
    now: String,
    /// Those that end first come first.
    certificates: Vec<DatedStatus>,
}

/// A certificate of the document, or of who has its key, and its dates.
#[derive(Debug, Serialize, JsonSchema)]
struct DatedStatus {
    /// Where the document has it, such as `certificates/edge`.
    place: String,
    /// `leaf`, `intermediate` or `root`.
    position: &'static str,
    subject: String,
    /// Hexadecimal.
    sha256: String,
    #[serde(flatten)]
    dates: Dates,
    /// When the next warning is due, RFC 3339; left out once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_warning: Option<String>,
    /// Where the document names it, as JSON pointers.
    used_by: Vec<String>,
}

/// What of a connection is to be seen to, although it works.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WarningStatus {
    /// `certificate-expires-soon` or `certificate-expired`.
    reason: &'static str,
    /// Where the document has the certificate, such as `certificates/edge`.
    place: String,
    subject: String,
    /// When it ends, RFC 3339.
    not_after: String,
    /// In how many seconds that is; negative once it has.
    ends_in_s: i64,
    next_step: String,
}

/// What ends soon, of all connections.
pub(crate) struct Warnings {
    near: Vec<Dated>,
    now: SystemTime,
}

impl TimelineStatus {
    /// All of them.
    pub(crate) fn new(config: &ValidConfig, keys: &KeySnapshots, now: SystemTime) -> Self {
        let mut all = dated(&inventory(config, keys));
        all.sort_by(|one, other| (one.validity.1, &one.place).cmp(&(other.validity.1, &other.place)));
        Self {
            now: clock::words(now),
            certificates: all.into_iter().map(|one| DatedStatus::new(one, now)).collect(),
        }
    }
}

impl DatedStatus {
    fn new(dated: Dated, now: SystemTime) -> Self {
        let next = dated.next(unix_s(now));
        let next = next.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        Self {
            dates: Dates::new(dated.validity, now),
            next_warning: next.map(clock::words),
            place: dated.place,
            position: dated.position,
            subject: dated.subject,
            sha256: dated.sha256,
            used_by: dated.users.into_iter().map(|user| user.path).collect(),
        }
    }
}

impl Warnings {
    /// What ends soon by this clock.
    pub(crate) fn new(config: Option<&ValidConfig>, keys: &KeySnapshots, now: SystemTime) -> Self {
        let mut near = config.map_or_else(Vec::new, |config| dated(&inventory(config, keys)));
        near.retain(|one| one.is_near(unix_s(now)));
        Self { near, now }
    }

    /// Of these, what a connection uses.
    pub(super) fn of(&self, connection: &ConnectionName) -> Vec<WarningStatus> {
        let uses = |dated: &&Dated| {
            let mut names = dated.users.iter().filter_map(|user| user.connection.as_ref());
            names.any(|name| name.as_str() == &*connection.0)
        };
        let near = self.near.iter().filter(uses);
        near.map(|dated| self.warning(dated)).collect()
    }

    fn warning(&self, dated: &Dated) -> WarningStatus {
        let Dates {
            not_after, ends_in_s, ..
        } = Dates::new(dated.validity, self.now);
        let place = &dated.place;
        WarningStatus {
            reason: dated.word(unix_s(self.now)),
            place: place.clone(),
            subject: dated.subject.clone(),
            not_after,
            ends_in_s,
            next_step: match dated.position {
                "root" => {
                    format!("Add the root that comes after it to {place}: both are believed meanwhile.")
                }
                _ => format!("Have a new one issued and put it to {place}, or to who has its key."),
            },
        }
    }
}

fn unix_s(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
