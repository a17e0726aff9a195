use std::collections::BTreeMap;
use std::time::Instant;

use appliance_config::model::Name;
use appliance_dhcp::{Held, Loss, Phase};
use schemars::JsonSchema;
use serde::Serialize;

use super::report::OutageStatus;
use crate::datapath::{InterfaceSnapshot, Refused};
use crate::dhcp::ClientSnapshot;

/// One interface of the document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InterfaceStatus {
    /// `up` when it carries packets and has all addresses that it is to have.
    state: &'static str,
    role: &'static str,
    /// What the kernel calls it.
    device: Option<String>,
    present: bool,
    carrier: bool,
    mac: Option<String>,
    mtu: Mtu,
    addresses: Vec<String>,
    /// Those of them, or others, that it is to have.
    expected: Vec<String>,
    gateways: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp: Option<DhcpStatus>,
    outage: Option<OutageStatus>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Mtu {
    expected: u32,
    present: Option<u32>,
}

/// What its DHCP client is doing.
#[derive(Debug, Serialize, JsonSchema)]
struct DhcpStatus {
    phase: &'static str,
    lease: Option<LeaseStatus>,
    /// Why there is no lease any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LeaseStatus {
    address: String,
    router: Option<String>,
    name_servers: Vec<String>,
    ntp_servers: Vec<String>,
    server: String,
    since_s: u64,
    renewal_in_s: Option<u64>,
    rebinding_in_s: Option<u64>,
    expires_in_s: Option<u64>,
}

/// What the DHCP clients are doing.
pub(crate) type Clients = BTreeMap<Name, ClientSnapshot>;

/// All interfaces of the document.
pub(super) fn interfaces(
    interfaces: &BTreeMap<Name, InterfaceSnapshot>,
    dhcp: &Clients,
    now: Instant,
) -> BTreeMap<String, InterfaceStatus> {
    let status = |(name, interface): (&Name, _)| {
        let status = InterfaceStatus::new(interface, dhcp.get(name), now);
        (name.to_string(), status)
    };
    interfaces.iter().map(status).collect()
}

impl InterfaceStatus {
    /// What the owners published of it.
    fn new(interface: &InterfaceSnapshot, client: Option<&ClientSnapshot>, now: Instant) -> Self {
        let outage = outage(interface, client);
        let device = interface.device.as_ref();
        Self {
            state: if outage.is_none() { "up" } else { "down" },
            role: interface.role,
            device: interface.link.clone(),
            present: device.is_some(),
            carrier: device.is_some_and(|device| device.carrier),
            mac: device.and_then(|device| device.mac).map(|mac| {
                let octets = mac.map(|octet| format!("{octet:02x}"));
                octets.join(":")
            }),
            mtu: Mtu {
                expected: interface.mtu,
                present: device.map(|device| device.mtu),
            },
            addresses: interface.addresses.iter().map(ToString::to_string).collect(),
            expected: interface.wanted.iter().map(ToString::to_string).collect(),
            gateways: interface.gateways.iter().map(ToString::to_string).collect(),
            dhcp: interface.by_dhcp.then(|| DhcpStatus::new(client, now)),
            outage,
            refused: interface.refused.clone(),
        }
    }
}

impl DhcpStatus {
    fn new(client: Option<&ClientSnapshot>, now: Instant) -> Self {
        let phase = client.map_or(Phase::Waiting, |client| client.phase);
        let held = client.and_then(|client| client.held.as_ref());
        Self {
            phase: phase.word(),
            lease: held.map(|held| LeaseStatus::new(held, now)),
            lost: client.and_then(|client| client.loss).map(|loss| match loss {
                Loss::Refused => "refused",
                Loss::Expired => "expired",
            }),
        }
    }
}

impl LeaseStatus {
    fn new(held: &Held, now: Instant) -> Self {
        let left = |due: Option<Instant>| due.map(|due| due.saturating_duration_since(now).as_secs());
        let lease = &held.lease;
        Self {
            address: format!("{}/{}", lease.address, lease.prefix_length),
            router: lease.router.map(|router| router.to_string()),
            name_servers: lease.name_servers.iter().map(ToString::to_string).collect(),
            ntp_servers: lease.ntp_servers.iter().map(ToString::to_string).collect(),
            server: lease.server.to_string(),
            since_s: now.saturating_duration_since(held.since).as_secs(),
            renewal_in_s: left(held.renewal()),
            rebinding_in_s: left(held.rebinding()),
            expires_in_s: left(held.end()),
        }
    }
}

/// Why an interface does not do what it should; the first reason is the one to remove first.
fn outage(interface: &InterfaceSnapshot, client: Option<&ClientSnapshot>) -> Option<OutageStatus> {
    let because = OutageStatus::of_ours;
    let Some(device) = &interface.device else {
        let expected = interface
            .link
            .clone()
            .unwrap_or_else(|| "the hardware address".to_owned());
        let next_step = "Plug the device in, or change \"match\"; it is set up as soon as it is there.";
        return Some(because(
            ("device-missing", "link"),
            String::new(),
            expected,
            next_step,
        ));
    };
    if let Some(refused) = interface.refused.first() {
        let next_step = "Change what the kernel does not take; it is tried again meanwhile.";
        return Some(because(
            ("kernel-refused", "link"),
            refused.to_string(),
            String::new(),
            next_step,
        ));
    }
    if !device.carrier {
        let next_step = "Check the cable, and the device at its other end.";
        return Some(because(
            ("no-carrier", "link"),
            String::new(),
            String::new(),
            next_step,
        ));
    }
    if interface.by_dhcp && client.and_then(|client| client.held.as_ref()).is_none() {
        let next_step =
            "Check that a DHCP server on this network has an address to give; it is asked on and on.";
        return Some(because(
            ("no-lease", "dhcp"),
            String::new(),
            String::new(),
            next_step,
        ));
    }
    let lacking = interface
        .wanted
        .iter()
        .find(|one| !interface.addresses.contains(one));
    lacking.map(|lacking| {
        let next_step = "Wait a moment; if it stays so, see what the log says of it.";
        because(
            ("address-missing", "address"),
            String::new(),
            lacking.to_string(),
            next_step,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use appliance_dhcp::Lease;
    use appliance_kernel::Device;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot() -> InterfaceSnapshot {
        InterfaceSnapshot {
            role: "wan",
            link: Some("eth0".to_owned()),
            device: Some(Device {
                index: 3,
                mac: Some([2, 0, 0, 0, 0, 1]),
                up: true,
                carrier: true,
                mtu: 1500,
                is_vlan: false,
            }),
            mtu: 1400,
            wanted: vec!["192.0.2.1/24".parse().unwrap()],
            addresses: vec!["192.0.2.1/24".parse().unwrap()],
            gateways: vec!["192.0.2.254".parse().unwrap()],
            by_dhcp: false,
            refused: Vec::new(),
        }
    }

    fn told(interface: &InterfaceSnapshot, client: Option<&ClientSnapshot>) -> Value {
        serde_json::to_value(InterfaceStatus::new(interface, client, Instant::now())).unwrap()
    }

    /// What is in the way first is told first, with what to do.
    #[test]
    fn an_interface_says_why_it_is_down() {
        let mut interface = snapshot();
        let up = told(&interface, None);
        assert_eq!((&up["state"], &up["outage"]), (&json!("up"), &Value::Null));
        assert_eq!(up["mac"], "02:00:00:00:00:01");
        assert_eq!(up["mtu"], json!({ "expected": 1400, "present": 1500 }));
        let reason = |interface: &InterfaceSnapshot| told(interface, None)["outage"]["reason"].clone();
        interface.addresses.clear();
        assert_eq!(reason(&interface), "address-missing");
        interface.by_dhcp = true;
        assert_eq!(reason(&interface), "no-lease");
        interface.device.as_mut().unwrap().carrier = false;
        assert_eq!(reason(&interface), "no-carrier");
        interface.device = None;
        assert_eq!(reason(&interface), "device-missing");
        assert!(
            !told(&interface, None)["outage"]["next_step"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_lease_tells_its_times() {
        let mut interface = snapshot();
        interface.by_dhcp = true;
        let lease = Lease {
            address: [192, 0, 2, 1].into(),
            prefix_length: 24,
            router: None,
            name_servers: Vec::new(),
            ntp_servers: vec![[192, 0, 2, 123].into()],
            mtu: None,
            server: [192, 0, 2, 254].into(),
            duration: Some(Duration::from_secs(3600)),
            renewal: Some((Duration::from_secs(1800), Duration::from_secs(3150))),
        };
        let client = ClientSnapshot {
            phase: Phase::Bound,
            held: Some(Held {
                lease,
                since: Instant::now(),
            }),
            loss: None,
        };
        let status = told(&interface, Some(&client));
        assert_eq!(
            (&status["state"], &status["dhcp"]["phase"]),
            (&json!("up"), &json!("bound"))
        );
        let lease = &status["dhcp"]["lease"];
        assert!(
            (3598..=3600).contains(&lease["expires_in_s"].as_u64().unwrap()),
            "{lease}"
        );
        assert_eq!(lease["ntp_servers"], json!(["192.0.2.123"]));
        assert!(lease["renewal_in_s"].as_u64() < lease["rebinding_in_s"].as_u64());
    }
}
