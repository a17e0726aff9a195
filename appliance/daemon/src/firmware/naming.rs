use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use appliance_config::model::Name;
use tokio::select;
use tokio::sync::watch;
use tracing::{info, warn};

use super::owner::Firmware;
use crate::dhcp::ClientSnapshot;

/// Where the kernel has the name of the machine.
const KERNEL: &str = "/proc/sys/kernel/hostname";
/// The C library asks no more servers than this (`MAXNS` in resolv.conf(5)).
const SERVERS: usize = 3;

type Clients = BTreeMap<Name, ClientSnapshot>;

/// What the machine is called, and whom it asks for names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    host: String,
    servers: Vec<IpAddr>,
}

impl Names {
    /// The servers of the document; without any, those of DHCP by the name of their interface, for as long as there is a lease.
    fn of(host: String, document: &[IpAddr], clients: &Clients) -> Self {
        let held = clients.values().filter_map(|client| client.held.as_ref());
        let leased = held.flat_map(|held| held.lease.name_servers.iter().copied());
        let mut servers = Vec::new();
        if document.is_empty() {
            for server in leased.map(IpAddr::from) {
                if !servers.contains(&server) {
                    servers.push(server);
                }
            }
        } else {
            servers.extend_from_slice(document);
        }
        servers.truncate(SERVERS);
        Self { host, servers }
    }

    /// As resolv.conf(5) has it. Three servers that are silent take 12 s: less than a lookup may (`resolver.rs`).
    fn resolver(&self) -> String {
        let mut text = "options timeout:2 attempts:2\n".to_owned();
        for server in &self.servers {
            // A string takes all.
            let _written = writeln!(text, "nameserver {server}");
        }
        text
    }

    fn write(&self, kernel: &Path, resolver: &Path) -> io::Result<()> {
        let beside = resolver.with_extension("new");
        fs::write(&beside, self.resolver())?;
        fs::rename(beside, resolver)?;
        fs::write(kernel, &self.host)
    }
}

impl Firmware {
    /// Has the machine called as the document says, and its servers asked for names, until nobody tells of changes any more. `/etc/resolv.conf` of
    /// the image is a link to what is written here; elsewhere both are the host's.
    pub(crate) async fn name_machine(self: Arc<Self>, clients: watch::Receiver<Arc<Clients>>) {
        self.name_by(PathBuf::from(KERNEL), clients).await;
    }

    async fn name_by(self: Arc<Self>, kernel: PathBuf, mut clients: watch::Receiver<Arc<Clients>>) {
        let mut configuration = self.sources.configuration.clone();
        let resolver = self.slots.file("resolv.conf");
        let mut before = None;
        loop {
            let running = configuration.borrow_and_update().running.clone();
            let leased = clients.borrow_and_update().clone();
            if let Some(running) = running {
                let names = Names::of(self.name(), &running.config.system.dns, &leased);
                if before.as_ref() != Some(&names) {
                    before = match names.write(&kernel, &resolver) {
                        Ok(()) => {
                            info!(host = names.host, servers = ?names.servers, "names");
                            Some(names)
                        }
                        Err(error) => {
                            warn!(%error, "the name of the machine or its name servers cannot be set: it is tried again with the next change");
                            None
                        }
                    };
                }
            }
            let told = select! {
                told = configuration.changed() => told,
                told = clients.changed() => told,
            };
            if told.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use appliance_dhcp::{Held, Lease, Phase};
    use serde_json::json;
    use tokio::sync::watch;

    use super::super::tests::Disk;
    use super::super::{Firmware, Sources};
    use super::*;
    use crate::chronicle::Chronicle;
    use crate::control::{Running, View};

    fn view(system: &serde_json::Value) -> Arc<View> {
        let written = json!({ "schema": 1, "system": system });
        let config = appliance_config::Config::parse(written.to_string().as_bytes());
        let config = config.unwrap().validate().unwrap();
        let running = Running {
            generation: 1,
            written,
            config,
        };
        Arc::new(View {
            running: Some(Arc::new(running)),
            ..View::default()
        })
    }

    fn client(servers: &[[u8; 4]]) -> ClientSnapshot {
        let lease = Lease {
            address: [192, 0, 2, 10].into(),
            prefix_length: 24,
            router: None,
            name_servers: servers.iter().map(|server| (*server).into()).collect(),
            mtu: None,
            server: [192, 0, 2, 254].into(),
            duration: Some(Duration::from_secs(3600)),
            renewal: None,
        };
        ClientSnapshot {
            phase: Phase::Bound,
            held: Some(Held {
                lease,
                since: Instant::now(),
            }),
            loss: None,
        }
    }

    /// The servers of a document come first; else those of DHCP, each once, no more than are asked, and none of a lease that is gone.
    #[tokio::test]
    async fn the_machine_is_called_and_asks_as_the_document_and_dhcp_say() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        let kernel = folder.path().join("hostname");
        fs::write(&kernel, "before\n").unwrap();
        let (told, configuration) = watch::channel(Arc::default());
        let (leased, clients) = watch::channel(Arc::default());
        let (_addresses, addresses) = watch::channel(Arc::default());
        let (_chronicle, teller, _questions) = Chronicle::new(None);
        let sources = Sources::new(&teller, &configuration, &addresses);
        let firmware = Firmware::open(&disk.image, sources).unwrap();
        let task = tokio::spawn(firmware.name_by(kernel.clone(), clients));

        let is_so = async |host: &str, servers: &[&str]| {
            let settled = async {
                loop {
                    let text = fs::read_to_string(disk.image.join("resolv.conf")).unwrap_or_default();
                    let found: Vec<&str> = text
                        .lines()
                        .filter_map(|line| line.strip_prefix("nameserver "))
                        .collect();
                    if found == servers && fs::read_to_string(&kernel).unwrap() == host {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(10), settled).await;
            assert!(in_time.is_ok(), "{host} {servers:?}");
        };
        let named = json!({ "hostname": "branch-042", "dns": ["192.0.2.53", "2001:db8::53"] });
        told.send_replace(view(&named));
        is_so("branch-042", &["192.0.2.53", "2001:db8::53"]).await;

        let interface = |name: &str| name.parse::<Name>().unwrap();
        let wan0 = (interface("wan0"), client(&[[192, 0, 2, 1], [192, 0, 2, 2]]));
        let wan1 = (
            interface("wan1"),
            client(&[[192, 0, 2, 2], [192, 0, 2, 3], [192, 0, 2, 4]]),
        );
        leased.send_replace(Arc::new([wan0, wan1.clone()].into()));
        told.send_replace(view(&json!({})));
        is_so("causeway", &["192.0.2.1", "192.0.2.2", "192.0.2.3"]).await;

        leased.send_replace(Arc::new([wan1].into()));
        is_so("causeway", &["192.0.2.2", "192.0.2.3", "192.0.2.4"]).await;
        leased.send_replace(Arc::default());
        is_so("causeway", &[]).await;
        task.abort();
    }
}
