use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use clap::Subcommand;
use clap_complete::ArgValueCompleter;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Done};
use crate::client::{Client, Error};
use crate::config::read;
use crate::report::push;
use crate::{completion, name, password};

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a secret to what is typed, or stands on standard input; one line end after it is not part of it.
    Set {
        /// The secret.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::secrets))]
        name: String,
        /// Set it to the private key in this file (PKCS#12); what is typed, or the first line of standard input, is its password,
        /// which is not kept.
        #[arg(long)]
        pkcs12: Option<PathBuf>,
    },
    /// Set a secret to one that nobody knows yet, and print it, this once.
    Generate {
        /// The secret.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::secrets))]
        name: String,
    },
    /// Show when and by whom each secret was set, which it is by its fingerprint, and what uses it.
    List,
    /// Remove a secret that nothing uses.
    Remove {
        /// The secret.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::secrets))]
        name: String,
    },
}

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Done {
    let (answer, text) = match command {
        Command::Set {
            name,
            pkcs12: Some(file),
        } => {
            let octets = read(&file)?;
            let password = password::asked_once(&format!("Password of {}: ", file.display()))?;
            let body = json!({ "pkcs12": Base64::encode_string(&octets), "password": password });
            let answer = client.put_json(&path(&name), &body)?;
            let text = set(&name, &client.read(&answer)?) + &chain(&answer);
            (answer, text)
        }
        Command::Set { name, pkcs12: None } => {
            let answer = client.send(Method::PUT, &path(&name), None, value(&name)?)?;
            let text = set(&name, &client.read(&answer)?);
            (answer, text)
        }
        Command::Generate { name } => {
            let answer = client.post(&format!("{}:generate", path(&name)))?;
            let value = answer.get("value").and_then(Value::as_str).unwrap_or_default();
            let text = format!("{value}\n");
            (answer, text)
        }
        Command::List => {
            let answer = client.get("/api/v1/secrets")?;
            let text = list(&client.read(&answer)?);
            (answer, text)
        }
        Command::Remove { name } => {
            let answer = client.send(Method::DELETE, &path(&name), None, Vec::new())?;
            (answer, format!("{name} is removed.\n"))
        }
    };
    Ok(Answer::done(answer, text))
}

/// Typed and not shown where there is a terminal, else all of standard input.
fn value(name: &str) -> Result<Vec<u8>, Error> {
    if io::stdin().is_terminal() {
        return password::typed_twice(&format!("Value of {name}: ")).map(String::into_bytes);
    }
    read(Path::new("-"))
}

fn path(name: &str) -> String {
    format!("/api/v1/secrets/{name}")
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

fn set(name: &str, secret: &Secret) -> String {
    let mut text = String::new();
    let line = match (secret.unchanged, secret.used_by.as_slice()) {
        (true, _) => format!("{name} has this value already."),
        (false, []) => format!("{name} is set; nothing uses it."),
        (false, used_by) => format!("{name} is set; used at {}", used_by.join(", ")),
    };
    push(&mut text, &line);
    text
}

/// The certificates that came with a key, as the document takes them.
fn chain(answer: &Value) -> String {
    let chain = answer
        .get("chain")
        .filter(|chain| chain.as_array().is_some_and(|all| !all.is_empty()));
    chain.map_or_else(String::new, |chain| {
        format!("Its certificates, for \"chain\" in the document:\n{chain:#}\n")
    })
}

fn list(secrets: &BTreeMap<String, Secret>) -> String {
    let mut text = String::new();
    for (name, secret) in secrets {
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
    text
}
