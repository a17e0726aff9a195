//! The Causeway gateway daemon.

mod access;
mod bgp_owner;
mod calendar;
mod capture;
mod chronicle;
mod clock;
mod confinement;
mod control;
mod datapath;
mod derive;
mod dhcp;
mod entrance;
mod envelope;
mod firmware;
mod forwarding;
mod history;
mod holder;
mod http;
mod https;
mod ike_log;
mod ike_owner;
mod journal;
mod kernel_owner;
mod logbook;
mod outer;
mod privileges;
mod randomness;
mod resolver;
mod revocation;
mod runtime_directory;
mod sandbox;
mod secrets;
mod signer;
mod sockets;
mod status;
mod store;
mod timekeeping;
mod tpm;
mod translate;
mod wiring;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use logbook::LOGBOOK;

/// Exit status of a configuration with problems.
const INVALID: u8 = 2;

/// The Causeway gateway daemon: negotiates IPsec tunnels and carries what belongs into them.
#[derive(Debug, Parser)]
#[command(name = "causewayd", version)]
struct Arguments {
    /// Where the configuration, its history and its secrets are kept.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/causeway")]
    state: PathBuf,
    /// A configuration document, JSON, to begin with: it is imported where nothing is kept yet, and not read otherwise.
    #[arg(long, value_name = "FILE", requires = "secrets")]
    config: Option<PathBuf>,
    /// A configuration document, JSON, that is the only source: nothing is kept, SIGHUP reads it again, and the API
    /// changes nothing.
    #[arg(long, value_name = "FILE", requires = "secrets", conflicts_with_all = ["config", "state"])]
    config_only: Option<PathBuf>,
    /// The directory with one file per secret, for their owner only (chmod 600); they belong to the file.
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Where the control socket lives.
    #[arg(long, value_name = "DIR", default_value = "/run/causeway")]
    runtime: PathBuf,
    /// Where the firmware image has links to its slots; without them there are no updates.
    #[arg(long, value_name = "DIR", default_value = "/run/image")]
    image: PathBuf,
    /// The TPM 2.0 that seals the machine key, or the socket of one in software; where there is none, it is in a file.
    #[arg(long, value_name = "PATH", default_value = "/dev/tpmrm0")]
    tpm: PathBuf,
    /// What carries ESP: the kernel, or causewayd itself over TUN interfaces.
    #[arg(long, value_enum, default_value_t = Datapath::Auto)]
    datapath: Datapath,
    /// Say what is wrong with the file and its secrets, and exit: 0 if nothing, else 2.
    #[arg(long, conflicts_with = "remove", requires = "secrets")]
    check: bool,
    /// Take away everything that a causewayd put into the kernel, the routes that keep sites closed included, and exit.
    #[arg(long, conflicts_with_all = ["config", "config_only", "secrets"])]
    remove: bool,
}

/// Which datapath the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Datapath {
    /// The kernel where it has ESP and XFRM interfaces, else causewayd itself.
    Auto,
    /// The kernel, or fail.
    Kernel,
    /// Causewayd itself.
    User,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let told = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let kept = fmt::layer()
        .with_writer(|| &LOGBOOK)
        .with_ansi(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(told)
        .with(kept)
        .init();
    let done = if arguments.remove {
        wiring::remove(&arguments.runtime)
    } else {
        wiring::run(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<control::Invalid>() {
            Some(invalid) => {
                eprintln!("{invalid}");
                ExitCode::from(INVALID)
            }
            None => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
