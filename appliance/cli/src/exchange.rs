use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::answer::{Answer, Done};
use crate::changes::Report;
use crate::client::{Client, Error};
use crate::config::{Manner, base, does, read};
use crate::outcome::Outcome;
use crate::report::push;
use crate::{credential, password};

/// What is exported, and to where.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to; - for standard output.
    file: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// What is imported, and how.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The export; - for standard input.
    file: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    #[command(flatten)]
    manner: Manner,
    /// The generation that it is to replace: refused if another one runs by now.
    #[arg(long, value_name = "GENERATION")]
    from: Option<u32>,
}

#[derive(Debug, Args)]
struct Passphrase {
    /// A file that only you may read, with the passphrase of the secrets on its first line; - to be asked for it. Without it
    /// secrets stay where they are.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    fn read(&self) -> Result<Option<String>, Error> {
        let Some(file) = &self.passphrase_file else {
            return Ok(None);
        };
        if file == Path::new("-") {
            return password::asked("Passphrase of the export: ").map(Some);
        }
        let text = credential::read(file)?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }
}

/// What is told of an export.
#[derive(Deserialize)]
struct Exported {
    generation: u32,
    #[serde(default)]
    unreadable: Vec<String>,
}

/// Writes all that another machine needs to do the same.
pub(crate) fn export(client: &Client, wanted: &Export) -> Done {
    let passphrase = wanted.passphrase.read()?;
    let path = "/api/v1/export";
    let export = match &passphrase {
        None => client.get(path)?,
        Some(passphrase) => {
            let body = json!({ "passphrase": passphrase }).to_string().into_bytes();
            client.send(Method::POST, path, None, body)?
        }
    };
    let Exported {
        generation,
        unreadable,
    } = client.read(&export)?;
    let outcome = if unreadable.is_empty() {
        Outcome::Done
    } else {
        eprintln!(
            "causeway: these secrets cannot be read, and are not in it: {}",
            unreadable.join(", ")
        );
        Outcome::Problems
    };
    let text = format!("{export:#}\n");
    if wanted.file == Path::new("-") {
        return Ok(Answer::done(export, text).with(outcome));
    }
    write(&wanted.file, &text)?;
    let secrets = if passphrase.is_some() {
        "with its"
    } else {
        "without"
    };
    let file = wanted.file.display().to_string();
    let text = format!("Generation {generation} is exported to {file}, {secrets} secrets.\n");
    let told = json!({ "file": file, "generation": generation, "unreadable": unreadable });
    Ok(Answer::done(told, text).with(outcome))
}

/// Whole or not at all, and for nobody else to read.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let unwritable = |cause| Error::Unreadable {
        file: file.display().to_string(),
        cause,
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut beside = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(unwritable)?;
    beside.write_all(text.as_bytes()).map_err(unwritable)?;
    beside.as_file().sync_all().map_err(unwritable)?;
    beside.persist(file).map_err(|error| unwritable(error.error))?;
    Ok(())
}

/// Has what was exported run here from now on.
pub(crate) fn import(client: &Client, wanted: &Import) -> Done {
    let file = read(&wanted.file)?;
    let export: Value = serde_json::from_slice(&file)
        .map_err(|error| Error::Usage(format!("{}: no JSON: {error}", wanted.file.display())))?;
    let passphrase = wanted.passphrase.read()?;
    let with_secrets = passphrase.is_some();
    let left_out = !with_secrets && export.get("sealed").is_some_and(|sealed| !sealed.is_null());
    let mut body = json!({ "export": export });
    if let (Some(fields), Some(passphrase)) = (body.as_object_mut(), passphrase) {
        fields.insert("passphrase".to_owned(), passphrase.into());
    }
    let tag = base(client, wanted.from)?;
    let path = wanted.manner.query().of("/api/v1/import");
    let answer = client.send(Method::POST, &path, Some(&tag), body.to_string().into_bytes())?;
    let report: Report = client.read(&answer)?;
    // The document may be the same, and the secrets others.
    let mut text = if report.unchanged && with_secrets {
        let generation = report.generation;
        format!(
            "The document stays as it is, generation {generation}; the secrets are those of the export.\n"
        )
    } else {
        does(&report)
    };
    if left_out {
        let line = "The secrets in it were not imported: that needs --passphrase-file.";
        push(&mut text, line);
    }
    Ok(Answer::done(answer, text))
}
