use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::change::{self, Manner};
use super::{edit, history};
use crate::answer::{Answer, Done};
use crate::changes::{self, Difference};
use crate::client::{Client, Error};

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the document that runs, as it was written.
    Show,
    /// Edit the document that runs in $VISUAL or $EDITOR: what is wrong is shown in place, what it does is asked about.
    Edit {
        #[command(flatten)]
        manner: Manner,
    },
    /// Say what a document would change and do; change nothing.
    Check {
        /// The document; - for standard input.
        file: PathBuf,
    },
    /// Have a document run from now on.
    Commit {
        /// The document; - for standard input.
        file: PathBuf,
        #[command(flatten)]
        manner: Manner,
        /// The generation that the file was made from: refused if another one runs by now.
        #[arg(long, value_name = "GENERATION")]
        from: Option<u32>,
    },
    /// Keep what is on trial.
    Confirm,
    /// Have the document of a generation run again; what is on trial is given up so, too.
    Rollback {
        /// Its number, as `config history` shows it.
        generation: u32,
    },
    /// Show which documents ran, newest first.
    History,
    /// Show in what two generations differ.
    Diff {
        /// Coming from this one.
        from: u32,
        /// To this one.
        to: u32,
    },
}

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Done {
    match command {
        Command::Show => {
            let document = client.get("/api/v1/config")?;
            let text = format!("{document:#}\n");
            Ok(Answer::done(document, text))
        }
        Command::Edit { manner } => edit::run(client, &manner),
        Command::Check { file } => {
            let (answer, report) = change::check(client, read(&file)?)?;
            Ok(Answer::done(answer, change::would_do(&report)))
        }
        Command::Commit { file, manner, from } => {
            let tag = base(client, from)?;
            let (answer, report) = change::commit(client, &tag, read(&file)?, &manner)?;
            Ok(Answer::done(answer, change::does(&report)))
        }
        Command::Confirm => {
            let answer = change::confirm(client)?;
            let generation = answer.get("generation").unwrap_or_default();
            let text = format!("Generation {generation} is confirmed.\n");
            Ok(Answer::done(answer, text))
        }
        Command::Rollback { generation } => {
            let body = json!({ "generation": generation }).to_string().into_bytes();
            let answer = client.send(Method::POST, "/api/v1/config:rollback", None, body)?;
            let text = change::does(&client.read(&answer)?);
            Ok(Answer::done(answer, text))
        }
        Command::History => {
            let answer = client.get("/api/v1/generations")?;
            let text = history::text(&client.read(&answer)?);
            Ok(Answer::done(answer, text))
        }
        Command::Diff { from, to } => {
            let answer = client.get(&format!("/api/v1/generations/{from}..{to}"))?;
            let differences: Vec<Difference> = client.read(answer.get("difference").unwrap_or_default())?;
            Ok(Answer::done(answer, changes::difference(&differences)))
        }
    }
}

/// The ETag of the generation that a change is made from, that which runs unless it is said.
pub(crate) fn base(client: &Client, from: Option<u32>) -> Result<String, Error> {
    match from {
        Some(generation) => Ok(format!("\"{generation}\"")),
        None => Ok(client.get_tagged("/api/v1/config")?.1),
    }
}

/// The octets of a file, or of standard input.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |cause| Error::Unreadable {
        file: file.display().to_string(),
        cause,
    };
    if file == Path::new("-") {
        let mut octets = Vec::new();
        io::stdin().read_to_end(&mut octets).map_err(unreadable)?;
        return Ok(octets);
    }
    fs::read(file).map_err(unreadable)
}
