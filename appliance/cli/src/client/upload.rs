use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::CONTENT_TYPE;
use serde_json::Value;

use super::error::Error;
use super::http::{Client, collected};

/// Octets that are read at once.
const PART: usize = 64 << 10;

/// A file on its way; `told` hears how much of it went.
struct FileBody<F> {
    file: File,
    sent: u64,
    size: u64,
    told: F,
}

impl Client {
    /// Has the daemon take a file as it is read, and returns the JSON that comes back. `told` hears octets sent, and of all.
    pub(crate) fn upload(
        &self,
        path: &str,
        file: &Path,
        told: impl FnMut(u64, u64) + Send + Unpin + 'static,
    ) -> Result<Value, Error> {
        let unreadable = |cause| Error::Unreadable {
            file: file.display().to_string(),
            cause,
        };
        let opened = File::open(file).map_err(unreadable)?;
        let body = FileBody {
            size: opened.metadata().map_err(unreadable)?.len(),
            file: opened,
            sent: 0,
            told,
        };
        let request = Request::post(path).header(CONTENT_TYPE, "application/octet-stream");
        let exchange = async { collected(self, self.open(request, body).await?).await };
        let answer = self.runtime()?.block_on(self.patiently(exchange))?;
        if !answer.status().is_success() {
            return Err(self.failure(&answer));
        }
        serde_json::from_slice(answer.body()).map_err(|cause| self.incomprehensible(&cause))
    }
}

impl<F: FnMut(u64, u64) + Unpin> Body for FileBody<F> {
    type Data = Bytes;
    type Error = io::Error;

    /// Nothing else is done meanwhile, so reading may wait for the disk.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut part = vec![0; PART];
        let length = match self.file.read(&mut part) {
            Ok(0) => return Poll::Ready(None),
            Ok(length) => length,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        part.truncate(length);
        self.sent += u64::try_from(length).unwrap_or_default();
        let (sent, size) = (self.sent, self.size);
        (self.told)(sent, size);
        Poll::Ready(Some(Ok(Frame::data(part.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size.saturating_sub(self.sent))
    }
}
