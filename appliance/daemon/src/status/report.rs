use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use appliance_config::Reason;
use appliance_config::model::{LocalAddress, Name, Unfit};
use ike::{
    ConnectionSnapshot, ConnectionState, IkeSnapshot, KeyName, LineSnapshot, LineStanding, Outage,
    ReauthenticationSnapshot, Side, SignerFault, SignerReason, Snapshot, Stage, WeakAlgorithm,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::bgp_peer::in_a_line;
use super::carried::{CarriedStatus, ChildStatus};
use super::event::EventStatus;
use super::interface::{Clients, InterfaceStatus, interfaces};
use super::migration::TrialOfIkev2;
use super::nat::NatStatus;
use super::system::SystemStatus;
use super::timeline::{WarningStatus, Warnings};
use crate::bgp_owner::{BgpView, side};
use crate::control::View;
use crate::datapath::DatapathSnapshot;
use crate::derive::Rest;
use crate::firmware::Naming;
use crate::history::History;
use crate::journal::Pages;
use crate::signer::{KeySnapshots, KeyState};
use crate::timekeeping::Timekeeping;

/// Everything configured, up or not.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    system: SystemStatus,
    /// By name.
    pub(crate) connections: BTreeMap<String, ConnectionStatus>,
    /// Those of the document, by name.
    pub(crate) interfaces: BTreeMap<String, InterfaceStatus>,
    /// What is translated, if there are rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    nat: Option<NatStatus>,
}

/// Where a connection can stand.
pub(crate) const STATES: [&str; 5] = ["up", "connecting", "down", "disabled", "held"];

/// One connection.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConnectionStatus {
    pub(crate) state: &'static str,
    since_s: u64,
    outage: Option<OutageStatus>,
    interface: Option<String>,
    /// Another connection has the routes of its site.
    standby: bool,
    /// It is not up, but its traffic goes by what a daemon before this one left in the kernel.
    carried_over: bool,
    /// Its BGP session, in a line, if it has one.
    bgp: Option<String>,
    ike: Option<IkeStatus>,
    /// Whether and when both sides prove anew who they are.
    reauthentication: ReauthenticationStatus,
    /// Whether the peer of a connection of IKEv1 answers IKEv2, if somebody had that tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    ikev2: Option<TrialOfIkev2>,
    /// What it carried since the daemon began, by all its Child SAs together.
    carried: CarriedStatus,
    children: Vec<ChildStatus>,
    lines: Vec<LineStatus>,
    weak: Vec<WeakStatus>,
    /// What is to be seen to, although it works: certificates that end soon.
    warnings: Vec<WarningStatus>,
    /// Told of a single connection only.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventStatus>>,
}

/// A new IKE SA in the place of the one that there is, in which both sides prove anew who they are.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ReauthenticationStatus {
    /// When we begin; null if nobody asks for it.
    due_in_s: Option<u64>,
    /// Either side has begun.
    under_way: bool,
    /// Why our last attempt came to nothing; it is tried again.
    outage: Option<OutageStatus>,
}

/// What is amiss, and what to do about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OutageStatus {
    pub(super) reason: &'static str,
    pub(super) side: &'static str,
    stage: &'static str,
    offered: String,
    pub(super) expected: String,
    pub(super) next_step: Cow<'static, str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LineStatus {
    local: Vec<String>,
    remote: Vec<String>,
    state: &'static str,
    outage: Option<OutageStatus>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WeakStatus {
    algorithm: String,
    why: &'static str,
    in_use: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct IkeStatus {
    initiator_spi: String,
    responder_spi: String,
    initiator: bool,
    local: String,
    remote: String,
    remote_identity: Option<String>,
    algorithms: String,
    nat_local: bool,
    nat_remote: bool,
    extensions: Vec<&'static str>,
    /// When we begin to replace it, unless the peer does before; null until it is established.
    rekey_in_s: Option<u64>,
}

impl Status {
    /// Puts together what the owners published.
    pub(crate) fn new(
        (ike, bgp, datapath, dhcp): (&Snapshot, &BgpView, &DatapathSnapshot, &Clients),
        (pages, timekeeping, naming): (&Pages, &Timekeeping, Option<&Naming>),
        (configuration, keys): (&View, &KeySnapshots),
        (started, now): (Instant, Instant),
    ) -> Self {
        let config = configuration.running.as_ref().map(|running| &running.config);
        let warnings = Warnings::new(config, keys, SystemTime::now());
        let connection = |(name, snapshot): (&ike::ConnectionName, _)| {
            let session = in_a_line(bgp, &name.0, now);
            (
                name.0.to_string(),
                connection(snapshot, name, (session, datapath, &warnings), now),
            )
        };
        let connections = ike.connections.iter().map(connection);
        Self {
            system: SystemStatus::new(
                (ike, datapath),
                (pages, timekeeping, naming),
                configuration,
                now - started,
            ),
            connections: connections
                .chain(resting(configuration, (keys, &warnings), now))
                .collect(),
            interfaces: interfaces(&datapath.machine, dhcp, now),
            nat: datapath
                .translation
                .wanted
                .then(|| NatStatus::new(&datapath.translation)),
        }
    }
}

fn connection(
    snapshot: &ConnectionSnapshot,
    name: &ike::ConnectionName,
    (bgp, datapath, warnings): (Option<String>, &DatapathSnapshot, &Warnings),
    now: Instant,
) -> ConnectionStatus {
    ConnectionStatus {
        state: state(snapshot.state),
        since_s: now.saturating_duration_since(snapshot.since).as_secs(),
        outage: snapshot.outage.as_ref().map(outage),
        interface: datapath.interfaces.get(name).cloned(),
        standby: datapath.idle.contains(name),
        carried_over: snapshot.state != ConnectionState::Up && datapath.carried_over.contains(name),
        bgp,
        ike: snapshot.ike.as_ref().map(|sa| ike_sa(sa, now)),
        reauthentication: reauthentication(&snapshot.reauthentication, now),
        ikev2: snapshot
            .version_2
            .as_ref()
            .map(|trial| TrialOfIkev2::new(trial, now)),
        carried: CarriedStatus::new(datapath.carried.get(name).copied().unwrap_or_default()),
        children: snapshot
            .children
            .iter()
            .map(|child| {
                ChildStatus::new(
                    child,
                    datapath.counters.get(&child.id).copied().unwrap_or_default(),
                    now,
                )
            })
            .collect(),
        lines: snapshot.lines.iter().map(line).collect(),
        weak: snapshot.weak.iter().map(weak).collect(),
        warnings: warnings.of(name),
        events: None,
    }
}

/// The connections that nobody negotiates.
fn resting<'v>(
    view: &'v View,
    (keys, warnings): (&'v KeySnapshots, &'v Warnings),
    now: Instant,
) -> impl Iterator<Item = (String, ConnectionStatus)> + 'v {
    let connections = view.idle.iter().flat_map(|idle| &idle.connections);
    connections.map(move |(name, (rest, since))| {
        let outage = OutageStatus::of_rest(rest, keys);
        let state = if outage.is_some() { "down" } else { "disabled" };
        let status = ConnectionStatus {
            state,
            since_s: now.saturating_duration_since(*since).as_secs(),
            outage,
            interface: None,
            standby: false,
            carried_over: false,
            bgp: None,
            ike: None,
            reauthentication: ReauthenticationStatus::default(),
            ikev2: None,
            carried: CarriedStatus::default(),
            children: Vec::new(),
            lines: Vec::new(),
            weak: Vec::new(),
            warnings: warnings.of(&ike::ConnectionName(name.as_str().into())),
            events: None,
        };
        (name.clone(), status)
    })
}

impl OutageStatus {
    /// Our side is to blame.
    pub(super) fn of_ours(
        (reason, stage): (&'static str, &'static str),
        offered: String,
        expected: String,
        next_step: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            reason,
            side: Side::We.word(),
            stage,
            offered,
            expected,
            next_step: next_step.into(),
        }
    }

    /// What whoever has our key says.
    pub(super) fn of_signer(fault: &SignerFault) -> Self {
        let reason = ike::Reason::Signer(fault.reason);
        Self::of_ours(
            (reason.word(), Stage::Idle.word()),
            fault.detail.clone(),
            "a signature by our own key".to_owned(),
            reason.next_step(Side::We),
        )
    }

    /// That of what nobody negotiates, unless it is disabled.
    pub(super) fn of_rest(rest: &Rest, keys: &KeySnapshots) -> Option<Self> {
        match rest {
            Rest::Disabled => None,
            Rest::Held(detail) => Some(Self::held(detail)),
            Rest::NoAddress(address) => Some(Self::no_address(address)),
            Rest::NoSecret(secret) => Some(Self::no_secret(secret)),
            Rest::NoCertificate(certificate) => Some(Self::no_certificate(certificate, keys)),
            Rest::UnfitCertificate(certificate, unfit) => Some(Self::unfit_certificate(certificate, unfit)),
        }
    }

    /// That of a BGP session.
    pub(crate) fn of_session(end: &bgp::LastError) -> Self {
        Self {
            reason: end.reason,
            side: side(end.side),
            stage: "bgp",
            offered: String::new(),
            expected: String::new(),
            next_step: end.next_step.into(),
        }
    }

    /// That of a connection whose interface has no address.
    fn no_address(address: &LocalAddress) -> Self {
        let next_step =
            "See the status of the interface; the connection starts by itself once that has an address.";
        Self::of_ours(
            (ike::Reason::NoAddress.word(), Stage::Idle.word()),
            String::new(),
            address.to_string(),
            next_step,
        )
    }

    /// That of a connection whose secret is not there, or was sealed by another machine key.
    fn no_secret(secret: &Name) -> Self {
        let reason = ike::Reason::SecretUnusable;
        Self::of_ours(
            (reason.word(), Stage::Idle.word()),
            String::new(),
            format!("the secret {secret}"),
            format!("Set it again: causeway secret set {secret}"),
        )
    }

    /// That of a connection whose certificate its provider has not told: what it says of the key, where that is the reason.
    fn no_certificate(certificate: &Name, keys: &KeySnapshots) -> Self {
        let expected = format!("the certificate {certificate} from who has its key");
        let key = keys.get(&KeyName(certificate.as_str().into()));
        let fault = key.and_then(|key| match &key.state {
            KeyState::Failed => key.fault.clone(),
            KeyState::Opening => Some(key.fault.clone().unwrap_or_else(|| SignerFault {
                reason: SignerReason::SignerSlow,
                detail: "the key is being opened".to_owned(),
            })),
            KeyState::Ready { .. } => None,
        });
        if let Some(fault) = fault {
            return Self {
                expected,
                ..Self::of_signer(&fault)
            };
        }
        let next_step = format!(
            "Store the certificate beside its key, or write it to \"chain\" of the certificate {certificate}; the \
             connection then starts by itself."
        );
        Self::of_ours(
            (
                ike::Reason::Signer(SignerReason::KeyMissing).word(),
                Stage::Idle.word(),
            ),
            "a key without a certificate".to_owned(),
            expected,
            next_step,
        )
    }

    /// That of a connection whose certificate its provider has told, and which is not what the document asks for.
    fn unfit_certificate(certificate: &Name, unfit: &Unfit) -> Self {
        let next_step = format!(
            "Give the certificate {certificate} another one where its key is ({}); it is taken up within ten minutes, or at once \
             by: causeway keys {certificate} --refresh",
            unfit.rule.error()
        );
        Self::of_ours(
            (Reason::CertificateUnfit.word(), "configuration"),
            unfit.found.clone(),
            unfit.rule.expected().to_owned(),
            next_step,
        )
    }

    /// That of a connection that this version cannot negotiate.
    fn held(detail: &str) -> Self {
        Self {
            reason: Reason::NotInThisVersion.word(),
            side: Side::We.word(),
            stage: "configuration",
            offered: String::new(),
            expected: String::new(),
            next_step: format!("{detail}; until then its site stays closed").into(),
        }
    }
}

fn line(line: &LineSnapshot) -> LineStatus {
    let (state, why) = match &line.standing {
        LineStanding::Up => ("up", None),
        LineStanding::Waiting => ("waiting", None),
        LineStanding::Pending => ("pending", None),
        LineStanding::Refused(why) => ("refused", Some(why)),
    };
    LineStatus {
        local: line.local.iter().map(ToString::to_string).collect(),
        remote: line.remote.iter().map(ToString::to_string).collect(),
        state,
        outage: why.map(outage),
    }
}

fn reauthentication(snapshot: &ReauthenticationSnapshot, now: Instant) -> ReauthenticationStatus {
    let until = |due: Instant| due.saturating_duration_since(now).as_secs();
    ReauthenticationStatus {
        due_in_s: snapshot.due.map(until),
        under_way: snapshot.under_way,
        outage: snapshot.outage.as_ref().map(outage),
    }
}

fn weak(weak: &WeakAlgorithm) -> WeakStatus {
    WeakStatus {
        algorithm: weak.algorithm.clone(),
        why: weak.why,
        in_use: weak.in_use,
    }
}

impl ConnectionStatus {
    /// The same with what happened to the connection.
    pub(crate) fn with_events(self, history: Option<&History>) -> Self {
        let events = history.into_iter().flat_map(History::records);
        Self {
            events: Some(events.map(EventStatus::new).collect()),
            ..self
        }
    }
}

fn state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Down => "down",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Up => "up",
    }
}

/// As the API tells it.
pub(crate) fn outage(outage: &Outage) -> OutageStatus {
    OutageStatus {
        reason: outage.reason.word(),
        side: outage.side.word(),
        stage: outage.stage.word(),
        offered: outage.offered.clone(),
        expected: outage.expected.clone(),
        next_step: outage.reason.next_step(outage.side).into(),
    }
}

fn ike_sa(sa: &IkeSnapshot, now: Instant) -> IkeStatus {
    IkeStatus {
        initiator_spi: format!("{:016x}", sa.initiator_spi),
        responder_spi: format!("{:016x}", sa.responder_spi),
        initiator: sa.initiator,
        local: sa.local.to_string(),
        remote: sa.remote.to_string(),
        remote_identity: sa.remote_identity.as_ref().map(ToString::to_string),
        algorithms: sa.algorithms.clone(),
        nat_local: sa.nat_local,
        nat_remote: sa.nat_remote,
        extensions: sa.extensions.iter().map(|used| used.word()).collect(),
        rekey_in_s: sa.rekey.map(|due| due.saturating_duration_since(now).as_secs()),
    }
}
