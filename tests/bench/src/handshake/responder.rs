//! The responders that are compared, each with nothing but what a hub of many sites needs.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ike::crypto::Group;
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::peer::causeway::{Causeway, Document, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::{Suite, USUAL};
use system_tests::peer::tunnel::{Datapath, Tunnel};

use super::Plan;
use crate::processor::spent_at_rest;

/// A responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responder {
    /// Causeway, with a connection for each site, its user-space datapath and its usual log.
    Causeway,
    /// strongSwan, with one connection for all sites, its user-space datapath without routes, and next to no log:
    /// all in its favour.
    StrongSwan,
}

/// A responder that runs.
pub enum Hub {
    /// As [`Responder::Causeway`].
    Causeway(Causeway),
    /// As [`Responder::StrongSwan`].
    StrongSwan(StrongSwan),
}

impl Responder {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn start(self, run: &Run, gateway: &Namespace, plan: &Plan) -> Result<Hub> {
        Ok(match self {
            Self::Causeway => Hub::Causeway(Causeway::with_document(
                run,
                gateway,
                &document_for(plan),
                Datapath::User,
            )?),
            Self::StrongSwan => {
                let connections = connections(plan);
                Hub::StrongSwan(StrongSwan::with_configuration(
                    run,
                    gateway,
                    daemon_settings,
                    &connections,
                )?)
            }
        })
    }
}

impl Hub {
    /// The processor time that it has spent once it does nothing any more.
    ///
    /// # Errors
    /// When it is gone, or does not come to rest.
    pub fn spent(&self) -> Result<Duration> {
        spent_at_rest(self.id())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        match self {
            Self::Causeway(hub) => hub.log(),
            Self::StrongSwan(hub) => hub.log(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        match self {
            Self::Causeway(hub) => hub.id(),
            Self::StrongSwan(hub) => hub.id(),
        }
    }
}

/// A connection for each site, none of which the hub starts itself.
fn document_for(plan: &Plan) -> Document {
    let tunnels: Vec<_> = plan
        .sites
        .iter()
        .map(|site| (site.to_string(), tunnel(*site, plan)))
        .collect();
    let named: Vec<_> = tunnels
        .iter()
        .map(|(name, tunnel)| (name.as_str(), tunnel))
        .collect();
    document(&named)
}

fn suite(group: Group) -> Suite {
    let group = match group {
        Group::Modp768 => "DHGroup1",
        Group::Modp1024 => "DHGroup2",
        Group::Modp1536 => "DHGroup5",
        Group::Modp2048 => "DHGroup14",
        Group::Modp3072 => "DHGroup15",
        Group::Modp4096 => "DHGroup16",
        Group::Modp2048Subgroup256 => "DHGroup24",
        Group::Ecp256 => "ECP256",
        Group::Ecp384 => "ECP384",
        Group::Ecp521 => "ECP521",
        Group::X25519 => "X25519",
        Group::MlKem512 => "MLKEM512",
        Group::MlKem768 => "MLKEM768",
        Group::MlKem1024 => "MLKEM1024",
    };
    Suite { group, ..USUAL }
}

fn tunnel(site: Ipv4Addr, plan: &Plan) -> Tunnel {
    let [.., high, low] = site.octets();
    let behind = format!("10.{}.{low}.0/24", 64 + high);
    let tunnel = Tunnel::joining([plan.responder.into(), site.into()], ["10.1.0.0/24", &behind]);
    Tunnel {
        secret: plan.secret.clone(),
        ..tunnel.with(suite(plan.group)).waiting()
    }
}

fn daemon_settings(folder: &Path) -> String {
    let (log, folder) = (folder.with_extension("log"), folder.display());
    let log = log.display();
    format!(
        "charon-systemd {{
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey hmac kdf curve25519 gcm aes sha1 sha2 drbg kernel-libipsec kernel-netlink socket-default vici
  dos_protection = no
  install_routes = no
  plugins {{ vici {{ socket = unix://{folder}/vici.sock }} }}
  filelog {{ log {{ path = {log}
    default = 0 }} }}
  syslog {{ daemon {{ default = -1 }} }}
  journal {{ default = -1 }}
}}
swanctl {{ load = pem pkcs1 pkcs8 x509 openssl random }}
"
    )
}

fn connections(plan: &Plan) -> String {
    let suite = suite(plan.group);
    let (local, secret) = (plan.responder, &plan.secret);
    let (ike, esp) = (suite.strongswan_ike(), suite.strongswan_esp());
    format!(
        "connections {{ net {{
  version = 2
  local_addrs = {local}
  proposals = {ike}
  rekey_time = 0
  local {{ auth = psk
    id = {local} }}
  remote {{ auth = psk
    id = %any }}
  children {{ net {{
    local_ts = 10.1.0.0/24
    remote_ts = 10.64.0.0/10
    esp_proposals = {esp}
    rekey_time = 0 }} }}
}} }}
secrets {{ ike-1 {{ secret = \"{secret}\" }} }}
"
    )
}
