use std::io::{self, Write};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;

use super::error::Error;
use super::http::{Client, collected};

impl Client {
    /// Writes what is at `path` as it comes, or what is made there of this; how many octets. There is no bound on the whole, but on each
    /// wait for more.
    pub(crate) fn download(
        &self,
        (path, made_of): (&str, Option<&Value>),
        name: &str,
        out: &mut impl Write,
    ) -> Result<u64, Error> {
        let (request, body) = match made_of {
            None => (Request::get(path), Vec::new()),
            Some(body) => (
                Request::post(path).header(CONTENT_TYPE, "application/json"),
                body.to_string().into_bytes(),
            ),
        };
        let runtime = self.runtime()?;
        runtime.block_on(async {
            let open = self.open(request, Full::new(Bytes::from(body)));
            let answer = self.patiently(open).await?;
            if !answer.status().is_success() {
                let answer = self.patiently(collected(self, answer)).await?;
                return Err(self.failure(&answer));
            }
            let (mut body, mut octets) = (answer.into_body(), 0);
            let next = async |body: &mut hyper::body::Incoming| {
                let frame = self.patiently(async { Ok(body.frame().await) }).await?;
                frame.transpose().map_err(|cause| self.unusable(&cause))
            };
            while let Some(frame) = next(&mut body).await? {
                let Some(piece) = frame.data_ref() else { continue };
                out.write_all(piece).map_err(|cause| unwritten(name, cause))?;
                octets += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            }
            out.flush().map_err(|cause| unwritten(name, cause))?;
            Ok(octets)
        })
    }
}

fn unwritten(name: &str, cause: io::Error) -> Error {
    Error::Unreadable {
        file: name.to_owned(),
        cause,
    }
}
