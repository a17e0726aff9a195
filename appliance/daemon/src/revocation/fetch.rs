//! One list from where it is, with strict limits: no redirects, no proxies.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use appliance_config::model::ListSource;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ETAG, HOST, HeaderMap, IF_NONE_MATCH};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ike::crypto::RevocationList;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::fault::{ListFault, ListReason};

/// The longest list.
pub(super) const LONGEST: usize = 4 << 20;
/// How long fetching one may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What was found.
pub(super) enum Fetched {
    /// The same as before.
    Same,
    /// A list, and what its server calls this version of it.
    New(Octets, Option<String>),
}

/// A list as it is kept: its DER, and what that says.
pub(super) struct Octets {
    pub(super) der: Vec<u8>,
    pub(super) list: RevocationList,
}

/// Fetches a list that one of these issued; `tag` is what its server called the version that is known.
pub(super) async fn fetch(
    source: &ListSource,
    tag: Option<String>,
    issuers: BTreeSet<Vec<u8>>,
) -> Result<Fetched, ListFault> {
    let asked = async {
        match source {
            ListSource::File(path) => Ok(Some((of_file(path).await?, None))),
            ListSource::Http(address) => of_server(address, tag).await,
        }
    };
    let late = |_| unreachable(format!("no answer within {} seconds", LIMIT.as_secs()));
    let Some((octets, tag)) = timeout(LIMIT, asked).await.map_err(late)?? else {
        return Ok(Fetched::Same);
    };
    let read = tokio::task::spawn_blocking(move || read(&octets, &issuers));
    let octets = read.await.map_err(|error| unreachable(error.to_string()))??;
    Ok(Fetched::New(octets, tag))
}

/// Reads a list, in DER or PEM, that one of these issued.
pub(super) fn read(octets: &[u8], issuers: &BTreeSet<Vec<u8>>) -> Result<Octets, ListFault> {
    let invalid = |detail: String| ListFault::new(ListReason::Invalid, detail);
    let der = if octets.trim_ascii_start().starts_with(b"-----BEGIN") {
        let read = CertificateRevocationListDer::from_pem_slice(octets);
        read.map_err(|error| invalid(error.to_string()))?.to_vec()
    } else {
        octets.to_vec()
    };
    RevocationList::read(&der).map_err(invalid)?;
    let issuers: Vec<Vec<u8>> = issuers.iter().cloned().collect();
    let list = RevocationList::read_of(&der, &issuers);
    let list = list.map_err(|detail| ListFault::new(ListReason::Forged, detail))?;
    Ok(Octets { der, list })
}

async fn of_file(path: &Path) -> Result<Vec<u8>, ListFault> {
    let failed = |error: std::io::Error| unreachable(format!("{}: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    if !file.metadata().await.map_err(failed)?.is_file() {
        return Err(unreachable(format!("{} is not a file", path.display())));
    }
    let mut octets = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    file.take(most + 1)
        .read_to_end(&mut octets)
        .await
        .map_err(failed)?;
    if octets.len() > LONGEST {
        return Err(too_long());
    }
    Ok(octets)
}

/// `None` if it is the same as before.
async fn of_server(
    address: &str,
    tag: Option<String>,
) -> Result<Option<(Vec<u8>, Option<String>)>, ListFault> {
    let failed = |error: String| unreachable(format!("{address}: {error}"));
    let uri: hyper::Uri = address.parse().map_err(|error| failed(format!("{error}")))?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let mut request = Request::get(uri).header(HOST, host);
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(error.to_string()))?;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let response = client
        .request(request)
        .await
        .map_err(|error| failed(words(&error)))?;
    match response.status() {
        StatusCode::NOT_MODIFIED => return Ok(None),
        StatusCode::OK => (),
        other => return Err(failed(format!("the server answers {other}"))),
    }
    let tag = tag_of(response.headers());
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => too_long(),
        false => failed(error.to_string()),
    })?;
    Ok(Some((body.to_bytes().to_vec(), tag)))
}

fn tag_of(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    Some(tag.to_owned())
}

/// An error with what it came from: the last says most.
fn words(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn unreachable(detail: String) -> ListFault {
    ListFault::new(ListReason::Unreachable, detail)
}

fn too_long() -> ListFault {
    ListFault::new(ListReason::Invalid, format!("it is longer than {LONGEST} octets"))
}
