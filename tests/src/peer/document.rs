//! The document of a Causeway gateway with the tunnels of a scenario.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::credentials::Credentials;
use super::tunnel::{Bgp, Lines, Ppk, Tunnel};
use crate::lab::pki::Issued;

/// What a gateway is configured with: the document, and the secrets it names.
#[derive(Clone, Debug)]
pub struct Document {
    /// As in the file.
    pub json: Value,
    /// Name and pre-shared key.
    pub secrets: Vec<(String, String)>,
}

impl Document {
    /// Writes the document as `causeway.json` and the secrets into the folder `secrets`, which is there.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
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
    let mut json = json!({ "schema": 1, "gateway": gateway, "sites": sites, "policies": policies, "connections": items });
    secrets.extend(certificates(&mut json, connections));
    Document { json, secrets }
}

/// Says what proves who both sides of each tunnel are where that is not a secret of both. Returns the private keys.
fn certificates(json: &mut Value, connections: &[(&str, &Tunnel)]) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    for (name, tunnel) in connections {
        if let Some(credentials) = &tunnel.credentials {
            certify(json, name, credentials);
            keys.extend(credentials.own.iter().map(|own| (key_name(name), own.key_pem())));
        }
    }
    keys
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

/// What the document calls the key of a tunnel's certificate.
fn key_name(tunnel: &str) -> String {
    format!("key-{tunnel}")
}

/// The certificate of a tunnel, its key in a file, and whom its peer's is believed by.
fn certify(json: &mut Value, name: &str, credentials: &Credentials) {
    let collections = ["certificates", "trust", "key_providers"].map(|key| {
        let known = json.get(key).cloned();
        (key, known.unwrap_or_else(|| json!({})))
    });
    let [mut certificates, mut trust, mut providers] = collections;
    if let Some(own) = &credentials.own {
        let below_root = own
            .above()
            .iter()
            .filter(|above| above.der().as_ref() != own.root_der());
        let chain: Vec<String> = std::iter::once(own.pem())
            .chain(below_root.map(|above| above.pem()))
            .collect();
        let key = json!({ "provider": "files", "reference": key_name(name) });
        put(&mut certificates.1, name, json!({ "key": key, "chain": chain }));
        put(&mut providers.1, "files", json!({ "kind": "file" }));
    }
    if !credentials.roots.is_empty() {
        let believed = credentials.roots.iter().chain(&credentials.known);
        let chain: Vec<String> = believed.map(Issued::pem).collect();
        put(
            &mut trust.1,
            name,
            json!({ "chain": chain, "crl": credentials.revocation }),
        );
    }
    for (key, collection) in [certificates, trust, providers] {
        put(json, key, collection);
    }
}

/// How both sides of a tunnel prove who they are, and who they are.
fn authentication(name: &str, tunnel: &Tunnel) -> Value {
    let secret = format!("psk-{name}");
    let Some(credentials) = &tunnel.credentials else {
        return json!({ "method": "psk", "secret": secret,
                       "local_id": tunnel.local_id, "remote_id": tunnel.remote_id });
    };
    let subject = tunnel.remote_id.strip_prefix("CN=");
    let certified = json!({ "subject": subject.unwrap_or("gw-b"), "chain": name });
    let mut authentication = match (&credentials.own, credentials.roots.is_empty()) {
        (Some(_), false) => json!({ "method": "certificate", "certificate": name, "peer": certified }),
        (Some(_), true) => {
            json!({ "method": "certificate", "certificate": name, "peer": { "secret": secret } })
        }
        (None, _) => json!({ "method": "psk", "secret": secret, "peer": certified }),
    };
    // The subjects of the certificates, where nothing else is said.
    for (key, id) in [("local_id", &tunnel.local_id), ("remote_id", &tunnel.remote_id)] {
        if !id.starts_with("CN=") {
            put(&mut authentication, key, json!(id));
        }
    }
    authentication
}

fn connection(name: &str, tunnel: &Tunnel) -> Value {
    let mut authentication = authentication(name, tunnel);
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
    if tunnel.version == 1 {
        put(&mut connection, "protocol", json!("IKEv1"));
        put(&mut connection, "aggressive_mode", json!(tunnel.aggressive));
        if let Some(seconds) = tunnel.idle {
            put(&mut connection, "idle_timeout_s", json!(seconds));
        }
    }
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
