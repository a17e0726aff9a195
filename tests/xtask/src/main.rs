//! The project's own commands: `cargo xtask demo | test | image | vm | bench`. Each installs what it needs first.
#![allow(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod demo;
mod image;
mod matrix;
mod overlap;
mod packages;
mod step;
mod steps;
mod tier;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use system_tests::lab::vm;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up two sites, brings a tunnel up between them and shows what it did.
    Demo {
        /// Who stands at the second site.
        #[arg(long, value_enum, default_value = "causeway")]
        peer: demo::Peer,
        /// Ends after showing, instead of staying until interrupted.
        #[arg(long)]
        once: bool,
    },
    /// Runs all checks and tests, or the tiers named.
    Test {
        /// Tiers to run; all of them when none is named.
        tiers: Vec<tier::Tier>,
        /// Adds what takes longer: licences and sources of dependencies, a minute of search per fuzz target, every
        /// combination of the interop matrix over the user-space datapath, 200 power cuts instead of 5.
        #[arg(long)]
        full: bool,
    },
    /// Makes the firmware image, its installer, its update bundle and its bill of materials in target/image, and prints the SHA-256
    /// of each.
    Image {
        /// The folder with the keys that sign bundles: `current.key` and `next.pub`. Without it, keys for development are made
        /// in target/image-keys.
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
    /// Runs a command as root in a virtual machine on the kernel we ship, with this machine's files read-only; without a
    /// command, boots the firmware image, its serial line here and its console at <https://127.0.0.1:8443/>.
    Vm {
        /// Seconds after which the machine with a command is stopped.
        #[arg(long, default_value_t = 600)]
        limit: u64,
        /// Boots the image by UEFI.
        #[arg(long, conflicts_with = "command")]
        uefi: bool,
        /// The command; a single word is taken as a shell script.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Runs one measurement of tests/bench in the release profile.
    Bench {
        /// Name of the measurement, for example `esp-core`.
        name: String,
        /// Passed on to the measurement.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well; an error when it could not be found out.
fn run(arguments: Arguments) -> Result<bool> {
    match arguments.command {
        Command::Demo { peer, once } => {
            packages::install(packages::LAB)?;
            if !step::run("building the programs", &mut steps::programs())? {
                return Ok(false);
            }
            demo::run(peer, once).map(|()| true)
        }
        Command::Test { tiers, full } => tier::run(&tiers, full),
        Command::Image { keys } => image::make(image::FOLDER, keys.as_deref()),
        Command::Vm { uefi, command, .. } if command.is_empty() => image::boot(uefi),
        Command::Vm { limit, command, .. } => {
            packages::install(packages::MACHINE)?;
            let script = match command.as_slice() {
                [script] => script.clone(),
                words => words
                    .iter()
                    .map(|word| vm::quote(word))
                    .collect::<Vec<_>>()
                    .join(" "),
            };
            let status = vm::run(&script, Duration::from_secs(limit), |line| println!("{line}"))?;
            Ok(status == 0)
        }
        Command::Bench { name, arguments } => {
            packages::install(packages::LAB)?;
            if !step::run("building the programs", &mut steps::programs())? {
                return Ok(false);
            }
            let mut bench = step::cargo(&["run", "--release", "-p", "system-bench", "--bin", &name, "--"]);
            step::run(&name, bench.args(&arguments))
        }
    }
}
