use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bgp::bfd::{BfdSnapshot, SessionState};
use bgp::{
    Direction, Families, FamilyCounts, LastError, Lies, Messages, Negotiated, Partly, PeerSnapshot,
    PeerState, Role,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::report::OutageStatus;
use crate::bgp_owner::{BgpView, side};
use crate::derive::RestingSession;
use crate::signer::KeySnapshots;

/// One BGP session, by the name of the connection that it passes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PeerStatus {
    /// Where its session stands (RFC 4271 §8.2.2), or `disabled` with its connection.
    pub(crate) state: &'static str,
    since_s: u64,
    site: String,
    local: String,
    remote: String,
    asn: u32,
    /// We wait for the peer to open it.
    passive: bool,
    /// The tunnel carries, and has the session: those between the same ends share one.
    tunnel_up: bool,
    /// It stays down until it is cleared or its settings change.
    held_down: bool,
    /// When it is tried again, if it waits.
    next_attempt_s: Option<u64>,
    /// The peer starts again, and its routes are kept (RFC 4724).
    restarting: bool,
    /// Why it ended last, or did not come about.
    last_error: Option<SessionErrorStatus>,
    /// What both sides agreed on, while it is established.
    negotiated: Option<NegotiatedStatus>,
    /// Whether packets pass both ways (RFC 5880), if that is looked at.
    bfd: Option<BfdStatus>,
    sent: MessagesStatus,
    received: MessagesStatus,
    /// By address family.
    prefixes: BTreeMap<String, PrefixesStatus>,
    established_count: u64,
    /// Prefixes that rules of NAT have to do with and that are not translated, or not as a whole: a hundred at most.
    partly_translated: Vec<PartlyStatus>,
    /// How many there are.
    partly_translated_count: usize,
}

/// A prefix that a rule of NAT does not translate as a whole.
#[derive(Debug, Serialize, JsonSchema)]
struct PartlyStatus {
    prefix: String,
    /// `import` for one that the peer sent, `export` for one of ours.
    direction: &'static str,
    /// The rule.
    rule: String,
    /// The internal prefix of the rule.
    internal: String,
    /// How it lies to that: `inside`, `hidden` or `superseded`, and so is left out; `around` or `port`, and so passes as it is.
    lies: &'static str,
    /// The same in words.
    detail: String,
}

/// Why a session ended, and what to do about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionErrorStatus {
    pub(crate) reason: &'static str,
    side: &'static str,
    /// What was offered and what was expected, in words.
    detail: String,
    next_step: Cow<'static, str>,
    /// Code and subcode of the NOTIFICATION (RFC 4271 §4.5), as 6/1.
    notification: Option<String>,
    ago_s: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NegotiatedStatus {
    router_id: String,
    asn: u32,
    hold_time_s: u64,
    keepalive_s: u64,
    families: Vec<String>,
    /// Capabilities that both sides have.
    capabilities: Vec<&'static str>,
    /// For so long the peer wants its routes kept while it starts again.
    restart_time_s: Option<u64>,
    /// Families of which it may send several paths to one prefix.
    add_path: Vec<String>,
    role: Option<&'static str>,
    host_name: Option<String>,
}

/// A session of BFD.
#[derive(Debug, Serialize, JsonSchema)]
struct BfdStatus {
    state: &'static str,
    /// What the peer says its own state is.
    remote_state: &'static str,
    /// Why it last went down.
    diagnostic: String,
    interval_ms: u64,
    /// After so long a silence the peer is gone.
    detection_time_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MessagesStatus {
    total: u64,
    updates: u64,
    refreshes: u64,
    keepalives: u64,
    notifications: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PrefixesStatus {
    received: u32,
    accepted: u32,
    advertised: u32,
    limit: u32,
}

/// All sessions of the document, run or not, by name.
pub(crate) fn peers(view: &BgpView, now: Instant) -> BTreeMap<String, PeerStatus> {
    let peers = view.speaker.peers.iter().filter_map(|(name, snapshot)| {
        let settings = view.settings.neighbours.get(name)?;
        let bfd = view.bfd.get(name).map(bfd);
        Some((
            name.0.to_string(),
            PeerStatus {
                bfd,
                ..peer(snapshot, settings, now)
            },
        ))
    });
    let resting = view.resting.iter().map(|(name, (session, since))| {
        let since = now.saturating_duration_since(*since).as_secs();
        (name.0.to_string(), resting(session, since))
    });
    peers.chain(resting).collect()
}

/// One that nobody opens, and why.
fn resting(session: &RestingSession, since_s: u64) -> PeerStatus {
    let neighbour = &session.neighbour;
    let outage = OutageStatus::of_rest(&session.rest, &KeySnapshots::new());
    PeerStatus {
        state: if outage.is_some() { "idle" } else { "disabled" },
        since_s,
        site: neighbour.site.to_string(),
        local: neighbour.local.to_string(),
        remote: neighbour.remote.to_string(),
        asn: neighbour.asn,
        passive: neighbour.passive,
        tunnel_up: false,
        held_down: false,
        next_attempt_s: None,
        restarting: false,
        last_error: outage.map(|outage| SessionErrorStatus {
            reason: outage.reason,
            side: outage.side,
            detail: outage.expected,
            next_step: outage.next_step,
            notification: None,
            ago_s: since_s,
        }),
        negotiated: None,
        bfd: None,
        sent: messages(&Messages::default()),
        received: messages(&Messages::default()),
        prefixes: BTreeMap::new(),
        established_count: 0,
        partly_translated: Vec::new(),
        partly_translated_count: 0,
    }
}

/// In one line, for the connection that it passes.
pub(crate) fn in_a_line(view: &BgpView, connection: &str, now: Instant) -> Option<String> {
    let (_, snapshot) = view
        .speaker
        .peers
        .iter()
        .find(|(name, _)| &*name.0 == connection)?;
    let since = now.saturating_duration_since(snapshot.since).as_secs();
    let state = state(snapshot.state);
    if snapshot.state == PeerState::Established {
        let sum = |of: fn(&FamilyCounts) -> u32| snapshot.families.values().map(of).sum::<u32>();
        let (accepted, advertised) = (sum(|counts| counts.accepted), sum(|counts| counts.advertised));
        return Some(format!(
            "{state} for {since} s, prefixes: {accepted} accepted, {advertised} advertised"
        ));
    }
    let why = snapshot.last_error.as_ref();
    let why = why.map(|error| format!(": {}", error.reason)).unwrap_or_default();
    Some(format!("{state} for {since} s{why}"))
}

fn peer(snapshot: &PeerSnapshot, settings: &bgp::Neighbour, now: Instant) -> PeerStatus {
    let seconds = |since| now.saturating_duration_since(since).as_secs();
    PeerStatus {
        state: state(snapshot.state),
        since_s: seconds(snapshot.since),
        site: settings.site.to_string(),
        local: settings.local.to_string(),
        remote: settings.remote.to_string(),
        asn: settings.asn,
        passive: settings.passive,
        tunnel_up: snapshot.tunnel_up,
        held_down: snapshot.held_down,
        next_attempt_s: snapshot
            .next_attempt
            .map(|at| at.saturating_duration_since(now).as_secs()),
        restarting: snapshot.restarting,
        last_error: snapshot
            .last_error
            .as_ref()
            .map(|error| session_error(error, now)),
        negotiated: snapshot.negotiated.as_ref().map(negotiated),
        bfd: None,
        sent: messages(&snapshot.sent),
        received: messages(&snapshot.received),
        prefixes: snapshot
            .families
            .iter()
            .map(|(family, counts)| (family.to_string(), prefixes(counts)))
            .collect(),
        established_count: snapshot.established_count,
        partly_translated: snapshot.partly_translated.iter().map(partly).collect(),
        partly_translated_count: snapshot.partly_translated_count,
    }
}

/// The word of a state.
pub(crate) fn state(state: PeerState) -> &'static str {
    match state {
        PeerState::Idle => "idle",
        PeerState::Connect => "connect",
        PeerState::Active => "active",
        PeerState::OpenSent => "open-sent",
        PeerState::OpenConfirm => "open-confirm",
        PeerState::Established => "established",
    }
}

fn session_error(error: &LastError, now: Instant) -> SessionErrorStatus {
    SessionErrorStatus {
        reason: error.reason,
        side: side(error.side),
        detail: error.words.clone(),
        next_step: error.next_step.into(),
        notification: error
            .notification
            .map(|(code, subcode)| format!("{code}/{subcode}")),
        ago_s: now.saturating_duration_since(error.at).as_secs(),
    }
}

fn negotiated(negotiated: &Negotiated) -> NegotiatedStatus {
    let advanced = &negotiated.advanced;
    let capabilities = [
        ("4-octet-asn", advanced.four_octet_asn),
        ("route-refresh", advanced.route_refresh),
        ("enhanced-refresh", advanced.enhanced_refresh),
        ("extended-messages", advanced.extended_messages),
        ("graceful-restart", advanced.graceful_restart.is_some()),
        ("graceful-notification", advanced.graceful_notification),
        ("ipv6-next-hops", advanced.ipv6_next_hops),
    ];
    let shared = capabilities.into_iter().filter(|(_, shared)| *shared);
    NegotiatedStatus {
        router_id: negotiated.router_id.to_string(),
        asn: negotiated.asn,
        hold_time_s: negotiated.hold_time.as_secs(),
        keepalive_s: negotiated.keepalive.as_secs(),
        families: families(negotiated.families),
        capabilities: shared.map(|(word, _)| word).collect(),
        restart_time_s: advanced.graceful_restart.as_ref().map(Duration::as_secs),
        add_path: families(advanced.add_path),
        role: advanced.role.map(role),
        host_name: advanced.host_name.clone(),
    }
}

fn bfd(snapshot: &BfdSnapshot) -> BfdStatus {
    let word = |state| match state {
        SessionState::AdminDown => "admin-down",
        SessionState::Down => "down",
        SessionState::Init => "init",
        SessionState::Up => "up",
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    BfdStatus {
        state: word(snapshot.state),
        remote_state: word(snapshot.remote_state),
        diagnostic: snapshot.diagnostic.to_string(),
        interval_ms: milliseconds(snapshot.interval),
        detection_time_ms: milliseconds(snapshot.detection_time),
    }
}

fn families(families: Families) -> Vec<String> {
    families.iter().map(|family| family.to_string()).collect()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "route-server",
        Role::RouteServerClient => "route-server-client",
        Role::Customer => "customer",
        Role::Peer => "peer",
    }
}

fn messages(messages: &Messages) -> MessagesStatus {
    MessagesStatus {
        total: messages.total,
        updates: messages.updates,
        refreshes: messages.refreshes,
        keepalives: messages.keepalives,
        notifications: messages.notifications,
    }
}

fn partly(partly: &Partly) -> PartlyStatus {
    PartlyStatus {
        prefix: partly.prefix.to_string(),
        direction: match partly.direction {
            Direction::Import => "import",
            Direction::Export => "export",
        },
        rule: partly.rule.to_string(),
        internal: partly.internal.to_string(),
        lies: lies(partly.lies),
        detail: partly.to_string(),
    }
}

/// The word for how a prefix lies to a rule that does not translate it.
pub(super) fn lies(lies: Lies) -> &'static str {
    match lies {
        Lies::Inside => "inside",
        Lies::Hidden => "hidden",
        Lies::Around => "around",
        Lies::Port => "port",
        Lies::Superseded => "superseded",
    }
}

fn prefixes(counts: &FamilyCounts) -> PrefixesStatus {
    PrefixesStatus {
        received: counts.received,
        accepted: counts.accepted,
        advertised: counts.advertised,
        limit: counts.limit,
    }
}
