use std::env;
use std::path::PathBuf;

use clap::Args;
use hyper::Uri;

use crate::client::{Client, Error, Fingerprint, Place, Server, Trust};
use crate::credential;

const SOCKET: &str = "/run/causeway/control.sock";
const PORT: u16 = 8443;

/// Which causewayd is asked.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The control socket of causewayd: control.sock in its --runtime directory [default: /run/causeway/control.sock].
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// A causewayd elsewhere, such as https://192.0.2.1:8443 [env: CAUSEWAY_SERVER]. The token that says who asks comes from
    /// CAUSEWAY_TOKEN or a file that only you may read.
    #[arg(long, value_name = "URL", global = true, conflicts_with = "socket")]
    server: Option<String>,
    /// The certificates that those of servers go back to, as PEM [env: CAUSEWAY_CA] [default: those of this system].
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The one certificate that the server has, whatever it goes back to: sha256:… [env: CAUSEWAY_FINGERPRINT].
    #[arg(long, value_name = "SHA256", global = true, conflicts_with = "ca")]
    fingerprint: Option<Fingerprint>,
    /// A file with the token [env: CAUSEWAY_TOKEN_FILE] [default: ~/.config/causeway/tokens/HOST, where it exists].
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

impl Target {
    /// Who talks to it.
    pub(crate) fn client(self) -> Result<Client, Error> {
        let here = self.socket.is_some();
        let server = self
            .server
            .clone()
            .or_else(|| variable("CAUSEWAY_SERVER").filter(|_| !here));
        let place = match server {
            Some(url) => Place::Server(self.server(&url)?),
            None => Place::Socket(self.socket.unwrap_or_else(|| SOCKET.into())),
        };
        Ok(Client::new(place))
    }

    fn server(&self, url: &str) -> Result<Server, Error> {
        let wrong = || Error::Usage(format!("{url:?} is no server: it is like https://192.0.2.1:8443"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_bare = uri.query().is_none() && uri.path() == "/";
        let (Some("https"), Some(authority), true) = (uri.scheme_str(), uri.authority(), is_bare) else {
            return Err(wrong());
        };
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Server {
            port: authority.port_u16().unwrap_or(PORT),
            trust: self.trust()?,
            authorization: credential::authorization(self.token_file.as_deref(), &host)?,
            host,
        })
    }

    /// What is said on the command line counts more than the environment, and one certificate more than many.
    fn trust(&self) -> Result<Trust, Error> {
        let pinned = variable("CAUSEWAY_FINGERPRINT").filter(|_| self.ca.is_none());
        let pinned = pinned
            .map(|text| text.parse())
            .transpose()
            .map_err(|cause: &str| Error::Usage(format!("CAUSEWAY_FINGERPRINT: {cause}")))?;
        if let Some(fingerprint) = self.fingerprint.or(pinned) {
            return Ok(Trust::Pinned(fingerprint));
        }
        let file = self
            .ca
            .clone()
            .or_else(|| variable("CAUSEWAY_CA").map(PathBuf::from));
        file.map_or_else(Trust::system, |file| Trust::file(&file))
    }
}

/// What the environment says, if anything.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
