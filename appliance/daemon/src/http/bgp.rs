use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bgp::{Direction, Family, NeighbourName, PrefixFilter, RouteQuery, RouteView, Speaker};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::error::{Error, ask};
use super::query::{Asked, Limit, encoded, next_page};
use super::router::Published;
use super::status::fresh;
use super::write::Write;
use crate::bgp_owner::{Command, Question};
use crate::control::{Order, PeerAct, PeerAction};
use crate::status::{ExplanationStatus, PeerStatus, RoutesStatus, peers};

/// How many routes are told where nobody says.
const ROUTES: usize = 100;

/// Which routes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    kind: Option<Kind>,
    family: Option<Version>,
    /// Of this neighbour only.
    neighbour: Option<String>,
    prefix: Option<IpNet>,
    /// How they lie to the prefix.
    relation: Option<Relation>,
    limit: Option<Limit>,
    /// Those after this prefix.
    after: Option<IpNet>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Received,
    Accepted,
    Best,
    Advertised,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Version {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Relation {
    Exact,
    Inside,
    Containing,
}

/// What is to be explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doubtful {
    neighbour: String,
    direction: Way,
    prefix: IpNet,
}

/// From the neighbour to us, or from us to it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    Import,
    Export,
}

/// `GET /api/v1/status/bgp/peers`.
pub(crate) async fn all(State(published): State<Published>) -> Json<BTreeMap<String, PeerStatus>> {
    let views = fresh(&published).await;
    Json(peers(&views.bgp, Instant::now()))
}

/// `GET /api/v1/status/bgp/peers/{name}`.
pub(crate) async fn one(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<PeerStatus>, Error> {
    let views = fresh(&published).await;
    let found = peers(&views.bgp, Instant::now()).remove(&name);
    found.map(Json).ok_or(Error::UnknownPeer(name))
}

/// `GET /api/v1/status/bgp/routes`: one page, by prefix.
pub(crate) async fn routes(
    State(published): State<Published>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let query = wanted.query()?;
    if let Some(name) = &wanted.neighbour
        && !rests(&published, name)
    {
        known(&published, name)?;
    }
    let page = speaker(&published, move |speaker| speaker.routes(&query)).await?;
    let next = page.next.map(|after| wanted.after(after));
    Ok((next_page(next), Json(RoutesStatus::new(&page))))
}

/// `GET /api/v1/status/bgp/explain`.
pub(crate) async fn explain(
    State(published): State<Published>,
    Asked(doubtful): Asked<Doubtful>,
) -> Result<Json<ExplanationStatus>, Error> {
    let Doubtful {
        neighbour,
        direction,
        prefix,
    } = doubtful;
    let name = known(&published, &neighbour)?;
    let direction = direction.of_routes();
    let explained = speaker(&published, move |speaker| {
        speaker.explain(&name, direction, prefix)
    });
    let explanation = explained.await?.ok_or(Error::UnknownPeer(neighbour))?;
    Ok(Json(ExplanationStatus::new(explanation)))
}

/// `POST /api/v1/bgp/peers/{name}:{clear|refresh}`; answered when the speaker has been told.
pub(crate) async fn act(State(published): State<Published>, write: Write) -> Result<StatusCode, Error> {
    let asked = write.place.concat();
    let Some((name, verb)) = asked.rsplit_once(':') else {
        return Err(Error::UnknownAction(asked));
    };
    let Some(action) = PeerAction::ALL.into_iter().find(|action| action.word() == verb) else {
        return Err(Error::UnknownAction(verb.to_owned()));
    };
    let act = PeerAct {
        author: write.author,
        peer: name.to_owned(),
        action,
    };
    ask(&published, |answer| Order::ActOnPeer(act, answer)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Whether the neighbour is one of the document whose session nobody opens: it has no routes.
fn rests(published: &Published, name: &str) -> bool {
    let view = published.bgp.view.borrow();
    view.resting.contains_key(&NeighbourName(Arc::from(name)))
}

pub(super) fn known(published: &Published, name: &str) -> Result<NeighbourName, Error> {
    let name = NeighbourName(Arc::from(name));
    if published
        .bgp
        .view
        .borrow()
        .settings
        .neighbours
        .contains_key(&name)
    {
        Ok(name)
    } else {
        Err(Error::UnknownPeer(name.to_string()))
    }
}

/// What the speaker says.
pub(super) async fn speaker<T: Send + 'static>(
    published: &Published,
    question: impl FnOnce(&Speaker) -> T + Send + 'static,
) -> Result<T, Error> {
    let (answer, said) = oneshot::channel();
    let question = Question(Box::new(move |speaker| {
        // Whoever asked may have given up meanwhile.
        let _gone = answer.send(question(speaker));
    }));
    let asked = published.bgp.commands.try_send(Command::Ask(question));
    asked.map_err(|_| Error::Busy)?;
    said.await.map_err(|_| Error::Busy)
}

impl Wanted {
    fn query(&self) -> Result<RouteQuery, Error> {
        let family = match self.family {
            Some(Version::Ipv4) => Some(Family::Ipv4),
            Some(Version::Ipv6) => Some(Family::Ipv6),
            None => None,
        };
        let of_prefixes: Vec<Family> = self
            .prefix
            .iter()
            .chain(&self.after)
            .map(Family::of_prefix)
            .collect();
        let family = family.or(of_prefixes.first().copied()).unwrap_or(Family::Ipv4);
        if of_prefixes.iter().any(|other| *other != family) {
            return Err(Error::InvalidQuery(format!(
                "prefix and after are to be of one family, {family}"
            )));
        }
        if self.prefix.is_none() && self.relation.is_some() {
            return Err(Error::InvalidQuery("relation needs a prefix".to_owned()));
        }
        let filter = self.prefix.map(|prefix| match self.relation {
            Some(Relation::Exact) | None => PrefixFilter::Exact(prefix),
            Some(Relation::Inside) => PrefixFilter::Inside(prefix),
            Some(Relation::Containing) => PrefixFilter::Containing(prefix),
        });
        Ok(RouteQuery {
            view: match self.kind {
                Some(Kind::Received) => RouteView::Received,
                Some(Kind::Accepted) => RouteView::Accepted,
                Some(Kind::Best) | None => RouteView::Best,
                Some(Kind::Advertised) => RouteView::Advertised,
            },
            family,
            neighbour: self.neighbour.as_deref().map(|name| NeighbourName(name.into())),
            filter,
            after: self.after,
            limit: self.limit.map_or(ROUTES, Limit::items),
        })
    }

    /// The same question about those after a prefix.
    fn after(&self, after: IpNet) -> String {
        let mut parts = Vec::new();
        parts.extend(self.kind.map(|kind| format!("kind={}", kind.word())));
        parts.extend(self.family.map(|family| format!("family={}", family.word())));
        let neighbour = self.neighbour.as_deref();
        parts.extend(neighbour.map(|name| format!("neighbour={}", encoded(name))));
        let prefix = self.prefix.map(|prefix| encoded(&prefix.to_string()));
        parts.extend(prefix.map(|prefix| format!("prefix={prefix}")));
        parts.extend(
            self.relation
                .map(|relation| format!("relation={}", relation.word())),
        );
        parts.push(format!("limit={}", self.limit.map_or(ROUTES, Limit::items)));
        parts.push(format!("after={}", encoded(&after.to_string())));
        parts.join("&")
    }
}

impl Way {
    pub(super) fn of_routes(self) -> Direction {
        match self {
            Self::Import => Direction::Import,
            Self::Export => Direction::Export,
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Best => "best",
            Self::Advertised => "advertised",
        }
    }
}

impl Version {
    fn word(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

impl Relation {
    fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inside => "inside",
            Self::Containing => "containing",
        }
    }
}
