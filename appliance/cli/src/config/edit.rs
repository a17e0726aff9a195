use std::io::{self, Write};

use serde_json::Value;

use super::change::{self, Manner};
use super::draft::Draft;
use super::history::{self, History};
use crate::answer::{Answer, Done};
use crate::changes::{self, Difference, Report};
use crate::client::{Client, Error};

/// Where the dialogue goes on after something was asked.
enum Step {
    Commit(String),
    Again,
    Unchanged,
}

/// Edits the document that runs. What was edited is only lost once it runs.
pub(super) fn run(client: &Client, manner: &Manner) -> Done {
    let (document, tag) = client.get_tagged("/api/v1/config")?;
    let draft = Draft::new(&document)?;
    match settle(client, &draft, &tag, manner) {
        Ok(answer) => Ok(answer),
        Err(cause) => Err(match draft.keep() {
            None => cause,
            Some(file) => Error::Kept {
                cause: Box::new(cause),
                file,
            },
        }),
    }
}

fn settle(client: &Client, draft: &Draft, tag: &str, manner: &Manner) -> Done {
    loop {
        match step(client, draft)? {
            Step::Again => {}
            Step::Unchanged => return Ok(Answer::done(Value::Null, "Nothing is changed.\n".to_owned())),
            Step::Commit(text) => {
                return match change::commit(client, tag, text.into_bytes(), manner) {
                    Ok((answer, report)) => keep(client, answer, &report),
                    Err(Error::Refused(refusal)) if refusal.is_stale() => {
                        say(&meanwhile(client, tag)?);
                        Err(Error::Refused(refusal))
                    }
                    Err(error) => Err(error),
                };
            }
        }
    }
}

/// Has it edited, and tells what is wrong with it or what it does.
fn step(client: &Client, draft: &Draft) -> Result<Step, Error> {
    let text = draft.edit()?;
    if let Err(error) = serde_json::from_str::<Value>(&text) {
        say(&draft.mark_syntax(&text, &error)?);
        return again(Error::Usage("the document is no JSON".to_owned()));
    }
    let report = match change::check(client, text.clone().into_bytes()) {
        Ok((_, report)) => report,
        Err(Error::Refused(refusal)) if !refusal.violations().is_empty() => {
            say(&draft.mark(&text, refusal.violations())?);
            return again(Error::Refused(refusal));
        }
        Err(error) => return Err(error),
    };
    if report.unchanged {
        return Ok(Step::Unchanged);
    }
    say(&change::would_do(&report));
    match ask("Commit it? y: yes, e: edit again, n: no [n] ")?.as_str() {
        "y" | "yes" => Ok(Step::Commit(text)),
        "e" | "edit" => Ok(Step::Again),
        _ => Err(Error::GivenUp),
    }
}

fn again(error: Error) -> Result<Step, Error> {
    match ask("Edit again? y: yes, n: no [y] ")?.as_str() {
        "n" | "no" => Err(error),
        _ => Ok(Step::Again),
    }
}

/// Says that it runs. What is on trial is kept if whoever edited it, and still gets through, says so.
fn keep(client: &Client, mut answer: Value, report: &Report) -> Done {
    let generation = report.generation;
    let Some(seconds) = report.confirm_within_s else {
        return Ok(Answer::done(answer, format!("Generation {generation} runs.\n")));
    };
    say(&format!(
        "Generation {generation} runs for {seconds} s, then what ran before returns by itself.\n"
    ));
    let text = match ask("Keep it? y: yes, n: not now [n] ")?.as_str() {
        "y" | "yes" => {
            let confirmed = change::confirm(client)?;
            if let (Some(fields), Some(number)) = (answer.as_object_mut(), confirmed.get("generation")) {
                fields.insert("confirmed".to_owned(), number.clone());
            }
            format!("Generation {generation} is confirmed.\n")
        }
        _ => format!("Generation {generation} is on trial. To keep it: causeway config confirm\n"),
    };
    Ok(Answer::done(answer, text))
}

/// What others committed since `tag`.
fn meanwhile(client: &Client, tag: &str) -> Result<String, Error> {
    let base: u32 = tag.trim_matches('"').parse().unwrap_or_default();
    let (_, now) = client.get_tagged("/api/v1/config")?;
    let now = now.trim_matches('"');
    let history: History = client.read(&client.get("/api/v1/generations")?)?;
    let answer = client.get(&format!("/api/v1/generations/{base}..{now}"))?;
    let differences: Vec<Difference> = client.read(answer.get("difference").unwrap_or_default())?;
    let mut text = "Meanwhile another one was committed:\n".to_owned();
    for one in history.generations.iter().filter(|one| one.generation > base) {
        crate::report::push(&mut text, &history::line(one, ""));
    }
    text += &changes::difference(&differences);
    text += &format!("Take that over into the file, then: causeway config commit FILE --from {now}\n");
    Ok(text)
}

/// The dialogue goes to standard error: standard output has the result alone.
fn say(text: &str) {
    eprint!("{text}");
}

/// What is answered; nothing at the end of input.
fn ask(question: &str) -> Result<String, Error> {
    let unusable = |cause| Error::Unreadable {
        file: "standard input".to_owned(),
        cause,
    };
    eprint!("{question}");
    io::stderr().flush().map_err(unusable)?;
    let mut line = String::new();
    if io::stdin().read_line(&mut line).map_err(unusable)? == 0 {
        eprintln!();
        return Ok("n".to_owned());
    }
    Ok(line.trim().to_lowercase())
}
