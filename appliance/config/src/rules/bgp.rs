//! What concerns BGP speakers of several sites, and sessions of several connections.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Reason;
use crate::model::asn::AZURE_GATEWAY;
use crate::model::bgp::is_apipa;
use crate::model::{Connection, ConnectionBgp, GatewayBgp, GatewayDraft, Name, Site, SiteBgp};
use crate::reader::{Collection, Report};

pub(super) fn check(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    for (name, speaker) in speakers(sites) {
        if let Some(Some(ours)) = &gateway.bgp {
            check_system(name, speaker, ours, report);
        }
        check_azure(name, speaker, report);
    }
    check_sessions(connections, report);
}

/// The sites that speak BGP.
pub(super) fn speakers(sites: &Collection<Site>) -> impl Iterator<Item = (&Name, &SiteBgp)> {
    sites
        .iter()
        .filter_map(|(name, site)| Some((name, site.bgp.as_ref()?)))
}

/// A site is in another autonomous system, unless it says that it is in ours.
fn check_system(name: &Name, speaker: &SiteBgp, ours: &GatewayBgp, report: &Report) {
    let SiteBgp { asn, internal, .. } = *speaker;
    if asn == ours.asn && asn == AZURE_GATEWAY {
        let detail = format!(
            "{asn} is reserved by Azure for its gateways, and ours has taken it: the site needs another"
        );
        report.add(&format!("/sites/{name}/bgp/asn"), Reason::AsnReserved, detail);
    } else if asn == ours.asn && !internal {
        let detail = format!("{asn} is our own: give the site another, or say \"internal\": true for iBGP");
        report.add(&format!("/sites/{name}/bgp/asn"), Reason::AsnNotExternal, detail);
    } else if asn != ours.asn && internal {
        let detail = format!("the site is in {asn} and we are in {}: leave it out", ours.asn);
        report.add(
            &format!("/sites/{name}/bgp/internal"),
            Reason::AsnNotExternal,
            detail,
        );
    }
}

/// Where a site is Azure itself, its link-local address is one that Azure can have.
fn check_azure(name: &Name, speaker: &SiteBgp, report: &Report) {
    let IpAddr::V4(address) = speaker.address else {
        return;
    };
    let possible = matches!(address.octets(), [169, 254, 21..=22, _]);
    if speaker.asn == AZURE_GATEWAY && is_apipa(speaker.address) && !possible {
        let detail = format!(
            "{address}; an Azure gateway ({AZURE_GATEWAY}) has one of 169.254.21.0 to 169.254.22.255"
        );
        report.add(
            &format!("/sites/{name}/bgp/address"),
            Reason::ApipaMismatch,
            detail,
        );
    }
}

/// Sessions pass their tunnel, and connections that share one say the same of it.
fn check_sessions(connections: &Collection<Connection>, report: &Report) {
    let mut known: BTreeMap<(&Name, IpAddr), (&Name, &ConnectionBgp)> = BTreeMap::new();
    for (name, connection) in connections.iter() {
        let (Some(session), Some(peer)) = (&connection.bgp, &connection.site.bgp) else {
            continue;
        };
        let (ours, theirs) = (session.local_address, peer.address);
        if !passes(connection, ours, theirs) {
            let detail =
                format!("no line of the selectors has {ours} on our side and {theirs} on the peer's");
            report.add(
                &format!("/connections/{name}/bgp"),
                Reason::BgpNotSelected,
                detail,
            );
        }
        let (first, said) = *known
            .entry((&connection.site_name, ours))
            .or_insert((name, session));
        if said != session {
            let detail = format!(
                "/connections/{first} leads to the same peer from {ours} too, which is one session: say the same in \
                 both, or give one another local_address"
            );
            report.add(
                &format!("/connections/{name}/bgp"),
                Reason::BgpSessionConflict,
                detail,
            );
        }
    }
}

fn passes(connection: &Connection, ours: IpAddr, theirs: IpAddr) -> bool {
    let holds = |nets: &[IpNet], address: IpAddr| nets.iter().any(|net| net.contains(&address));
    let mut lines = connection.selectors.lines.iter();
    lines.any(|line| holds(&line.local, ours) && holds(&line.remote, theirs))
}
