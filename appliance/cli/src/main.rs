//! The Causeway command line: a client of the daemon's HTTP API.

mod answer;
mod audit;
mod bgp;
mod capture;
mod certificate;
mod certificates;
mod changes;
mod client;
mod completion;
mod config;
mod connection;
mod credential;
mod events;
mod exchange;
mod file;
mod firmware;
mod ike_log;
mod interface;
mod keys;
mod logs;
mod mrt;
mod nat;
mod outcome;
mod password;
mod pki;
mod query;
mod report;
mod secret;
mod show;
mod status;
mod stream;
mod target;
mod token;
mod user;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::ArgValueCompleter;

use answer::Done;
use completion::Shell;
use outcome::Outcome;
use target::Target;

/// How long an answer is waited for where a token or a vault is asked.
const TRIALS: Duration = Duration::from_secs(30);

/// How long no packet may come while some are taken: the longest capture, and some more.
const CAPTURES: Duration = Duration::from_secs(75);

/// How long a bundle may take over a thin line.
const UPLOADS: Duration = Duration::from_secs(7200);

/// Shows, configures, starts and rekeys the tunnels of a causewayd, on this machine or elsewhere.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, after_help = outcome::table())]
struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Print JSON: what causewayd gave, and what went wrong too.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Request(Request),
    /// Make certificates for trials, and say what is in one; no daemon is asked.
    #[command(subcommand)]
    Pki(pki::Command),
}

/// What a daemon is asked.
#[derive(Debug, Subcommand)]
enum Request {
    /// Show what is up, what is down and why, and what to do about it.
    Status {
        /// Show only this connection, or this interface.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: Option<String>,
        /// Show interfaces, their addresses and leases.
        #[arg(long)]
        interfaces: bool,
    },
    /// Show what happened to a connection lately, oldest first.
    Events {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Show what happened lately to everything, oldest first, and with -f what happens.
    Logs {
        #[command(flatten)]
        wanted: logs::Wanted,
    },
    /// Show what IKE did for a connection lately, message by message, and with -f what it does.
    Log {
        #[command(flatten)]
        wanted: ike_log::Wanted,
    },
    /// Take the packets of a connection for a while, as a file (pcapng) for Wireshark or tcpdump.
    Capture {
        #[command(flatten)]
        wanted: capture::Wanted,
    },
    /// Start a connection now, although nothing needs it yet or the next attempt is not due.
    Connect {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Take a connection down, whatever needs it, until it is connected or reset.
    Disconnect {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Take a connection down and start it anew at once.
    Reset {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Replace the keys of a connection now, as at the end of their lifetime; its traffic flows on.
    Rekey {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
        /// Replace those of the IKE SA instead of those that carry traffic.
        #[arg(long)]
        ike: bool,
    },
    /// Have both sides of a connection prove anew who they are, as with a new certificate; its traffic flows on.
    Reauthenticate {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Find out whether the peer of a connection of IKEv1 answers IKEv2, and what it would need; nothing is changed by that.
    TryIkev2 {
        /// The connection.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
        name: String,
    },
    /// Show BGP sessions and routes, and begin sessions anew.
    #[command(subcommand)]
    Bgp(bgp::Command),
    /// Show the rules of NAT on each connection and what they translate, or what they would make of a packet.
    #[command(args_conflicts_with_subcommands = true)]
    Nat(nat::Nat),
    /// Print a part of the document that runs: all connections, or one.
    Show {
        #[command(flatten)]
        part: show::Part,
    },
    /// Read and change the configuration, with what a change does shown first and a way back.
    #[command(subcommand)]
    Config(config::Command),
    /// Set and remove the secrets that the configuration names.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Print the code with which the first admin claims this machine; for root on the machine itself.
    ClaimCode,
    /// Print the certificate that the API shows over TLS, and before it its fingerprint, to compare and to trust.
    Certificate,
    /// Show the certificates of connections, say whether one would be believed, and have keys sign on trial.
    #[command(args_conflicts_with_subcommands = true)]
    Certificates(certificates::Certificates),
    /// Show how private keys do, look for newer versions, and try who has them.
    #[command(args_conflicts_with_subcommands = true)]
    Keys(keys::Keys),
    /// Show who may sign in, and set passwords.
    #[command(subcommand)]
    User(user::Command),
    /// Make, show and remove the tokens of programs.
    #[command(subcommand)]
    Token(token::Command),
    /// Show who changed what or tried to, newest first.
    Audit {
        #[command(flatten)]
        wanted: audit::Wanted,
    },
    /// Write all that another machine needs to do the same; secrets only under a passphrase.
    Export(exchange::Export),
    /// Have what was exported, here or elsewhere, run here from now on.
    Import(exchange::Import),
    /// Write an update bundle to the idle slot, and start the machine again to try it.
    Update(firmware::Update),
    /// Show the slots of the machine and what became of an update, or do something with them.
    #[command(args_conflicts_with_subcommands = true)]
    Firmware(firmware::Firmware),
    /// Wipe configuration, users, keys and history, and start the machine again as new; both systems stay.
    FactoryReset {
        /// The name of the machine, so that it is no other one: its host name in the document, or causeway.
        name: String,
    },
    /// Print what a shell reads to complete words: . <(causeway completion bash)
    Completion {
        /// The shell.
        shell: Shell,
    },
}

fn main() -> ExitCode {
    completion::answer_shell();
    let Arguments {
        target,
        json,
        command,
    } = Arguments::parse();
    let done = match command {
        Command::Request(request) => run(target, request, json),
        // Its --ca is another one than that of a daemon.
        Command::Pki(command) => pki::run(&command),
    };
    let outcome = match done {
        Ok(answer) => match io::stdout().write_all(answer.print(json).as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Outcome::Problems,
            Ok(()) | Err(_) => answer.outcome(),
        },
        Err(error) => {
            if json {
                eprintln!("{:#}", error.json());
            } else {
                eprintln!("causeway: {error}");
            }
            error.outcome()
        }
    };
    outcome.into()
}

fn run(target: Target, request: Request, json: bool) -> Done {
    let client = target.client()?;
    // Tokens and vaults may be slow.
    let is_trial = matches!(request, Request::Certificates(_) | Request::Keys(_));
    let client = if is_trial { client.within(TRIALS) } else { client };
    let is_upload = matches!(request, Request::Update(_));
    let client = if is_upload { client.within(UPLOADS) } else { client };
    let is_capture = matches!(request, Request::Capture { .. });
    let client = &if is_capture {
        client.within(CAPTURES)
    } else {
        client
    };
    match request {
        Request::Status {
            name,
            interfaces: true,
        } => interface::status(client, name.as_deref()),
        Request::Status { name: None, .. } => connection::status(client),
        Request::Status { name: Some(name), .. } => connection::status_of(client, &name),
        Request::Events { name } => connection::events(client, &name),
        Request::Logs { wanted } => logs::run(client, &wanted, json),
        Request::Log { wanted } => ike_log::run(client, &wanted, json),
        Request::Capture { wanted } => capture::run(client, &wanted),
        Request::Connect { name } => connection::ask(client, &name, "connect"),
        Request::Disconnect { name } => connection::ask(client, &name, "disconnect"),
        Request::Reset { name } => connection::ask(client, &name, "reset"),
        Request::Rekey { name, ike: false } => connection::ask(client, &name, "rekey"),
        Request::Rekey { name, ike: true } => connection::ask(client, &name, "rekey-ike"),
        Request::Reauthenticate { name } => connection::ask(client, &name, "reauthenticate"),
        Request::TryIkev2 { name } => connection::try_ikev2(client, &name),
        Request::Config(command) => config::run(client, command),
        Request::Bgp(command) => bgp::run(client, &command, json),
        Request::Nat(wanted) => nat::run(client, &wanted),
        Request::Secret(command) => secret::run(client, command),
        Request::Show { part } => show::run(client, &part),
        Request::ClaimCode => connection::claim_code(client),
        Request::Certificate => certificate::run(client),
        Request::Certificates(wanted) => certificates::run(client, &wanted),
        Request::Keys(wanted) => keys::run(client, &wanted),
        Request::User(command) => user::run(client, command),
        Request::Token(command) => token::run(client, command),
        Request::Audit { wanted } => audit::run(client, &wanted),
        Request::Export(wanted) => exchange::export(client, &wanted),
        Request::Import(wanted) => exchange::import(client, &wanted),
        Request::Update(wanted) => firmware::update(client, &wanted),
        Request::Firmware(wanted) => firmware::run(client, &wanted),
        Request::FactoryReset { name } => firmware::factory_reset(client, &name),
        Request::Completion { shell } => completion::script(shell),
    }
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_arguments_of_a_command_are_in_each_others_way() {
        Arguments::command().debug_assert();
    }
}
