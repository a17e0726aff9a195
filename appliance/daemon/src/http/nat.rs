use std::net::IpAddr;

use appliance_nat::{End, Packet};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::body;
use super::error::Error;
use super::query::{Asked, Limit, encoded, next_page};
use super::router::Published;
use super::status::fresh;
use crate::datapath::{self, DatapathSnapshot};
use crate::status::{NatExplanation, NatStatus};

/// How many rules are told where nobody says.
const RULES: usize = 100;

/// A question has at most so many octets.
const LARGEST: usize = 4096;
const SHAPE: &str = "{ \"in\"?: a connection or an interface, \"source\", \"destination\": addresses, \"protocol\": \"tcp\", \"udp\", \"icmp\" or a number, \"source_port\"?, \"destination_port\"? }";

/// The first packet of a flow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questioned {
    /// The connection or the interface that it comes in by; it is our own if left out.
    #[serde(rename = "in", default)]
    way_in: Option<String>,
    #[schemars(with = "String")]
    source: IpAddr,
    #[schemars(with = "String")]
    destination: IpAddr,
    protocol: Protocol,
    /// Or the ICMP id. Without it, no rule for one port is for it.
    #[serde(default)]
    source_port: Option<u16>,
    #[serde(default)]
    destination_port: Option<u16>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Protocol {
    /// By IANA number.
    Number(u8),
    Word(Word),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Tcp,
    Udp,
    Icmp,
}

/// Which rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// On this connection only.
    connection: Option<String>,
    /// By this name only.
    rule: Option<String>,
    limit: Option<Limit>,
    /// Those after this rule on this connection, with a slash between.
    after: Option<String>,
}

/// `GET /api/v1/status/nat`: one page, by connection and rule.
pub(crate) async fn rules(
    State(published): State<Published>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let after = wanted.after.as_deref().map(|after| {
        after.split_once('/').ok_or_else(|| {
            Error::InvalidQuery(format!(
                "after is {after:?}; expected a connection and a rule, such as to-b/depot-in"
            ))
        })
    });
    let after = after.transpose()?;
    let limit = wanted.limit.map_or(RULES, Limit::items);
    let views = fresh(&published).await;
    let all = NatStatus::new(&views.datapath.translation);
    let page = all
        .of(wanted.connection.as_deref(), wanted.rule.as_deref())
        .page(after, limit);
    let next = page.next().map(|next| wanted.after(next, limit));
    Ok((next_page(next), Json(page)))
}

impl Wanted {
    /// The same question about those after a rule.
    fn after(&self, after: &str, limit: usize) -> String {
        let mut parts = Vec::new();
        let named = |key: &str, name: &String| format!("{key}={}", encoded(name));
        parts.extend(self.connection.as_ref().map(|name| named("connection", name)));
        parts.extend(self.rule.as_ref().map(|name| named("rule", name)));
        parts.push(format!("limit={limit}&after={}", encoded(after)));
        parts.join("&")
    }
}

/// `POST /api/v1/explain/nat`: what would become of a packet, by the program and the routes that the kernel has.
pub(crate) async fn explain(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<NatExplanation>, Error> {
    let octets = body::read(request.into_body(), LARGEST).await?;
    let questioned: Questioned = body::sent(&octets, SHAPE)?;
    let datapath = fresh(&published).await.datapath;
    let packet = questioned.packet(&datapath)?;
    let (answer, said) = oneshot::channel();
    let asked = published
        .refresh
        .try_send(datapath::Request::Foresee(packet, answer));
    asked.map_err(|_| Error::Busy)?;
    let foreseen = said.await.map_err(|_| Error::Busy)?;
    let foreseen = foreseen.map_err(Error::KernelSilent)?;
    Ok(Json(NatExplanation::new(&foreseen, &datapath)))
}

impl Questioned {
    fn packet(&self, datapath: &DatapathSnapshot) -> Result<Packet, Error> {
        let (source, destination) = (self.source, self.destination);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Error::InvalidBody(format!(
                "source {source} and destination {destination} are to be of one family"
            )));
        }
        let link = self.way_in.as_deref().map(|name| link_of(name, datapath));
        Ok(Packet {
            link: link.transpose()?,
            protocol: self.protocol.number(source.is_ipv4()),
            source: End {
                address: source,
                port: self.source_port,
            },
            destination: End {
                address: destination,
                port: self.destination_port,
            },
        })
    }
}

impl Protocol {
    /// By IANA.
    fn number(self, is_v4: bool) -> u8 {
        match self {
            Self::Number(number) => number,
            Self::Word(Word::Tcp) => 6,
            Self::Word(Word::Udp) => 17,
            Self::Word(Word::Icmp) if is_v4 => 1,
            Self::Word(Word::Icmp) => 58,
        }
    }
}

/// The link of a connection, or else of an interface, by name.
fn link_of(name: &str, datapath: &DatapathSnapshot) -> Result<String, Error> {
    let mut connections = datapath.interfaces.iter();
    let connection = connections.find(|(connection, _)| &*connection.0 == name);
    let mut interfaces = datapath.machine.iter();
    let interface = interfaces.find(|(interface, _)| interface.as_str() == name);
    let of_interface = || interface.and_then(|(_, interface)| interface.link.clone());
    let link = connection.map(|(_, link)| link.clone()).or_else(of_interface);
    link.ok_or_else(|| {
        Error::InvalidBody(format!(
            "in is {name:?}; expected a connection that has a tunnel link or an interface that is there, or nothing"
        ))
    })
}
