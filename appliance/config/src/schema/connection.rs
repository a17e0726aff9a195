use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bgp::ConnectionBgp;
use super::limits;
use super::nat::ConnectionNat;
use crate::model::connection::{DPD_TIMEOUT_S, FRAGMENT_SIZE, MTU, PRIORITY};
use crate::model::signatures::RSA_HASH;

/// One tunnel to one site.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    /// The site it leads to.
    #[schemars(schema_with = "limits::name")]
    pub(super) site: String,
    /// Whether it is to run; a disabled one still keeps its site closed.
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    /// Where the peer is; that of the site if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<String>,
    /// Of several connections to one site that are up, the smallest carries its traffic.
    #[serde(default = "priority")]
    #[schemars(schema_with = "limits::priority")]
    pub(super) priority: u16,
    /// The version of IKE, for good.
    #[serde(default = "protocol")]
    #[schemars(schema_with = "limits::protocol")]
    pub(super) protocol: String,
    /// With IKEv1 only: phase 1 begins by aggressive mode, and the peer may begin so. Weak: for peers that know nothing else.
    #[serde(default)]
    pub(super) aggressive_mode: bool,
    /// Who may start the first IKE SA; ResponderOnly if left out where the peer may be anywhere, else Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::mode")]
    pub(super) mode: Option<String>,
    /// The name of our outer address; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) ip_configuration: Option<String>,
    /// How both sides prove who they are.
    pub(super) authentication: Authentication,
    /// What may be agreed on: a policy of the document, `modern`, `azure-default` or `azure-policy-based`.
    #[serde(default = "policy")]
    #[schemars(schema_with = "limits::name")]
    pub(super) policy: String,
    /// What may pass.
    #[serde(default)]
    pub(super) selectors: Selectors,
    /// Seconds of silence after which the peer is taken for dead.
    #[serde(default = "dpd_timeout_s")]
    #[schemars(schema_with = "limits::dpd_timeout_s")]
    pub(super) dpd_timeout_s: u64,
    /// With IKEv1 only: seconds without a packet after which it is closed until one wants through, 0 for never; 300 if left out where the selectors are policy-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::idle_timeout_s")]
    pub(super) idle_timeout_s: Option<u64>,
    /// Seconds after which both sides prove anew who they are, without a pause; not unless written, or the peer wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::reauthenticate_s")]
    pub(super) reauthenticate_s: Option<u64>,
    /// The same at once where our certificate changes.
    #[serde(default = "yes")]
    pub(super) reauthenticate_on_renewal: bool,
    /// MTU of the tunnel link, in bytes.
    #[serde(default = "mtu")]
    #[schemars(schema_with = "limits::mtu")]
    pub(super) mtu: u16,
    /// Upper bound for the TCP MSS of what passes, in bytes; 1350 if left out, or what fits the MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::tcp_mss")]
    pub(super) tcp_mss: Option<u16>,
    /// When ESP travels in UDP.
    #[serde(default = "auto")]
    #[schemars(schema_with = "limits::udp_encapsulation")]
    pub(super) udp_encapsulation: String,
    /// Bytes of the longest packet with a part of an IKE message.
    #[serde(default = "fragment_size")]
    #[schemars(schema_with = "limits::fragment_size")]
    pub(super) fragment_size: u16,
    /// Whether IKE_AUTH may make an IKE SA alone (RFC 6023).
    #[serde(default = "allow")]
    #[schemars(schema_with = "limits::childless")]
    pub(super) childless: String,
    /// The tunnel may move to other addresses (RFC 4555); not unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mobike: Option<Mobike>,
    /// Goes to another gateway where the peer says so (RFC 5685).
    #[serde(default)]
    pub(super) allow_redirect: bool,
    /// Addresses on the tunnel link, each with its prefix length.
    #[serde(default)]
    #[schemars(schema_with = "limits::prefixes")]
    pub(super) addresses: Vec<String>,
    /// The BGP session through it; none unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bgp: Option<ConnectionBgp>,
    /// What is translated.
    #[serde(default)]
    pub(super) nat: ConnectionNat,
}

/// How both sides prove who they are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Authentication {
    /// By a pre-shared key or by certificates.
    #[schemars(schema_with = "limits::method")]
    pub(super) method: String,
    /// With `psk` only, and required there: the name of the secret, never the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) secret: Option<String>,
    /// With `certificate` only, and required there: the name of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) certificate: Option<String>,
    /// What the peer must have; required with `certificate`, the same secret if left out with `psk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<Peer>,
    /// Who we say we are; our address if left out, or the subject of our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) local_id: Option<String>,
    /// Who the peer must prove to be; the endpoint if left out, or the subject of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remote_id: Option<String>,
    /// How certificates are proved, where a side has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signatures: Option<Signatures>,
    /// When both sides go over to other certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) transition: Option<Transition>,
    /// A second secret, mixed into the keys (RFC 8784).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ppk: Option<PostQuantumPresharedKey>,
}

/// What a peer must have: a certificate, or a secret where we have a certificate.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    /// The common name of the subject of its certificate, with `CN=` before it or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    /// The name of what its certificate must lead to, under `trust`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) chain: Option<String>,
    /// With `certificate` only: the name of the secret that the peer has in place of a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) secret: Option<String>,
}

/// A time in which both sides go over to other certificates.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Transition {
    /// When it begins: RFC 3339, in UTC, to the second.
    #[schemars(schema_with = "limits::moment")]
    pub(super) from: String,
    /// When it is over.
    #[schemars(schema_with = "limits::moment")]
    pub(super) until: String,
    /// The name of the certificate by which we prove who we are from its beginning on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) certificate: Option<String>,
    /// The name of what the peer's certificate may lead to from its beginning on, and must lead to once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) chain: Option<String>,
}

/// How certificates are proved: which signatures we make, and which of the peer's we take.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signatures {
    /// RFC 7427's method 14 where the peer has it too.
    #[serde(default = "yes")]
    pub(super) digital_signature: bool,
    /// The hashes of RSA with method 1; we sign with the first.
    #[serde(default = "rsa_hashes")]
    #[schemars(schema_with = "limits::rsa_hashes")]
    pub(super) rsa_hashes: Vec<String>,
    /// With method 14 and an RSA key we sign by PSS and not by PKCS#1.
    #[serde(default)]
    pub(super) pss: bool,
}

/// A secret that a quantum computer cannot find.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PostQuantumPresharedKey {
    /// What both sides call it.
    #[schemars(schema_with = "limits::ppk_id")]
    pub(super) id: String,
    /// The name of the secret.
    #[schemars(schema_with = "limits::name")]
    pub(super) secret: String,
    /// Whether there is no tunnel without it.
    #[serde(default = "yes")]
    pub(super) required: bool,
}

/// What may pass.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selectors {
    /// Any to any, every combination of prefixes, or lines of one's own.
    #[schemars(schema_with = "limits::kind")]
    pub(super) kind: String,
    /// What is taken of the selectors that the peer proposes.
    #[serde(default = "narrowed")]
    #[schemars(schema_with = "limits::accept")]
    pub(super) accept: String,
    /// One Child SA each, with `custom` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::lines::<Line>")]
    pub(super) lines: Option<Vec<Line>>,
}

/// The selectors of one Child SA.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Prefixes on our side.
    #[schemars(schema_with = "limits::some_prefixes")]
    pub(super) local: Vec<String>,
    /// Prefixes on the peer's side.
    #[schemars(schema_with = "limits::some_prefixes")]
    pub(super) remote: Vec<String>,
}

/// To where a tunnel may move.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mobike {
    /// Names of more outer addresses of ours.
    #[serde(default)]
    #[schemars(schema_with = "limits::names")]
    pub(super) ip_configurations: Vec<String>,
}

impl Default for Selectors {
    fn default() -> Self {
        Self {
            kind: "route-based".to_owned(),
            accept: narrowed(),
            lines: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn rsa_hashes() -> Vec<String> {
    RSA_HASH.iter().map(|(word, _)| (*word).to_owned()).collect()
}

fn priority() -> u16 {
    PRIORITY
}

fn protocol() -> String {
    "IKEv2".to_owned()
}

fn policy() -> String {
    "modern".to_owned()
}

fn dpd_timeout_s() -> u64 {
    DPD_TIMEOUT_S
}

fn mtu() -> u16 {
    MTU
}

fn auto() -> String {
    "auto".to_owned()
}

fn fragment_size() -> u16 {
    FRAGMENT_SIZE
}

fn allow() -> String {
    "allow".to_owned()
}

fn narrowed() -> String {
    "narrowed".to_owned()
}
