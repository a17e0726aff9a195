use std::ops::ControlFlow;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use tokio::time::{sleep, timeout};

use super::error::Error;
use super::http::{Client, collected};
use super::sse::{Event, Reader};

/// The daemon says something at least so often.
const SILENCE: Duration = Duration::from_secs(60);
/// How long after a break it is tried again, unless the daemon says so, and at most.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An event is no longer than this.
const MAX_EVENT: usize = 1 << 20;

/// How a stream of events ended.
enum End {
    /// Whoever listens has enough.
    Enough,
    /// It broke off: the daemon has stopped, or the way to it is cut. This is how long the daemon wants to be left alone.
    Broken(Option<Duration>),
}

impl Client {
    /// Hands over every event after the one with this number, or else all to come, until `heard` has enough. After a break
    /// it goes on where it stopped; only a refusal, or no answer at all the first time, ends it.
    pub(crate) fn follow(
        &self,
        path: &str,
        mut last: Option<String>,
        mut heard: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let runtime = self.runtime()?;
        runtime.block_on(async {
            let (mut begun, mut pause) = (false, PAUSE);
            loop {
                match self.listen(path, &mut last, &mut heard).await {
                    Ok(End::Enough) => return Ok(()),
                    Ok(End::Broken(wanted)) => {
                        begun = true;
                        pause = wanted.unwrap_or(pause).min(LONGEST_PAUSE);
                    }
                    Err(error @ Error::Refused(_)) => return Err(error),
                    Err(error) if !begun => return Err(error),
                    Err(_) => {}
                }
                sleep(pause).await;
            }
        })
    }

    async fn listen(
        &self,
        path: &str,
        last: &mut Option<String>,
        heard: &mut impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<End, Error> {
        let mut request = Request::get(path).header(ACCEPT, "text/event-stream");
        if let Some(last) = last.as_deref() {
            request = request.header("last-event-id", last);
        }
        let answer = self.patiently(self.open(request, Empty::new())).await?;
        if !answer.status().is_success() {
            let answer = self.patiently(collected(self, answer)).await?;
            return Err(self.failure(&answer));
        }
        self.hear(answer, last, heard).await
    }

    async fn hear(
        &self,
        answer: Response<Incoming>,
        last: &mut Option<String>,
        heard: &mut impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<End, Error> {
        let (mut body, mut reader) = (answer.into_body(), Reader::default());
        // Silence for too long is a break, too.
        while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
            let Some(piece) = frame.data_ref() else { continue };
            for event in reader.read(piece) {
                if event.id.is_some() {
                    last.clone_from(&event.id);
                }
                if heard(&event).is_break() {
                    return Ok(End::Enough);
                }
            }
            if reader.len() > MAX_EVENT {
                return Err(self.unusable(&"an event has no end"));
            }
        }
        Ok(End::Broken(reader.pause()))
    }
}
