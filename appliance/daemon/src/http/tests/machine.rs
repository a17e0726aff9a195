use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use appliance_nat::Packet;
use bgp::Speaker;
use ike::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::bgp_owner::{self, Speaking};
use crate::chronicle::{Chronicle, Question, Storage, Teller};
use crate::control::{Beginning, Control, Files, Origin, View, begin};
use crate::datapath::{DatapathSnapshot, Foreseen, Kind, Refused, Request};
use crate::derive::{Addresses, InUse, derive};
use crate::entrance::{api, entrance};
use crate::firmware::{Firmware, Sources, Wall};
use crate::http::{Published, serve};
use crate::ike_owner::Command;
use crate::journal::Journal;
use crate::randomness::SystemRandom;
use crate::revocation::{self, Cache};
use crate::store::Store;
use crate::timekeeping::{KernelClock, Timekeeping};

/// Control and API over a state directory, and owners that do what they are told.
pub(in crate::http) struct Machine {
    pub(in crate::http) directory: tempfile::TempDir,
    /// What the engine was given, newest last.
    pub(in crate::http) settings: Arc<Mutex<Vec<Settings>>>,
    /// What else the engine was told.
    pub(in crate::http) told: Arc<Mutex<Vec<String>>>,
    /// The kernel refuses a link from now on.
    pub(in crate::http) objects: Arc<AtomicBool>,
    /// What the datapath shows.
    pub(in crate::http) datapath: watch::Sender<Arc<DatapathSnapshot>>,
    pub(in crate::http) teller: Teller,
    events: mpsc::Sender<Question>,
    pub(in crate::http) view: watch::Receiver<Arc<View>>,
    pub(in crate::http) access: Arc<Access>,
    is_served: bool,
    pub(in crate::http) firmware: Option<Arc<Firmware>>,
    tasks: Vec<JoinHandle<()>>,
}

/// A clock that somebody keeps.
fn clock() -> watch::Receiver<Timekeeping> {
    let mut timekeeping = Timekeeping::default();
    let clock = KernelClock {
        is_synchronised: true,
        error: Duration::from_millis(12),
    };
    assert_eq!(timekeeping.look(Some(clock), Instant::now()), None);
    watch::channel(timekeeping).1
}

/// An answer of the API.
#[derive(Debug)]
pub(in crate::http) struct Answer {
    pub(in crate::http) status: u16,
    pub(in crate::http) head: String,
    pub(in crate::http) body: Value,
}

impl Answer {
    /// The reason word of a refusal.
    pub(in crate::http) fn reason(&self) -> (u16, &str) {
        (self.status, self.body["reason"].as_str().unwrap_or_default())
    }

    /// The paths and reason words of all violations.
    pub(in crate::http) fn violations(&self) -> Vec<(&str, &str)> {
        let all = self.body["violations"].as_array().into_iter().flatten();
        all.map(|one| (one["path"].as_str().unwrap(), one["reason"].as_str().unwrap()))
            .collect()
    }

    pub(in crate::http) fn etag(&self) -> &str {
        self.header("etag")
    }

    pub(in crate::http) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| *field == name);
        found.map(|(_, value)| value).unwrap_or_default()
    }
}

impl Machine {
    /// With nothing configured, over a kernel.
    pub(in crate::http) async fn new() -> Self {
        Self::start(tempfile::tempdir().unwrap(), false).await
    }

    /// With [`document`] as generation 1 and its secrets, over a kernel.
    pub(in crate::http) async fn configured() -> Self {
        let machine = Self::new().await;
        for name in ["psk-b", "psk-c"] {
            let path = format!("/api/v1/secrets/{name}");
            assert_eq!(machine.ask("PUT", &path, None, "Geheim1").await.status, 200);
        }
        let put = machine.put(0, &document()).await;
        assert_eq!((put.status, put.etag()), (200, "\"1\""), "{put:?}");
        machine
    }

    /// Over a state directory that may have been used, and a kernel.
    pub(in crate::http) async fn start(directory: tempfile::TempDir, is_served: bool) -> Self {
        let store = Store::open(&directory.path().join("state"), Path::new("/nonexistent/tpm")).unwrap();
        Self::over(directory, is_served, begin(store, None).unwrap()).await
    }

    /// Over files alone.
    pub(in crate::http) async fn over_files(files: Files) -> Self {
        let running = files.document(1).unwrap();
        let beginning = Beginning {
            secrets: files.secrets_of(&running.config),
            origin: Origin::Files(files),
            running,
            seed: None,
        };
        Self::over(tempfile::tempdir().unwrap(), false, beginning).await
    }

    async fn over(directory: tempfile::TempDir, is_served: bool, beginning: Beginning) -> Self {
        let kind = Kind::Kernel;
        let settings = Arc::<Mutex<Vec<Settings>>>::default();
        let (told, objects) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let ((network, requests), (ike, commands)) = (mpsc::channel(8), mpsc::channel(8));
        let kernel = tokio::spawn(kernel(requests, objects.clone()));
        let engine = tokio::spawn(engine(commands, settings.clone(), told.clone()));
        let (asked, orders) = mpsc::channel(8);
        let (published, view) = watch::channel(Arc::default());
        let (access, https) = entrance(&beginning.origin, &directory.path().join("state")).unwrap();
        let (secrets, nothing) = (beginning.secrets.unwrap(), (InUse::new(), Addresses::default()));
        let desired = derive(&beginning.running.config, &secrets, kind, &nothing.0, &nothing.1);
        let (chronicle, teller, events) = Chronicle::new(Storage::open(directory.path()));
        let chronicle = tokio::spawn(chronicle.run());
        let (datapath, shown) = watch::channel(Arc::new(DatapathSnapshot::first(kind, String::new())));
        let (bgp, speaker) = speaking(&network, &teller);
        let keys = crate::signer::start(mpsc::channel(8).0);
        let lists = revocation::start(mpsc::channel(8).0, Cache::new(None), teller.clone());
        let found = watch::channel(Arc::default()).1;
        let slots = firmware(directory.path(), (&teller, &view, &found));
        let views = Published {
            ike: watch::channel(Arc::default()).1,
            pages: watch::channel(Arc::default()).1,
            ike_log: Journal::new(Teller::to_nobody()).log(),
            datapath: shown,
            dhcp: watch::channel(Arc::default()).1,
            keys: keys.1.clone(),
            lists,
            timekeeping: clock(),
            configuration: view.clone(),
            refresh: network,
            commands: ike,
            bgp,
            orders: asked,
            events: events.clone(),
            started: Instant::now(),
            access: access.clone(),
            https: https.filter(|_| is_served),
            firmware: slots,
        };
        let (router, channels, firmware) = api(views, (orders, published), &teller, (found, keys));
        let mut control = Control::new(beginning.origin, kind, beginning.running, channels);
        control.begin(desired).await;
        let control = tokio::spawn(async move { control.run().await.unwrap() });
        let api = tokio::spawn(serve(listener(directory.path()), router));
        Self {
            directory,
            settings,
            told,
            objects,
            datapath,
            teller,
            events,
            view,
            access,
            is_served,
            firmware,
            tasks: vec![kernel, engine, speaker, control, api, chronicle],
        }
    }

    /// As `kill -9` leaves it, started again.
    pub(in crate::http) async fn killed(self) -> Self {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _aborted = task.await;
        }
        drop(self.firmware);
        // It has the store.
        drop(self.access);
        Self::start(self.directory, self.is_served).await
    }

    /// The same, and from then on the API is served over the network as the document says.
    pub(in crate::http) async fn killed_and_served(mut self) -> Self {
        self.is_served = true;
        self.killed().await
    }

    /// Has the events saved that happened so far; none are told any more.
    pub(in crate::http) async fn events_saved(&self) {
        let (answer, saved) = oneshot::channel();
        self.events.send(Question::Close(answer)).await.unwrap();
        saved.await.unwrap();
    }

    /// Head and body as they are.
    pub(in crate::http) async fn get_text(&self, path: &str) -> String {
        let socket = self.directory.path().join("socket");
        let stream = UnixStream::connect(socket).await.unwrap();
        String::from_utf8(talk(stream, ("GET", path), "", b"").await).unwrap()
    }

    /// A file: what is said of it, and its octets.
    pub(in crate::http) async fn get_file(&self, path: &str) -> (String, Vec<u8>) {
        let socket = self.directory.path().join("socket");
        let stream = UnixStream::connect(socket).await.unwrap();
        let answer = talk(stream, ("GET", path), "", b"").await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
        let body = &answer[end + 4..];
        let is_chunked = head.contains("transfer-encoding: chunked");
        (
            head,
            if is_chunked {
                unchunked(body)
            } else {
                body.to_vec()
            },
        )
    }

    /// Waits until this generation runs.
    pub(in crate::http) async fn runs(&mut self, generation: u32) {
        let soon = Duration::from_secs(30);
        let waited = tokio::time::timeout(soon, self.view.wait_for(|view| view.generation == generation));
        waited.await.expect("another generation runs").unwrap();
    }

    /// The connections of the engine, as it was told last.
    pub(in crate::http) fn connections(&self) -> BTreeSet<String> {
        let settings = self.settings.lock().unwrap();
        let names = settings.last().unwrap().connections.keys();
        names.map(|name| name.0.to_string()).collect()
    }

    pub(in crate::http) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None, "").await
    }

    /// The whole document, coming from a generation.
    pub(in crate::http) async fn put(&self, from: u32, document: &Value) -> Answer {
        let body = document.to_string();
        self.ask("PUT", "/api/v1/config", Some(from), &body).await
    }

    pub(in crate::http) async fn ask(
        &self,
        method: &str,
        path: &str,
        from: Option<u32>,
        body: &str,
    ) -> Answer {
        let headers = from.map_or_else(String::new, |from| format!("If-Match: \"{from}\"\r\n"));
        self.send(method, path, &headers, body.as_bytes()).await
    }

    pub(in crate::http) async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        send(
            &self.directory.path().join("socket"),
            (method, path),
            headers,
            body,
        )
        .await
    }
}

fn listener(directory: &Path) -> UnixListener {
    let socket = directory.join("socket");
    let _of_the_one_before = std::fs::remove_file(&socket);
    UnixListener::bind(socket).unwrap()
}

/// The slots, if a test has put any there.
/// What the file says that a test left, in seconds of UNIX time; the right time where there is none.
fn wall(directory: &Path) -> Wall {
    let set = directory.join("wall");
    Wall(Arc::new(move || match std::fs::read_to_string(&set) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse().unwrap()),
        Err(_) => SystemTime::now(),
    }))
}

type Looked<'a> = (
    &'a Teller,
    &'a watch::Receiver<Arc<View>>,
    &'a watch::Receiver<Arc<Addresses>>,
);

fn firmware(directory: &Path, (teller, view, addresses): Looked<'_>) -> Option<Arc<Firmware>> {
    let sources = Sources::new(teller, view, addresses).by(wall(directory));
    Firmware::open(&directory.join("image"), sources)
}

/// Does what it is told, unless it objects.
async fn kernel(mut requests: mpsc::Receiver<Request>, objects: Arc<AtomicBool>) {
    while let Some(request) = requests.recv().await {
        if let Request::Foresee(packet, answer) = request {
            answer.send(Ok(Box::new(foreseen(&packet)))).unwrap();
        } else if let Request::Network(_, answer) = request {
            let refused = Refused {
                object: "link cw-to-b".to_owned(),
                attribute: None,
                detail: "no".to_owned(),
            };
            let refused = objects.load(Ordering::Relaxed).then_some(refused);
            answer.send(refused.into_iter().collect()).unwrap();
        }
    }
}

/// What a site with our addresses makes of a packet, which we know by 100.64.7.0/24; and it us by one address.
fn foreseen(packet: &Packet) -> Foreseen {
    let rule = |kind, external: &str| appliance_nat::Rule {
        kind,
        internal: "10.1.0.0/24".parse().unwrap(),
        external: external.parse().unwrap(),
    };
    let dynamic = appliance_nat::Kind::Dynamic {
        ports: vec![1024..=2047],
    };
    let plain = appliance_nat::Kind::Static { ports: None };
    let tunnel = appliance_nat::Tunnel {
        link: "cw-to-b".to_owned(),
        number: 1,
        site: "b".to_owned(),
        ingress: [("depot-in".to_owned(), rule(plain, "100.64.7.0/24"))].into(),
        egress: [("many".to_owned(), rule(dynamic, "100.64.9.1/32"))].into(),
    };
    let rules = appliance_nat::Rules {
        tunnels: [("to-b".to_owned(), tunnel)].into(),
    };
    let program = appliance_nat::compile(&rules, &appliance_nat::Numbers::default()).unwrap();
    let external: ipnet::IpNet = "100.64.7.0/24".parse().unwrap();
    let routes = |address| external.contains(&address).then(|| "cw-to-b".to_owned());
    Foreseen {
        in_place: true,
        verdict: program.evaluate(packet, &routes),
        answered: None,
        ways: [packet.destination.address].map(|to| (to, routes(to))).into(),
        program: Arc::new(program),
    }
}

/// A speaker whose tunnels never carry.
pub(in crate::http) fn speaking(
    network: &mpsc::Sender<Request>,
    teller: &Teller,
) -> (Speaking, tokio::task::JoinHandle<()>) {
    let speaker = Speaker::new(Box::new(SystemRandom));
    bgp_owner::start(speaker, network, teller, watch::channel(Arc::default()).1)
}

/// Remembers what it is given.
async fn engine(
    mut commands: mpsc::Receiver<Command>,
    given: Arc<Mutex<Vec<Settings>>>,
    told: Arc<Mutex<Vec<String>>>,
) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Configure(settings, answer) => {
                given.lock().unwrap().push(*settings);
                answer.send(Vec::new()).unwrap();
            }
            Command::Tell(input) => told.lock().unwrap().push(format!("{input:?}")),
            Command::Publish(_) => (),
        }
    }
}

async fn send(socket: &Path, request: (&str, &str), headers: &str, body: &[u8]) -> Answer {
    let stream = UnixStream::connect(socket).await.unwrap();
    exchange(stream, request, headers, body).await
}

/// A request, and the answer until the end of the connection.
pub(in crate::http) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: (&str, &str),
    headers: &str,
    body: &[u8],
) -> Answer {
    let answer = talk(stream, request, headers, body).await;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    (method, path): (&str, &str),
    headers: &str,
    body: &[u8],
) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// What came in chunks (RFC 9112 §7.1), without their lengths.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        let begin = end + 2;
        whole.extend(&rest[begin..begin + length]);
        rest = &rest[begin + length + 2..];
    }
}

/// Two connections, to b and to c.
pub(in crate::http) fn document() -> Value {
    let site = |number: u8| json!({ "endpoint": format!("192.0.2.{number}"), "address_space": [format!("10.{number}.0.0/24")] });
    let connection = |name: &str| json!({ "site": name, "authentication": { "method": "psk", "secret": format!("psk-{name}") } });
    json!({
        "gateway": {
            "ip_configurations": { "default": { "address": "192.0.2.1" } }, "address_space": ["10.1.0.0/24"]
        },
        "sites": { "b": site(2), "c": site(3) },
        "connections": { "to-b": connection("b"), "to-c": connection("c") }
    })
}
