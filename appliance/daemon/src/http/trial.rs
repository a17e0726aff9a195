use std::io::{self, Read};
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use bgp::mrt::{RECORD_HEADER, RecordHeader, RecordReader};
use bgp::{NeighbourName, Settings, Trial};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::bgp::known;
use super::body;
use super::error::Error;
use super::mrt::FileFault;
use super::query::Asked;
use super::router::Published;
use crate::status::TrialStatus;

/// A file has at most so many octets as it is sent, and so many unpacked.
const LIMIT: usize = 32 << 20;
const UNPACKED: u64 = 256 << 20;
/// What is wrong is told of so many updates.
const FAULTS: usize = 5;
/// How a file that gzip packed begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whose rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    neighbour: String,
}

/// `POST /api/v1/bgp/table:try`: what a neighbour's import rules would make of the routes in an MRT file. Sessions and their
/// routes are not touched: the work is done beside them, over the settings that run.
pub(crate) async fn file(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<TrialStatus>, Error> {
    let (mut parts, body) = request.into_parts();
    let octets = body::read(body, LIMIT).await?;
    let Asked(whose) = Asked::<Whose>::from_request_parts(&mut parts, &published).await?;
    let name = known(&published, &whose.neighbour)?;
    let place = Arc::clone(&published.bgp.readers).try_acquire_owned();
    let place = place.map_err(|_| Error::File(FileFault::TooManyReaders))?;
    let settings = Arc::clone(&published.bgp.view.borrow().settings);
    let tried = tokio::task::spawn_blocking(move || {
        let _place = place;
        tried(&settings, &name, &octets)
    });
    tried.await.map_err(|_| Error::Busy)?.map(Json)
}

fn tried(settings: &Settings, name: &NeighbourName, octets: &[u8]) -> Result<TrialStatus, Error> {
    let trial = Trial::new(settings, name);
    let mut trial = trial.ok_or_else(|| Error::UnknownPeer(name.to_string()))?;
    let mut told = TrialStatus::default();
    let (mut reader, mut offset) = (RecordReader::new(trial.context()), 0);
    let mut file: Box<dyn Read> = if octets.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(octets))
    } else {
        Box::new(octets)
    };
    loop {
        let at = |words: String| Error::InvalidBody(format!("octet {offset} of the file, unpacked: {words}"));
        let Some((header, body)) = record(&mut file).map_err(at)? else {
            return Ok(told.with(&trial.outcome()));
        };
        told.records += 1;
        for said in reader.read(header, &body).map_err(at)? {
            let update = said.update;
            let announced: usize = update.announced.iter().map(|(_, to)| to.len()).sum();
            told.announced += u64::try_from(announced).unwrap_or(u64::MAX);
            told.withdrawn += u64::try_from(update.withdrawn.len()).unwrap_or(u64::MAX);
            if let Some(fault) = update.faults.first() {
                told.malformed += 1;
                if told.faults.len() < FAULTS {
                    told.faults.push(fault.words.clone());
                }
            }
            trial
                .take(update)
                .map_err(|many| at(format!("{many} are not tried at once")))?;
        }
        let length = RECORD_HEADER.saturating_add(body.len());
        offset += u64::try_from(length).unwrap_or(u64::MAX);
        if offset > UNPACKED {
            return Err(Error::InvalidBody(format!(
                "unpacked, the file has more than {UNPACKED} octets"
            )));
        }
    }
}

/// The next record; nothing at the end of the file.
fn record(file: &mut dyn Read) -> Result<Option<(RecordHeader, Vec<u8>)>, String> {
    let broken = |error: io::Error| format!("it cannot be read on: {error}");
    let mut header = Vec::with_capacity(RECORD_HEADER);
    let wanted = u64::try_from(RECORD_HEADER).unwrap_or(u64::MAX);
    Read::take(&mut *file, wanted)
        .read_to_end(&mut header)
        .map_err(broken)?;
    if header.is_empty() {
        return Ok(None);
    }
    let header: [u8; RECORD_HEADER] = header.try_into().map_err(|_| "a header is cut off".to_owned())?;
    let header = RecordHeader::decode(header)?;
    let mut body = Vec::new();
    let wanted = u64::try_from(header.length).unwrap_or(u64::MAX);
    Read::take(&mut *file, wanted)
        .read_to_end(&mut body)
        .map_err(broken)?;
    if body.len() < header.length {
        return Err(format!(
            "a record has {} octets; {} are there",
            header.length,
            body.len()
        ));
    }
    Ok(Some((header, body)))
}
