use std::net::SocketAddr;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{self, UdpEncapsulation};
use ike::{
    Childless, Connection, ConnectionName, Identity, Limits, LineStart, Mode, PostQuantumPresharedKey,
    Remote, ResponderSelectors, SelectorLine, Settings, TrafficSelector, Version,
};
use ipnet::IpNet;

use super::algorithms::{esp_proposal, ike_proposal};
use super::authentication::proofs;
use super::{Addresses, negotiated};
use crate::datapath::Kind;
use crate::secrets::Secrets;
use crate::sockets::IKE_PORT;

pub(super) fn settings(
    config: &ValidConfig,
    secrets: &Secrets,
    datapath: Kind,
    addresses: &Addresses,
) -> Settings {
    Settings {
        connections: negotiated(config, addresses)
            .filter_map(|(name, settings)| {
                let name = ConnectionName(Arc::from(name.as_str()));
                Some((name, connection(settings, secrets, datapath, addresses)?))
            })
            .collect(),
        limits: Limits::default(),
        inside: config.spaces().into_values().flatten().collect(),
        carries_on: datapath == Kind::Kernel,
    }
}

/// `None` without its secret, or the certificate that a provider has not told yet, which status tells; or our address,
/// without which it is held.
fn connection(
    settings: &model::Connection,
    secrets: &Secrets,
    datapath: Kind,
    addresses: &Addresses,
) -> Option<Connection> {
    let port = |address| SocketAddr::new(address, IKE_PORT);
    let local = addresses.of(&settings.local_address)?;
    let (authentication, local_identity, remote_identity) = proofs(&settings.authentication, secrets, local)?;
    let remote = match &settings.endpoint {
        model::Endpoint::Address(address) => Remote::Address(port(*address)),
        model::Endpoint::Name(host) => Remote::Name {
            host: host.clone(),
            port: IKE_PORT,
        },
        model::Endpoint::Any => Remote::Any,
    };
    Some(Connection {
        version: match settings.protocol {
            model::Protocol::IkeV1 => Version::V1,
            model::Protocol::IkeV2 => Version::V2,
        },
        aggressive: settings.aggressive_mode,
        mode: mode(settings.mode),
        local_identity,
        ppk: match &settings.authentication.ppk {
            Some(ppk) => Some(post_quantum(ppk, secrets)?),
            None => None,
        },
        childless: childless(settings.childless),
        fragment_size: settings.fragment_size,
        ike_proposals: settings.policy.ike.iter().map(ike_proposal).collect(),
        esp_proposals: settings.policy.ipsec.iter().map(esp_proposal).collect(),
        responder_esp_proposals: settings.policy.responder_ipsec.iter().map(esp_proposal).collect(),
        lines: settings.selectors.lines.iter().map(line).collect(),
        responder_selectors: match settings.selectors.accept {
            model::Accept::Narrowed => ResponderSelectors::Narrowed,
            model::Accept::AsProposed => ResponderSelectors::AsProposed,
        },
        force_encapsulation: force_encapsulation(settings.udp_encapsulation, datapath),
        mobike: addresses.of_mobike(settings),
        allow_redirect: settings.allow_redirect,
        dpd_timeout: settings.dpd_timeout,
        idle_timeout: settings.idle_timeout,
        reauthentication: settings.reauthentication.period,
        reauthenticate_on_renewal: settings.reauthentication.on_renewal,
        ike_lifetime: settings.policy.ike_lifetime,
        child_lifetime: settings.policy.ipsec_lifetime,
        child_octets: settings.policy.ipsec_bytes,
        ..Connection::with_peer(port(local), remote, remote_identity, authentication)
    })
}

/// `None` without its secret, which the loading of secrets has ruled out.
fn post_quantum(ppk: &model::PostQuantumPresharedKey, secrets: &Secrets) -> Option<PostQuantumPresharedKey> {
    Some(PostQuantumPresharedKey {
        id: ppk.id.clone().into_bytes(),
        secret: secrets.value(&ppk.secret)?.clone(),
        required: ppk.required,
    })
}

fn childless(childless: model::Childless) -> Childless {
    match childless {
        model::Childless::Allow => Childless::Allow,
        model::Childless::Force => Childless::Force,
        model::Childless::Never => Childless::Never,
    }
}

/// Only UDP sockets can send and receive many packets at once, which the user-space datapath lives on.
fn force_encapsulation(configured: UdpEncapsulation, datapath: Kind) -> bool {
    match (configured, datapath) {
        (UdpEncapsulation::Always, Kind::Kernel | Kind::User) | (UdpEncapsulation::Auto, Kind::User) => true,
        (UdpEncapsulation::Auto, Kind::Kernel) => false,
    }
}

fn line(line: &model::SelectorLine) -> SelectorLine {
    let selectors = |prefixes: &[IpNet]| prefixes.iter().copied().map(TrafficSelector::network).collect();
    SelectorLine {
        local: selectors(&line.local),
        remote: selectors(&line.remote),
        start: if line.on_demand {
            LineStart::OnDemand
        } else {
            LineStart::WithTunnel
        },
    }
}

fn mode(mode: model::Mode) -> Mode {
    match mode {
        model::Mode::Default => Mode::Default,
        model::Mode::InitiatorOnly => Mode::InitiatorOnly,
        model::Mode::ResponderOnly => Mode::ResponderOnly,
    }
}

pub(super) fn identity(identity: &model::Identity) -> Identity {
    match identity {
        model::Identity::Address(address) => Identity::Address(*address),
        model::Identity::Fqdn(name) => Identity::Fqdn(name.clone()),
        model::Identity::Email(mailbox) => Identity::Email(mailbox.clone()),
        model::Identity::DistinguishedName(name) => Identity::DistinguishedName(name.der().to_vec()),
        model::Identity::KeyId(octets) => Identity::KeyId(octets.clone()),
    }
}
