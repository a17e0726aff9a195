use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::answer::{Answer, Done};
use crate::client::{Client, Error};

/// Writes what is at a path, or is made there of a body, to a file, whole or not at all, or to standard output.
pub(crate) fn save(client: &Client, wanted: (&str, Option<&Value>), out: Option<&Path>) -> Done {
    let Some(out) = out else {
        if io::stdout().is_terminal() {
            let words = "what comes is no text: say with --out FILE where to, or pass it on";
            return Err(Error::Usage(words.to_owned()));
        }
        client.download(wanted, "standard output", &mut io::stdout().lock())?;
        return Ok(Answer::done(Value::Null, String::new()).silent());
    };
    let name = out.display().to_string();
    let unwritten = |cause| Error::Unreadable {
        file: name.clone(),
        cause,
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = NamedTempFile::new_in(folder).map_err(unwritten)?;
    let octets = client.download(wanted, &name, &mut BufWriter::new(&mut file))?;
    file.persist(out).map_err(|error| unwritten(error.error))?;
    let text = format!("{octets} octets are in {name}.\n");
    Ok(Answer::done(json!({ "file": name, "octets": octets }), text))
}
