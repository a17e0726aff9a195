use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use appliance_config::model::{Host, System};
use nix::libc::O_NONBLOCK;
use tokio::select;
use tokio::sync::watch;
use tracing::{info, warn};

use super::owner::Firmware;
use super::servers::Servers;
use crate::status::Clients;

/// Where the kernel has the name of the machine.
const KERNEL: &str = "/proc/sys/kernel/hostname";
/// The C library asks no more servers than this (`MAXNS` in resolv.conf(5)).
const NAME_SERVERS: usize = 3;
/// More clocks than this make the time no better.
const TIME_SERVERS: usize = 8;

/// What the machine is called, and whom it asks for names and for the time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// What it is called.
    pub(crate) host: String,
    /// Whom it asks for names.
    pub(crate) name_servers: Servers,
    /// Whom it asks for the time.
    pub(crate) time_servers: Servers,
}

/// Where `/etc` of the image looks for it.
struct Places {
    kernel: PathBuf,
    resolver: PathBuf,
    /// What chronyd is to read.
    clock: PathBuf,
    /// The pipe at which its script waits for another one.
    waiting: PathBuf,
}

impl Naming {
    fn of(host: String, system: &System, clients: &Clients) -> Self {
        let dns = system.dns.iter().copied().map(Host::Address).collect();
        let ntp = system.time.ntp.clone();
        Self {
            host,
            name_servers: Servers::of(dns, clients, |lease| &lease.name_servers, NAME_SERVERS),
            time_servers: Servers::of(ntp, clients, |lease| &lease.ntp_servers, TIME_SERVERS),
        }
    }

    /// As resolv.conf(5) has it. Three servers that are silent take 12 s: less than a lookup may (`resolver.rs`).
    fn resolver(&self) -> String {
        let mut text = "options timeout:2 attempts:2\n".to_owned();
        for server in &self.name_servers.hosts {
            // A string takes all.
            let _written = writeln!(text, "nameserver {server}");
        }
        text
    }

    /// As chrony.conf(5) has it. A host has neither blanks nor ends of lines in it, so each line is one directive.
    fn clock(&self) -> String {
        let mut text = String::new();
        for server in &self.time_servers.hosts {
            let _written = writeln!(text, "server {server} iburst");
        }
        text
    }

    fn write(&self, places: &Places) -> io::Result<()> {
        replace(&places.resolver, &self.resolver())?;
        if replace(&places.clock, &self.clock())? {
            tell(&places.waiting);
        }
        fs::write(&places.kernel, &self.host)
    }
}

/// Replaces a file whole; whether it said something else before.
fn replace(path: &Path, text: &str) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(false);
    }
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)?;
    Ok(true)
}

/// Whoever does not wait yet finds the new file when it starts.
fn tell(waiting: &Path) {
    let pipe = OpenOptions::new()
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(waiting);
    let _told = pipe.and_then(|mut pipe| pipe.write_all(b"\n"));
}

impl Firmware {
    /// Has the machine called as the document says, and its servers asked for names and for the time, until nobody tells of changes any more.
    /// `/etc/resolv.conf` of the image is a link to what is written here, and `/etc/clock` has chronyd read the other file; elsewhere all of it is
    /// the host's.
    pub(crate) async fn name_machine(self: Arc<Self>, clients: watch::Receiver<Arc<Clients>>) {
        let places = Places {
            kernel: PathBuf::from(KERNEL),
            resolver: self.slots.file("resolv.conf"),
            clock: self.slots.file("time-servers.conf"),
            waiting: self.slots.file("time-servers.changed"),
        };
        self.name_by(places, clients).await;
    }

    async fn name_by(self: Arc<Self>, places: Places, mut clients: watch::Receiver<Arc<Clients>>) {
        let mut configuration = self.sources.configuration.clone();
        let mut before = None;
        loop {
            let running = configuration.borrow_and_update().running.clone();
            let leased = clients.borrow_and_update().clone();
            if let Some(running) = running {
                let naming = Naming::of(self.name(), &running.config.system, &leased);
                if before.as_ref() != Some(&naming) {
                    before = match naming.write(&places) {
                        Ok(()) => {
                            let (names, time) = (&naming.name_servers.hosts, &naming.time_servers.hosts);
                            info!(host = naming.host, ?names, ?time, "names");
                            self.naming.send_replace(naming.clone());
                            Some(naming)
                        }
                        Err(error) => {
                            warn!(%error, "the name of the machine or its servers cannot be set: it is tried again with the next change");
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

    use appliance_config::model::Name;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tokio::net::unix::pipe;

    use super::super::tests::Disk;
    use super::super::{Firmware, Source, Sources};
    use super::*;
    use crate::chronicle::Chronicle;
    use crate::control::{Running, View};
    use crate::dhcp::ClientSnapshot;

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

    fn client(servers: &[[u8; 4]], clocks: &[[u8; 4]]) -> ClientSnapshot {
        let lease = Lease {
            address: [192, 0, 2, 10].into(),
            prefix_length: 24,
            router: None,
            name_servers: servers.iter().map(|server| (*server).into()).collect(),
            ntp_servers: clocks.iter().map(|server| (*server).into()).collect(),
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

    fn places(folder: &Path) -> Places {
        Places {
            kernel: folder.join("hostname"),
            resolver: folder.join("resolv.conf"),
            clock: folder.join("time-servers.conf"),
            waiting: folder.join("time-servers.changed"),
        }
    }

    /// What follows these words in the lines of a file that begin with them.
    fn lines(file: &Path, words: &str) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(words));
        lines.map(str::to_owned).collect()
    }

    /// The servers of a document come first; else those of DHCP, each once, no more than are asked, and none of a lease that is gone.
    #[tokio::test]
    async fn the_machine_is_called_and_asks_as_the_document_and_dhcp_say() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        fs::write(folder.path().join("hostname"), "before\n").unwrap();
        let (told, configuration) = watch::channel(Arc::default());
        let (leased, clients) = watch::channel(Arc::default());
        let (_addresses, addresses) = watch::channel(Arc::default());
        let (_chronicle, teller, _questions) = Chronicle::new(None);
        let sources = Sources::new(&teller, &configuration, &addresses);
        let firmware = Firmware::open(&disk.image, sources).unwrap();
        let task = tokio::spawn(firmware.clone().name_by(places(folder.path()), clients));

        let is_so = async |host: &str, names: &[&str], clocks: &[&str]| {
            let Places {
                kernel,
                resolver,
                clock,
                ..
            } = places(folder.path());
            let settled = async {
                while lines(&resolver, "nameserver ") != names
                    || lines(&clock, "server ") != clocks
                    || fs::read_to_string(&kernel).unwrap() != host
                {
                    tokio::task::yield_now().await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(10), settled).await;
            assert!(in_time.is_ok(), "{host} {names:?} {clocks:?}");
        };
        let named = json!({ "hostname": "branch-042", "dns": ["192.0.2.53", "2001:db8::53"],
                            "time": { "ntp": ["ntp.example", "2001:db8::123"] } });
        told.send_replace(view(&named));
        let clocks = ["ntp.example iburst", "2001:db8::123 iburst"];
        is_so("branch-042", &["192.0.2.53", "2001:db8::53"], &clocks).await;

        let interface = |name: &str| name.parse::<Name>().unwrap();
        let (first, second) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let wan0 = (interface("wan0"), client(&[first, second], &[first]));
        let others = [second, [192, 0, 2, 3], [192, 0, 2, 4]];
        let wan1 = (interface("wan1"), client(&others, &[second, first]));
        leased.send_replace(Arc::new([wan0, wan1.clone()].into()));
        told.send_replace(view(&json!({})));
        let clocks = ["192.0.2.1 iburst", "192.0.2.2 iburst"];
        is_so("causeway", &["192.0.2.1", "192.0.2.2", "192.0.2.3"], &clocks).await;
        tokio::task::yield_now().await;
        assert_eq!(firmware.naming().time_servers.source, Source::Dhcp);

        leased.send_replace(Arc::new([wan1].into()));
        let clocks = ["192.0.2.2 iburst", "192.0.2.1 iburst"];
        is_so("causeway", &["192.0.2.2", "192.0.2.3", "192.0.2.4"], &clocks).await;
        leased.send_replace(Arc::default());
        is_so("causeway", &[], &[]).await;
        tokio::task::yield_now().await;
        assert_eq!(firmware.naming().time_servers, Servers::default());
        task.abort();
    }

    fn naming(ntp: &[&str]) -> Naming {
        let view = view(&json!({ "time": { "ntp": ntp } }));
        let running = view.running.clone().unwrap();
        Naming::of("causeway".to_owned(), &running.config.system, &Clients::default())
    }

    /// Who keeps the clock is told when its servers are others, and of nothing else.
    #[tokio::test]
    async fn only_other_time_servers_are_told_to_who_keeps_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        naming(&["192.0.2.1"]).write(&places).unwrap();
        mkfifo(&places.waiting, Mode::S_IRWXU).unwrap();
        let pipe = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&places.waiting)
            .unwrap();
        let heard = || pipe.try_read(&mut [0; 8]).map_err(|error| error.kind());

        let same = Naming {
            host: "branch-042".to_owned(),
            ..naming(&["192.0.2.1"])
        };
        same.write(&places).unwrap();
        assert_eq!(heard(), Err(io::ErrorKind::WouldBlock));
        naming(&["192.0.2.2"]).write(&places).unwrap();
        pipe.readable().await.unwrap();
        assert_eq!(heard(), Ok(1));
    }

    /// What a document could want to say to chronyd besides is no host.
    #[test]
    fn a_server_is_one_word() {
        for hostile in [
            "ntp.example\nallow",
            "ntp.example port 22",
            "ntp.example\tx",
            "!ntp",
            "#",
            "",
            "ntp.example;allow",
            "$(reboot)",
        ] {
            let document = json!({ "schema": 1, "system": { "time": { "ntp": [hostile] } } });
            let parsed = appliance_config::parse(document.to_string().as_bytes());
            assert!(parsed.is_err(), "{hostile:?}");
        }
        let told = naming(&["NTP.example", "192.0.2.1"]).clock();
        assert_eq!(told, "server ntp.example iburst\nserver 192.0.2.1 iburst\n");
    }
}
