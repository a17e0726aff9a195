use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tracing::{debug, warn};

use crate::access::Arrival;

/// How long a request may take until its header is there, and a connection may be idle between two.
const HEADER: Duration = Duration::from_secs(15);
/// The longest header, and the most fields in it.
const HEADER_OCTETS: usize = 32 << 10;
const HEADER_FIELDS: usize = 64;
/// How long nothing is accepted after the system had no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Serves one connection to its end. HTTP/1.1 only: one request at a time bounds what a connection costs.
pub(crate) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    arrival: Arrival,
    router: Router,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(arrival.clone());
        service.call(request.map(Body::new))
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_OCTETS)
        .max_headers(HEADER_FIELDS);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection to the API broke");
    }
}

/// Serves the control socket until the process ends.
pub(crate) async fn serve(listener: UnixListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let user = stream.peer_cred().ok().map(|credentials| credentials.uid());
                tokio::spawn(serve_connection(stream, Arrival::Socket(user), router.clone()));
            }
            Err(error) => {
                warn!(%error, "no connection to the control socket can be accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    fn served() -> DuplexStream {
        let (client, server) = duplex(1024);
        let arrival = Arrival::Socket(None);
        tokio::spawn(async move { serve_connection(server, arrival, Router::new()).await });
        client
    }

    /// Slow-loris: a header that comes octet by octet holds its connection no longer than one that does not come.
    #[tokio::test(start_paused = true)]
    async fn a_header_that_comes_too_slowly_ends_its_connection() {
        for pause in [Duration::from_secs(1), Duration::from_secs(3600)] {
            let (mut client, begun) = (served(), Instant::now());
            let (mut read, mut write) = tokio::io::split(&mut client);
            let dribble = async {
                for octet in b"GET /api/v1/status HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
                    if write.write_all(&[*octet]).await.is_err() {
                        break;
                    }
                    let _time_passes = tokio::time::timeout(pause, std::future::pending::<()>()).await;
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                read = read.read_to_end(&mut answer) => drop(read.unwrap()),
                () = dribble => panic!("it may go on"),
            }
            assert!(
                begun.elapsed() <= HEADER + Duration::from_secs(1),
                "{:?}",
                begun.elapsed()
            );
        }
    }
}
