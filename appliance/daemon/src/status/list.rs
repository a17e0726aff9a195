use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ike::Stage;
use ike::crypto::RevocationList;
use schemars::JsonSchema;
use serde::Serialize;

use super::OutageStatus;
use crate::clock::words;
use crate::revocation::{ListSnapshot, ListSnapshots};

/// A list of revoked certificates, by where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListStatus {
    /// `good`, `ended` (there should be a newer one) or `missing`.
    state: &'static str,
    /// Where its address comes from: the `document`, its trust among it, or the `certificate` of a peer.
    named_by: &'static str,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// How many certificates stand on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<usize>,
    /// When it was issued, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    this_update: Option<String>,
    /// When the next one is there at the latest, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_update: Option<String>,
    /// Why it could not be had last.
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<OutageStatus>,
}

/// All lists at this time.
pub(crate) fn lists(snapshots: &ListSnapshots, now: SystemTime) -> BTreeMap<String, ListStatus> {
    let lists = snapshots.iter();
    lists
        .map(|(source, list)| (source.to_string(), ListStatus::new(list, now)))
        .collect()
}

impl ListStatus {
    fn new(snapshot: &ListSnapshot, now: SystemTime) -> Self {
        let list = snapshot.list.as_ref();
        let at = |unix_s: u64| UNIX_EPOCH + Duration::from_secs(unix_s);
        let next_update = list.and_then(RevocationList::next_update).map(at);
        Self {
            state: match (list, next_update) {
                (None, _) => "missing",
                (Some(_), Some(next)) if next < now => "ended",
                (Some(_), _) => "good",
            },
            named_by: if snapshot.is_learnt {
                "certificate"
            } else {
                "document"
            },
            issuer: list.map(RevocationList::issuer),
            revoked: list.map(RevocationList::revoked),
            this_update: list.map(|list| words(at(list.this_update()))),
            next_update: next_update.map(words),
            outage: snapshot.fault.as_ref().map(|fault| {
                OutageStatus::of_ours(
                    (fault.reason.word(), Stage::Idle.word()),
                    fault.detail.clone(),
                    "a list that its issuer signed".to_owned(),
                    fault.reason.next_step(),
                )
            }),
        }
    }
}
