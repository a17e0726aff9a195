use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{
    Addressing, Connection, Group, IkeProposal, InterfaceRole, Name, OwnProof, PeerProof, Protocol, System,
};
use crate::routing_notices::routing_notices;
use crate::{Reason, ValidConfig};

/// Something of a valid document that is kept and to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Notice {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// [`Reason::NotInThisVersion`] where this version does not act on it, [`Reason::ImageOnly`] where it does so only there; [`Reason::BgpTimersShort`]; [`Reason::AggressiveModeWeak`].
    #[schemars(with = "String")]
    pub reason: Reason,
    /// What does not happen, or may, for a human.
    pub detail: String,
}

/// Why a connection is held closed: nothing is negotiated for it, and no packet to its site leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The key of the connection that is to blame.
    pub key: &'static str,
    /// What is missing, for a human.
    pub detail: String,
}

/// What can hold a connection.
const HOLDS: &[fn(&Connection) -> Option<Hold>] = &[protocol, policy];

/// All that this version keeps and does not act on, by path.
pub fn notices(config: &ValidConfig) -> Vec<Notice> {
    let connections = config.connections.iter().flat_map(|(name, connection)| {
        let holds = HOLDS.iter().filter_map(|hold| hold(connection));
        holds.map(move |hold| {
            let detail = format!("held closed: {}", hold.detail);
            notice(format!("/connections/{name}/{}", hold.key), detail)
        })
    });
    let interfaces = config.interfaces.iter().filter_map(|(name, interface)| {
        let automatic = interface.ipv6 == Addressing::Automatic && interface.role != InterfaceRole::Wan;
        let detail = "what routers advertise is taken on interfaces of role wan only".to_owned();
        automatic.then(|| notice(format!("/interfaces/{name}/ipv6"), detail))
    });
    let others = of_system(&config.system).chain(interfaces);
    let mut found: Vec<Notice> = connections.chain(others).collect();
    found.extend(routing_notices(config));
    found.extend(config.connections.iter().filter_map(weak));
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Why this version holds the connection closed, if it does.
pub fn held(connection: &Connection) -> Option<Hold> {
    HOLDS.iter().find_map(|hold| hold(connection))
}

/// Aggressive mode is done where it is written, and told.
fn weak((name, connection): (&Name, &Connection)) -> Option<Notice> {
    connection.aggressive_mode.then(|| Notice {
        path: format!("/connections/{name}/aggressive_mode"),
        reason: Reason::AggressiveModeWeak,
        detail: "whoever asks gets a hash to try secrets on, and learns who both sides are: only for a peer that does not know \
                 main mode, with a secret that nobody can guess"
            .to_owned(),
    })
}

fn notice(path: String, detail: String) -> Notice {
    Notice {
        path,
        reason: Reason::NotInThisVersion,
        detail,
    }
}

fn protocol(connection: &Connection) -> Option<Hold> {
    if connection.protocol == Protocol::IkeV2 {
        return None;
    }
    let authentication = &connection.authentication;
    let lacking = match (&authentication.local, &authentication.remote, &authentication.ppk) {
        (_, _, Some(_)) => "a post-quantum preshared key",
        (OwnProof::Certificate { .. }, PeerProof::PreSharedKey { .. }, None)
        | (OwnProof::PreSharedKey { .. }, PeerProof::Certificate { .. }, None) => {
            "a certificate on one side and a secret on the other"
        }
        (OwnProof::PreSharedKey { .. }, PeerProof::PreSharedKey { .. }, None)
        | (OwnProof::Certificate { .. }, PeerProof::Certificate { .. }, None) => return None,
    };
    Some(Hold {
        key: "protocol",
        detail: format!("this version does not negotiate IKEv1 with {lacking}"),
    })
}

/// What a policy offers for phase 1 must have numbers in IKEv1: neither AEAD ciphers nor Curve25519 have.
fn policy(connection: &Connection) -> Option<Hold> {
    let known = |proposal: &IkeProposal| {
        let mut groups = proposal.groups.iter();
        proposal.integrity.is_some()
            && groups.any(|group| *group != Group::X25519)
            && proposal.additional.is_empty()
    };
    let none = connection.protocol == Protocol::IkeV1 && !connection.policy.ike.iter().any(known);
    none.then(|| Hold {
        key: "policy",
        detail: "nothing in the policy can be negotiated by IKEv1: it needs AES, 3DES or DES with a hash"
            .to_owned(),
    })
}

fn of_system(system: &System) -> impl Iterator<Item = Notice> {
    let default = System::default();
    let parts = [
        (
            Reason::ImageOnly,
            "hostname",
            system.hostname != default.hostname,
            "the firmware image takes this name; on another host the machine stays as it is called there",
        ),
        (
            Reason::ImageOnly,
            "time",
            system.time != default.time,
            "the firmware image asks these time servers, and counts its maintenance window by this zone; another host's clock is its own",
        ),
        (
            Reason::ImageOnly,
            "dns",
            system.dns != default.dns,
            "the firmware image asks these; on another host names are looked up as it has it",
        ),
    ];
    let written = parts.into_iter().filter(|(_, _, written, _)| *written);
    written.map(|(reason, key, _, detail)| Notice {
        path: format!("/system/{key}"),
        reason,
        detail: detail.to_owned(),
    })
}
