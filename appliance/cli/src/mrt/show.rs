use std::io::{self, BufWriter, Write};
use std::iter;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bgpkit_parser::models::{Bgp4MpEnum, ElemType, MrtMessage};
use bgpkit_parser::parser::chunk_mrt_record;
use bgpkit_parser::{BgpElem, Elementor, ParserError};
use clap::Args;
use serde_json::{Value, json};

use super::borne::{Borne, borne};
use super::packed::unpacked;
use crate::answer::{Answer, Done};
use crate::bgp::{Route, line};
use crate::client::Error;

/// Which routes of a file are shown.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// The file: plain, or packed by gzip or bzip2.
    file: PathBuf,
    /// Only those to this prefix and to those inside it.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<ipnet::IpNet>,
    /// Only those from the neighbour at this address, and to it.
    #[arg(long, value_name = "ADDRESS")]
    neighbour: Option<IpAddr>,
}

/// Prints what a file has, as it is read; as JSON one object in a line.
pub(super) fn run(shown: &Shown, as_json: bool) -> Done {
    let mut file = unpacked(&shown.file)?;
    let (mut elementor, mut offset) = (Elementor::new(), 0);
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        let broken = |error: &ParserError| broken(&shown.file, offset, error);
        let record = match chunk_mrt_record(&mut file) {
            Ok(record) => record,
            Err(end) if matches!(end.error, ParserError::EofExpected) => break,
            Err(end) => return Err(broken(&end.error)),
        };
        let length = record.total_bytes_len();
        let record = record.parse().map_err(|error| broken(&error))?;
        let (said, borne) = (said(&record.message), borne(&record.message));
        let last = borne.last().copied().unwrap_or_default();
        let borne = borne.into_iter().chain(iter::repeat(last));
        for (elem, borne) in elementor.record_to_elems(record).into_iter().zip(borne) {
            if shown.wants(&elem) && writeln!(out, "{}", told(&elem, borne, said, as_json)).is_err() {
                // Whoever read has enough.
                return Ok(Answer::done(Value::Null, String::new()).silent());
            }
        }
        offset += length;
    }
    let _read_no_more = out.flush();
    Ok(Answer::done(Value::Null, String::new()).silent())
}

/// How a record tells of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// They are there.
    Table,
    /// The neighbour sent them.
    Came,
    /// Whoever wrote the file sent them to the neighbour (BGP4MP_MESSAGE_LOCAL and its like, RFC 6396 §4.4.3).
    Went,
}

fn said(message: &MrtMessage) -> Said {
    match message {
        MrtMessage::TableDumpMessage(_)
        | MrtMessage::TableDumpMessageBatch(_)
        | MrtMessage::TableDumpV2Message(_) => Said::Table,
        MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) if message.is_local() => Said::Went,
        MrtMessage::Bgp4Mp(_) | MrtMessage::LegacyBgp(_) => Said::Came,
    }
}

impl Shown {
    fn wants(&self, elem: &BgpElem) -> bool {
        let inside = |prefix: &ipnet::IpNet| prefix.contains(&elem.prefix.prefix);
        self.prefix.as_ref().is_none_or(inside) && self.neighbour.is_none_or(|wanted| wanted == elem.peer_ip)
    }
}

fn told(elem: &BgpElem, borne: Borne, said: Said, as_json: bool) -> String {
    let (prefix, neighbour) = (elem.prefix.prefix.to_string(), elem.peer_ip.to_string());
    let (from, to, way) = match said {
        Said::Table | Said::Came => (Some(neighbour.clone()), None, "from"),
        Said::Went => (None, Some(neighbour.clone()), "to"),
    };
    let path = elem.prefix.path_id.or(borne.path);
    if elem.elem_type == ElemType::WITHDRAW {
        return if as_json {
            json!({ "at": elem.timestamp, "prefix": prefix, way: neighbour, "path": path, "standing": "withdrawn" }).to_string()
        } else {
            format!("{prefix}  {way} {neighbour}  withdrawn")
        };
    }
    let communities = elem.communities.iter().flatten().map(ToString::to_string);
    let route = Route {
        prefix,
        from,
        to,
        as_path: elem.as_path.as_ref().map(ToString::to_string).unwrap_or_default(),
        next_hop: elem.next_hop.map(|hop| hop.to_string()).unwrap_or_default(),
        med: borne.med,
        local_preference: borne.local_preference,
        communities: communities.collect(),
        stale: false,
        standing: match said {
            Said::Table => "table",
            Said::Came | Said::Went => "announced",
        }
        .to_owned(),
        why: None,
        term: None,
        nat: None,
    };
    if !as_json {
        return line(&route);
    }
    json!({
        "at": elem.timestamp, "prefix": route.prefix, way: neighbour, "path": path, "as_path": route.as_path,
        "next_hop": route.next_hop, "med": route.med, "local_preference": route.local_preference,
        "communities": route.communities, "standing": route.standing,
    })
    .to_string()
}

fn broken(file: &Path, offset: usize, error: &ParserError) -> Error {
    let file = file.display();
    Error::Usage(format!("{file}: octet {offset} of the file, unpacked: {error}"))
}
