use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// Who is at the other end of the control socket, as the kernel says (SO_PEERCRED).
#[derive(Debug, Clone)]
pub(crate) struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

impl Peer {
    /// As author of what is written.
    pub(super) fn author(&self) -> String {
        self.0
            .map_or_else(|| "unknown".to_owned(), |user| format!("uid {user}"))
    }
}
