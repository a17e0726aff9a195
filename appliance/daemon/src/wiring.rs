//! From start to stop: the owners, and the channels between them.
//!
//! | Queue | From → to | When it is full |
//! |---|---|---|
//! | octets | sockets → BGP owner | they stay in the socket, and the peer has to wait |
//! | commands | control, API → BGP owner | control waits, the API answers `busy` |
//! | routes | BGP owner → kernel owner, among the requests | one part at a time is under way, the rest is gathered |
//! | what carries, what is refused | kernel owner → BGP owner | the last ones count |
//! | datagrams | sockets → IKE owner | readers wait, the kernel drops what no longer fits; peers send again |
//! | commands | control, API → IKE owner | control waits, the API answers `busy` |
//! | requests | IKE owner, control, API → kernel owner | they wait; the API shows the last counters |
//! | orders | API → control | the API answers `busy` |
//! | answers | kernel owner → IKE owner | cannot be: room is taken with the request, or the child is refused |
//! | told unasked | kernel owner → IKE owner, among the answers | they wait with the kernel owner; wanted lines are told again |
//! | news | all owners → chronicle | what finds no room is counted, and told as `events-lost` |
//! | questions | API → chronicle | the API answers `busy` |
//! | answers | resolver → IKE owner, among those | the resolver waits |
//! | questions | IKE owner, control → who has private keys | the attempt fails; control waits |
//! | signatures | who has private keys → IKE owner, among the answers | they wait |
//! | how keys do | who has private keys → control, API | the last ones count |
//! | wishes | IKE owner, control → who has lists of revoked certificates | the engine's are dropped; control waits |
//! | lists | who has lists of revoked certificates → IKE owner, among the answers | they wait |
//! | leases | DHCP owner → kernel owner, among the requests | it waits; servers say it again |
//! | links, addresses | kernel owner → DHCP owner, control | the last ones count |
//! | one bell | kernel owner → IKE owner: addresses came or went | it rings once |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use appliance_config::ValidConfig;
use appliance_config::model::Name;
use appliance_esp::{IkeInbox, IkeMessages, ike_messages};
use appliance_kernel::{Kernel, Notices, Removal};
use ike::{Engine, Input, Snapshot};
use sd_notify::NotifyState;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::bgp_owner::{self, Speaking};
use crate::chronicle::{Chronicle, News, Question, Storage, Teller};
use crate::clock;
use crate::confinement::confine;
use crate::control::{Beginning, Control, Files, Origin, Running, Seed, begin};
use crate::datapath::{DatapathSnapshot, Ground, Kind, Request};
use crate::derive::{self, Addresses, NetworkSettings, derive, network};
use crate::dhcp::{ClientSnapshot, DhcpOwner, Links, Memory};
use crate::entrance::{api, entrance};
use crate::firmware::{self, Firmware, Sources};
use crate::http::{self, Published};
use crate::ike_log::IkeLogReader;
use crate::ike_owner::{Command, IkeOwner, Mailboxes};
use crate::journal::{Journal, Pages};
use crate::kernel_owner::{self, Carrier, Interfaces, KernelOwner};
use crate::outer::Outer;
use crate::randomness::SystemRandom;
use crate::resolver::Resolver;
use crate::revocation::{self, Librarian, Lists};
use crate::runtime_directory::RuntimeDirectory;
use crate::secrets::Secrets;
use crate::signer::{self, KeySnapshots, Signer};
use crate::sockets::ENCAPSULATION_PORT;
use crate::store::Store;
use crate::{Arguments, Datapath, privileges, timekeeping};

const COMMANDS: usize = 64;
const REQUESTS: usize = 256;
const ANSWERS: usize = 256;
const ORDERS: usize = 16;

/// How long the engine may take to send its Deletes, and the kernel owner to clean up.
const CLOSE_ENGINE: Duration = Duration::from_secs(3);
const CLOSE_KERNEL: Duration = Duration::from_millis(1500);
/// How long the disk may take for the last events.
const SAVE_EVENTS: Duration = Duration::from_millis(300);

/// Runs the daemon until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.check {
        return check(arguments);
    }
    let Beginning {
        origin,
        running,
        secrets,
        seed,
    } = beginning(arguments)?;
    privileges::check()?;
    let directory = RuntimeDirectory::lock(&arguments.runtime)?;
    runtime()?.block_on(async {
        match secrets {
            Ok(secrets) => {
                let secrets = secrets.at(clock::unix_s());
                serve(arguments, (origin, running, secrets, seed), directory).await
            }
            Err(invalid) => close_only(&running.config).await.and(Err(invalid.into())),
        }
    })
}

/// The files that the command line names, with the flag that says what they are for.
fn files(config: Option<&PathBuf>, secrets: Option<&PathBuf>) -> Option<Files> {
    Some(Files {
        config: config?.clone(),
        secrets: secrets?.clone(),
    })
}

fn check(arguments: &Arguments) -> anyhow::Result<()> {
    let config = arguments.config.as_ref().or(arguments.config_only.as_ref());
    let Some(files) = files(config, arguments.secrets.as_ref()) else {
        bail!("--check looks at a file: say which with --config or --config-only");
    };
    let running = files.document(0)?;
    files.secrets_of(&running.config)?;
    let connections = running.config.connections.len();
    info!(connections, "the configuration is valid");
    Ok(())
}

/// Where the configuration comes from, and what it is.
fn beginning(arguments: &Arguments) -> anyhow::Result<Beginning> {
    let secrets = arguments.secrets.as_ref();
    if let Some(files) = files(arguments.config_only.as_ref(), secrets) {
        let running = files.document(1)?;
        return Ok(Beginning {
            secrets: files.secrets_of(&running.config),
            origin: Origin::Files(files),
            running,
            seed: None,
        });
    }
    begin(
        Store::open(&arguments.state, &arguments.tpm)?,
        files(arguments.config.as_ref(), secrets),
    )
}

/// A start that cannot go on still keeps the sites closed that its document names.
async fn close_only(config: &ValidConfig) -> anyhow::Result<()> {
    let (mut kernel, _notices) = Kernel::open().await?;
    let in_use = derive::found(kernel.present());
    let nobody_connects = Addresses::default();
    let closed = kernel_owner::close(&mut kernel, &network(config, &in_use, &nobody_connects)).await;
    closed.context("closing the sites")
}

/// Takes everything away that a daemon put into the kernel.
pub(crate) fn remove(runtime_directory: &Path) -> anyhow::Result<()> {
    privileges::check()?;
    let _nobody_else = RuntimeDirectory::lock(runtime_directory)?;
    runtime()?.block_on(async {
        let (mut kernel, _notices) = Kernel::open().await?;
        let objects = kernel.present().count();
        kernel
            .apply([appliance_kernel::Request::Remove(Removal::Everything)])
            .await?;
        info!(
            objects,
            "removed everything of ours; sites are no longer kept closed"
        );
        Ok(())
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("tokio")
}

async fn serve(
    arguments: &Arguments,
    (origin, mut running, secrets, seed): (Origin, Running, Secrets, Option<Seed>),
    directory: RuntimeDirectory,
) -> anyhow::Result<()> {
    let (mut kernel, notices) = Kernel::open().await?;
    let in_use = derive::found(kernel.present());
    let remembered = memory(&origin, &arguments.state, directory.path());
    let machine = machine(remembered, &running.config, &kernel);
    let (present, addresses) = (machine.present.clone(), machine.present.borrow().clone());
    let settings = network(&running.config, &in_use, &addresses);
    let outer = begin_outside(&mut kernel, &settings, (&origin, &mut running, seed)).await?;
    let (kind, why) = choose(arguments.datapath, &mut kernel).await?;
    confine(&origin, arguments, directory.path())?;
    let desired = derive(&running.config, &secrets, kind, &in_use, &addresses);
    let first = start(running.generation, kind, &why);
    let (teller, events, chronicle_task) = start_chronicle(&origin, &arguments.state, first);
    let ((inbox, messages), (answers, answered)) = (ike_messages(), mpsc::channel(ANSWERS));
    let (carrier, outer) = carrier(kind, outer, &inbox)?;
    let (bell, speaker) = (Arc::new(Notify::new()), bgp_owner::speaker(&kernel, kind));
    let told = (answers.clone(), bell.clone(), teller.clone());
    let (carrier, kernel) = ((carrier, DatapathSnapshot::first(kind, why)), (kernel, notices));
    let (network, (datapath, ground, dhcp), mut kernel_task) = start_network(kernel, machine, carrier, told);
    let (arrivals, answers) = ((outer, bell, inbox, messages), (answers, answered));
    let (keys, lists) = start_keepers(&origin, &arguments.state, (&answers.0, &teller));
    let owners = (&network, &teller, (&keys.0, &lists.librarian));
    let (commands, (ike, pages, ike_log), mut ike_task) = start_engine(arrivals, owners, answers);
    let (bgp, mut bgp_task) = bgp_owner::start(speaker, &network, &teller, ground);
    let ((asked, orders), (view, configuration)) = (mpsc::channel(ORDERS), watch::channel(Arc::default()));
    let (listener, (access, https)) = (directory.listen()?, entrance(&origin, &arguments.state)?);
    let published = Published {
        firmware: Firmware::open(&arguments.image, Sources::new(&teller, &configuration, &present)),
        ike,
        bgp: bgp.clone(),
        pages,
        ike_log,
        datapath,
        dhcp,
        keys: keys.1.clone(),
        lists,
        timekeeping: timekeeping::start(&teller),
        configuration,
        refresh: network.clone(),
        commands: commands.clone(),
        orders: asked,
        events: events.clone(),
        started: Instant::now(),
        access,
        https,
    };
    let (router, channels, firmware) = api(published, (orders, view), &teller, (present, keys));
    let mut control = Control::new(origin, kind, running, channels);
    control.begin(desired).await;
    let mut api_task = tokio::spawn(http::serve(listener, router));
    let owners = [&mut kernel_task, &mut ike_task, &mut bgp_task, &mut api_task];
    until_stopped(control, owners, firmware).await?;
    stop((&bgp, bgp_task), (&commands, ike_task), &network).await;
    save_events(&teller, &events, chronicle_task).await;
    Ok(())
}

/// Says that all is there, and waits until a signal ends it, or an update does. An owner that ends by itself ends all.
async fn until_stopped(
    control: Control,
    [kernel, ike, bgp, api]: [&mut JoinHandle<()>; 4],
    firmware: Option<Arc<Firmware>>,
) -> anyhow::Result<()> {
    ready();
    tokio::select! {
        () = firmware::restart_wanted(firmware.as_ref()) => Ok(()),
        ended = control.run() => ended.context("signals"),
        ended = kernel => bail!("the owner of the kernel ended: {ended:?}"),
        ended = ike => bail!("the owner of the engine ended: {ended:?}"),
        ended = bgp => bail!("the owner of the BGP speaker ended: {ended:?}"),
        ended = api => bail!("the API ended: {ended:?}"),
    }
}

/// The interfaces of the document as a start finds them.
struct Machine {
    memory: Memory,
    interfaces: Interfaces,
    /// The links that are to ask for an address.
    wanted: watch::Receiver<Links>,
    /// The addresses that there are.
    present: watch::Receiver<Arc<Addresses>>,
}

/// What is remembered is beside the store, where there is one.
fn memory(origin: &Origin, state: &Path, runtime_directory: &Path) -> Memory {
    Memory::read(match origin {
        Origin::Files(_) => runtime_directory,
        Origin::Store(_) => state,
    })
}

/// Who has private keys, and how they do.
type Keys = (Signer, watch::Receiver<Arc<KeySnapshots>>);

/// Who has private keys, and who lists of revoked certificates; these are kept beside the store, where there is one.
fn start_keepers(
    origin: &Origin,
    state: &Path,
    (answers, teller): (&mpsc::Sender<Input>, &Teller),
) -> (Keys, Lists) {
    let cache = revocation::Cache::new(match origin {
        Origin::Files(_) => None,
        Origin::Store(_) => Some(state.join("revocation-lists")),
    });
    let lists = revocation::start(answers.clone(), cache, teller.clone());
    (signer::start(answers.clone()), lists)
}

fn machine(memory: Memory, config: &ValidConfig, kernel: &Kernel) -> Machine {
    let (links, wanted) = watch::channel(Links::new());
    let found = watch::Sender::new(Arc::default());
    let interfaces = Interfaces::new(memory.all(), kernel, links, found.clone());
    let known = interfaces.machine(&config.interfaces, kernel);
    found.send_replace(Arc::new(known.addresses(kernel.connected())));
    Machine {
        memory,
        interfaces,
        wanted,
        present: found.subscribe(),
    }
}

type Clients = BTreeMap<Name, ClientSnapshot>;
type NetworkViews = (
    watch::Receiver<Arc<DatapathSnapshot>>,
    watch::Receiver<Arc<Ground>>,
    watch::Receiver<Arc<Clients>>,
);

/// The owner of kernel and datapath, and the DHCP clients that ask for what it lacks.
fn start_network(
    (kernel, notices): (Kernel, Notices),
    machine: Machine,
    (carrier, first): (Carrier, DatapathSnapshot),
    (answers, bell, teller): (mpsc::Sender<Input>, Arc<Notify>, Teller),
) -> (mpsc::Sender<Request>, NetworkViews, JoinHandle<()>) {
    let (network, requests) = mpsc::channel(REQUESTS);
    let (snapshot, datapath) = watch::channel(Arc::new(first));
    let (clients, dhcp) = watch::channel(Arc::default());
    let (ground, shown) = watch::channel(Arc::default());
    let kernel = (kernel, machine.interfaces);
    let owner = KernelOwner::new(kernel, carrier, (answers, bell), teller, (snapshot, ground));
    let task = tokio::spawn(owner.run(requests, notices));
    tokio::spawn(DhcpOwner::new(machine.memory, network.clone(), clients).run(machine.wanted));
    (network, (datapath, shown, dhcp), task)
}

/// Where news and questions are left. What an earlier run saved is there; a file as the only source has nothing beside it.
fn start_chronicle(
    origin: &Origin,
    state: &Path,
    first: News,
) -> (Teller, mpsc::Sender<Question>, JoinHandle<()>) {
    let saved = match origin {
        Origin::Files(_) => None,
        Origin::Store(_) => Storage::open(state),
    };
    let (chronicle, teller, questions) = Chronicle::new(saved);
    teller.tell(first);
    (teller, questions, tokio::spawn(chronicle.run()))
}

/// What is told of a start.
fn start(generation: u32, kind: Kind, why: &str) -> News {
    info!(datapath = kind.word(), why, "datapath chosen");
    let (version, datapath) = (env!("CARGO_PKG_VERSION"), kind.word());
    let detail = format!("causewayd {version}, datapath {datapath}: {why}");
    News::new("started").generation(generation).detail(detail)
}

async fn save_events(teller: &Teller, events: &mpsc::Sender<Question>, chronicle: JoinHandle<()>) {
    teller.tell(News::new("stopped"));
    let (answer, _saved) = oneshot::channel();
    let asked = events.send(Question::Close(answer)).await;
    if asked.is_err() || tokio::time::timeout(SAVE_EVENTS, chronicle).await.is_err() {
        warn!("the last events are not saved");
    }
}

/// Which datapath, and why.
async fn choose(choice: Datapath, kernel: &mut Kernel) -> anyhow::Result<(Kind, String)> {
    let tun = Path::new("/dev/net/tun");
    let chosen = match (choice, kernel.probe().await) {
        (Datapath::Kernel, Err(missing)) => bail!("--datapath kernel: {missing}"),
        (Datapath::Kernel, Ok(())) => (Kind::Kernel, "asked for by --datapath kernel".to_owned()),
        (Datapath::Auto, Ok(())) => (Kind::Kernel, "the kernel has ESP and XFRM interfaces".to_owned()),
        (Datapath::Auto, Err(missing)) => (Kind::User, missing.to_string()),
        (Datapath::User, _) => (Kind::User, "asked for by --datapath user".to_owned()),
    };
    if chosen.0 == Kind::User {
        privileges::check_raw_sockets()?;
        if !tun.exists() {
            bail!(
                "{} is missing: load the module tun, or let the container have the device",
                tun.display()
            );
        }
    }
    Ok(chosen)
}

/// Binds the ports of IKE, closes the sites, and then imports the seed. A first start, and one from a file alone, ends where another daemon holds
/// a port, with nothing touched. A machine that was set up has to be reachable: there, and wherever an address is missing,
/// status says so and it is tried again.
async fn begin_outside(
    kernel: &mut Kernel,
    network: &NetworkSettings,
    (origin, running, seed): (&Origin, &mut Running, Option<Seed>),
) -> anyhow::Result<Outer> {
    let first_start = seed.is_some() || matches!(origin, Origin::Files(_));
    let outer = Outer::open(network.outer_addresses.clone());
    if first_start && let Some(held) = outer.withheld().first() {
        bail!("{held}");
    }
    kernel_owner::close(kernel, network)
        .await
        .context("closing the sites")?;
    if let Some(seed) = seed {
        origin.import(running, &seed)?;
    }
    Ok(outer)
}

/// What carries ESP; the user-space datapath has sockets of its own.
fn carrier(kind: Kind, mut outer: Outer, inbox: &IkeInbox) -> anyhow::Result<(Carrier, Outer)> {
    let carrier = match kind {
        Kind::Kernel => Carrier::kernel(),
        Kind::User => {
            let options = appliance_esp::Options {
                workers: 0,
                encapsulation_port: ENCAPSULATION_PORT,
            };
            let (datapath, notices) = appliance_esp::Datapath::start(&options, inbox.clone())?;
            let datapath = Arc::new(datapath);
            outer.encapsulate_by(datapath.clone());
            Carrier::user(datapath, notices)
        }
    };
    Ok((carrier, outer))
}

type Started = (
    mpsc::Sender<Command>,
    (
        watch::Receiver<Arc<Snapshot>>,
        watch::Receiver<Arc<Pages>>,
        IkeLogReader,
    ),
    JoinHandle<()>,
);

fn start_engine(
    (outer, addresses, inbox, messages): (Outer, Arc<Notify>, IkeInbox, IkeMessages),
    (network, teller, (signer, librarian)): (&mpsc::Sender<Request>, &Teller, (&Signer, &Librarian)),
    (answers, answered): (mpsc::Sender<Input>, mpsc::Receiver<Input>),
) -> Started {
    let (commands, heard) = mpsc::channel(COMMANDS);
    let (snapshot, view) = watch::channel(Arc::new(Snapshot::default()));
    let (pages, written) = watch::channel(Arc::new(Pages::default()));
    let journal = Journal::new(teller.clone());
    let log = journal.log();
    let owner = IkeOwner {
        engine: Engine::new(Box::new(SystemRandom)),
        outer,
        addresses,
        starts_from: BTreeMap::new(),
        configured: false,
        inbox,
        datapath: network.clone(),
        resolver: Resolver::new(answers.clone()),
        signer: signer.clone(),
        librarian: librarian.clone(),
        answers,
        journal,
        snapshot,
        pages,
    };
    let task = tokio::spawn(owner.run(Mailboxes {
        commands: heard,
        answers: answered,
        messages,
    }));
    (commands, (view, written, log), task)
}

fn ready() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!(%error, "systemd could not be told");
    }
    info!("ready");
}

/// Ends BGP sessions, sends Deletes, then removes what is ours; neither may take for ever.
async fn stop(
    (bgp, bgp_task): (&Speaking, JoinHandle<()>),
    (commands, ike_task): (&mpsc::Sender<Command>, JoinHandle<()>),
    network: &mpsc::Sender<Request>,
) {
    let _nobody_listens = sd_notify::notify(&[NotifyState::Stopping]);
    bgp_owner::stop(bgp, bgp_task).await;
    let told = commands.send(Command::Tell(Input::Shutdown)).await;
    if told.is_err() || tokio::time::timeout(CLOSE_ENGINE, ike_task).await.is_err() {
        warn!("peers did not acknowledge in time that we close");
    }
    let (answer, removed) = oneshot::channel();
    let asked = network.send(Request::Close(answer)).await;
    if asked.is_err() || tokio::time::timeout(CLOSE_KERNEL, removed).await.is_err() {
        warn!("the kernel was not cleaned up in time; the next start, or --remove, does it");
    }
    info!("stopped");
}
