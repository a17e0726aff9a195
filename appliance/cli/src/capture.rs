use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde_json::json;

use crate::answer::Done;
use crate::client::Client;
use crate::file::save;
use crate::{completion, name};

/// Whose packets are taken, and which.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The connection.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::connections))]
    name: String,
    /// On which side of the tunnel.
    #[arg(long, value_enum, default_value = "both")]
    what: What,
    /// For so long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// At most so many octets of a file.
    #[arg(long, default_value_t = 10 << 20)]
    max_bytes: u32,
    /// Write to this file, and not to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// IKE and ESP from and to the peer.
    Outer,
    /// What passes the tunnel's interface.
    Inner,
    /// Both.
    Both,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
            Self::Both => "both",
        }
    }
}

/// Takes the packets of a connection for a while, as a file for Wireshark or tcpdump.
pub(crate) fn run(client: &Client, wanted: &Wanted) -> Done {
    let path = format!("/api/v1/connections/{}/capture", wanted.name);
    let body =
        json!({ "what": wanted.what.word(), "seconds": wanted.seconds, "max_bytes": wanted.max_bytes });
    save(client, (&path, Some(&body)), wanted.out.as_deref())
}
