use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::Value;

use crate::Arguments;
use crate::answer::{Answer, Done};
use crate::client::{Client, Error};
use crate::target::Target;

/// Nobody waits longer than this for a name to be completed.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the shell says to have words completed.
const VARIABLE: &str = "CAUSEWAY_COMPLETE";
const COMMAND: &str = "causeway";

/// A shell that can complete words.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What the shell has to read once to complete words from then on.
pub(crate) fn script(shell: Shell) -> Done {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(name).ok_or_else(|| unknown(name))?;
    completer
        .write_registration(VARIABLE, COMMAND, COMMAND, COMMAND, &mut script)
        .map_err(|_| unknown(name))?;
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(Answer::done(Value::from(script.as_str()), script))
}

fn unknown(shell: &str) -> Error {
    Error::Usage(format!("words cannot be completed in {shell}"))
}

/// Completes a word and ends, if it is a shell that asks.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(Arguments::command)
        .var(VARIABLE)
        .bin(COMMAND)
        .completer(COMMAND)
        .complete();
}

/// Names of connections that are configured.
pub(crate) fn connections(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/config/connections", begun)
}

/// Names of BGP sessions.
pub(crate) fn peers(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/status/bgp/peers", begun)
}

/// Names of secrets that are set.
pub(crate) fn secrets(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/secrets", begun)
}

/// Names of certificates of ours.
pub(crate) fn certificates(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/config/certificates", begun)
}

/// Names of users.
pub(crate) fn users(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/users", begun)
}

/// Names of the document's collections.
pub(crate) fn collections(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/config", begun)
}

/// Names of tokens.
pub(crate) fn tokens(begun: &OsStr) -> Vec<CompletionCandidate> {
    names("/api/v1/tokens", begun)
}

fn names(path: &str, begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let items = client().and_then(|client| client.get(path).ok());
    let items = items.as_ref().and_then(Value::as_object);
    let names = items.into_iter().flatten().map(|(name, _)| name);
    names
        .filter(|name| name.starts_with(&*begun))
        .map(CompletionCandidate::new)
        .collect()
}

/// Whom the words typed so far would ask.
fn client() -> Option<Client> {
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    let typed = Arguments::command()
        .ignore_errors(true)
        .try_get_matches_from(words)
        .ok()?;
    let target = Target::from_arg_matches(&typed).ok()?;
    Some(target.client().ok()?.within(PATIENCE))
}
