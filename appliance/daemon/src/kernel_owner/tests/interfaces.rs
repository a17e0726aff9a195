//! Interfaces of the document and their addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use appliance_config::model::{Family, LocalAddress};
use appliance_dhcp::Lease;
use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Connected, Device, Key, Op};

use super::rig::*;
use crate::datapath::Request;
use crate::derive::NetworkSettings;

/// What the document says of interfaces, and no tunnel.
fn interfaces(document: &str) -> NetworkSettings {
    let document = format!(
        r#"{{ "interfaces": {document},
              "gateway": {{ "ip_configurations": {{ "default": {{ "address": "192.0.2.1" }} }}, "address_space": [] }} }}"#
    );
    let config = appliance_config::parse(document.as_bytes()).unwrap();
    NetworkSettings {
        interfaces: config.interfaces,
        ..NetworkSettings::default()
    }
}

fn static_at(address: &str) -> NetworkSettings {
    interfaces(&format!(
        r#"{{ "lan0": {{ "role": "lan", "ipv4": {{ "method": "static", "addresses": ["{address}"] }} }} }}"#
    ))
}

fn plugged() -> Device {
    Device {
        index: 7,
        mac: Some([2, 0, 0, 0, 0, 1]),
        up: true,
        carrier: true,
        mtu: 1500,
        is_vlan: false,
    }
}

fn addresses_of(kernel: &FakeKernel) -> Vec<String> {
    let objects = kernel.objects();
    let addresses = objects.keys().filter_map(|key| match key {
        Key::Address(address) => Some(address.network.to_string()),
        _ => None,
    });
    addresses.collect()
}

/// Until there is nothing more to do.
async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came about");
}

#[tokio::test]
async fn a_device_that_is_plugged_in_later_gets_its_address_and_loses_those_of_others() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, static_at("10.1.0.1/24")).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
    let foreign = Connected {
        link: "lan0".try_into().unwrap(),
        address: "10.9.0.1".parse().unwrap(),
        network: "10.9.0.0/24".parse().unwrap(),
    };
    kernel.plug("lan0".try_into().unwrap(), plugged());
    kernel.connect(foreign.clone());
    until(|| addresses_of(&kernel) == ["10.1.0.1/24"]).await;
    let gone = |step: &appliance_kernel::Operation| matches!(step, Op::Delete(Key::Address(address), _) if address.network.addr() == foreign.address);
    until(|| kernel.performed().iter().any(gone)).await;
    rig.ask(|answer| Request::Network(Box::new(static_at("10.1.0.9/24")), answer))
        .await;
    assert_eq!(addresses_of(&kernel), ["10.1.0.9/24"]);
    let steps = kernel.performed();
    let last = steps.last().unwrap();
    assert!(matches!(last, Op::Delete(..)), "the old one goes last: {steps:?}");
    rig.ask(|answer| Request::Network(Box::new(static_at("10.1.0.1/24")), answer))
        .await;
    assert_eq!(addresses_of(&kernel), ["10.1.0.1/24"], "a trial that is over");
    rig.ask(Request::Close).await;
    assert_eq!(
        addresses_of(&kernel),
        ["10.1.0.1/24"],
        "the machine stays reachable"
    );
}

fn by_dhcp() -> NetworkSettings {
    interfaces(r#"{ "wan0": { "role": "wan", "ipv4": { "method": "dhcp" } } }"#)
}

fn lease() -> Lease {
    Lease {
        address: [192, 0, 2, 10].into(),
        prefix_length: 24,
        router: Some([192, 0, 2, 254].into()),
        name_servers: Vec::new(),
        ntp_servers: Vec::new(),
        mtu: None,
        server: [192, 0, 2, 254].into(),
        duration: Some(Duration::from_secs(3600)),
        renewal: None,
    }
}

#[tokio::test]
async fn a_lease_is_asked_for_used_and_given_up() {
    let kernel = FakeKernel::new();
    let wan: appliance_config::model::Name = "wan0".parse().unwrap();
    let rig = Rig::with(&kernel, by_dhcp()).await;
    assert!(rig.links.borrow().is_empty(), "no device");
    kernel.plug("wan0".try_into().unwrap(), plugged());
    until(|| {
        rig.links
            .borrow()
            .get(&wan)
            .is_some_and(|link| link.up && link.index == 7)
    })
    .await;
    let outer = || {
        let meant = LocalAddress::OfInterface(wan.clone(), Family::V4);
        rig.addresses.borrow().of(&meant)
    };
    assert_eq!(outer(), None);
    rig.requests
        .send(Request::Leased(wan.clone(), Some(lease())))
        .await
        .unwrap();
    until(|| outer().is_some()).await;
    assert_eq!(addresses_of(&kernel), ["192.0.2.10/24"]);
    rig.requests
        .send(Request::Leased(wan.clone(), None))
        .await
        .unwrap();
    until(|| outer().is_none()).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
}

/// A lease of before that is still in the kernel stays there, and one that is not has to be asked for.
#[tokio::test]
async fn a_lease_outlives_the_daemon() {
    let kernel = FakeKernel::new();
    let wan: appliance_config::model::Name = "wan0".parse().unwrap();
    let remembered = || BTreeMap::from([(wan.clone(), lease())]);
    kernel.plug("wan0".try_into().unwrap(), plugged());
    let rig = Rig::remembering(&kernel, by_dhcp(), remembered()).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
    rig.requests
        .send(Request::Leased(wan.clone(), Some(lease())))
        .await
        .unwrap();
    until(|| !addresses_of(&kernel).is_empty()).await;
    rig.task.abort();
    let before = kernel.performed().len();
    let again = Rig::remembering(&kernel, by_dhcp(), remembered()).await;
    assert_eq!(addresses_of(&kernel), ["192.0.2.10/24"]);
    let touched = kernel.performed().split_off(before);
    let address = |step: &appliance_kernel::Operation| matches!(step.key(), Key::Address(_) | Key::Route(_));
    assert!(!touched.iter().any(address), "{touched:?}");
    again.task.abort();
}
