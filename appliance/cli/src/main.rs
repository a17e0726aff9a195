//! The Causeway command line: a client of the daemon's HTTP API.

mod changes;
mod client;
mod config;
mod events;
mod report;
mod secret;
mod status;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::{Client, Error};
use status::{Connection, Status};

/// Shows, configures, starts and rekeys the tunnels of the causewayd that runs on this machine.
///
/// Exit status: 0 all is up or done, 1 something is not up, 2 wrong usage or refused, 3 causewayd cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "causeway", version)]
struct Arguments {
    /// The control socket of causewayd: control.sock in its --runtime directory.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/causeway/control.sock",
        global = true
    )]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is up, what is down and why, and what to do about it.
    Status {
        /// Show only this connection.
        #[arg(value_parser = name)]
        name: Option<String>,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Show what happened to a connection lately, oldest first.
    Events {
        /// The connection.
        #[arg(value_parser = name)]
        name: String,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Start a connection now, although nothing needs it yet or the next attempt is not due.
    Connect {
        /// The connection.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Replace the keys of a connection now, as at the end of their lifetime; its traffic flows on.
    Rekey {
        /// The connection.
        #[arg(value_parser = name)]
        name: String,
        /// Replace those of the IKE SA instead of those that carry traffic.
        #[arg(long)]
        ike: bool,
    },
    /// Read and change the configuration, with what a change does shown first and a way back.
    #[command(subcommand)]
    Config(config::Command),
    /// Set and remove the secrets that the configuration names.
    #[command(subcommand)]
    Secret(secret::Command),
}

/// What the exit status tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Well = 0,
    NotUp = 1,
    Usage = 2,
    Unreachable = 3,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

fn main() -> ExitCode {
    let Arguments { socket, command } = Arguments::parse();
    let client = Client::new(socket);
    let done = match command {
        Command::Status { name: None, json } => status(&client, json),
        Command::Status {
            name: Some(name),
            json,
        } => status_of(&client, &name, json),
        Command::Events { name, json } => events(&client, &name, json),
        Command::Connect { name } => ask(&client, &name, "connect"),
        Command::Rekey { name, ike: false } => ask(&client, &name, "rekey"),
        Command::Rekey { name, ike: true } => ask(&client, &name, "rekey-ike"),
        Command::Config(command) => config::run(&client, command),
        Command::Secret(command) => secret::run(&client, command),
    };
    let outcome = match done {
        Ok((text, outcome)) => match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Outcome::Usage,
            Ok(()) | Err(_) => outcome,
        },
        Err(error) => {
            eprintln!("causeway: {error}");
            match error {
                Error::Refused { .. } | Error::Unreadable { .. } => Outcome::Usage,
                Error::NoSocket { .. }
                | Error::NoListener { .. }
                | Error::NoPermission { .. }
                | Error::Unusable { .. }
                | Error::TooSlow { .. }
                | Error::Incomprehensible { .. } => Outcome::Unreachable,
            }
        }
    };
    outcome.into()
}

fn status(client: &Client, json: bool) -> Result<(String, Outcome), Error> {
    let answer = client.get("/api/v1/status")?;
    let status: Status = client.read(&answer)?;
    let outcome = if status.is_well() {
        Outcome::Well
    } else {
        Outcome::NotUp
    };
    let text = if json {
        format!("{answer:#}\n")
    } else {
        report::status(&status)
    };
    Ok((text, outcome))
}

fn status_of(client: &Client, name: &str, json: bool) -> Result<(String, Outcome), Error> {
    let answer = client.get(&format!("/api/v1/status/connections/{name}"))?;
    let connection: Connection = client.read(&answer)?;
    let outcome = if connection.is_up() {
        Outcome::Well
    } else {
        Outcome::NotUp
    };
    let text = if json {
        format!("{answer:#}\n")
    } else {
        report::connection(name, &connection)
    };
    Ok((text, outcome))
}

/// Has the daemon do something with a connection.
fn events(client: &Client, name: &str, json: bool) -> Result<(String, Outcome), Error> {
    let answer = client.get(&format!("/api/v1/status/connections/{name}"))?;
    let connection: Connection = client.read(&answer)?;
    let text = if json {
        format!("{:#}\n", answer.get("events").unwrap_or_default())
    } else {
        connection.events.iter().map(events::line).collect()
    };
    Ok((text, Outcome::Well))
}

fn ask(client: &Client, name: &str, action: &str) -> Result<(String, Outcome), Error> {
    client.post(&format!("/api/v1/connections/{name}:{action}"))?;
    Ok((
        format!("Asked to {action} {name}. How it goes: causeway status {name}\n"),
        Outcome::Well,
    ))
}

/// A name as the configuration has them: fit for a path without any escaping.
fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != "..";
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 63 of a-z A-Z 0-9 . _ -".to_owned())
    }
}
