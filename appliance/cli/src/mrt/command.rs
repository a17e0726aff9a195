use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;

use super::record::{self, Bounds};
use super::show::{self, Shown};
use super::trial;
use crate::answer::Done;
use crate::client::Client;
use crate::file;
use crate::{completion, name};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write all routes to a file (TABLE_DUMP_V2).
    Table {
        /// Those at this point of their way.
        #[arg(long, value_enum, default_value_t = Kind::Received)]
        kind: Kind,
        /// Where to; standard output if left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Have the daemon write messages down, in its memory: one recording at a time, gone when the daemon ends.
    #[command(subcommand)]
    Record(Record),
    /// Print the routes of a file, a table or a log of updates; nothing of it goes anywhere.
    Show(Shown),
    /// Say what a neighbour's import rules would make of the routes of a file; no session is touched.
    Try {
        /// The file: plain, or packed by gzip or bzip2; 32 MiB at most as it is sent, 256 MiB unpacked.
        file: PathBuf,
        /// The neighbour, by the connection to it.
        #[arg(long, value_parser = name, add = ArgValueCompleter::new(completion::peers))]
        neighbour: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Begin. What was recorded before is gone.
    Start {
        /// The messages of this neighbour only, by the connection to it.
        #[arg(long, value_parser = name, add = ArgValueCompleter::new(completion::peers))]
        neighbour: Option<String>,
        /// At most so many bytes, 64 MiB at most; 16 MiB if left out. What comes then is counted.
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1024..=67_108_864))]
        max_bytes: Option<u32>,
        /// For so long at most, a day at most; an hour if left out.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        max_seconds: Option<u32>,
    },
    /// End; what is written down stays until the next start.
    Stop,
    /// Show since when, how much is written down and how much was dropped.
    Status,
    /// Write to a file what is written down by now (BGP4MP_ET).
    Save {
        /// Where to; standard output if left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// As neighbours sent them.
    Received,
    /// Those that are used, and our own.
    Best,
}

pub(crate) fn run(client: &Client, command: &Command, as_json: bool) -> Done {
    match command {
        Command::Table { kind, out } => {
            let kind = match kind {
                Kind::Received => "received",
                Kind::Best => "best",
            };
            file::save(
                client,
                (&format!("/api/v1/bgp/table.mrt?kind={kind}"), None),
                out.as_deref(),
            )
        }
        Command::Record(record) => self::record(client, record),
        Command::Show(shown) => show::run(shown, as_json),
        Command::Try { file, neighbour } => trial::run(client, file, neighbour),
    }
}

fn record(client: &Client, wanted: &Record) -> Done {
    match wanted {
        Record::Start {
            neighbour,
            max_bytes,
            max_seconds,
        } => {
            let bounds = Bounds {
                neighbour: neighbour.as_deref(),
                bytes: *max_bytes,
                seconds: *max_seconds,
            };
            record::start(client, &bounds)
        }
        Record::Stop => record::stop(client),
        Record::Status => record::status(client),
        Record::Save { out } => file::save(client, ("/api/v1/bgp/recording.mrt", None), out.as_deref()),
    }
}
