//! Whether this kernel has what the kernel datapath needs: tried, not guessed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::algorithm::{Algorithm, Authenticator, EspKeys};
use crate::link::{Link, LinkKind, LinkName};
use crate::mark;
use crate::netlink::Netlink;
use crate::object::Object;
use crate::owned::Op;
use crate::refusal::Refusal;
use crate::xfrm_state::{KeyMaterial, UdpPorts, Volume, XfrmState};

/// What this kernel lacks, and how it said so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this kernel has no {what}: {refusal}")]
pub struct Missing {
    /// The feature, in words.
    pub what: String,
    /// The kernel's answer to the attempt.
    pub refusal: Refusal,
}

/// Makes and removes a link and states of every kind that we need.
pub(crate) async fn probe(netlink: &mut Netlink) -> Result<(), Missing> {
    let algorithms = [
        ("ESP with AES-GCM", Algorithm::AesGcm16, None),
        (
            "ESP with AES-CBC and HMAC-SHA-256",
            Algorithm::AesCbc(Authenticator::HmacSha2_256_128),
            None,
        ),
        (
            "UDP encapsulation of ESP",
            Algorithm::AesGcm16,
            Some(UdpPorts {
                source: 4500,
                destination: 4500,
            }),
        ),
    ];
    for (what, algorithm, encapsulation) in algorithms {
        attempt(netlink, what, trial_state(algorithm, encapsulation).into()).await?;
    }
    match trial_link() {
        Some(link) => attempt(netlink, "XFRM interfaces", link.into()).await,
        None => Ok(()),
    }
}

async fn attempt(netlink: &mut Netlink, what: &str, object: Object) -> Result<(), Missing> {
    let key = object.key();
    let missing = |refusal| Missing {
        what: what.to_owned(),
        refusal,
    };
    netlink
        .perform(&Op::Create(key.clone(), object.clone()))
        .await
        .map_err(missing)?;
    netlink.perform(&Op::Delete(key, object)).await.map_err(missing)
}

fn trial_state(algorithm: Algorithm, encapsulation: Option<UdpPorts>) -> XfrmState {
    let (encryption, integrity) = match algorithm {
        Algorithm::AesCbc(_) | Algorithm::TripleDes(_) | Algorithm::Des(_) | Algorithm::Null(_) => {
            (16, Some(vec![0; 32].into()))
        }
        Algorithm::AesGcm16 | Algorithm::ChaCha20Poly1305 | Algorithm::Foreign(_) => (20, None),
    };
    XfrmState {
        // A loopback address: no packet from outside can meet the state in its short life.
        destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
        spi: u32::MAX,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        interface_id: *mark::INTERFACE_IDS.end(),
        request_id: *mark::INTERFACE_IDS.end(),
        encapsulation,
        algorithm,
        keys: KeyMaterial::Given(Arc::new(EspKeys {
            encryption: vec![0; encryption].into(),
            integrity,
        })),
        replay_window: 32,
        extended_sequence_numbers: true,
        volume: Volume::UNLIMITED,
    }
}

fn trial_link() -> Option<Link> {
    Some(Link {
        name: LinkName::try_from("cw-probe").ok()?,
        kind: LinkKind::Xfrm {
            interface_id: *mark::INTERFACE_IDS.end(),
            underlying: None,
        },
        mtu: 1280,
        up: false,
        purpose: String::new(),
    })
}
