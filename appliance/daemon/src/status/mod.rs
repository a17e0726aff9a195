//! The status as the API shows it, built from published snapshots.

mod bgp_comparison;
mod bgp_peer;
mod bgp_route;
mod bgp_trial;
mod carried;
mod certificate;
mod event;
mod firmware;
mod interface;
mod key;
mod key_trial;
mod list;
mod migration;
mod nat;
mod nat_explanation;
mod report;
mod system;
mod timeline;
mod x509;

pub(crate) use bgp_comparison::ComparisonStatus;
pub(crate) use bgp_peer::{PeerStatus, peers};
pub(crate) use bgp_route::{ExplanationStatus, RoutesStatus};
pub(crate) use bgp_trial::TrialStatus;
pub(crate) use certificate::{CertificateStatus, TrustEntryStatus, certificates, trust};
pub(crate) use firmware::FirmwareStatus;
pub(crate) use interface::InterfaceStatus;
pub(crate) use key::{KeyStatus, keys};
pub(crate) use key_trial::{KeyTrialStatus, ProviderTrialStatus, RefreshStatus};
pub(crate) use list::{ListStatus, lists};
pub(crate) use nat::NatStatus;
pub(crate) use nat_explanation::NatExplanation;
pub(crate) use report::{ConnectionStatus, OutageStatus, STATES, Status, outage};
pub(crate) use system::{SystemStatus, drops, resident_bytes};
pub(crate) use timeline::TimelineStatus;
pub(crate) use x509::X509Status;
