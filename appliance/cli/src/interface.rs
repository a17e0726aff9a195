use std::collections::BTreeMap;

use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::report::{duration, push, push_outage, refused};
use crate::status::{Outage, Refusal};

/// One interface of the document.
#[derive(Debug, Deserialize)]
pub(crate) struct Interface {
    state: String,
    role: String,
    device: Option<String>,
    #[serde(default)]
    mtu: Mtu,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    expected: Vec<String>,
    #[serde(default)]
    gateways: Vec<String>,
    dhcp: Option<Dhcp>,
    pub(crate) outage: Option<Outage>,
    #[serde(default)]
    refused: Vec<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
struct Mtu {
    present: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Dhcp {
    phase: String,
    lease: Option<Lease>,
    lost: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Lease {
    address: String,
    server: String,
    expires_in_s: Option<u64>,
}

impl Interface {
    /// It carries packets and has all addresses that it is to have.
    pub(crate) fn is_up(&self) -> bool {
        self.state == "up"
    }
}

/// All interfaces of the document, what is not up first, or one.
pub(crate) fn status(client: &Client, name: Option<&str>) -> Done {
    let (answer, interfaces) = match name {
        Some(name) => {
            let answer = client.get(&format!("/api/v1/status/interfaces/{name}"))?;
            let interface = client.read(&answer)?;
            (answer, BTreeMap::from([(name.to_owned(), interface)]))
        }
        None => {
            let answer = client.get("/api/v1/status/interfaces")?;
            let interfaces: BTreeMap<String, Interface> = client.read(&answer)?;
            (answer, interfaces)
        }
    };
    let (up, down): (Vec<_>, Vec<_>) = interfaces.iter().partition(|(_, one)| one.is_up());
    let outcome = if down.is_empty() {
        Outcome::Done
    } else {
        Outcome::NotUp
    };
    let blocks: Vec<String> = down
        .into_iter()
        .chain(up)
        .map(|(name, one)| block(name, one))
        .collect();
    let text = match blocks.as_slice() {
        [] => "no interface is configured\n".to_owned(),
        blocks => blocks.join("\n"),
    };
    Ok(Answer::done(answer, text).with(outcome))
}

fn block(name: &str, interface: &Interface) -> String {
    let mut text = String::new();
    let state = interface.state.to_uppercase();
    let device = interface
        .device
        .as_ref()
        .filter(|device| *device != name)
        .map_or_else(String::new, |device| format!(", device {device}"));
    let mtu = interface
        .mtu
        .present
        .map_or_else(String::new, |mtu| format!(", MTU {mtu}"));
    push(
        &mut text,
        &format!("{name}: {state}, {}{device}{mtu}", interface.role),
    );
    if let Some(outage) = &interface.outage {
        push_outage(&mut text, outage);
    }
    let missing: Vec<String> = interface
        .expected
        .iter()
        .filter(|address| !interface.addresses.contains(address))
        .cloned()
        .collect();
    for (label, addresses) in [
        ("has     ", &interface.addresses),
        ("lacks   ", &missing),
        ("gateways", &interface.gateways),
    ] {
        if !addresses.is_empty() {
            push(&mut text, &format!("  {label} {}", addresses.join(", ")));
        }
    }
    if let Some(dhcp) = &interface.dhcp {
        push(&mut text, &format!("  DHCP     {}", leased(dhcp)));
    }
    for refusal in &interface.refused {
        push(&mut text, &format!("  refused  {}", refused(refusal)));
    }
    text
}

fn leased(dhcp: &Dhcp) -> String {
    let lease = dhcp.lease.as_ref().map(|lease| {
        let end = lease
            .expires_in_s
            .map_or_else(String::new, |seconds| format!(" for {}", duration(seconds)));
        format!(", {} from {}{end}", lease.address, lease.server)
    });
    let lost = dhcp
        .lost
        .as_ref()
        .map(|why| format!(", the last lease was lost: {why}"));
    let (lease, lost) = (lease.unwrap_or_default(), lost.unwrap_or_default());
    format!("{}{lease}{lost}", dhcp.phase)
}
