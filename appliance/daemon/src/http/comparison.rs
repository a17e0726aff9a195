use std::sync::Arc;

use appliance_config::ValidConfig;
use axum::Json;
use axum::extract::{Request, State};
use bgp::{ComparisonQuery, Direction, NeighbourName, Policy};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::bgp::{Way, known, speaker};
use super::body;
use super::error::Error;
use super::router::Published;
use crate::control::{Refusal, Violation};
use crate::derive::policy;
use crate::status::ComparisonStatus;

/// A whole document, and what is asked about it.
const LARGEST: usize = appliance_config::MAX_BYTES + 4096;
const SHAPE: &str = "{ \"neighbour\": a connection, \"direction\": \"import\" or \"export\", \"prefix\"?, \"document\": what would be committed }";

/// Whose routes are to be judged by the policies of another document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drafted {
    /// By the connection to it.
    neighbour: String,
    direction: Way,
    /// Routes inside this one, all of them; those that become something else if left out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    prefix: Option<IpNet>,
    /// As for `/config:check`.
    document: Value,
}

/// `POST /api/v1/explain/routes`: what would become of the routes of a neighbour by the policy of a document that does not run,
/// with all else as it runs; beside what becomes of them. Changes nothing.
pub(crate) async fn compare(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<ComparisonStatus>, Error> {
    let octets = body::read(request.into_body(), LARGEST).await?;
    let drafted: Drafted = body::sent(&octets, SHAPE)?;
    let neighbour = NeighbourName(Arc::from(drafted.neighbour.as_str()));
    let resting = published.bgp.view.borrow().resting.get(&neighbour).cloned();
    let resting = resting.map(|(session, _)| session.neighbour);
    if resting.is_none() {
        known(&published, &drafted.neighbour)?;
    }
    let config = appliance_config::parse(drafted.document.to_string().as_bytes()).map_err(|problems| {
        let violations = problems.into_iter().map(Violation::from);
        Error::Refused(Refusal::Violations(violations.collect()))
    })?;
    let direction = drafted.direction.of_routes();
    let policy = policy_of(&config, &drafted.neighbour, direction)
        .ok_or_else(|| Error::UnknownPeer(drafted.neighbour.clone()))?;
    let query = ComparisonQuery {
        neighbour,
        resting,
        direction,
        policy,
        prefix: drafted.prefix,
    };
    let compared = speaker(&published, move |speaker| speaker.compare(&query)).await?;
    let comparison = compared.ok_or(Error::UnknownPeer(drafted.neighbour))?;
    Ok(Json(ComparisonStatus::new(&comparison)))
}

/// The policy of a session of the document, if that has the session.
fn policy_of(config: &ValidConfig, neighbour: &str, direction: Direction) -> Option<Policy> {
    let mut connections = config.connections.iter();
    let (_, connection) = connections.find(|(name, _)| name.as_str() == neighbour)?;
    let session = connection.bgp.as_ref()?;
    let name = match direction {
        Direction::Import => &session.import,
        Direction::Export => &session.export,
    };
    Some(policy(
        name.as_ref().and_then(|name| config.route_policies.get(name)),
    ))
}
