use std::collections::BTreeMap;
use std::path::Path;

use clap::Subcommand;
use hyper::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, Error};
use crate::config::read;
use crate::report::push;
use crate::{Outcome, name};

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a secret to what stands on standard input; one line end after it is not part of it.
    Set {
        /// The secret.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Set a secret to one that nobody knows yet, and print it, this once.
    Generate {
        /// The secret.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Show when and by whom each secret was set, which it is by its fingerprint, and what uses it.
    List {
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret that nothing uses.
    Remove {
        /// The secret.
        #[arg(value_parser = name)]
        name: String,
    },
}

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Result<(String, Outcome), Error> {
    let text = match command {
        Command::Set { name } => {
            let path = format!("/api/v1/secrets/{name}");
            let answer = client.send(Method::PUT, &path, None, read(Path::new("-"))?)?;
            set(client, &name, &answer)?
        }
        Command::Generate { name } => {
            let path = format!("/api/v1/secrets/{name}:generate");
            let answer = client.send(Method::POST, &path, None, Vec::new())?;
            format!(
                "{}\n",
                answer.get("value").and_then(Value::as_str).unwrap_or_default()
            )
        }
        Command::List { json } => {
            let answer = client.get("/api/v1/secrets")?;
            if json {
                format!("{answer:#}\n")
            } else {
                list(client, &answer)?
            }
        }
        Command::Remove { name } => {
            client.send(
                Method::DELETE,
                &format!("/api/v1/secrets/{name}"),
                None,
                Vec::new(),
            )?;
            format!("{name} is removed.\n")
        }
    };
    Ok((text, Outcome::Well))
}

#[derive(Deserialize)]
struct Secret {
    set_at: String,
    set_by: String,
    fingerprint: String,
    #[serde(default)]
    used_by: Vec<String>,
    #[serde(default)]
    unchanged: bool,
}

fn set(client: &Client, name: &str, answer: &Value) -> Result<String, Error> {
    let secret: Secret = client.read(answer)?;
    let mut text = String::new();
    let line = match (secret.unchanged, secret.used_by.as_slice()) {
        (true, _) => format!("{name} has this value already."),
        (false, []) => format!("{name} is set; nothing uses it."),
        (false, used_by) => format!("{name} is set; used at {}", used_by.join(", ")),
    };
    push(&mut text, &line);
    Ok(text)
}

fn list(client: &Client, answer: &Value) -> Result<String, Error> {
    let secrets: BTreeMap<String, Secret> = client.read(answer)?;
    let mut text = String::new();
    for (name, secret) in &secrets {
        let (at, by, fingerprint) = (&secret.set_at, &secret.set_by, &secret.fingerprint);
        let used_by = match secret.used_by.as_slice() {
            [] => "not used".to_owned(),
            used_by => used_by.join(", "),
        };
        push(
            &mut text,
            &format!("{name}  {fingerprint}  {at}  {by}  {used_by}"),
        );
    }
    Ok(text)
}
