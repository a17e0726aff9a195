//! Over real sockets, each test in a network namespace of its own: its loopback stands for the tunnels. Needs root.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command as Program;
use std::sync::Arc;
use std::time::Duration;

use appliance_config::model::TcpAoAlgorithm;
use bgp::{
    Families, Input, Limits, Neighbour, NeighbourName, PeerState, Policy, Settings, Side, Speaker, Timers,
    Translation,
};
use bgpkit_parser::models::{Bgp4MpEnum, BgpMessage, MrtMessage, NetworkPrefix};
use bgpkit_parser::parser::parse_mrt_record;
use ike::ConnectionName;
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};
use tokio::sync::{mpsc, oneshot, watch};

use super::connection::TURN;
use super::options;
use super::sockets::Sockets;
use super::{Command, Record, Recording, Speaking, start};
use crate::chronicle::Teller;
use crate::datapath::{Ground, LearntRoute, Request};
use crate::derive::{BgpSettings, Distance, SessionEnd, Signing, TcpAoKey};
use crate::randomness::SystemRandom;

fn isolated<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        for arguments in [
            "link set lo up",
            "addr add 169.254.21.1/32 dev lo",
            "addr add 169.254.21.2/32 dev lo",
        ] {
            let done = Program::new("ip").args(arguments.split(' ')).status();
            assert!(done.unwrap().success());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), test())
                .await
                .unwrap()
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn name(text: &str) -> NeighbourName {
    NeighbourName(text.into())
}

fn end(local: &str, remote: &str) -> SessionEnd {
    SessionEnd {
        link: "lo".to_owned(),
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        distance: Distance::Checked(255),
        bfd: None,
        signing: Signing::None,
        priority: 100,
    }
}

/// One that has this prefix, and a neighbour `far`.
fn settings(asn: u32, own: &str, end: SessionEnd) -> BgpSettings {
    let IpAddr::V4(router_id) = end.local else {
        panic!("IPv4 here")
    };
    let neighbour = Neighbour {
        site: "far".into(),
        local: end.local,
        remote: end.remote,
        asn: 131_070 - asn,
        passive: false,
        timers: Timers::USUAL,
        families: Families::ALL,
        limits: Limits {
            prefixes: 4000,
            restart_after: None,
        },
        translation: Translation::default(),
        import: Policy::ALL,
        export: Policy::ALL,
        role: None,
        add_path: false,
        local_preference: 100,
        priority: 100,
    };
    BgpSettings {
        speaker: Settings {
            asn,
            router_id,
            own: vec![own.parse().unwrap()],
            neighbours: [(name("far"), neighbour)].into(),
            ..crate::derive::no_speaker()
        },
        ends: [(name("far"), end)].into(),
        resting: BTreeMap::new(),
    }
}

struct Rig {
    speaking: Speaking,
    requests: mpsc::Receiver<Request>,
    ground: watch::Sender<Arc<Ground>>,
}

impl Rig {
    async fn start(settings: BgpSettings) -> Self {
        let (network, requests) = mpsc::channel(8);
        let (ground, shown) = watch::channel(Arc::default());
        let mut speaker = Speaker::new(Box::new(SystemRandom));
        let _nothing = speaker.handle(Input::NothingPreserved, std::time::Instant::now());
        let (speaking, _task) = start(speaker, &network, &Teller::to_nobody(), shown);
        let rig = Self {
            speaking,
            requests,
            ground,
        };
        rig.configure(settings).await;
        rig
    }

    async fn configure(&self, settings: BgpSettings) {
        let (answer, done) = oneshot::channel();
        let command = Command::Configure(Box::new(settings), answer);
        self.speaking.commands.send(command).await.unwrap();
        done.await.unwrap();
    }

    fn carries(&self, is_up: bool) {
        let far = ConnectionName("far".into());
        let ground = Ground {
            carried: is_up.then_some(far).into_iter().collect(),
            refused: BTreeMap::new(),
        };
        self.ground.send_replace(Arc::new(ground));
    }

    /// The next change of a route.
    async fn learns(&mut self) -> LearntRoute {
        loop {
            if let Request::Learnt(mut changes, answer) = self.requests.recv().await.unwrap() {
                answer.send(()).unwrap();
                return changes.pop().unwrap();
            }
        }
    }
}

/// Both ends sign, check how far the other is, and open connections at the same time.
#[test]
fn two_speakers_exchange_routes_over_signed_segments() {
    isolated(|| async {
        let signed = |local, remote| SessionEnd {
            signing: Signing::Md5(b"geheim".to_vec().into()),
            ..end(local, remote)
        };
        let mut one = Rig::start(settings(
            65001,
            "10.1.0.0/16",
            signed("169.254.21.1", "169.254.21.2"),
        ))
        .await;
        let mut two = Rig::start(settings(
            66069,
            "10.2.0.0/16",
            signed("169.254.21.2", "169.254.21.1"),
        ))
        .await;
        one.carries(true);
        two.carries(true);
        let by_far =
            |prefix: &str| LearntRoute::Set(prefix.parse().unwrap(), vec![ConnectionName("far".into())]);
        assert_eq!(one.learns().await, by_far("10.2.0.0/16"));
        assert_eq!(two.learns().await, by_far("10.1.0.0/16"));
        // Its tunnel is gone, and with it the way.
        one.carries(false);
        assert_eq!(
            one.learns().await,
            LearntRoute::Remove("10.2.0.0/16".parse().unwrap())
        );
        one.carries(true);
        assert_eq!(one.learns().await, by_far("10.2.0.0/16"));
        one.speaking.commands.send(Command::Close).await.unwrap();
        while !one.speaking.commands.is_closed() {
            tokio::task::yield_now().await;
        }
        let (answer, done) = oneshot::channel();
        two.speaking
            .commands
            .send(Command::Publish(answer))
            .await
            .unwrap();
        done.await.unwrap();
        let view = two.speaking.view.borrow().clone();
        let error = view.speaker.peers[&name("far")].last_error.clone().unwrap();
        assert_eq!(
            (error.side, error.notification),
            (Side::Peer, Some((6, 2))),
            "it said so: {error:?}"
        );
    });
}

impl Rig {
    async fn recorded<T>(&self, asked: impl FnOnce(oneshot::Sender<Option<T>>) -> Recording) -> Option<T> {
        let (answer, said) = oneshot::channel();
        let command = Command::Record(asked(answer));
        self.speaking.commands.send(command).await.unwrap();
        said.await.unwrap()
    }

    /// What is written down, as bgpkit-parser reads it: each record in a few words.
    async fn written(&self) -> Vec<String> {
        let octets = self.recorded(Recording::File).await.unwrap().concat();
        let mut rest = std::io::Cursor::new(octets.as_slice());
        let mut words = Vec::new();
        while rest.position() < octets.len() as u64 {
            let record = parse_mrt_record(&mut rest).map_err(|error| error.error).unwrap();
            assert!(record.common_header.microsecond_timestamp.is_some());
            words.push(match record.message {
                MrtMessage::Bgp4Mp(Bgp4MpEnum::StateChange(change)) => {
                    format!("{:?} to {:?}", change.old_state, change.new_state)
                }
                MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) => {
                    assert_eq!(message.peer_ip.to_string(), "169.254.21.2");
                    assert_eq!(message.local_ip.to_string(), "169.254.21.1");
                    assert_eq!(
                        (message.peer_asn.to_u32(), message.local_asn.to_u32()),
                        (66069, 65001)
                    );
                    let way = if format!("{:?}", message.msg_type).contains("Local") {
                        "out"
                    } else {
                        "in"
                    };
                    match message.bgp_message {
                        BgpMessage::Open(_) => format!("{way} OPEN"),
                        BgpMessage::KeepAlive => format!("{way} KEEPALIVE"),
                        BgpMessage::Notification(_) => format!("{way} NOTIFICATION"),
                        BgpMessage::Update(update) => {
                            let prefixes = |of: &[NetworkPrefix]| {
                                of.iter()
                                    .map(|one| one.prefix.to_string())
                                    .collect::<Vec<_>>()
                                    .join(" ")
                            };
                            let (there, gone) = (
                                prefixes(&update.announced_prefixes),
                                prefixes(&update.withdrawn_prefixes),
                            );
                            format!("{way} UPDATE +{there} -{gone}")
                        }
                        other => format!("{way} {other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            });
        }
        words
    }
}

fn everything(octets: usize) -> Record {
    Record {
        neighbour: None,
        octets,
        time: Duration::from_secs(60),
    }
}

/// A session from its first state on.
#[test]
fn a_recording_holds_what_was_said_and_no_more() {
    isolated(|| async {
        let [near, far] = ["169.254.21.1", "169.254.21.2"];
        let mut one = Rig::start(settings(65001, "10.1.0.0/16", end(near, far))).await;
        let mut two = Rig::start(settings(66069, "10.2.0.0/16", end(far, near))).await;
        assert!(one.recorded(Recording::Stands).await.is_none());
        let begun = one
            .recorded(|answer| Recording::Start(everything(1 << 20), answer))
            .await;
        assert!(begun.unwrap().runs);
        one.carries(true);
        two.carries(true);
        one.learns().await;
        two.learns().await;
        let written = one.written().await;
        for expected in [
            "in OPEN",
            "out OPEN",
            "in KEEPALIVE",
            "out KEEPALIVE",
            "OpenConfirm to Established",
            "in UPDATE +10.2.0.0/16 -",
            "out UPDATE +10.1.0.0/16 -",
        ] {
            let found = written.iter().filter(|words| *words == expected).count();
            assert!(found >= 1, "{expected} is not in {written:#?}");
        }
        assert_eq!(
            one.recorded(|answer| Recording::Start(everything(1), answer))
                .await,
            None
        );
        assert!(!one.recorded(Recording::Stop).await.unwrap().runs);
        assert_eq!(one.recorded(Recording::Stop).await, None);
    });
}

/// Begun in the middle of a session, it has exactly what changes; ended, nothing more.
#[test]
fn a_recording_of_a_change_holds_the_change() {
    isolated(|| async {
        let [near, far] = ["169.254.21.1", "169.254.21.2"];
        let mut one = Rig::start(settings(65001, "10.1.0.0/16", end(near, far))).await;
        let mut two = Rig::start(settings(66069, "10.2.0.0/16", end(far, near))).await;
        one.carries(true);
        two.carries(true);
        one.learns().await;
        two.learns().await;
        one.recorded(|answer| Recording::Start(everything(1 << 20), answer))
            .await
            .unwrap();
        two.configure(settings(66069, "10.3.0.0/16", end(far, near)))
            .await;
        // The speaker may tell its kernel of both at once, or one after the other.
        while one.learns().await
            != LearntRoute::Set("10.3.0.0/16".parse().unwrap(), vec![ConnectionName("far".into())])
        {}
        while !one
            .written()
            .await
            .iter()
            .any(|words| words.contains("-10.2.0.0/16"))
        {}
        let written = one.written().await;
        let (there, gone): (Vec<_>, Vec<_>) = written
            .iter()
            .partition(|words| words.contains('+') && words.ends_with('-'));
        assert!(
            written.iter().all(|words| words.starts_with("in UPDATE")),
            "{written:?}"
        );
        assert_eq!((there.len(), gone.len()), (1, 1), "{written:?}");
        let stands = one.recorded(Recording::Stop).await.unwrap();
        assert_eq!((stands.records, stands.dropped), (2, 0));
        two.configure(settings(66069, "10.4.0.0/16", end(far, near)))
            .await;
        one.learns().await;
        assert_eq!(one.written().await, written);
    });
}

/// What does not fit is counted, and so is all that comes after it: the file has no hole.
#[test]
fn a_recording_that_is_full_counts_what_it_drops() {
    isolated(|| async {
        let [near, far] = ["169.254.21.1", "169.254.21.2"];
        let mut one = Rig::start(settings(65001, "10.1.0.0/16", end(near, far))).await;
        let two = Rig::start(settings(66069, "10.2.0.0/16", end(far, near))).await;
        let begun = one
            .recorded(|answer| Recording::Start(everything(200), answer))
            .await;
        assert_eq!(begun.unwrap().octets, 0);
        one.carries(true);
        two.carries(true);
        one.learns().await;
        let stands = one.recorded(Recording::Stands).await.unwrap();
        assert!(
            stands.runs && stands.dropped > 0 && stands.octets <= 200,
            "{stands:?}"
        );
        assert_eq!(one.written().await.len() as u64, stands.records);
    });
}

/// Whoever does not have the key is not even answered.
#[test]
fn unsigned_segments_are_not_heard() {
    isolated(|| async {
        let signed = SessionEnd {
            signing: Signing::Md5(b"geheim".to_vec().into()),
            ..end("127.0.0.1", "127.0.0.2")
        };
        let rig = Rig::start(settings(65001, "10.1.0.0/16", signed)).await;
        rig.carries(true);
        let socket = from("127.0.0.2");
        let address: SocketAddr = "127.0.0.1:179".parse().unwrap();
        let refused = socket.connect_timeout(&address.into(), Duration::from_millis(300));
        assert!(refused.is_err());
        let (answer, done) = oneshot::channel();
        rig.speaking
            .commands
            .send(Command::Publish(answer))
            .await
            .unwrap();
        done.await.unwrap();
        let view = rig.speaking.view.borrow().clone();
        assert_ne!(view.speaker.peers[&name("far")].state, PeerState::Established);
    });
}

impl Rig {
    /// Why the session with `far` is down.
    async fn why(&self) -> String {
        let (answer, done) = oneshot::channel();
        let command = Command::Publish(answer);
        self.speaking.commands.send(command).await.unwrap();
        done.await.unwrap();
        let view = self.speaking.view.borrow().clone();
        let peer = &view.speaker.peers[&name("far")];
        assert_ne!(peer.state, PeerState::Established);
        peer.last_error.as_ref().unwrap().reason.to_owned()
    }
}

/// Another speaker on the machine has the port: a session that the peer is to open says so, until it is free.
#[test]
fn a_port_that_another_program_has_is_told_and_taken_when_it_is_free() {
    isolated(|| async {
        let other = std::net::TcpListener::bind("0.0.0.0:179").unwrap();
        let mut passive = settings(65001, "10.1.0.0/16", end("169.254.21.1", "169.254.21.2"));
        let neighbour = passive.speaker.neighbours.get_mut(&name("far")).unwrap();
        neighbour.passive = true;
        let rig = Rig::start(passive.clone()).await;
        rig.carries(true);
        while rig.why().await == "tunnel-down" {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.why().await, "not-listening");
        drop(other);
        rig.configure(passive).await;
        assert_eq!(rig.why().await, "waiting-for-peer");
        drop(connect("169.254.21.2", "169.254.21.1"));
    });
}

fn authenticated(local: &str, remote: &str, ids: &[u8]) -> SessionEnd {
    let key = |id: &u8| TcpAoKey {
        secret: format!("geheim{id}").into_bytes().into(),
        send_id: *id,
        receive_id: *id,
        algorithm: TcpAoAlgorithm::Aes128Cmac,
        sign_options: true,
    };
    SessionEnd {
        signing: Signing::TcpAo(ids.iter().map(key).collect()),
        ..end(local, remote)
    }
}

/// Where the kernel has no TCP-AO, a session that is to have it is not opened without, by neither side.
#[test]
fn without_tcp_ao_in_the_kernel_there_is_no_session() {
    isolated(|| async {
        let end = authenticated("169.254.21.1", "169.254.21.2", &[1]);
        if options::open(&end, 0).is_ok() {
            return eprintln!("SKIPPED without_tcp_ao_in_the_kernel…: this kernel has TCP-AO");
        }
        for passive in [false, true] {
            let mut settings = settings(65001, "10.1.0.0/16", end.clone());
            let neighbour = settings.speaker.neighbours.get_mut(&name("far")).unwrap();
            neighbour.passive = passive;
            let rig = Rig::start(settings).await;
            rig.carries(true);
            while rig.why().await == "tunnel-down" {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.why().await, "authentication-unavailable");
            let address: SocketAddr = "169.254.21.1:179".parse().unwrap();
            assert!(from("169.254.21.2").connect(&address.into()).is_err());
        }
    });
}

/// Both ends sign with TCP-AO; keys come and go, and the session with its first key does not notice.
#[test]
fn keys_of_tcp_ao_take_turns_in_a_living_session() {
    isolated(|| async {
        let ends = |ids: &[u8]| {
            [("169.254.21.1", "169.254.21.2"), ("169.254.21.2", "169.254.21.1")]
                .map(|(local, remote)| authenticated(local, remote, ids))
        };
        if options::open(&ends(&[1])[0], 0).is_err() {
            return eprintln!("SKIPPED keys_of_tcp_ao_take_turns…: this kernel has no TCP-AO");
        }
        let configured = |ids: &[u8]| {
            let [near, far] = ends(ids);
            [
                settings(65001, "10.1.0.0/16", near),
                settings(66069, "10.2.0.0/16", far),
            ]
        };
        let [near, far] = configured(&[1]);
        let (mut one, two) = (Rig::start(near).await, Rig::start(far).await);
        one.carries(true);
        two.carries(true);
        let by_far =
            |prefix: &str| LearntRoute::Set(prefix.parse().unwrap(), vec![ConnectionName("far".into())]);
        assert_eq!(one.learns().await, by_far("10.2.0.0/16"));
        for ids in [&[1, 2][..], &[2, 1], &[2]] {
            let [near, far] = configured(ids);
            one.configure(near).await;
            two.configure(far).await;
        }
        // What it tells now is signed with the second key.
        let [_, mut far] = configured(&[2]);
        far.speaker.own = vec!["10.3.0.0/16".parse().unwrap()];
        two.configure(far).await;
        while one.learns().await != by_far("10.3.0.0/16") {}
        let (answer, done) = oneshot::channel();
        let command = Command::Publish(answer);
        one.speaking.commands.send(command).await.unwrap();
        done.await.unwrap();
        let view = one.speaking.view.borrow().clone();
        let peer = &view.speaker.peers[&name("far")];
        assert_eq!((peer.state, peer.established_count), (PeerState::Established, 1));
        let address: SocketAddr = "169.254.21.1:179".parse().unwrap();
        let refused = from("169.254.21.2").connect_timeout(&address.into(), Duration::from_millis(300));
        assert!(refused.is_err(), "nobody is heard without a signature");
    });
}

fn from(address: &str) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    socket.bind(&address.into()).unwrap();
    // As the peer next door.
    socket.set_ttl_v4(255).unwrap();
    socket
}

fn connect(local: &str, remote: &str) -> TcpStream {
    let socket = from(local);
    let address = SocketAddr::new(remote.parse().unwrap(), 179);
    socket.connect(&address.into()).unwrap();
    socket.into()
}

async fn turn(sockets: &mut Sockets) -> Vec<Input> {
    poll_fn(|context| sockets.poll(context)).await
}

#[test]
fn a_neighbour_that_floods_keeps_nobody_else_from_being_heard() {
    isolated(|| async {
        let mut sockets = Sockets::default();
        let ends = [
            (name("flood"), end("127.0.0.1", "127.0.0.2")),
            (name("quiet"), end("127.0.0.3", "127.0.0.4")),
        ];
        let _heard = sockets.configure(ends.into());
        let mut flood = connect("127.0.0.2", "127.0.0.1");
        std::thread::spawn(move || while flood.write_all(&[0xff; 1 << 16]).is_ok() {});
        let mut quiet = connect("127.0.0.4", "127.0.0.3");
        let mut names = BTreeMap::new();
        while names.len() < 2 {
            for input in turn(&mut sockets).await {
                if let Input::Accepted {
                    connection,
                    neighbour,
                    ..
                } = input
                {
                    names.insert(connection, neighbour);
                }
            }
        }
        quiet.write_all(b"!").unwrap();
        let mut turns = 0;
        let heard = loop {
            // The runtime looks only then what has arrived: a flood that never pauses would leave it no time.
            tokio::task::yield_now().await;
            let inputs = turn(&mut sockets).await;
            let mut of_flood = 0;
            let mut heard = false;
            for input in &inputs {
                if let Input::Received(connection, octets) = input {
                    assert!(octets.len() <= TURN);
                    of_flood += usize::from(names[connection] == name("flood"));
                    heard |= names[connection] == name("quiet");
                }
            }
            assert!(of_flood <= 1, "one turn each");
            turns += 1;
            if heard || turns > 8 {
                break heard;
            }
        };
        assert!(heard, "not within {turns} turns");
    });
}

#[test]
fn a_thousand_connections_of_one_neighbour_are_four_and_those_of_strangers_none() {
    isolated(|| async {
        let mut sockets = Sockets::default();
        let _heard = sockets.configure([(name("far"), end("127.0.0.1", "127.0.0.2"))].into());
        let mut stranger = connect("127.0.0.9", "127.0.0.1");
        let mut accepted = 0;
        let mut kept = Vec::new();
        for _ in 0..250 {
            kept.extend((0..4).map(|_| connect("127.0.0.2", "127.0.0.1")));
            for _ in 0..4 {
                let now = poll_fn(|context| {
                    std::task::Poll::Ready(match sockets.poll(context) {
                        std::task::Poll::Ready(inputs) => inputs,
                        std::task::Poll::Pending => Vec::new(),
                    })
                });
                let is_accepted = |input: &&Input| matches!(input, Input::Accepted { .. });
                accepted += now.await.iter().filter(is_accepted).count();
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(accepted, 4);
        stranger.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(!matches!(stranger.read(&mut [0; 1]), Ok(1)), "nobody is there");
    });
}
