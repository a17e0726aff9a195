use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bgp::{Messages, PeerState};
use ike::{ConnectionName, ConnectionState};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::spawn_blocking;

use super::error::Error;
use super::router::Published;
use super::status::{Views, fresh};
use crate::bgp_owner::side;
use crate::calendar::dated;
use crate::derive::inventory;
use crate::status::{FirmwareStatus, drops, resident_bytes};
use crate::timekeeping::KernelClock;

/// OpenMetrics 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;
type Counters = Family<Labels, Counter>;

/// `GET /api/v1/metrics`.
pub(crate) async fn metrics(State(published): State<Published>) -> Result<impl IntoResponse, Error> {
    let views = fresh(&published).await;
    let mut registry = Registry::default();
    process(&mut registry, &published);
    configuration(&mut registry, &views);
    engine(&mut registry, &views);
    connections(&mut registry, &views);
    traffic(&mut registry, &views);
    sessions(&mut registry, &views);
    translation(&mut registry, &views);
    firewall(&mut registry, &views);
    certificates(&mut registry, &views);
    if let Some(firmware) = published.firmware.clone() {
        let told = spawn_blocking(move || (FirmwareStatus::of(&firmware), firmware.refused())).await;
        if let Ok((Ok(status), refused)) = told {
            slots(&mut registry, &status, &refused);
        }
    }
    let mut text = String::new();
    // A string takes whatever is written to it.
    encode(&mut text, &registry).map_err(|_| Error::Busy)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text))
}

fn gauges(registry: &mut Registry, name: &str, help: &str) -> Gauges {
    let family = Gauges::default();
    registry.register(name, help, family.clone());
    family
}

fn counters(registry: &mut Registry, name: &str, help: &str) -> Counters {
    let family = Counters::default();
    registry.register(name, help, family.clone());
    family
}

fn set(family: &Gauges, labels: Labels, value: impl TryInto<i64>) {
    let value = value.try_into().unwrap_or(i64::MAX);
    family.get_or_create(&labels).set(value);
}

fn process(registry: &mut Registry, published: &Published) {
    let build = gauges(registry, "causeway_build", "What runs: always 1");
    set(&build, vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1);
    let uptime = gauges(registry, "causeway_uptime_seconds", "How long causewayd has run");
    set(&uptime, vec![], published.started.elapsed().as_secs());
    if let Some(resident) = resident_bytes() {
        let memory = gauges(
            registry,
            "process_resident_memory_bytes",
            "Resident memory of causewayd",
        );
        set(&memory, vec![], resident);
    }
}

fn slots(registry: &mut Registry, status: &FirmwareStatus, refused: &BTreeMap<&'static str, u64>) {
    let systems = gauges(
        registry,
        "causeway_firmware_slot",
        "What is in a slot and how it stands: always 1",
    );
    for (slot, version, state) in status.systems() {
        let labels = [("slot", slot), ("version", version), ("state", state)];
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        set(&systems, labels.into(), 1);
    }
    let failed = gauges(
        registry,
        "causeway_firmware_failed",
        "1 with the reason why the last system that was tried did not become good",
    );
    if let Some(reason) = status.failed() {
        set(&failed, vec![("reason", reason.to_owned())], 1);
    }
    let bundles = counters(
        registry,
        "causeway_firmware_refused_bundles",
        "Update bundles that were refused, by reason",
    );
    for (reason, count) in refused {
        bundles
            .get_or_create(&vec![("reason", (*reason).to_owned())])
            .inc_by(*count);
    }
}

fn configuration(registry: &mut Registry, views: &Views) {
    let view = &views.configuration;
    let generation = gauges(
        registry,
        "causeway_configuration_generation",
        "The generation that runs",
    );
    set(&generation, vec![], view.generation);
    let trial = gauges(
        registry,
        "causeway_configuration_on_trial",
        "1 while what runs is to be confirmed",
    );
    set(&trial, vec![], u8::from(view.trial.is_some()));
    let damaged = gauges(
        registry,
        "causeway_store_damaged",
        "1 if the database was damaged at the start",
    );
    set(&damaged, vec![], u8::from(view.damage.is_some()));
}

fn engine(registry: &mut Registry, views: &Views) {
    let half_open = gauges(
        registry,
        "causeway_ike_half_open",
        "IKE SAs as responder that have not authenticated",
    );
    set(&half_open, vec![], views.ike.half_open);
    let dropped = counters(
        registry,
        "causeway_ike_dropped_messages",
        "IKE messages that changed nothing, by cause",
    );
    for (cause, count) in drops(&views.ike, &views.pages) {
        dropped
            .get_or_create(&vec![("cause", cause.to_owned())])
            .inc_by(count);
    }
    let refused = gauges(
        registry,
        "causeway_kernel_refused_objects",
        "What the kernel does not take",
    );
    set(&refused, vec![], views.datapath.refused.len());
    let clock = gauges(
        registry,
        "causeway_clock_wrong",
        "1 while the wall clock cannot be right",
    );
    set(&clock, vec![], u8::from(views.pages.clock.is_some()));
    if let Some(told) = views.timekeeping.clock {
        timekeeping(registry, told);
    }
}

fn timekeeping(registry: &mut Registry, told: KernelClock) {
    let synchronised = gauges(
        registry,
        "causeway_clock_synchronised",
        "1 while the kernel says that something keeps its clock right",
    );
    set(&synchronised, vec![], u8::from(told.is_synchronised));
    let error = Gauge::<f64, AtomicU64>::default();
    error.set(told.error.as_secs_f64());
    let help = "By how much the clock is off at most, as the kernel says";
    registry.register("causeway_clock_error_seconds", help, error);
}

fn named(connection: &ConnectionName) -> Labels {
    vec![("connection", connection.0.to_string())]
}

fn connections(registry: &mut Registry, views: &Views) {
    let up = gauges(
        registry,
        "causeway_connection_up",
        "1 while a Child SA carries the connection; told of every one that is enabled",
    );
    let children = gauges(registry, "causeway_connection_child_sas", "Child SAs in use");
    let outages = gauges(
        registry,
        "causeway_connection_outage",
        "Why the connection is down, or what of it does not work: always 1",
    );
    let events = counters(
        registry,
        "causeway_connection_events",
        "What happened to the connection, rekeys among it",
    );
    for (name, connection) in &views.ike.connections {
        set(
            &up,
            named(name),
            u8::from(connection.state == ConnectionState::Up),
        );
        set(&children, named(name), connection.children.len());
        if let Some(outage) = &connection.outage {
            let mut labels = named(name);
            labels.push(("reason", outage.reason.word().to_owned()));
            labels.push(("side", outage.side.word().to_owned()));
            labels.push(("stage", outage.stage.word().to_owned()));
            set(&outages, labels, 1);
        }
        let history = views.pages.histories.of(name);
        for (event, count) in history.into_iter().flat_map(|history| history.counts()) {
            let mut labels = named(name);
            labels.push(("event", (*event).to_owned()));
            events.get_or_create(&labels).inc_by(*count);
        }
    }
}

fn traffic(registry: &mut Registry, views: &Views) {
    let packets = counters(
        registry,
        "causeway_connection_packets",
        "Packets through the tunnel since the start",
    );
    let bytes = counters(
        registry,
        "causeway_connection_bytes",
        "Octets of those packets, as they are inside the tunnel",
    );
    let lost = counters(
        registry,
        "causeway_connection_packets_lost",
        "Packets that the peer has sent since the start and that did not arrive, by their sequence numbers",
    );
    for name in views.ike.connections.keys() {
        let carried = views.datapath.carried.get(name).copied().unwrap_or_default();
        lost.get_or_create(&named(name)).inc_by(carried.packets_lost);
        let directions = [
            ("in", carried.packets_in, carried.bytes_in),
            ("out", carried.packets_out, carried.bytes_out),
        ];
        for (direction, packet_count, byte_count) in directions {
            let mut labels = named(name);
            labels.push(("direction", direction.to_owned()));
            packets.get_or_create(&labels).inc_by(packet_count);
            bytes.get_or_create(&labels).inc_by(byte_count);
        }
    }
}

fn sessions(registry: &mut Registry, views: &Views) {
    let up = gauges(
        registry,
        "causeway_bgp_session_up",
        "1 while the BGP session of the connection is established",
    );
    let errors = gauges(
        registry,
        "causeway_bgp_session_error",
        "Why the session is down: always 1",
    );
    let established = counters(
        registry,
        "causeway_bgp_session_established",
        "How often it was established",
    );
    let prefixes = gauges(
        registry,
        "causeway_bgp_prefixes",
        "Prefixes by family: received, of those accepted, and advertised",
    );
    let messages = counters(
        registry,
        "causeway_bgp_messages",
        "Messages by direction and type",
    );
    for (name, peer) in &views.bgp.speaker.peers {
        let named = || vec![("connection", name.0.to_string())];
        let is_up = peer.state == PeerState::Established;
        set(&up, named(), u8::from(is_up));
        if let Some(error) = peer.last_error.as_ref().filter(|_| !is_up) {
            let mut labels = named();
            labels.push(("reason", error.reason.to_owned()));
            labels.push(("side", side(error.side).to_owned()));
            set(&errors, labels, 1);
        }
        established.get_or_create(&named()).inc_by(peer.established_count);
        for (family, counts) in &peer.families {
            let kinds = [
                ("received", counts.received),
                ("accepted", counts.accepted),
                ("advertised", counts.advertised),
            ];
            for (kind, count) in kinds {
                let mut labels = named();
                labels.extend([("family", family.to_string()), ("kind", kind.to_owned())]);
                set(&prefixes, labels, count);
            }
        }
        for (direction, counted) in [("in", &peer.received), ("out", &peer.sent)] {
            for (kind, count) in by_type(counted) {
                let mut labels = named();
                labels.extend([("direction", direction.to_owned()), ("type", kind.to_owned())]);
                messages.get_or_create(&labels).inc_by(count);
            }
        }
    }
}

fn firewall(registry: &mut Registry, views: &Views) {
    let Some(firewall) = &views.datapath.firewall else {
        return;
    };
    let in_place = gauges(
        registry,
        "causeway_firewall_in_place",
        "1 while the kernel closes the interfaces of the configuration",
    );
    set(&in_place, vec![], u8::from(firewall.in_place));
    let packets = counters(
        registry,
        "causeway_firewall_dropped_packets",
        "Packets that were dropped, by reason",
    );
    for (reason, counted) in &firewall.dropped {
        let labels = vec![("reason", reason.clone())];
        packets.get_or_create(&labels).inc_by(counted.packets);
    }
}

fn translation(registry: &mut Registry, views: &Views) {
    let translation = &views.datapath.translation;
    let in_place = gauges(
        registry,
        "causeway_nat_in_place",
        "1 while the kernel translates by the rules of the configuration, or there are none",
    );
    set(&in_place, vec![], u8::from(translation.in_place));
    let packets = counters(
        registry,
        "causeway_nat_translated_packets",
        "Packets that the rule translated on the connection, both ways",
    );
    let bytes = counters(
        registry,
        "causeway_nat_translated_bytes",
        "Octets of those packets",
    );
    let flows = gauges(registry, "causeway_nat_flows", "Flows that it translates now");
    let used = gauges(
        registry,
        "causeway_nat_ports_in_use",
        "External ports of a dynamic rule in use, of the protocol that uses most",
    );
    let ports = gauges(
        registry,
        "causeway_nat_ports",
        "External ports that each protocol has by a dynamic rule",
    );
    for binding in &translation.bindings {
        let named = || {
            vec![
                ("connection", binding.connection.clone()),
                ("rule", binding.rule.clone()),
            ]
        };
        let translated = binding.translated;
        packets.get_or_create(&named()).inc_by(translated.packets);
        bytes.get_or_create(&named()).inc_by(translated.bytes);
        set(&flows, named(), binding.flows);
        if let Some(dynamic) = binding.dynamic {
            set(&used, named(), dynamic.ports_in_use);
            set(&ports, named(), dynamic.ports);
        }
    }
}

fn certificates(registry: &mut Registry, views: &Views) {
    let expires = gauges(
        registry,
        "causeway_certificate_expires_seconds",
        "In how many seconds a certificate ends, by the wall clock; negative once it has",
    );
    let Some(running) = &views.configuration.running else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let seconds = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    for dated in dated(&inventory(&running.config, &views.keys)) {
        let labels = vec![
            ("name", dated.place),
            ("position", dated.position.to_owned()),
            ("subject", dated.subject),
            ("sha256", dated.sha256),
        ];
        let (_, until) = dated.validity;
        set(&expires, labels, seconds(until).saturating_sub(seconds(now)));
    }
}

fn by_type(counted: &Messages) -> [(&'static str, u64); 5] {
    let known = counted.updates + counted.refreshes + counted.keepalives + counted.notifications;
    [
        ("update", counted.updates),
        ("route-refresh", counted.refreshes),
        ("keepalive", counted.keepalives),
        ("notification", counted.notifications),
        ("open", counted.total.saturating_sub(known)),
    ]
}
