use std::io::{self, IsTerminal, Write};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::client::Error;

/// What is typed at the terminal, twice the same, and not shown; else the first line of standard input.
pub(crate) fn asked(question: &str) -> Result<String, Error> {
    if io::stdin().is_terminal() {
        typed_twice(question)
    } else {
        line()
    }
}

/// What is typed at the terminal, once, and not shown; else the first line of standard input.
pub(crate) fn asked_once(question: &str) -> Result<String, Error> {
    if io::stdin().is_terminal() {
        typed(question)
    } else {
        line()
    }
}

/// What is typed at the terminal, twice the same, and not shown.
pub(crate) fn typed_twice(question: &str) -> Result<String, Error> {
    let first = typed(question)?;
    if typed("The same again: ")? == first {
        Ok(first)
    } else {
        Err(Error::Usage("what was typed differs".to_owned()))
    }
}

/// A line that the terminal does not show.
fn typed(question: &str) -> Result<String, Error> {
    eprint!("{question}");
    io::stderr().flush().map_err(unusable)?;
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).map_err(|cause| unusable(cause.into()))?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden).map_err(|cause| unusable(cause.into()))?;
    let line = line();
    let restored = tcsetattr(&stdin, SetArg::TCSAFLUSH, &shown);
    eprintln!();
    restored.map_err(|cause| unusable(cause.into()))?;
    line
}

fn line() -> Result<String, Error> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(unusable)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn unusable(cause: io::Error) -> Error {
    Error::Unreadable {
        file: "standard input".to_owned(),
        cause,
    }
}
