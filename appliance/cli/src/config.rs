use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::changes::{self, Difference, Report};
use crate::client::{Client, Error};
use crate::report::push;

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the document that runs, as it was written.
    Show,
    /// Say what a document would change and do; change nothing.
    Check {
        /// The document; - for standard input.
        file: PathBuf,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Have a document run from now on.
    Commit {
        /// The document; - for standard input.
        file: PathBuf,
        /// The one of before comes back by itself after so many seconds, unless `config confirm` is said in time.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        confirm_within: Option<u32>,
        /// What to remember of it.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// The generation that the file was made from: refused if another one runs by now.
        #[arg(long, value_name = "GENERATION")]
        from: Option<u32>,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Keep what is on trial.
    Confirm,
    /// Have the document of a generation run again; what is on trial is given up so, too.
    Rollback {
        /// Its number, as `config history` shows it.
        generation: u32,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Show which documents ran, newest first.
    History {
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
    /// Show in what two generations differ.
    Diff {
        /// Coming from this one.
        from: u32,
        /// To this one.
        to: u32,
        /// Print the JSON that causewayd gave.
        #[arg(long)]
        json: bool,
    },
}

type Done = Result<(String, Outcome), Error>;

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Done {
    let (text, json) = match command {
        Command::Show => (client.get("/api/v1/config")?, true),
        Command::Check { file, json } => {
            let answer = client.send(Method::POST, "/api/v1/config:check", None, read(&file)?)?;
            return report(client, &answer, json, |_| String::new());
        }
        Command::Commit {
            file,
            confirm_within,
            comment,
            from,
            json,
        } => {
            let tag = match from {
                Some(generation) => format!("\"{generation}\""),
                None => client.get_tagged("/api/v1/config")?.1,
            };
            let path = format!("/api/v1/config{}", query(confirm_within, comment.as_deref()));
            let answer = client.send(Method::PUT, &path, Some(&tag), read(&file)?)?;
            return report(client, &answer, json, runs);
        }
        Command::Confirm => {
            let answer = client.send(Method::POST, "/api/v1/config:confirm", None, Vec::new())?;
            let generation = answer.get("generation").unwrap_or_default();
            return done(format!("Generation {generation} is confirmed.\n"));
        }
        Command::Rollback { generation, json } => {
            let body = json!({ "generation": generation }).to_string().into_bytes();
            let answer = client.send(Method::POST, "/api/v1/config:rollback", None, body)?;
            return report(client, &answer, json, runs);
        }
        Command::History { json } => (client.get("/api/v1/generations")?, json),
        Command::Diff { from, to, json } => {
            let answer = client.get(&format!("/api/v1/generations/{from}..{to}"))?;
            if !json {
                let differences: Vec<Difference> =
                    client.read(answer.get("difference").unwrap_or_default())?;
                return done(changes::difference(&differences));
            }
            (answer, json)
        }
    };
    if json {
        return done(format!("{text:#}\n"));
    }
    history(client, &text)
}

fn done(text: String) -> Done {
    Ok((text, Outcome::Well))
}

/// What changes, what that does, and a last line.
fn report(client: &Client, answer: &Value, json: bool, last: impl Fn(&Report) -> String) -> Done {
    let report: Report = client.read(answer)?;
    if json {
        return done(format!("{answer:#}\n"));
    }
    let mut text = changes::difference(&report.difference) + &changes::impact(&report.impact);
    text += &changes::notices(&report.notices);
    if report.unchanged {
        let generation = report.generation;
        push(
            &mut text,
            &format!("Nothing changes: generation {generation} says the same."),
        );
    } else {
        text += &last(&report);
    }
    done(text)
}

fn runs(report: &Report) -> String {
    let generation = report.generation;
    match report.confirm_within_s {
        Some(seconds) => {
            format!("Generation {generation} runs for {seconds} s. To keep it: causeway config confirm\n")
        }
        None => format!("Generation {generation} runs.\n"),
    }
}

/// One line for each generation.
fn history(client: &Client, answer: &Value) -> Done {
    #[derive(Deserialize)]
    struct History {
        current: u32,
        trial: Option<u32>,
        generations: Vec<Generation>,
    }
    #[derive(Deserialize)]
    struct Generation {
        generation: u32,
        at: String,
        author: String,
        source: String,
        comment: String,
    }
    let history: History = client.read(answer)?;
    let mut text = String::new();
    for one in &history.generations {
        let mark = match one.generation {
            number if Some(number) == history.trial => "on trial",
            number if number == history.current => "runs",
            _ => "",
        };
        let (number, at, author, source) = (one.generation, &one.at, &one.author, &one.source);
        let line = format!(
            "{number:>5}  {at}  {mark:<8}  {source:<8}  {author}  {}",
            one.comment
        );
        push(&mut text, line.trim_end());
    }
    done(text)
}

fn query(confirm_within: Option<u32>, comment: Option<&str>) -> String {
    let confirm_within = confirm_within.map(|seconds| format!("confirm_within_s={seconds}"));
    let comment = comment.map(|comment| format!("comment={}", percent_encoded(comment)));
    let options: Vec<String> = confirm_within.into_iter().chain(comment).collect();
    if options.is_empty() {
        String::new()
    } else {
        format!("?{}", options.join("&"))
    }
}

/// As a query may have it (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
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
