use crate::events;
use crate::status::{
    ChildSa, Clock, Configuration, Connection, Firewall, IkeSa, Line, LineState, MachineKey, Notice, Outage,
    Reauthentication, Refusal, Servers, Side, State, Status, TrialOfIkev2, Warning, Weak,
};

/// So many of the last events are shown with a connection.
const RECENT: usize = 5;

/// The whole status for a human: what is wrong first.
pub(crate) fn status(status: &Status) -> String {
    let mut text = String::new();
    let up = status
        .connections
        .values()
        .filter(|connection| connection.is_up())
        .count();
    let all = status.connections.len();
    let summary = match all {
        0 => "no connection is configured".to_owned(),
        _ => format!("{up} of {all} connections up{}", disabled(status)),
    };
    let version = &status.version;
    push(&mut text, &format!("Causeway {version}: {summary}"));
    push(
        &mut text,
        &format!("datapath   {}: {}", status.datapath.kind, status.datapath.why),
    );
    push_faults(&mut text, status);
    push_clock(&mut text, &status.clock);
    if let Some(servers) = &status.name_servers {
        push(&mut text, &format!("names      {}", asked(servers)));
    }
    push_configuration(&mut text, &status.configuration);
    if status.half_open > 0 {
        push(
            &mut text,
            &format!(
                "half-open  {} exchanges with peers not yet authenticated",
                status.half_open
            ),
        );
    }
    let drops: Vec<String> = status
        .drops
        .iter()
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    if !drops.is_empty() {
        push(&mut text, &format!("dropped    {}", drops.join(", ")));
    }
    text.extend(status.firewall.as_ref().map(firewall));
    let (well, unwell): (Vec<_>, Vec<_>) = status.connections.iter().partition(|(_, one)| one.is_well());
    for (name, one) in unwell.into_iter().chain(well) {
        text.push('\n');
        text.push_str(&connection(name, one));
    }
    text
}

/// Whether the machine is closed, and what was dropped for it.
fn firewall(firewall: &Firewall) -> String {
    let dropped: Vec<String> = firewall
        .dropped
        .iter()
        .filter(|(_, dropped)| dropped.packets > 0)
        .map(|(reason, dropped)| format!("{reason} {}", dropped.packets))
        .collect();
    let state = if firewall.in_place {
        "closed"
    } else {
        "NOT in place"
    };
    let dropped = match dropped.as_slice() {
        [] => String::new(),
        some => format!("; dropped {}", some.join(", ")),
    };
    format!("firewall   {state}{dropped}\n")
}

/// What the kernel refuses, and interfaces that are not up.
fn push_faults(text: &mut String, status: &Status) {
    for refusal in &status.kernel.refused {
        push(text, &format!("refused    {}", refused(refusal)));
    }
    for (name, interface) in status.interfaces.iter().filter(|(_, one)| !one.is_up()) {
        let why = interface.outage.as_ref().map_or("", |outage| &outage.reason);
        let line = format!("interface  {name}: {why}; see causeway status --interfaces");
        push(text, &line);
    }
}

/// What the kernel refuses, for a human.
pub(crate) fn refused(refusal: &Refusal) -> String {
    let attribute = refusal
        .attribute
        .as_ref()
        .map_or_else(String::new, |attribute| format!(", {attribute}"));
    format!("{}{attribute}: {}", refusal.object, refusal.detail)
}

fn disabled(status: &Status) -> String {
    let connections = status.connections.values();
    match connections.filter(|one| one.state == State::Disabled).count() {
        0 => String::new(),
        count => format!(", {count} disabled"),
    }
}

fn push_configuration(text: &mut String, configuration: &Configuration) {
    if let (Some(trial), Some(startup)) = (&configuration.trial, configuration.startup) {
        let (generation, left) = (trial.generation, duration(trial.remaining_s));
        push(
            text,
            &format!(
                "trial      generation {generation} goes back to {startup} in {left}, unless: causeway config confirm"
            ),
        );
    }
    if let Some(fault) = &configuration.store {
        push(text, &format!("store      {}: {}", fault.reason, fault.detail));
    }
    if let Some(key) = &configuration.machine_key {
        push_machine_key(text, key);
    }
    for notice in &configuration.notices {
        push(text, &format!("notice     {}", notice_line(notice)));
    }
}

fn push_machine_key(text: &mut String, MachineKey { kept, reason, detail }: &MachineKey) {
    let place = match kept.as_str() {
        "tpm" => "sealed by the TPM",
        "file" => "in a file",
        other => other,
    };
    push(text, &format!("key        the machine key is {place}"));
    if let (Some(reason), Some(detail)) = (reason, detail) {
        push(text, &format!("           {reason}: {detail}"));
    }
}

/// Something that is kept and not acted on, for a human.
pub(crate) fn notice_line(notice: &Notice) -> String {
    format!("{}: {}: {}", notice.path, notice.reason, notice.detail)
}

fn push_clock(text: &mut String, clock: &Clock) {
    let state = match (clock.state.as_str(), clock.error_ms) {
        ("", _) => None,
        ("synchronised", Some(error)) => Some(format!("synchronised, off by {error} ms at most")),
        ("not-synchronised", _) => Some("NOT synchronised".to_owned()),
        (other, _) => Some(other.to_owned()),
    };
    let servers = clock.servers.as_ref().map(asked);
    let parts: Vec<String> = state.into_iter().chain(servers).collect();
    if !parts.is_empty() {
        push(text, &format!("clock      {}", parts.join("; ")));
    }
    if let Some(outage) = &clock.outage {
        let (offered, expected) = (&outage.offered, &outage.expected);
        let line = format!(
            "           {}: {offered}, should be {expected}: {}",
            outage.reason, outage.next_step
        );
        push(text, &line);
    }
}

/// Which servers are asked, and who names them.
fn asked(servers: &Servers) -> String {
    match servers.source.as_str() {
        "none" => "nobody is asked".to_owned(),
        source => format!("asks {}, as {} has it", servers.hosts.join(", "), by(source)),
    }
}

fn by(source: &str) -> &str {
    match source {
        "document" => "the document",
        "dhcp" => "DHCP",
        other => other,
    }
}

/// One connection as a block of lines.
pub(crate) fn connection(name: &str, connection: &Connection) -> String {
    let mut text = String::new();
    let state = match connection.state {
        State::Up => "UP",
        State::Connecting => "CONNECTING",
        State::Down => "DOWN",
        State::Disabled => "DISABLED",
    };
    let interface = connection
        .interface
        .as_ref()
        .map_or_else(String::new, |name| format!(", interface {name}"));
    let standby = if connection.standby { ", standby" } else { "" };
    let since = connection.since_s.map(duration);
    let since = since.map_or_else(String::new, |since| format!(" for {since}"));
    push(&mut text, &format!("{name}: {state}{since}{interface}{standby}"));
    if connection.carried_over {
        let by =
            "what an earlier causewayd left in the kernel, until it is up again or two minutes have passed";
        push(&mut text, &format!("  carried  by {by}"));
    }
    if let Some(outage) = &connection.outage {
        push_outage(&mut text, outage);
    }
    if let Some(ike) = &connection.ike {
        push(&mut text, &format!("  IKE      {}", ike_sa(ike)));
        if !ike.extensions.is_empty() {
            push(&mut text, &format!("  with     {}", ike.extensions.join(", ")));
        }
        push_proofs(&mut text, &connection.reauthentication);
    }
    for child in &connection.children {
        push_child(&mut text, child);
    }
    push_lines(&mut text, &connection.lines);
    if let Some(trial) = &connection.ikev2 {
        push_trial(&mut text, trial);
    }
    if let Some(session) = &connection.bgp {
        push(&mut text, &format!("  BGP      {session}"));
    }
    if !connection.weak.is_empty() {
        push(&mut text, &format!("  weak     {}", weak(&connection.weak)));
    }
    push_warnings(&mut text, &connection.warnings);
    let skipped = connection.events.len().saturating_sub(RECENT);
    for (place, event) in connection.events.iter().skip(skipped).enumerate() {
        let label = if place == 0 { "lately  " } else { "        " };
        push(&mut text, &format!("  {label} {}", events::brief(event)));
    }
    text
}

/// What is to be seen to, although it works.
fn push_warnings(text: &mut String, warnings: &[Warning]) {
    for warning in warnings {
        let Warning {
            reason,
            subject,
            place,
            not_after,
            next_step,
        } = warning;
        push(
            text,
            &format!("  warning  {reason}: {subject} ({place}) ends {not_after}"),
        );
        push(text, &format!("  do next  {next_step}"));
    }
}

/// When both sides prove anew who they are.
fn push_proofs(text: &mut String, proofs: &Reauthentication) {
    match (proofs.under_way, proofs.due_in_s) {
        (true, _) => push(text, "  proofs   being given anew"),
        (false, Some(due)) => push(text, &format!("  proofs   to be given anew in {}", duration(due))),
        (false, None) => {}
    }
}

/// Whether the peer answers IKEv2, and what it would need.
pub(crate) fn push_trial(text: &mut String, trial: &TrialOfIkev2) {
    let since = duration(trial.since_s);
    push(text, &format!("  IKEv2    {}, tried {since} ago", trial.answer));
    let lines = [
        ("offered ", &trial.offered),
        ("said    ", &trial.said),
        ("do next ", &trial.next_step),
    ];
    push_words(text, lines);
}

/// Lines that say something, each behind its label.
fn push_words(text: &mut String, lines: [(&str, &String); 3]) {
    for (label, words) in lines {
        if !words.is_empty() {
            push(text, &format!("  {label} {words}"));
        }
    }
}

/// The lines that no child carries, if there is more than one line.
fn push_lines(text: &mut String, lines: &[Line]) {
    let idle = lines
        .iter()
        .filter(|line| lines.len() > 1 && line.state != LineState::Up);
    for line in idle {
        let (local, remote) = (selectors(&line.local), selectors(&line.remote));
        let standing = match (line.state, &line.outage) {
            (_, Some(why)) => format!("{}, said by {} at {}", why.reason, side(why.side), why.stage),
            (LineState::Waiting, None) => "waits for a packet".to_owned(),
            (LineState::Up | LineState::Pending | LineState::Refused, None) => {
                "comes with the tunnel".to_owned()
            }
        };
        push(text, &format!("  line     {local} <-> {remote}: {standing}"));
    }
}

/// What is in use, and then what is only allowed.
fn weak(found: &[Weak]) -> String {
    let told = |label, in_use| {
        let of_these = found.iter().filter(|weak| weak.in_use == in_use);
        let named: Vec<_> = of_these
            .map(|weak| format!("{} ({})", weak.algorithm, weak.why))
            .collect();
        (!named.is_empty()).then(|| format!("{label}: {}", named.join(", ")))
    };
    let both = [told("in use", true), told("allowed", false)];
    both.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Why something is not up, and what to do about it.
pub(crate) fn push_outage(text: &mut String, outage: &Outage) {
    let side = side(outage.side);
    push(
        text,
        &format!("  why      {}, said by {side} at {}", outage.reason, outage.stage),
    );
    let lines = [
        ("offered ", &outage.offered),
        ("expected", &outage.expected),
        ("do next ", &outage.next_step),
    ];
    push_words(text, lines);
}

/// Who found a fault, for a human.
pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::We => "this side",
        Side::Peer => "the peer",
    }
}

fn ike_sa(ike: &IkeSa) -> String {
    let identity = ike
        .remote_identity
        .as_ref()
        .map_or_else(String::new, |identity| format!(" ({identity})"));
    let algorithms = if ike.algorithms.is_empty() {
        String::new()
    } else {
        format!(", {}", ike.algorithms)
    };
    let nat = match (ike.nat_local, ike.nat_remote) {
        (false, false) => "",
        (true, false) => ", NAT before this side",
        (false, true) => ", NAT before the peer",
        (true, true) => ", NAT before both sides",
    };
    let rekey = rekey(ike.rekey_in_s);
    format!(
        "{} <-> {}{identity}{algorithms}{nat}{rekey}",
        ike.local, ike.remote
    )
}

/// When an SA is replaced.
fn rekey(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| {
        format!(", new keys in {}", duration(seconds))
    })
}

fn push_child(text: &mut String, child: &ChildSa) {
    let carried = match child.encapsulation.as_str() {
        "none" => String::new(),
        other => format!(", in {}", other.to_uppercase()),
    };
    let (inbound, outbound) = (&child.inbound_spi, &child.outbound_spi);
    push(
        text,
        &format!(
            "  ESP      in {inbound}, out {outbound}, {}{carried}{}",
            child.algorithms,
            rekey(child.rekey_in_s)
        ),
    );
    let (local, remote) = (
        selectors(&child.local_selectors),
        selectors(&child.remote_selectors),
    );
    push(text, &format!("  between  {local} <-> {remote}"));
    let received = format!("{} in {}", bytes(child.bytes_in), packets(child.packets_in));
    let sent = format!("{} in {}", bytes(child.bytes_out), packets(child.packets_out));
    let lost = match child.packets_lost {
        0 => String::new(),
        lost => format!(" ({} of the peer lost)", packets(lost)),
    };
    push(
        text,
        &format!("  traffic  received {received}{lost}, sent {sent}"),
    );
}

/// The ranges of one side; ranges that leave nothing out are `any`.
fn selectors(ranges: &[String]) -> String {
    let any = |range: &&String| ["0.0.0.0/0", "::/0"].contains(&range.as_str());
    let narrow: Vec<&str> = ranges
        .iter()
        .filter(|range| !any(range))
        .map(String::as_str)
        .collect();
    if narrow.is_empty() && !ranges.is_empty() {
        "any".to_owned()
    } else {
        narrow.join(", ")
    }
}

/// Adds a line. A peer may have chosen some of its words, so nothing in it may steer the terminal.
pub(crate) fn push(text: &mut String, line: &str) {
    text.extend(
        line.chars()
            .map(|character| if character.is_control() { '?' } else { character }),
    );
    text.push('\n');
}

/// A time span in its two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// A number of octets in the largest decimal unit, one digit after the point, cut off.
pub(crate) fn bytes(count: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size / (size / 10)),
        None => format!("{count} B"),
    }
}

fn packets(count: u64) -> String {
    if count == 1 {
        "1 packet".to_owned()
    } else {
        format!("{count} packets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3599), "59 min 59 s");
        assert_eq!(duration(7_260), "2 h 1 min");
        assert_eq!(duration(180_000), "2 d 2 h");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_550), "1.5 kB");
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
        assert_eq!(packets(1), "1 packet");
    }

    #[test]
    fn only_ranges_that_leave_something_out_are_listed() {
        let any = || "0.0.0.0/0".to_owned();
        let any_v6 = || "::/0".to_owned();
        assert_eq!(selectors(&[any(), any_v6()]), "any");
        assert_eq!(selectors(&["10.0.0.0/24".to_owned()]), "10.0.0.0/24");
        assert_eq!(selectors(&[any(), "fd00::-fd00::1".to_owned()]), "fd00::-fd00::1");
    }
}
