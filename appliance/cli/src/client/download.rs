use std::io::{self, Write};

use http_body_util::{BodyExt, Empty};
use hyper::Request;

use super::error::Error;
use super::http::{Client, collected};

impl Client {
    /// Writes what is at `path` as it comes; how many octets. There is no bound on the whole, but on each wait for more.
    pub(crate) fn download(&self, path: &str, name: &str, out: &mut impl Write) -> Result<u64, Error> {
        let runtime = self.runtime()?;
        runtime.block_on(async {
            let open = self.open(Request::get(path), Empty::new());
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
