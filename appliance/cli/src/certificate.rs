use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::client::Client;

/// What the daemon shows over TLS: its fingerprint, and the chain to trust.
pub(crate) fn run(client: &Client) -> Done {
    #[derive(Deserialize)]
    struct Told {
        sha256: String,
        chain: String,
    }
    let answer = client.get("/api/v1/certificate")?;
    let Told { sha256, chain } = client.read(&answer)?;
    Ok(Answer::done(answer, format!("sha256:{sha256}\n{chain}")))
}
