use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::way::{Way, check_way};
use crate::ValidConfig;
use crate::model::Role;

/// Where a caller of the API comes from over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approach {
    /// The caller's address.
    pub remote: IpAddr,
    /// Our address and port that it reached.
    pub local: SocketAddr,
    /// The interface over which it comes, by its name in the document, where that is known.
    pub interface: Option<String>,
    /// The user, where it is one of the document.
    pub user: Option<String>,
}

/// What a new document does to its author's own access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CallerImpact {
    /// The connection or the interface that the caller comes through, or else our address.
    pub path: String,
    /// The caller may find it impossible to take the change back.
    pub cut_off: bool,
    /// What does that, or that nothing does: one sentence.
    pub why: String,
}

/// What can cut a caller off, looked at in this order.
const CHECKS: &[fn(&Case<'_>) -> Option<String>] = &[check_user, check_listener, check_way, check_admission];

/// One caller, and what is about to change.
pub(super) struct Case<'c> {
    pub(super) old: &'c ValidConfig,
    pub(super) new: &'c ValidConfig,
    pub(super) approach: &'c Approach,
    pub(super) remote: IpAddr,
    pub(super) local: IpAddr,
    pub(super) way: Way<'c>,
}

/// What `new` does to the access of one who comes this way.
pub(super) fn caller(old: &ValidConfig, new: &ValidConfig, approach: &Approach) -> CallerImpact {
    let case = Case {
        old,
        new,
        approach,
        remote: approach.remote.to_canonical(),
        local: approach.local.ip().to_canonical(),
        way: Way::of(old, approach),
    };
    let why = CHECKS.iter().find_map(|check| check(&case));
    CallerImpact {
        path: case.way.to_string(),
        cut_off: why.is_some(),
        why: why.unwrap_or_else(|| format!("the way from {} over {} stays as it is", case.remote, case.way)),
    }
}

/// The user is there and may still do something about it. One that is not of the document loses nothing with it.
fn check_user(case: &Case<'_>) -> Option<String> {
    let name = case.approach.user.as_deref()?;
    case.old.users.get(name)?;
    match case.new.users.get(name).map(|user| user.role) {
        None => Some(format!("the user {name} is removed and could not log in again")),
        Some(Role::Viewer) => Some(format!(
            "the user {name} becomes a viewer and could not take it back"
        )),
        Some(Role::Operator | Role::Admin) => None,
    }
}

/// Somebody still listens there.
fn check_listener(case: &Case<'_>) -> Option<String> {
    let local = SocketAddr::new(case.local, case.approach.local.port());
    let serves = |config: &ValidConfig| config.system.management.serves(local);
    (serves(case.old) && !serves(case.new)).then(|| format!("nothing listens at {local} any more"))
}

/// The caller may still come from there.
fn check_admission(case: &Case<'_>) -> Option<String> {
    let interface = match &case.way {
        Way::Interface(name) => Some(name.as_str()),
        Way::Tunnel(_) | Way::Unknown(_) => None,
    };
    let admits = |config: &ValidConfig| config.admits(case.remote, interface);
    (admits(case.old) && !admits(case.new)).then(|| {
        format!(
            "API and console are no longer reachable from {} over {}",
            case.remote, case.way
        )
    })
}
