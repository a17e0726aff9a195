use std::collections::BTreeMap;

use clap::{Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::report::push;
use crate::{completion, name};

/// What can be done with the tokens of programs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it, this once.
    Create {
        /// What to call it.
        #[arg(value_parser = name)]
        name: String,
        /// What it may do.
        #[arg(long)]
        role: Role,
        /// Only paths that begin so below /api/v1, such as /status; may be given several times [default: all].
        #[arg(long, value_name = "PATH")]
        scope: Vec<String>,
        /// How long it is valid [default: until it is removed].
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
        /// Whose it is; root has to say it.
        #[arg(long, value_parser = name, add = ArgValueCompleter::new(completion::users))]
        user: Option<String>,
    },
    /// Show which there are, whose, for what, and until when; never the tokens themselves.
    List,
    /// Remove a token: it is worth nothing from now on.
    Remove {
        /// The token.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::tokens))]
        name: String,
    },
}

/// What somebody may do: each may do all that the ones before it may.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Bring tunnels up and down, and see what a change would do.
    Operator,
    /// Everything.
    Admin,
}

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Done {
    let (answer, text) = match command {
        Command::Create {
            name,
            role,
            scope,
            expires_in,
            user,
        } => {
            let mut wanted = json!({ "name": name, "role": role, "scope": scope });
            for (key, value) in [("expires_in_s", json!(expires_in)), ("user", json!(user))] {
                if let (Some(fields), false) = (wanted.as_object_mut(), value.is_null()) {
                    fields.insert(key.to_owned(), value);
                }
            }
            let body = wanted.to_string().into_bytes();
            let answer = client.send(Method::POST, "/api/v1/tokens", None, body)?;
            let token = answer.get("token").and_then(Value::as_str).unwrap_or_default();
            let text = format!("{token}\n");
            (answer, text)
        }
        Command::List => {
            let answer = client.get("/api/v1/tokens")?;
            let text = list(&client.read(&answer)?);
            (answer, text)
        }
        Command::Remove { name } => {
            let path = format!("/api/v1/tokens/{name}");
            let answer = client.send(Method::DELETE, &path, None, Vec::new())?;
            (answer, format!("{name} is removed.\n"))
        }
    };
    Ok(Answer::done(answer, text))
}

#[derive(Deserialize)]
struct Token {
    user: String,
    role: String,
    #[serde(default)]
    scope: Vec<String>,
    made_at: String,
    expires_at: Option<String>,
}

fn list(tokens: &BTreeMap<String, Token>) -> String {
    let mut text = String::new();
    for (name, token) in tokens {
        let scope = match token.scope.as_slice() {
            [] => "all paths".to_owned(),
            scope => scope.join(" "),
        };
        let end = token
            .expires_at
            .as_ref()
            .map_or_else(|| "until removed".to_owned(), |end| format!("until {end}"));
        let (user, role, made) = (&token.user, &token.role, &token.made_at);
        push(
            &mut text,
            &format!("{name}  {user}  {role}  {scope}  made {made}  {end}"),
        );
    }
    text
}
