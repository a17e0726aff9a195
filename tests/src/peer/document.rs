//! The document of a Causeway gateway with the tunnels of a scenario.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::tunnel::{Bgp, Lines, Ppk, Tunnel};

/// What a gateway is configured with: the document, and the secrets it names.
#[derive(Clone, Debug)]
pub struct Document {
    /// As in the file.
    pub json: Value,
    /// Name and pre-shared key.
    pub secrets: Vec<(String, String)>,
}

impl Document {
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::write(
            folder.join("causeway.json"),
            serde_json::to_string_pretty(&self.json)?,
        )?;
        for (name, secret) in &self.secrets {
            let path = folder.join("secrets").join(name);
            let mut options = fs::File::options();
            let mut file = options
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(secret.as_bytes())?;
        }
        Ok(())
    }
}

/// The document of a gateway with these connections.
pub fn document(connections: &[(&str, &Tunnel)]) -> Document {
    let (mut sites, mut policies, mut items) = (Map::new(), Map::new(), Map::new());
    let (mut secrets, mut addresses, mut prefix) = (Vec::new(), Map::new(), Value::Null);
    for (name, tunnel) in connections {
        let suite = &tunnel.suite;
        let mut site = json!({ "endpoint": tunnel.remote, "address_space": tunnel.remote_prefixes() });
        if let Some(bgp) = &tunnel.bgp {
            put(
                &mut site,
                "bgp",
                json!({ "asn": bgp.remote_asn, "address": bgp.remote }),
            );
        }
        sites.insert((*name).to_owned(), site);
        let policy = json!({
            "legacy": matches!(suite.ike_encryption, "DES3" | "DES"),
            "ike": { "encryption": suite.ike_encryption, "integrity": suite.hash, "dh_group": suite.group },
            "ipsec": { "encryption": suite.esp_encryption, "integrity": suite.esp_integrity,
                       "pfs_group": suite.pfs_group } });
        if tunnel.built_in.is_none() {
            policies.insert((*name).to_owned(), policy);
        }
        let further = tunnel.mobike.iter().flatten().zip(2..);
        addresses
            .extend(further.map(|(address, number)| (further_name(number), json!({ "address": address }))));
        let mut item = connection(name, tunnel);
        put(
            &mut item,
            "ip_configuration",
            json!(configuration(connections, tunnel)),
        );
        items.insert((*name).to_owned(), item);
        secrets.extend(
            tunnel
                .ppk
                .map(|ppk| (format!("ppk-{name}"), ppk.secret.to_owned())),
        );
        secrets.push((format!("psk-{name}"), tunnel.secret.clone()));
        addresses.insert(
            configuration(connections, tunnel),
            json!({ "address": tunnel.local }),
        );
        prefix = json!(tunnel.local_prefixes());
    }
    let mut gateway = json!({ "ip_configurations": addresses, "address_space": prefix });
    let sessions: Vec<Bgp> = connections.iter().filter_map(|(_, tunnel)| tunnel.bgp).collect();
    if let Some(first) = sessions.first() {
        let ours: Vec<IpAddr> = sessions.iter().map(|session| session.local).collect();
        put(
            &mut gateway,
            "bgp",
            json!({ "asn": first.local_asn, "addresses": ours }),
        );
    }
    let json = json!({ "schema": 1, "gateway": gateway, "sites": sites, "policies": policies, "connections": items });
    Document { json, secrets }
}

/// What the document calls our outer address of a tunnel: `default` is that of the last connection.
fn configuration(connections: &[(&str, &Tunnel)], tunnel: &Tunnel) -> String {
    let default = connections
        .last()
        .is_none_or(|(_, last)| last.local == tunnel.local);
    if default {
        "default".to_owned()
    } else {
        format!("at-{}", tunnel.local).replace(':', "-")
    }
}

/// What the document calls a further address.
fn further_name(number: usize) -> String {
    format!("address-{number}")
}

fn connection(name: &str, tunnel: &Tunnel) -> Value {
    let mut authentication = json!({ "method": "psk", "secret": format!("psk-{name}"),
                                     "local_id": tunnel.local_id, "remote_id": tunnel.remote_id });
    if let Some(Ppk { id, required, .. }) = tunnel.ppk {
        let secret = format!("ppk-{name}");
        let ppk = json!({ "id": id, "required": required, "secret": secret });
        put(&mut authentication, "ppk", ppk);
    }
    let mut connection = json!({
        "site": name, "policy": tunnel.built_in.unwrap_or(name), "mode": tunnel.mode,
        "dpd_timeout_s": tunnel.dpd_timeout, "selectors": selectors(tunnel), "childless": tunnel.childless,
        "authentication": authentication,
        "udp_encapsulation": if tunnel.encapsulate { "always" } else { "auto" } });
    if let Some(size) = tunnel.fragment_size {
        put(&mut connection, "fragment_size", json!(size));
    }
    if let Some(bgp) = &tunnel.bgp {
        let session = json!({ "local_address": bgp.local, "passive": bgp.passive });
        put(&mut connection, "bgp", session);
    }
    if let Some(further) = &tunnel.mobike {
        let names: Vec<_> = (2..).map(further_name).take(further.len()).collect();
        put(&mut connection, "mobike", json!({ "ip_configurations": names }));
    }
    connection
}

/// Says one more thing in an object of a document.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn selectors(tunnel: &Tunnel) -> Value {
    let line = |local: &str, remote: &str| json!({ "local": [local], "remote": [remote] });
    match tunnel.lines {
        Lines::RouteBased => json!({ "kind": "route-based" }),
        Lines::PolicyBased => json!({ "kind": "policy-based" }),
        Lines::Custom => json!({ "kind": "custom", "lines": [
            line(&tunnel.local_prefix, &tunnel.remote_prefix),
            line(&tunnel.local_second, &tunnel.remote_second) ] }),
    }
}
