use std::collections::BTreeMap;

use serde_json::Value;

use super::connection::Connection;
use super::document::Document;
use super::interface::Interface;
use crate::model::connection::default_tcp_mss;
use crate::model::interface::MTU;

/// A document that keeps every rule, with each default written out. What may be left out and has none, such as `mobike`,
/// stays out.
///
/// # Errors
/// When the document does not have the shape that [`super::schema`] describes.
pub fn with_defaults(document: &Value) -> serde_json::Result<Value> {
    let mut document: Document = serde_json::from_value(without_nulls(document))?;
    if let Some(gateway) = &mut document.gateway
        && let Some(bgp) = &mut gateway.bgp
    {
        bgp.fill(&gateway.address_space);
    }
    for rule in document.nat_rules.values_mut() {
        rule.fill();
    }
    let mut connections = std::mem::take(&mut document.connections);
    for connection in connections.values_mut() {
        fill(connection, &document);
    }
    document.connections = connections;
    fill_mtus(&mut document.interfaces);
    serde_json::to_value(document)
}

/// What is null is left out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, member)| !member.is_null());
            kept.map(|(key, member)| (key.clone(), without_nulls(member)))
                .collect()
        }
        Value::Array(elements) => elements.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A VLAN has the MTU of its parent.
fn fill_mtus(interfaces: &mut BTreeMap<String, Interface>) {
    let written = interfaces.iter();
    let mtus: BTreeMap<String, u16> = written
        .filter_map(|(name, interface)| Some((name.clone(), interface.mtu?)))
        .collect();
    for interface in interfaces.values_mut() {
        let parent = interface.vlan.as_ref().and_then(|vlan| mtus.get(&vlan.parent));
        interface.mtu.get_or_insert(parent.copied().unwrap_or(MTU));
    }
}

/// The defaults that follow from other members.
fn fill(connection: &mut Connection, document: &Document) {
    let none = BTreeMap::new();
    let gateway = document.gateway.as_ref();
    let configurations = gateway.map_or(&none, |gateway| &gateway.ip_configurations);
    let only = || {
        configurations
            .keys()
            .next()
            .filter(|_| configurations.len() == 1)
            .cloned()
    };
    connection.ip_configuration = connection.ip_configuration.take().or_else(only);
    let site = document.sites.get(&connection.site);
    let endpoint = connection
        .endpoint
        .take()
        .or_else(|| Some(site?.endpoint.clone()));
    if let Some(session) = &mut connection.bgp
        && let Some(gateway) = &document.gateway
        && let Some(ours) = &gateway.bgp
        && let Some(peer) = site.and_then(|site| site.bgp.as_ref())
    {
        session.fill(ours, &gateway.limits, peer);
    }
    let from_anywhere = endpoint.as_deref() == Some("any");
    let mode = if from_anywhere { "ResponderOnly" } else { "Default" };
    connection.mode.get_or_insert_with(|| mode.to_owned());
    let address = connection
        .ip_configuration
        .as_ref()
        .and_then(|name| configurations.get(name))
        .and_then(|configuration| {
            let interface = configuration.interface.as_ref();
            let of_interface = || {
                document
                    .interfaces
                    .get(interface?)?
                    .address_towards(endpoint.as_deref())
            };
            configuration.address.clone().or_else(of_interface)
        });
    let authentication = &mut connection.authentication;
    if authentication.method == "psk" {
        authentication.local_id = authentication.local_id.take().or(address);
        authentication.remote_id = authentication.remote_id.take().or_else(|| endpoint.clone());
    }
    connection.endpoint = endpoint;
    connection
        .tcp_mss
        .get_or_insert_with(|| default_tcp_mss(connection.mtu));
}
