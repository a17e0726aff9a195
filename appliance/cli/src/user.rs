use std::collections::BTreeMap;

use clap::Subcommand;
use clap_complete::ArgValueCompleter;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::report::push;
use crate::{completion, name, password};

/// What can be done with users. Who they are stands in the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who may sign in, with which role, and when and by whom each password was set.
    List,
    /// Set the password of a user to what is typed, or to the first line of standard input.
    Password {
        /// The user.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::users))]
        name: String,
    },
}

/// Does it.
pub(crate) fn run(client: &Client, command: Command) -> Done {
    match command {
        Command::List => {
            let answer = client.get("/api/v1/users")?;
            let text = list(&client.read(&answer)?);
            Ok(Answer::done(answer, text))
        }
        Command::Password { name } => {
            let password = password::asked(&format!("New password of {name}: "))?;
            let body = json!({ "password": password }).to_string().into_bytes();
            let answer = client.send(Method::PUT, &format!("/api/v1/users/{name}/password"), None, body)?;
            Ok(Answer::done(answer, format!("The password of {name} is set.\n")))
        }
    }
}

#[derive(Deserialize)]
struct User {
    role: String,
    password_set_at: Option<String>,
    #[serde(default)]
    password_set_by: Option<String>,
}

fn list(users: &BTreeMap<String, User>) -> String {
    let mut text = String::new();
    for (name, user) in users {
        let set = match (&user.password_set_at, &user.password_set_by) {
            (Some(at), Some(by)) => format!("password set {at} by {by}"),
            (Some(at), None) => format!("password set {at}"),
            (None, _) => "no password".to_owned(),
        };
        push(&mut text, &format!("{name}  {}  {set}", user.role));
    }
    text
}
