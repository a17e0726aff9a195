use ike::Outage;
use schemars::JsonSchema;
use serde::Serialize;

use super::report::{OutageStatus, outage};
use crate::firmware::{Naming, Servers, Source};
use crate::timekeeping::{NOT_SYNCHRONISED, Timekeeping};

/// How right the clock of this machine is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClockStatus {
    /// `synchronised` or `not-synchronised`, as the kernel says; `unknown` where it does not.
    state: &'static str,
    /// By how much it is off at most, in milliseconds; null unless it is synchronised.
    error_ms: Option<u64>,
    /// Whom the firmware image asks for the time; another host has servers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<ServersStatus>,
    /// Why what it shows is wrong, or that nobody has set that of a firmware image for ten minutes.
    outage: Option<OutageStatus>,
}

/// Servers that this machine asks.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServersStatus {
    /// Who names them: `document`, `dhcp` or `none`.
    source: &'static str,
    /// Addresses or host names.
    hosts: Vec<String>,
}

impl ServersStatus {
    pub(super) fn new(servers: &Servers) -> Self {
        Self {
            source: servers.source.word(),
            hosts: servers.hosts.iter().map(ToString::to_string).collect(),
        }
    }
}

impl ClockStatus {
    pub(super) fn new(wrong: Option<&Outage>, timekeeping: &Timekeeping, naming: Option<&Naming>) -> Self {
        let state = match timekeeping.clock {
            Some(clock) if clock.is_synchronised => "synchronised",
            Some(_) => "not-synchronised",
            None => "unknown",
        };
        let right = timekeeping.clock.filter(|clock| clock.is_synchronised);
        let overdue = naming.filter(|_| timekeeping.is_overdue());
        Self {
            state,
            error_ms: right.map(|clock| clock.error.as_millis().try_into().unwrap_or(u64::MAX)),
            servers: naming.map(|naming| ServersStatus::new(&naming.time_servers)),
            outage: wrong
                .map(outage)
                .or_else(|| overdue.map(|naming| not_synchronised(&naming.time_servers))),
        }
    }
}

fn not_synchronised(asked: &Servers) -> OutageStatus {
    let hosts: Vec<String> = asked.hosts.iter().map(ToString::to_string).collect();
    let (offered, next_step) = match asked.source {
        Source::Document | Source::Dhcp => (
            format!("no time from {}", hosts.join(", ")),
            "See that UDP port 123 of these servers can be reached from here, and that their names can be looked up.",
        ),
        Source::None => (
            "no time server is known".to_owned(),
            "Name servers in \"ntp\" of \"time\" of \"system\", or have DHCP tell them (option 42).",
        ),
    };
    let expected = "a time server that answers".to_owned();
    OutageStatus::of_ours((NOT_SYNCHRONISED, "idle"), offered, expected, next_step)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use appliance_config::model::Host;
    use ike::{Reason, Side, Stage};
    use serde_json::{Value, json};

    use super::*;
    use crate::timekeeping::KernelClock;

    /// A clock that the kernel has called so for so many seconds.
    fn standing(is_synchronised: bool, seconds: u64) -> Timekeeping {
        let (mut timekeeping, start) = (Timekeeping::default(), Instant::now());
        let clock = KernelClock {
            is_synchronised,
            error: Duration::from_micros(12_345),
        };
        for second in [0, seconds] {
            let _told = timekeeping.look(Some(clock), start + Duration::from_secs(second));
        }
        timekeeping
    }

    fn asking(source: Source, hosts: &[&str]) -> Naming {
        let name = |host: &&str| Host::Name((*host).to_owned());
        Naming {
            time_servers: Servers {
                source,
                hosts: hosts.iter().map(name).collect(),
            },
            ..Naming::default()
        }
    }

    fn told(wrong: Option<&Outage>, timekeeping: &Timekeeping, naming: Option<&Naming>) -> Value {
        serde_json::to_value(ClockStatus::new(wrong, timekeeping, naming)).unwrap()
    }

    #[test]
    fn a_clock_that_is_kept_tells_by_whom_and_how_well() {
        let asked = asking(Source::Document, &["ntp.example"]);
        let expected = json!({ "state": "synchronised", "error_ms": 12, "outage": null,
                               "servers": { "source": "document", "hosts": ["ntp.example"] } });
        assert_eq!(told(None, &standing(true, 3600), Some(&asked)), expected);
        let unknown = json!({ "state": "unknown", "error_ms": null, "outage": null });
        assert_eq!(told(None, &Timekeeping::default(), None), unknown);
    }

    /// Only the image acts on time servers, and what it shows wrongly goes before that nobody sets it.
    #[test]
    fn a_clock_that_nobody_sets_is_an_outage_of_the_image_after_a_while() {
        let (nobody, somebody) = (asking(Source::None, &[]), asking(Source::Dhcp, &["ntp.example"]));
        let late = standing(false, 600);
        let outage = |naming| told(None, &late, naming)["outage"].clone();
        assert_eq!(outage(None), Value::Null);
        assert_eq!(
            told(None, &standing(false, 590), Some(&nobody))["outage"],
            Value::Null
        );
        let alone = outage(Some(&nobody));
        assert_eq!(alone["reason"], "clock-not-synchronised");
        assert!(
            alone["next_step"].as_str().unwrap().contains("option 42"),
            "{alone}"
        );
        let unheard = outage(Some(&somebody));
        assert_eq!(unheard["offered"], "no time from ntp.example");
        assert!(
            unheard["next_step"].as_str().unwrap().contains("UDP port 123"),
            "{unheard}"
        );
        let wrong = Outage {
            reason: Reason::Clock,
            side: Side::We,
            stage: Stage::Idle,
            offered: "1970".to_owned(),
            expected: "later".to_owned(),
        };
        assert_eq!(
            told(Some(&wrong), &late, Some(&nobody))["outage"]["reason"],
            "clock"
        );
    }
}
