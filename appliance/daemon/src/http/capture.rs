use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use appliance_config::model::Endpoint;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use futures::stream;
use ike::ConnectionName;
use nix::net::if_::if_nametoindex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::sent;
use super::certificates::running;
use super::error::Error;
use super::mrt::file;
use super::router::Published;
use super::status::fresh;
use super::write::Write;
use crate::capture::{Captures, Sought};

const SHAPE: &str = "{ \"what\"?: \"outer\", \"inner\" or \"both\", \"seconds\"?: 1 to 60, \"max_bytes\"?: 4096 to 67108864 }";

const SECONDS: RangeInclusive<u32> = 1..=60;
const OCTETS: RangeInclusive<u32> = 4096..=64 << 20;

/// Which packets of a connection are taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Capturable {
    /// On which side of the tunnel.
    what: What,
    /// For so long.
    #[schemars(range(min = 1, max = 60))]
    seconds: u32,
    /// At most so many octets of a file.
    #[schemars(range(min = 4096, max = 67_108_864))]
    max_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// IKE and ESP from and to the peer.
    Outer,
    /// What passes the tunnel's interface.
    Inner,
    /// Both.
    Both,
}

impl Default for Capturable {
    fn default() -> Self {
        Self {
            what: What::Both,
            seconds: 10,
            max_bytes: 10 << 20,
        }
    }
}

/// Why no packets are taken.
#[derive(Debug)]
pub(crate) enum CaptureFault {
    /// Others are being taken.
    Runs,
    /// Nobody knows where the peer is.
    PeerUnknown,
    /// The connection has no interface now.
    NoInterface,
    /// The system refuses.
    Refused(std::io::Error),
}

impl CaptureFault {
    /// Status, reason word and words.
    pub(super) fn words(&self) -> (u16, &'static str, String) {
        let (status, reason, words) = match self {
            Self::Runs => (
                409,
                "capture-runs",
                "packets are being taken already: wait until that is over",
            ),
            Self::PeerUnknown => (
                409,
                "peer-address-unknown",
                "where the peer is is not known until it is looked up or comes: take what is inner, or connect first",
            ),
            Self::NoInterface => (
                409,
                "no-interface",
                "the connection has no interface now: it is disabled or held",
            ),
            Self::Refused(error) => {
                return (
                    503,
                    "capture-refused",
                    format!(
                        "the system lets causewayd take none ({error}): it needs CAP_NET_RAW, as its service gives it"
                    ),
                );
            }
        };
        (status, reason, words.to_owned())
    }
}

/// `POST /api/v1/connections/{name}/capture`: the packets of a connection as a file (pcapng), written as they come.
pub(crate) async fn capture(
    State(published): State<Published>,
    Extension(captures): Extension<Captures>,
    write: Write,
) -> Result<impl IntoResponse, Error> {
    let name = write.place.concat();
    let wanted: Capturable = if write.body.is_empty() {
        Capturable::default()
    } else {
        sent(&write.body, SHAPE)?
    };
    if !SECONDS.contains(&wanted.seconds) || !OCTETS.contains(&wanted.max_bytes) {
        return Err(Error::InvalidBody(format!("expected {SHAPE}")));
    }
    let sought = sought(&published, &name, &wanted).await?;
    let begun = captures.begin(&sought);
    let begun = begun.map_err(|error| Error::Capture(CaptureFault::Refused(error)))?;
    let parts = begun.ok_or(Error::Capture(CaptureFault::Runs))?;
    let parts = stream::unfold(parts, async |mut parts| Some((parts.recv().await?, parts)));
    Ok((file(&format!("causeway-{name}.pcapng")), Body::from_stream(parts)))
}

async fn sought(published: &Published, name: &str, wanted: &Capturable) -> Result<Sought, Error> {
    let running = running(published)?;
    let mut known = running.config.connections.iter();
    let Some((_, settings)) = known.find(|(known, _)| known.as_str() == name) else {
        return Err(Error::UnknownConnection(name.to_owned()));
    };
    let (views, connection) = (fresh(published).await, ConnectionName(name.into()));
    let outer = matches!(wanted.what, What::Outer | What::Both);
    let mut peers: Vec<IpAddr> = Vec::new();
    if outer {
        let standing = views.ike.connections.get(&connection);
        peers.extend(standing.and_then(|standing| Some(standing.ike.as_ref()?.remote.ip())));
        if let Endpoint::Address(address) = settings.endpoint {
            peers.push(address);
        }
        peers.dedup();
        if peers.is_empty() {
            return Err(Error::Capture(CaptureFault::PeerUnknown));
        }
    }
    let link = match wanted.what {
        What::Outer => None,
        What::Inner | What::Both => {
            let device = views.datapath.interfaces.get(&connection);
            let index = device.and_then(|device| if_nametoindex(device.as_str()).ok());
            Some(index.ok_or(Error::Capture(CaptureFault::NoInterface))?)
        }
    };
    let side = match wanted.what {
        What::Outer => "IKE and ESP of its peer",
        What::Inner => "what passes its tunnel",
        What::Both => "IKE and ESP of its peer, and what passes its tunnel",
    };
    Ok(Sought {
        comment: format!("connection {name}: {side}"),
        peers,
        link,
        time: Duration::from_secs(wanted.seconds.into()),
        octets: usize::try_from(wanted.max_bytes).unwrap_or_default(),
    })
}
