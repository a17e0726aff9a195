use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::{completion, name};

/// Which part of the document is shown.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Such as connections; the whole document without it.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::collections))]
    collection: Option<String>,
    /// One of them.
    #[arg(value_parser = name)]
    name: Option<String>,
    /// Write every default out, too.
    #[arg(long)]
    defaults: bool,
}

/// Shows a part of the document that runs.
pub(crate) fn run(client: &Client, part: &Part) -> Done {
    let mut path = "/api/v1/config".to_owned();
    for step in part.collection.iter().chain(&part.name) {
        path += &format!("/{step}");
    }
    if part.defaults {
        path += "?defaults=true";
    }
    let found = client.get(&path)?;
    let text = format!("{found:#}\n");
    Ok(Answer::done(found, text))
}
